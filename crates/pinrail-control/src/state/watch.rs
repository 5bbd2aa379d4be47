//! Watching a space: what came into a view, and what went out of it, since the watcher was told last.
//!
//! A watcher that is told every [`Delta`] in turn has exactly the view's records at the end of each, whatever happened:
//! writes, deletes, promotions that show, rollbacks that hide. Nothing is queued for it: while it is told one delta, the
//! next one gathers, and costs the same however much that was.
//!
//! A live watcher is compared with the very set that it was told. One that comes back names the moment of the last
//! delta that it had whole, and may have had a part of the next; so it is told of every key that was written since, or
//! whose writers were committed or taken back since, whether or not the key shows the same again.

use std::collections::HashSet;
use std::sync::Arc;

use pinrail_domain::id::{DeploymentId, StateSeq};
use pinrail_domain::state::bits::Bits;
use pinrail_domain::state::index::Index;
use pinrail_domain::state::view::{GROUND, Hidden, View};
use pinrail_domain::state::{Moment, Op, Space, StateKey};

use super::{AsOf, Following, ReadError, Reader, States};

/// Somebody who watches a space.
pub struct Watch {
    space: Space,
    own: Option<DeploymentId>,
    following: Following,
    /// The places that it was told; none until it was told once.
    told: Option<Bits>,
    /// The moment of the last delta that it had whole.
    since: Option<Moment>,
}

/// What changed in a view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// The view that the watcher then has.
    pub at: Moment,
    /// The last record before the change: later ones are new, earlier ones came back or were promoted.
    pub since: StateSeq,
    /// Records that came into the view, ascending.
    pub shown: Vec<StateSeq>,
    /// What went out of it. A key that shows another record instead is not among them.
    pub gone: Vec<Gone>,
}

/// A key that shows nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub key: StateKey,
    /// The record that it showed, or its newest one where that isn't known.
    pub seq: StateSeq,
    pub why: Hidden,
}

impl Watch {
    /// Waits until a record was appended to the space. Commits and rollbacks are told by the epoch.
    pub async fn appended(&mut self) {
        // The sender is held along with the receiver.
        let _ = self.following.newest.changed().await;
    }

    /// The moment of the last delta.
    #[must_use]
    pub fn since(&self) -> Option<Moment> {
        self.since
    }
}

impl States {
    /// Begins to watch: from nothing, or from the last delta that was had whole.
    pub async fn watch(
        &self,
        space: &Space,
        own: Option<DeploymentId>,
        since: Option<Moment>,
    ) -> Result<Watch, ReadError> {
        if let Some(at) = since {
            // What lies below the floor of gc can't be compared with.
            Reader { as_of: AsOf::Moment(at), ..Reader::everybody() }.moment(self).await?;
        }
        Ok(Watch { space: space.clone(), own, following: self.follow(space), told: None, since })
    }

    /// What changed since the watcher was told last.
    pub async fn watch_delta(&self, watch: &mut Watch) -> Result<Delta, ReadError> {
        let held = self.loaded(&watch.space);
        if !Arc::ptr_eq(&held, &watch.following.held) {
            // The index was loaded anew, with other places.
            watch.following = self.follow(&watch.space);
            watch.told = None;
        }
        let held = Arc::clone(&watch.following.held);
        watch.following.newest.mark_unchanged();
        self.fresh(&watch.space, &held).await?;
        let (delta, shown) = held.synced(&self.parts.snapshot, |index, ledger| {
            let at = Moment { state: index.newest(), ledger };
            let shown = index.visible(watch.own).into_owned();
            let since = watch.since.map_or(StateSeq(0), |since| since.state);
            let delta = match (&watch.told, watch.since) {
                (Some(told), _) => compared(index, watch.own, at, told, &shown),
                (None, None) => (shown.iter().map(|place| index.seq(place)).collect(), Vec::new()),
                (None, Some(since)) => disturbed(index, watch.own, at, since, &shown),
            };
            let (came, gone) = delta;
            (Delta { at, since, shown: came, gone }, shown)
        });
        watch.told = Some(shown);
        watch.since = Some(delta.at);
        Ok(delta)
    }
}

/// What came, and what went.
type Changes = (Vec<StateSeq>, Vec<Gone>);

/// From one set to another.
fn compared(index: &Index, own: Option<DeploymentId>, at: Moment, told: &Bits, shown: &Bits) -> Changes {
    let (mut came, mut went) = (shown.clone(), told.clone());
    came.subtract(told);
    went.subtract(shown);
    let view = View { own, at, commits: Arc::clone(index.commits()) };
    let gone = went.iter().filter_map(|place| gone(index, &view, index.key(place), index.seq(place)));
    (came.iter().map(|place| index.seq(place)).collect(), gone.collect())
}

/// All keys that may show something else than at `since`, or did meanwhile.
fn disturbed(index: &Index, own: Option<DeploymentId>, at: Moment, since: Moment, shown: &Bits) -> Changes {
    let commits = index.commits();
    let taken = |seq: StateSeq| {
        let later = commits.cascades().iter().filter(|cascade| cascade.at > since.ledger);
        later.into_iter().any(|cascade| cascade.records.contains(seq))
    };
    // Never a word about deployments that this watcher never saw anything of (I4).
    let seen: Vec<(DeploymentId, bool)> = index
        .deployments()
        .filter_map(|deployment| {
            let span = commits.span(deployment);
            let moved = [span.committed, span.retracted].into_iter().flatten().any(|at| at > since.ledger);
            let ever = deployment == GROUND || own == Some(deployment) || span.committed.is_some();
            ever.then_some((deployment, moved))
        })
        .collect();
    let mut keys: HashSet<&StateKey> = HashSet::new();
    for (deployment, moved) in seen {
        for place in index.touched(deployment) {
            let operation = (index.seq(place), index.ledger(place));
            if moved || operation.0 > since.state || operation.1 > since.ledger || taken(operation.0) {
                keys.insert(index.key(place));
            }
        }
    }
    let view = View { own, at, commits: Arc::clone(commits) };
    let mut came: Vec<StateSeq> = Vec::new();
    let mut went: Vec<Gone> = Vec::new();
    for key in keys {
        match index.get(own, key) {
            Some(seq) => came.push(seq),
            None => {
                let last = index.history_of(&view, key).into_iter().rev().find(|(place, _)| {
                    let deployment = index.deployment(*place);
                    index.op(*place) == Op::Put
                        && (own == Some(deployment)
                            || deployment == GROUND
                            || commits.span(deployment).committed.is_some())
                });
                went.extend(last.and_then(|(place, why)| {
                    Some(Gone { key: key.clone(), seq: index.seq(place), why: why? })
                }));
            }
        }
    }
    debug_assert!(came.iter().all(|seq| index.place(*seq).is_some_and(|place| shown.contains(place))));
    came.sort_unstable();
    went.sort_unstable_by_key(|gone| gone.seq);
    (came, went)
}

/// A key that shows nothing instead of the record; none where it shows another one.
fn gone(index: &Index, view: &View, key: &StateKey, seq: StateSeq) -> Option<Gone> {
    if index.get(view.own, key).is_some() {
        return None;
    }
    let place = index.place(seq)?;
    // Cheap where a deployment was taken back; a delete is looked up.
    let why = view.discounted(&index.operation(place)).or_else(|| {
        let history = index.history_of(view, key);
        history.into_iter().find(|(other, _)| *other == place).and_then(|(_, why)| why)
    })?;
    Some(Gone { key: key.clone(), seq, why })
}

#[cfg(test)]
mod tests;
