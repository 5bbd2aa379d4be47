//! Members in memory, by a clock that moves only when a test says so.

use std::collections::BTreeMap;

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{Epoch, Generation, IdempotencyKey, MemberName};
use pinrail_domain::member::{MemberId, MemberKind};
use pinrail_domain::time::Timestamp;

use super::Memory;
use crate::StoreError;
use crate::members::{
    Ack, Answer, End, EpochAck, EpochAcks, Facts, Heard, Lease, Leaver, Member, Members, RegisterError,
    Registered, Wish,
};

/// What is kept of members.
#[derive(Default)]
pub(super) struct Shared {
    /// Each time that somebody registered.
    rows: Vec<Row>,
    /// When each epoch began.
    flips: BTreeMap<Epoch, u64>,
    now_us: u64,
}

struct Row {
    id: MemberId,
    generation: Generation,
    owner: Option<String>,
    name: MemberName,
    kind: MemberKind,
    began: Epoch,
    acknowledged: Epoch,
    lease_us: u64,
    registered_us: u64,
    heard_us: u64,
    ended: Option<(End, u64)>,
    idempotency: Option<(IdempotencyKey, Digest)>,
    acks: BTreeMap<Epoch, u64>,
}

impl Memory {
    /// Moves the clock that leases and acknowledgements are measured by.
    pub fn pass(&self, ms: u64) {
        self.lock().members.now_us += ms * 1_000;
    }
}

impl Shared {
    /// Notes that the epoch has risen.
    pub(super) fn flipped(&mut self, before: Epoch, after: Epoch) {
        let now = self.now_us;
        self.flips.extend((before.0 + 1..=after.0).map(|epoch| (Epoch(epoch), now)));
    }

    fn current(&mut self, id: MemberId) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.id == id && row.ended.is_none())
    }

    fn member(&self, row: &Row, epoch: Epoch) -> Member {
        Member {
            member: row.id,
            owner: row.owner.clone(),
            name: row.name.clone(),
            kind: row.kind,
            generation: row.generation,
            acknowledged: row.acknowledged,
            epoch,
            lease_ms: row.lease_us / 1_000,
            lease: Lease::of(self.now_us, row.lapses_us()),
            behind_ms: self.behind_since(row).map(|since| (self.now_us - since) / 1_000),
            registered_at: Timestamp(row.registered_us / 1_000),
        }
    }

    fn behind_since(&self, row: &Row) -> Option<u64> {
        self.flips.range(row.acknowledged.next()..).next().map(|(_, at)| *at)
    }

    fn acks(&self, epoch: Epoch, at_us: u64) -> impl Iterator<Item = (&Row, Answer)> {
        let reaches = move |row: &&Row| {
            let end = row.ended.map_or(u64::MAX, |(_, at)| at).min(row.lapses_us());
            row.began < epoch && end > at_us
        };
        self.rows.iter().filter(reaches).map(move |row| {
            let answer = Answer::of(Facts {
                took_us: row.acks.range(epoch..).map(|(_, at)| *at).min().map(|at| at - at_us),
                ended: row.ended,
                lapses_us: row.lapses_us(),
                behind_since_us: self.behind_since(row),
                lease_us: row.lease_us,
                now_us: self.now_us,
            });
            (row, answer)
        })
    }

    fn register(&mut self, wish: Wish, epoch: Epoch) -> Result<Registered, RegisterError> {
        let now = self.now_us;
        let same = |row: &&mut Row| row.ended.is_none() && row.owner == wish.owner && row.name == wish.name;
        let before = self.rows.iter_mut().find(same);
        let (member, generation) = match before {
            Some(row) => {
                if let (Some((said, request)), Some((known, earlier))) = (&wish.idempotency, &row.idempotency)
                    && said == known
                {
                    return if request == earlier { Ok(row.again()) } else { Err(RegisterError::KeyReused) };
                }
                row.ended = Some((End::Replaced, now));
                (row.id, row.generation.next())
            }
            None => (wish.id, Generation(1)),
        };
        let is_new = generation == Generation(1);
        if is_new && wish.owner.is_some() && !self.make_room(wish.members_max) {
            return Err(RegisterError::TooMany);
        }
        let lease_us = wish.lease_ms * 1_000;
        self.rows.push(Row {
            id: member,
            generation,
            owner: wish.owner,
            name: wish.name,
            kind: wish.kind,
            began: epoch,
            acknowledged: epoch,
            lease_us,
            registered_us: now,
            heard_us: now,
            ended: None,
            idempotency: wish.idempotency,
            acks: BTreeMap::new(),
        });
        Ok(Registered { member, generation, epoch, lease_ms: wish.lease_ms, replayed: false })
    }

    fn make_room(&mut self, members_max: usize) -> bool {
        let now = self.now_us;
        let counted = |row: &&mut Row| row.ended.is_none() && row.owner.is_some();
        if self.rows.iter_mut().filter(counted).count() < members_max {
            return true;
        }
        let lapsed = self.rows.iter_mut().filter(counted).filter(|row| now > row.lapses_us());
        let Some(first) = lapsed.min_by_key(|row| row.lapses_us()) else { return false };
        first.ended = Some((End::Left, now));
        true
    }

    fn hear(&mut self, ack: &Ack, epoch: Epoch) -> Heard {
        let now = self.now_us;
        let Some(row) = self.current(ack.member).filter(|row| row.owner == ack.owner) else {
            return Heard::Unknown;
        };
        let another = ack.generation.is_some_and(|generation| generation != row.generation);
        if another || now > row.lapses_us() {
            let place = self.rows.iter().rposition(|row| row.id == ack.member).expect("it was found");
            return Heard::Refused(Box::new(self.member(&self.rows[place], epoch)));
        }
        if ack.epoch > epoch {
            return Heard::Ahead { epoch };
        }
        row.heard_us = now;
        if ack.epoch > row.acknowledged {
            row.acknowledged = ack.epoch;
            row.acks.insert(ack.epoch, now);
        }
        Heard::Renewed { epoch, lease_ms: row.lease_us / 1_000 }
    }
}

