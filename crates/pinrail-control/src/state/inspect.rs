//! State as operators look at it: every space, and every record of one with the reason why it is hidden.

use std::collections::BTreeMap;

use pinrail_domain::id::{DeploymentId, LedgerSeq, StateSeq};
use pinrail_domain::state::view::Hidden;
use pinrail_domain::state::{Content, Moment, Record, Space, StateKey};
use pinrail_store::StoreError;
use pinrail_store::state::{SpaceFacts, SpaceFilter};

use super::{ReadError, Reader, States};

/// A space, what it holds and who wrote there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceSeen {
    pub facts: SpaceFacts,
    /// Records that everybody sees.
    pub visible: u64,
    /// The deployments that wrote there, ascending.
    pub deployments: Vec<DeploymentId>,
}

/// Which records of a space.
#[derive(Clone, Debug, Default)]
pub struct Which {
    pub key: Option<StateKey>,
    /// Also those that the view doesn't show.
    pub history: bool,
    /// Only those after this one.
    pub after: StateSeq,
    pub limit: usize,
}

/// Records of a space through somebody's eyes, in sequence order.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspected {
    pub at: Moment,
    pub records: Vec<Looked>,
}

/// A record, why the view doesn't show it, and which ledger entry says that its content was erased.
#[derive(Clone, Debug, PartialEq)]
pub struct Looked {
    pub record: Record,
    pub hidden: Option<Hidden>,
    pub erased: Option<LedgerSeq>,
}

impl States {
    /// Up to `limit` matching spaces after `after`, by tenant, layer and name.
    pub async fn spaces(
        &self,
        filter: &SpaceFilter,
        after: Option<&Space>,
        limit: usize,
    ) -> Result<Vec<SpaceSeen>, StoreError> {
        let listed = self.parts.store.space_list(filter, after, limit).await?;
        let mut seen = Vec::with_capacity(listed.len());
        for facts in listed {
            let (visible, mut deployments) = self
                .look(&facts.space, |index| {
                    (index.count(None) as u64, index.deployments().collect::<Vec<_>>())
                })
                .await?;
            deployments.sort_unstable();
            seen.push(SpaceSeen { facts, visible, deployments });
        }
        Ok(seen)
    }

    /// Records of a space. A read that runs make must be noted: this one is for people.
    pub async fn inspect(
        &self,
        space: &Space,
        reader: &Reader,
        which: &Which,
    ) -> Result<Inspected, ReadError> {
        let Which { key, history, after, limit } = which;
        let (at, mut reasons) = self
            .view(space, reader, |sight| {
                let (index, view) = (sight.index, &sight.view);
                let listed: Vec<(usize, Option<Hidden>)> = match (history, key) {
                    (true, Some(key)) => index.history_of(view, key),
                    (true, None) => index.history(view).collect(),
                    (false, key) => {
                        let shown = sight.shown();
                        let wanted = shown
                            .iter()
                            .filter(|place| key.as_ref().is_none_or(|key| index.key(*place) == key));
                        wanted.map(|place| (place, None)).collect()
                    }
                };
                let of = listed.into_iter().map(|(place, why)| (index.seq(place), why));
                let page = of.filter(|(seq, _)| seq > after).take(*limit);
                (view.at, page.collect::<BTreeMap<StateSeq, Option<Hidden>>>())
            })
            .await?;
        let seqs: Vec<StateSeq> = reasons.keys().copied().collect();
        let records = self.records(&seqs).await?;
        let erased = records.iter().filter(|record| record.content == Content::Erased);
        let erased = self.erasures_of(&space.tenant, erased.map(|record| record.operation.seq)).await?;
        let looked = records.into_iter().map(|record| {
            let seq = record.operation.seq;
            let hidden = reasons.remove(&seq).flatten();
            Looked { hidden, erased: erased.get(&seq).map(|proven| proven.entry), record }
        });
        Ok(Inspected { at, records: looked.collect() })
    }
}
