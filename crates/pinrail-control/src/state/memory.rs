//! Memory: what an agent knows of one conversation, turn by turn.
//!
//! What a run concludes belongs to its deployment; what it was told from outside lies on the ground. So after a
//! rollback the conversation goes on from what the user said, without the bad turns; and [`States::replay`] hands the
//! user's turns back, to be answered again by the good release.

use std::collections::BTreeSet;

use pinrail_domain::id::StateSeq;
use pinrail_domain::journal::Stamp;
use pinrail_domain::state::index::Index;
use pinrail_domain::state::view::{GROUND, Hidden};
use pinrail_domain::state::{Moment, Origin, PARENTS_MAX, Record, Space, StateKey, VALUE_BYTES_MAX};
use pinrail_store::StoreError;
use pinrail_store::state::{BATCH_MAX, Seen, Visible};

use super::{
    Authorised, BadParents, Change, Decided, NewValue, NoWriter, ReadError, Reader, Sight, States, WriteAs,
    WriteError, Wrote,
};
use crate::commit::Idempotency;

/// A turn to remember.
#[derive(Clone, Debug)]
pub struct Turn {
    /// A later turn with the same key takes this one's place; none gives it a key of its own.
    pub key: Option<StateKey>,
    /// Compact JSON.
    pub json: String,
    /// Whether the run was told it, rather than concluded it.
    pub told: bool,
    pub parents: Vec<StateSeq>,
}

/// Turns that were remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    pub turns: Vec<(StateKey, StateSeq)>,
    /// A moment that shows them.
    pub at: Moment,
    pub replayed: bool,
}

/// A part of a session's memory as somebody sees it, in sequence order.
#[derive(Clone, Debug, PartialEq)]
pub struct Recalled {
    pub at: Moment,
    pub turns: Vec<Record>,
    /// How many turns the view holds in all.
    pub count: usize,
    /// Whether earlier turns were left out.
    pub more: bool,
}

/// A turn, and why the view doesn't show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub record: Record,
    pub hidden: Option<Hidden>,
}

