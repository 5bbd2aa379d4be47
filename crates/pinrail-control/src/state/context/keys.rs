//! The keys of a space: listed, looked back on, read at an earlier version.

use pinrail_domain::id::StateSeq;
use pinrail_domain::state::{Moment, Op, Record, Space, StateKey};
use pinrail_store::state::Seen;

use super::{Accepts, GetRefused, Got, Stored, is_message, stored};
use crate::state::memory::Told;
use crate::state::{ReadError, Reader, Sight, States};

/// A key in somebody's view.
#[derive(Clone, Debug)]
pub struct Listed {
    pub record: Record,
    /// None where the value was erased.
    pub stored: Option<Stored>,
}

impl States {
    /// Up to `limit` keys of a view that begin with `prefix`, after `after`, in their order.
    pub async fn context_list(
        &self,
        space: &Space,
        reader: &Reader,
        prefix: &str,
        after: Option<&StateKey>,
        limit: usize,
    ) -> Result<(Moment, Vec<Listed>), ReadError> {
        let (at, seqs) = self
            .view(space, reader, |sight| {
                let index = sight.index;
                let shown = sight.shown();
                let keys = shown.iter().map(|place| (index.key(place), index.seq(place)));
                let mut keys: Vec<(&StateKey, StateSeq)> = keys
                    .filter(|(key, _)| key.as_str().starts_with(prefix) && !is_message(key))
                    .filter(|(key, _)| after.is_none_or(|after| *key > after))
                    .collect();
                // Only the page is put in order: a space may have very many keys.
                if keys.len() > limit {
                    keys.select_nth_unstable(limit);
                    keys.truncate(limit);
                }
                keys.sort_unstable();
                (sight.view.at, keys.into_iter().map(|(_, seq)| seq).collect::<Vec<_>>())
            })
            .await?;
        let records = self.records(&seqs).await?;
        self.note_records(reader, space, at, seqs).await;
        let listed = records.into_iter().map(|record| Listed { stored: stored(&record), record });
        Ok((at, listed.collect()))
    }

    /// Every version of a key that was ever written, with the reason why a view doesn't show it: up to `limit` after
    /// `after`.
    pub async fn context_history(
        &self,
        space: &Space,
        key: &StateKey,
        reader: &Reader,
        after: StateSeq,
        limit: usize,
    ) -> Result<(Moment, Vec<Told>), ReadError> {
        let (at, listed) = self
            .view(space, reader, |sight| {
                let Sight { index, view, .. } = sight;
                let versions = index.history_of(view, key).into_iter();
                let versions = versions.map(|(place, why)| (index.seq(place), why));
                (view.at, versions.filter(|(seq, _)| *seq > after).take(limit).collect::<Vec<_>>())
            })
            .await?;
        let seqs: Vec<StateSeq> = listed.iter().map(|(seq, _)| *seq).collect();
        let records = self.records(&seqs).await?;
        self.note_records(reader, space, at, seqs).await;
        let told = records.into_iter().filter_map(|record| {
            // A record that was removed meanwhile is not in the answer.
            let place = listed.binary_search_by_key(&record.operation.seq, |(seq, _)| *seq).ok()?;
            Some(Told { hidden: listed[place].1.clone(), record })
        });
        Ok((at, told.collect()))
    }

    /// One version of a key, the current one or an earlier one that counts in the reader's view, if the reader accepts
    /// its protocol.
    pub async fn context_version(
        &self,
        space: &Space,
        key: &StateKey,
        version: StateSeq,
        reader: &Reader,
        accepts: &Accepts,
    ) -> Result<Got, GetRefused> {
        let (at, counts) = self
            .view(space, reader, |sight| {
                let Sight { index, view, .. } = sight;
                let is_it = |place: &usize| {
                    let operation = index.operation(*place);
                    operation.key == *key && operation.op == Op::Put && view.counts(&operation)
                };
                (view.at, index.place(version).is_some_and(|place| is_it(&place)))
            })
            .await?;
        let found =
            if counts { self.records(&[version]).await.map_err(ReadError::from)?.pop() } else { None };
        let record = found.ok_or(GetRefused::Nothing { at })?;
        let stored = stored(&record).ok_or(GetRefused::Erased { version })?;
        if !accepts.accept(stored.protocol) {
            let (protocol, last_accepted) = (stored.protocol, None);
            return Err(GetRefused::Protocol { at, version, protocol, last_accepted });
        }
        self.note_records(reader, space, at, vec![version]).await;
        Ok(Got { at, record, stored })
    }

    /// Notes that a run read these records; nothing where there are none.
    pub async fn note_records(&self, reader: &Reader, space: &Space, at: Moment, mut seqs: Vec<StateSeq>) {
        if !seqs.is_empty() {
            seqs.sort_unstable();
            self.note(reader, space, at, Seen::Records(seqs)).await;
        }
    }
}
