//! The rule of [`crate::state::view`] kept up to date for one space: who sees which of its operations now.
//!
//! A *place* is an operation's position in the space's own sequence, from 0. For the newest view the visible places
//! lie ready as [`Bits`]: one set for everybody and one for each deployment that sees more (an *overlay*), so a read
//! never walks what was taken back. When the commits change ([`Index::sync`]), a deployment's places go in or out 64 at
//! a time; only *contested* keys, those that several deployments wrote, are looked at one by one.
//!
//! Views of the past are computed when they are asked for ([`Index::at`], [`Index::history`]), in one pass over the
//! operations, and so is the own view of a deployment that was taken back: only its last runs still look through it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem::{size_of, size_of_val};
use std::ops::Range;
use std::sync::Arc;

use super::bits::Bits;
use super::view::Commits;
use super::{Op, Operation, StateKey};
use crate::id::{DeploymentId, LedgerSeq, StateSeq};

mod apply;
mod conflict;
mod history;
mod sync;

pub use self::conflict::{Conflict, Winner};

/// A space's operations and who sees them.
#[derive(Clone, Debug, Default)]
pub struct Index {
    commits: Arc<Commits>,
    operations: Columns,
    keys: Vec<Key>,
    key_numbers: HashMap<StateKey, u32>,
    writers: Vec<Writer>,
    writer_numbers: HashMap<DeploymentId, u32>,
    /// What a writer sees, where that isn't what everybody sees.
    overlays: BTreeMap<u32, Overlay>,
    /// What everybody sees.
    visible: Bits,
    /// The last put of each key that one deployment alone wrote: visible whenever that deployment is.
    sole: Bits,
    /// What cascades took along.
    cascaded: Bits,
    /// How many of the commits' cascades are in `cascaded`, and the last record that they name.
    cascades: usize,
    cascaded_to: StateSeq,
}

/// The operations, by place.
#[derive(Clone, Debug, Default)]
struct Columns {
    seqs: Vec<StateSeq>,
    ledgers: Vec<LedgerSeq>,
    keys: Vec<u32>,
    writers: Vec<u32>,
    /// The place before on the same key.
    previous: Vec<Place>,
    puts: Bits,
}

/// A place, or [`NOWHERE`]; half the size of a `usize`.
type Place = u32;

/// No place.
const NOWHERE: Place = u32::MAX;
/// More operations than this, in one space, don't fit.
const PLACES_MAX: usize = NOWHERE as usize;

#[derive(Clone, Debug)]
struct Key {
    name: StateKey,
    /// Its newest operation.
    last: Place,
    standing: Standing,
}

/// Who decides what a key shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// One deployment alone wrote it, and no cascade touched it.
    Sole,
    /// Several did; this is its newest operation that counts for everybody, if one does.
    Contested { top: Place },
}

/// A deployment that wrote here.
#[derive(Clone, Debug)]
struct Writer {
    deployment: DeploymentId,
    standing: Counting,
    /// Its places, ascending, as ranges without their ends.
    runs: Vec<(Place, Place)>,
    /// The keys that it shares with others.
    contested: BTreeSet<u32>,
    /// Whether a cascade took any of its operations along.
    is_cascaded: bool,
}

/// For whom a deployment's operations count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counting {
    /// Not committed yet: for itself.
    Open,
    Committed,
    /// Taken back: for itself, which soon nobody asks for.
    Retracted,
}

/// What a deployment sees that isn't committed or lost something to a cascade.
#[derive(Clone, Debug)]
struct Overlay {
    visible: Bits,
    /// Its newest operation on each contested key that it wrote.
    tops: HashMap<u32, Place>,
}

impl Index {
    /// An index without operations, before any deployment.
    #[must_use]
    pub fn new() -> Index {
        Index::default()
    }

    /// Indexes `operations`, which come in sequence order; places that were removed are simply left out, so after a
    /// collection an index is loaded anew.
    #[must_use]
    pub fn load(commits: &Arc<Commits>, operations: impl IntoIterator<Item = Operation>) -> Index {
        let mut index = Index { commits: Arc::clone(commits), ..Index::new() };
        for operation in operations {
            index.apply(operation);
        }
        index.take_new_cascades_along();
        index
    }