/// Why nothing is remembered.
#[derive(Debug, thiserror::Error)]
pub enum RememberRefused {
    #[error("a request remembers 1 to {BATCH_MAX} turns; this one has {0}")]
    Count(usize),
    #[error("turn {index} has {bytes} bytes; at most {VALUE_BYTES_MAX} are remembered")]
    TooLong { index: usize, bytes: usize },
    /// Two turns of one request with one key: the first would be gone as it comes.
    #[error("turn {index} has the key of an earlier turn of the same request")]
    SameKey { index: usize },
    #[error("turn {index} is said to be from outside, but {why}")]
    Told { index: usize, why: &'static str },
    #[error(transparent)]
    Parents(#[from] BadParents),
    #[error(transparent)]
    Writer(#[from] NoWriter),
}

/// Why a turn isn't forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetRefused {
    #[error("this writer sees no turn with the key `{0}`")]
    Nothing(StateKey),
}

impl States {
    /// Remembers turns of a run: [`States::remember_as`].
    pub async fn remember(
        &self,
        stamp: &Stamp,
        space: &Space,
        turns: Vec<Turn>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Remembered, WriteError<RememberRefused>> {
        self.remember_as(WriteAs::Run(stamp), space, turns, idempotency).await
    }

    /// Remembers turns, in order. Of a run's turns, those that it was told go to the ground, the others to its
    /// deployment; each stretch of the same kind is one append. With an idempotency key the turns' keys follow from
    /// it, so a request that was cut off half-way and is sent again leaves each turn once. An operator's turns are
    /// all told, and a data job's belong to the job.
    pub async fn remember_as(
        &self,
        who: WriteAs<'_>,
        space: &Space,
        turns: Vec<Turn>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Remembered, WriteError<RememberRefused>> {
        check_turns(who, &turns).map_err(WriteError::Refused)?;
        let parents = turns.iter().flat_map(|turn| turn.parents.iter().copied());
        self.check_parents(&space.tenant, parents).await?;
        let keyed: Vec<(bool, Change)> =
            turns.into_iter().enumerate().map(|(n, turn)| self.turn(n, turn, idempotency)).collect();
        if self.answered(space, idempotency).await? {
            let keys = keyed.into_iter().map(|(_, change)| change.key);
            let mut remembered = self.remembered(self.newest_of(space, keys).await?);
            remembered.replayed = true;
            return Ok(remembered);
        }
        let mut remembered = self.remembered(Vec::with_capacity(keyed.len()));
        let mut stretches = keyed.chunk_by(|one, next| one.0 == next.0).peekable();
        while let Some(stretch) = stretches.next() {
            let who = match who {
                WriteAs::Run(stamp) | WriteAs::Told(stamp) if stretch[0].0 => WriteAs::Told(stamp),
                WriteAs::Run(_) | WriteAs::Told(_) | WriteAs::Job(_) | WriteAs::Operator => who,
            };
            let by = self.author(who).await.map_err(|error| WriteError::Refused(error.into()))?;
            let changes: Vec<Change> = stretch.iter().map(|(_, change)| change.clone()).collect();
            // The answer is kept with the last stretch: until then the request isn't done.
            let last = stretches.peek().is_none();
            let answer = idempotency.filter(|_| last);
            let decide = |index: &Index| {
                // An earlier attempt got this far: its turns stay where they are.
                let is_there = |change: &Change| index.newest_of(&change.key).is_some();
                let again = idempotency.is_some() && !last && changes.iter().all(is_there);
                Ok(Decided { changes: if again { Vec::new() } else { changes.clone() }, expect: None })
            };
            let wrote = self.write(&by, space, answer, decide).await?;
            remembered.replayed |= wrote.replayed;
            let keys = changes.iter().map(|change| change.key.clone());
            let turns: Vec<_> = match wrote.appended {
                Some(appended) => {
                    // The store may know of an entry that the snapshot doesn't show yet.
                    remembered.at.ledger = remembered.at.ledger.max(appended.ledger);
                    keys.zip((appended.first.0..).map(StateSeq)).collect()
                }
                None => self.newest_of(space, keys).await?,
            };
            let last = turns.iter().map(|(_, seq)| *seq).max().unwrap_or_default();
            remembered.at.state = remembered.at.state.max(last);
            remembered.turns.extend(turns);
        }
        Ok(remembered)
    }

    /// Forgets a turn that the writer sees: a delete in its own deployment, which a rollback takes back.
    pub async fn forget_turn(
        &self,
        by: &Authorised,
        space: &Space,
        key: &StateKey,
        idempotency: Option<&Idempotency>,
    ) -> Result<Wrote, WriteError<ForgetRefused>> {
        let own = Some(by.author.deployment);
        let decide = |index: &Index| {
            if index.get(own, key).is_none() {
                return Err(ForgetRefused::Nothing(key.clone()));
            }
            let change = Change { key: key.clone(), value: None, parents: Vec::new() };
            Ok(Decided { changes: vec![change], expect: None })
        };
        self.write(by, space, idempotency, decide).await
    }

    /// What a reader remembers of a session: the last `limit` turns before `before`.
    pub async fn recall(
        &self,
        space: &Space,
        reader: &Reader,
        before: Option<StateSeq>,
        limit: usize,
    ) -> Result<Recalled, ReadError> {
        let (at, mut seqs, count) = match self.look_in_store(space, reader, before, limit + 1).await? {
            Some(Visible { at, count, last }) => (at, last, usize::try_from(count).unwrap_or(usize::MAX)),
            None => {
                let seen = |sight: &Sight<'_>| {
                    let visible = sight.shown();
                    let seq = |place| sight.index.seq(place);
                    let newest = visible.iter().rev().map(seq);
                    let earlier = newest.filter(|seq| before.is_none_or(|end| *seq < end));
                    (sight.view.at, earlier.take(limit + 1).collect(), visible.len())
                };
                self.view(space, reader, seen).await?
            }
        };
        let more = seqs.len() > limit;
        seqs.truncate(limit);
        seqs.reverse();
        let turns = self.records(&seqs).await?;
        let what = if more || before.is_some() { Seen::Records(seqs) } else { Seen::All };
        self.note(reader, space, at, what).await;
        Ok(Recalled { at, turns, count, more })
    }

    /// Everything that was ever remembered of a session, with the reason that each turn is hidden: up to `limit`
    /// turns after `after`.
    pub async fn history(
        &self,
        space: &Space,
        reader: &Reader,
        after: StateSeq,
        limit: usize,
    ) -> Result<(Moment, Vec<Told>), ReadError> {
        let (at, listed) = self
            .view(space, reader, |sight| {
                let Sight { index, view, .. } = sight;
                let page = index.history(view).filter(|(place, _)| index.seq(*place) > after).take(limit);
                (view.at, page.map(|(place, why)| (index.seq(place), why)).collect::<Vec<_>>())
            })
            .await?;
        let seqs: Vec<StateSeq> = listed.iter().map(|(seq, _)| *seq).collect();
        let records = self.records(&seqs).await?;
        let mut why = listed.into_iter().peekable();
        let told = records.into_iter().filter_map(|record| {
            // A record that was removed meanwhile is not in the answer.
            while why.peek().is_some_and(|(seq, _)| *seq < record.operation.seq) {
                why.next();
            }
            let (_, hidden) = why.next()?;
            Some(Told { record, hidden })
        });
        let told: Vec<Told> = told.collect();
        // A run that looks at what is hidden from it may be misled by it all the same.
        self.note(reader, space, at, Seen::Records(seqs)).await;
        Ok((at, told))
    }

    /// What runs of the session were told from outside, in order: to be run again on a good release.
    pub async fn replay(
        &self,
        space: &Space,
        reader: &Reader,
        after: StateSeq,
        limit: usize,
    ) -> Result<(Moment, Vec<Record>), ReadError> {
        let (at, seqs) = self
            .view(space, reader, |sight| {
                let index = sight.index;
                let shown = sight.shown();
                let facts = shown.iter().filter(|place| index.deployment(*place) == GROUND);
                let seqs = facts.map(|place| index.seq(place)).filter(|seq| *seq > after);
                (sight.view.at, seqs.take(limit).collect::<Vec<_>>())
            })
            .await?;
        let records = self.records(&seqs).await?;
        self.note(reader, space, at, Seen::Records(seqs)).await;
        Ok((at, records.into_iter().filter(|record| record.origin == Origin::External).collect()))
    }

    fn turn(&self, n: usize, turn: Turn, idempotency: Option<&Idempotency>) -> (bool, Change) {
        let Turn { key, json, told, parents } = turn;
        let key = key.unwrap_or_else(|| self.new_key("turn-", n, idempotency));
        (told, Change { key, value: Some(NewValue { json, vector: None }), parents })
    }

    fn remembered(&self, turns: Vec<(StateKey, StateSeq)>) -> Remembered {
        let state = turns.iter().map(|(_, seq)| *seq).max().unwrap_or_default();
        let ledger = self.parts.snapshot.load().world.head.seq;
        Remembered { turns, at: Moment { state, ledger }, replayed: false }
    }

    /// Keys with their newest records.
    async fn newest_of(
        &self,
        space: &Space,
        keys: impl Iterator<Item = StateKey>,
    ) -> Result<Vec<(StateKey, StateSeq)>, StoreError> {
        let keys: Vec<StateKey> = keys.collect();
        let newest = |index: &Index| {
            let found = keys.into_iter().filter_map(|key| index.newest_of(&key).map(|seq| (key, seq)));
            found.collect()
        };
        self.look(space, newest).await
    }
}

fn check_turns(who: WriteAs<'_>, turns: &[Turn]) -> Result<(), RememberRefused> {
    if turns.is_empty() || turns.len() > BATCH_MAX {
        return Err(RememberRefused::Count(turns.len()));
    }
    let mut keys = BTreeSet::new();
    for (index, turn) in turns.iter().enumerate() {
        let bytes = turn.json.len();
        if bytes > VALUE_BYTES_MAX {
            return Err(RememberRefused::TooLong { index, bytes });
        }
        if turn.parents.len() > PARENTS_MAX {
            return Err(BadParents::TooMany(turn.parents.len()).into());
        }
        if turn.key.as_ref().is_some_and(|key| !keys.insert(key)) {
            return Err(RememberRefused::SameKey { index });
        }
        match who {
            WriteAs::Job(_) if turn.told => {
                let why = "what a data job writes commits and aborts with it";
                return Err(RememberRefused::Told { index, why });
            }
            WriteAs::Run(_) | WriteAs::Told(_) | WriteAs::Job(_) | WriteAs::Operator => {}
        }
    }
    Ok(())
}
