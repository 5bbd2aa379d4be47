//! What changed in a space between two moments, through the same eyes.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_domain::id::StateSeq;
use pinrail_domain::state::{Moment, Space, StateKey};

use super::{AsOf, ReadError, Reader, Sight, States};

/// The keys that show something else at `to` than they did at `from`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    pub from: Moment,
    pub to: Moment,
    /// By key: the record that was visible, and the one that is.
    pub keys: BTreeMap<StateKey, Changed>,
    /// How many records both show.
    pub same: u64,
}

/// A key's record before and after. One of them is there, and they aren't the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    pub before: Option<StateSeq>,
    pub after: Option<StateSeq>,
}

impl States {
    /// Compares what the reader sees as of `from` with what it sees as of its own moment.
    pub async fn compare(&self, space: &Space, from: AsOf, reader: &Reader) -> Result<Compared, ReadError> {
        let seen = |sight: &Sight<'_>| {
            let (index, shown) = (sight.index, sight.shown());
            let seqs: BTreeSet<StateSeq> = shown.iter().map(|place| index.seq(place)).collect();
            (sight.view.at, seqs)
        };
        let earlier = Reader { as_of: from, ..reader.clone() };
        let (from, before) = self.view(space, &earlier, seen).await?;
        let (to, after) = self.view(space, reader, seen).await?;
        let mut compared = Compared { from, to, ..Compared::default() };
        compared.same = before.intersection(&after).count() as u64;
        let lost: Vec<StateSeq> = before.difference(&after).copied().collect();
        let gained: Vec<StateSeq> = after.difference(&before).copied().collect();
        let keys = self
            .look(space, |index| {
                let mut keys: BTreeMap<StateKey, Changed> = BTreeMap::new();
                let key_of = |seq: StateSeq| index.place(seq).map(|place| index.key(place).clone());
                for seq in &lost {
                    if let Some(key) = key_of(*seq) {
                        keys.entry(key).or_default().before = Some(*seq);
                    }
                }
                for seq in &gained {
                    if let Some(key) = key_of(*seq) {
                        keys.entry(key).or_default().after = Some(*seq);
                    }
                }
                keys
            })
            .await?;
        compared.keys = keys;
        Ok(compared)
    }

    /// The moment that this names: none is now.
    pub async fn moment(&self, as_of: AsOf) -> Result<Option<Moment>, ReadError> {
        Reader { as_of, ..Reader::everybody() }.moment(self).await
    }
}