impl Row {
    fn lapses_us(&self) -> u64 {
        self.heard_us + self.lease_us
    }

    fn again(&self) -> Registered {
        let lease_ms = self.lease_us / 1_000;
        Registered {
            member: self.id,
            generation: self.generation,
            epoch: self.began,
            lease_ms,
            replayed: true,
        }
    }
}

#[async_trait]
impl Members for Memory {
    async fn member_register(&self, wish: Wish) -> Result<Registered, RegisterError> {
        self.write(|kept| {
            let epoch = kept.epoch();
            kept.members.register(wish, epoch)
        })?
    }

    async fn members_acknowledge(&self, acks: &[Ack]) -> Result<Vec<Heard>, StoreError> {
        self.write(|kept| {
            let epoch = kept.epoch();
            acks.iter().map(|ack| kept.members.hear(ack, epoch)).collect()
        })
    }

    async fn member_get(&self, member: MemberId) -> Result<Option<Member>, StoreError> {
        let kept = self.lock();
        let mut rows = kept.members.rows.iter();
        let row = rows.find(|row| row.id == member && row.ended.is_none());
        Ok(row.map(|row| kept.members.member(row, kept.epoch())))
    }

    async fn member_list(&self, lapsed_ms: u64) -> Result<Vec<Member>, StoreError> {
        let kept = self.lock();
        let rows = kept.members.rows.iter().filter(|row| row.ended.is_none());
        let members = rows.map(|row| kept.members.member(row, kept.epoch()));
        let recent = |member: &Member| match member.lease {
            Lease::Runs { .. } => true,
            Lease::Lapsed { for_ms } => for_ms <= lapsed_ms,
        };
        Ok(members.filter(recent).collect())
    }

    async fn member_leave(&self, member: MemberId, by: &Leaver) -> Result<Option<MemberName>, StoreError> {
        self.write(|kept| {
            let now = kept.members.now_us;
            let row = kept.members.current(member)?;
            let may = match by {
                Leaver::Owner(owner) => *owner == row.owner,
                Leaver::Anybody => row.owner.is_some() || now > row.lapses_us(),
            };
            may.then(|| {
                row.ended = Some((End::Left, now));
                row.name.clone()
            })
        })
    }

    async fn epoch_acks(&self, epoch: Epoch) -> Result<Option<EpochAcks>, StoreError> {
        let kept = self.lock();
        let Some(at_us) = kept.members.flips.get(&epoch).copied() else { return Ok(None) };
        let ack = |(row, answer): (&Row, Answer)| EpochAck {
            member: row.id,
            name: row.name.clone(),
            generation: row.generation,
            answer,
        };
        let mut members: Vec<EpochAck> = kept.members.acks(epoch, at_us).map(ack).collect();
        members.sort_by(|a, b| (&a.name, a.member, a.generation).cmp(&(&b.name, b.member, b.generation)));
        Ok(Some(EpochAcks { flipped_at: Timestamp(at_us / 1_000), members }))
    }

    async fn newest_acks(&self, flips_max: usize) -> Result<(Vec<u64>, usize), StoreError> {
        let kept = self.lock();
        let newest = kept.members.flips.iter().rev().take(flips_max);
        let answers = newest.clone().flat_map(|(epoch, at)| kept.members.acks(*epoch, *at));
        let mut took: Vec<u64> = answers
            .filter_map(|(_, answer)| match answer {
                Answer::Acknowledged { took_us } => Some(took_us),
                Answer::Missing { .. } | Answer::Fenced | Answer::Left | Answer::Replaced => None,
            })
            .collect();
        took.sort_unstable();
        Ok((took, newest.count()))
    }
}