    /// The ledger entry up to which commits are known here.
    #[must_use]
    pub fn generation(&self) -> LedgerSeq {
        self.commits.generation
    }

    /// The commits that it shows.
    #[must_use]
    pub fn commits(&self) -> &Arc<Commits> {
        &self.commits
    }

    /// The newest operation's place in the order of all state; 0 where there is none.
    #[must_use]
    pub fn newest(&self) -> StateSeq {
        self.operations.seqs.last().copied().unwrap_or_default()
    }

    /// How many operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.seqs.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.seqs.is_empty()
    }

    /// The places that `own` sees now, or everybody. Lies ready, other than for a deployment that was taken back.
    #[must_use]
    pub fn visible(&self, own: Option<DeploymentId>) -> Cow<'_, Bits> {
        match own.and_then(|own| self.writer(own)) {
            None => Cow::Borrowed(&self.visible),
            Some((number, writer)) => match (self.overlays.get(&number), writer.standing) {
                (Some(overlay), _) => Cow::Borrowed(&overlay.visible),
                (None, Counting::Committed | Counting::Open) => Cow::Borrowed(&self.visible),
                (None, Counting::Retracted) => Cow::Owned(self.seen_by_retracted(number, writer)),
            },
        }
    }

    /// The visible put of a key.
    #[must_use]
    pub fn get(&self, own: Option<DeploymentId>, key: &StateKey) -> Option<StateSeq> {
        let number = *self.key_numbers.get(key)?;
        let top = self.top(own.and_then(|own| self.writer(own)), number)?;
        self.operations.puts.contains(top).then(|| self.operations.seqs[top])
    }

    /// A key's newest operation, whoever's it is, be it a put or a delete: what compare-and-set compares.
    #[must_use]
    pub fn newest_of(&self, key: &StateKey) -> Option<StateSeq> {
        let number = *self.key_numbers.get(key)?;
        Some(self.operations.seqs[self.keys[number as usize].last as usize])
    }

    /// What is visible, in sequence order; the last few are cheap from the back.
    #[must_use]
    pub fn iter(
        &self,
        own: Option<DeploymentId>,
    ) -> Box<dyn DoubleEndedIterator<Item = Seen<'_>> + Send + '_> {
        let seen = |place: usize| (self.operations.seqs[place], self.key(place));
        match self.visible(own) {
            Cow::Borrowed(places) => Box::new(places.iter().map(seen)),
            Cow::Owned(places) => Box::new(places.iter().collect::<Vec<_>>().into_iter().map(seen)),
        }
    }

    /// How many are visible.
    #[must_use]
    pub fn count(&self, own: Option<DeploymentId>) -> usize {
        self.visible(own).len()
    }

    /// Where the operation is; none where it is another space's or removed.
    #[must_use]
    pub fn place(&self, seq: StateSeq) -> Option<usize> {
        self.operations.seqs.binary_search(&seq).ok()
    }

    /// How many places lie at or before `seq`: as of then, the places below this number existed.
    #[must_use]
    pub fn end(&self, seq: StateSeq) -> usize {
        self.operations.seqs.partition_point(|other| *other <= seq)
    }

    /// The operation's place in the order of all state. Panics, as all that take a place, where nothing is.
    #[must_use]
    pub fn seq(&self, place: usize) -> StateSeq {
        self.operations.seqs[place]
    }

    /// The ledger's head when the operation was appended.
    #[must_use]
    pub fn ledger(&self, place: usize) -> LedgerSeq {
        self.operations.ledgers[place]
    }

    #[must_use]
    pub fn key(&self, place: usize) -> &StateKey {
        &self.keys[self.operations.keys[place] as usize].name
    }

    #[must_use]
    pub fn deployment(&self, place: usize) -> DeploymentId {
        self.writers[self.operations.writers[place] as usize].deployment
    }

    #[must_use]
    pub fn op(&self, place: usize) -> Op {
        if self.operations.puts.contains(place) { Op::Put } else { Op::Delete }
    }

    #[must_use]
    pub fn operation(&self, place: usize) -> Operation {
        Operation {
            seq: self.operations.seqs[place],
            ledger: self.operations.ledgers[place],
            deployment: self.deployment(place),
            key: self.key(place).clone(),
            op: self.op(place),
        }
    }

    /// The places that a deployment wrote, in rising order.
    pub fn touched(&self, deployment: DeploymentId) -> impl DoubleEndedIterator<Item = usize> + '_ {
        let writer = self.writer(deployment).map(|(_, writer)| writer);
        writer.into_iter().flat_map(|writer| writer.ranges()).flatten()
    }

    /// The deployments that wrote here, in the order of their first operations.
    pub fn deployments(&self) -> impl DoubleEndedIterator<Item = DeploymentId> + '_ {
        self.writers.iter().map(|writer| writer.deployment)
    }

    /// About how much memory it takes, for a cache's limit.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let bits = |bits: &Bits| size_of_val(bits.words());
        let columns = self.len() * (2 * size_of::<u64>() + 3 * size_of::<u32>());
        // A key's text, its two handles and the table's slack.
        let names: usize = self.keys.iter().map(|key| key.name.as_str().len()).sum();
        let keys = names + self.keys.len() * (size_of::<Key>() + 3 * size_of::<StateKey>());
        let sets = [&self.operations.puts, &self.visible, &self.sole, &self.cascaded].map(bits);
        let writers = self
            .writers
            .iter()
            .map(|writer| size_of::<Writer>() + (writer.runs.len() + writer.contested.len()) * 8);
        let overlays = self.overlays.values().map(|overlay| bits(&overlay.visible) + overlay.tops.len() * 16);
        let parts = columns + keys + sets.iter().sum::<usize>();
        size_of::<Index>() + parts + writers.sum::<usize>() + overlays.sum::<usize>()
    }

    fn writer(&self, deployment: DeploymentId) -> Option<(u32, &Writer)> {
        let number = *self.writer_numbers.get(&deployment)?;
        Some((number, &self.writers[number as usize]))
    }

    /// Whether the operation counts for everybody.
    fn counts(&self, place: usize) -> bool {
        let writer = &self.writers[self.operations.writers[place] as usize];
        writer.standing == Counting::Committed && !self.cascaded.contains(place)
    }

    /// The key's newest operation that counts for the writer, or for everybody.
    fn top(&self, own: Option<(u32, &Writer)>, key: u32) -> Option<usize> {
        let Key { last, standing, .. } = self.keys[key as usize];
        match standing {
            Standing::Sole => {
                let author = self.operations.writers[last as usize];
                let is_own = own.is_some_and(|(number, _)| number == author);
                (is_own || self.writers[author as usize].standing == Counting::Committed)
                    .then_some(last as usize)
            }
            Standing::Contested { top } => {
                let theirs = (top != NOWHERE).then_some(top as usize);
                let Some((number, writer)) = own else { return theirs };
                theirs.max(match self.overlays.get(&number) {
                    Some(overlay) => overlay.tops.get(&key).map(|top| *top as usize),
                    None if writer.standing == Counting::Retracted => {
                        self.chain(key).find(|place| self.operations.writers[*place] == number)
                    }
                    None => None,
                })
            }
        }
    }

    /// The places of a key, newest first.
    fn chain(&self, key: u32) -> impl Iterator<Item = usize> + '_ {
        let at = |place: Place| (place != NOWHERE).then_some(place as usize);
        std::iter::successors(at(self.keys[key as usize].last), move |place| {
            at(self.operations.previous[*place])
        })
    }

    fn seen_by_retracted(&self, number: u32, writer: &Writer) -> Bits {
        let mut seen = self.visible.clone();
        for run in writer.ranges() {
            seen.unite_within(&self.sole, run);
        }
        for key in &writer.contested {
            if let Some(theirs) = self.top(None, *key) {
                seen.remove(theirs);
            }
            let top = self.top(Some((number, writer)), *key);
            if let Some(top) = top.filter(|top| self.operations.puts.contains(*top)) {
                seen.insert(top);
            }
        }
        seen
    }
}

/// A visible record's place in the order of all state, and its key.
pub type Seen<'a> = (StateSeq, &'a StateKey);

impl Writer {
    fn ranges(&self) -> impl DoubleEndedIterator<Item = Range<usize>> + '_ {
        self.runs.iter().map(|(start, end)| *start as usize..*end as usize)
    }
}

#[cfg(test)]
mod tests;
