//! Who is a member, with which lease.

use std::collections::{BTreeMap, HashMap};

use pinrail_domain::id::{Epoch, Generation, MemberName};
use pinrail_domain::member::{MemberId, MemberKind};
use pinrail_domain::time::{Ticks, Timestamp};

use super::flips::Flips;
use super::{Fenced, Registered, Shown, State, after, ms_since};
use crate::commit::Idempotency;

/// The members, by id and by name.
#[derive(Default)]
pub struct Registry {
    members: BTreeMap<MemberId, Member>,
    /// Two keys may use the same name: neither takes the other's place.
    names: HashMap<(String, MemberName), MemberId>,
}

/// A member.
#[derive(Clone, Debug)]
pub struct Member {
    pub id: MemberId,
    pub name: MemberName,
    pub kind: MemberKind,
    /// The caller that registered it; none for the server's own gateway.
    pub owner: Option<String>,
    pub generation: Generation,
    pub acknowledged: Epoch,
    /// The epoch at its registration.
    pub began: Epoch,
    pub lease: Lease,
    pub registered_at: Timestamp,
    pub idempotency: Option<Idempotency>,
}

/// How long a member counts.
#[derive(Clone, Copy, Debug)]
pub enum Lease {
    /// As long as this process: it is a part of it.
    Process,
    Until {
        ends: Ticks,
        ms: u64,
    },
}

impl Registry {
    /// Adds a member, in the place of the one with its id.
    pub fn enter(&mut self, member: Member) {
        if let Some(owner) = &member.owner {
            self.names.insert((owner.clone(), member.name.clone()), member.id);
        }
        self.members.insert(member.id, member);
    }

    /// All members, in the order of their ids.
    pub fn all(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// All members, in the order of their ids.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.members.values_mut()
    }

    pub fn get(&self, id: MemberId) -> Option<&Member> {
        self.members.get(&id)
    }

    /// The caller's member of this name.
    pub fn named(&self, owner: &str, name: &MemberName) -> Option<&Member> {
        self.members.get(self.names.get(&(owner.to_owned(), name.clone()))?)
    }

    /// The caller's member of this id.
    pub fn own(&mut self, owner: &str, id: MemberId) -> Option<&mut Member> {
        self.members.get_mut(&id).filter(|member| member.owner.as_deref() == Some(owner))
    }

    /// Removes a member whose owner will do. The server's own gateway stays.
    pub fn remove(&mut self, id: MemberId, may: impl Fn(&str) -> bool) -> Option<Member> {
        let owner = self.members.get(&id)?.owner.clone().filter(|owner| may(owner))?;
        let member = self.members.remove(&id)?;
        self.names.remove(&(owner, member.name.clone()));
        Some(member)
    }

    /// Forgets those that lapsed long ago.
    pub fn forget_lapsed(&mut self, now: Ticks, kept_ms: u64) {
        let long_ago = |member: &&Member| member.lapsed_ms(now).is_some_and(|ms| ms > kept_ms);
        let gone: Vec<MemberId> = self.all().filter(long_ago).map(|member| member.id).collect();
        for id in gone {
            self.remove(id, |_| true);
        }
    }

    /// Makes room for one more, at the cost of the one that lapsed first. False when all hold a lease.
    pub fn make_room(&mut self, now: Ticks, members_max: usize) -> bool {
        // The server's own gateway takes nobody's place.
        if self.members.len() <= members_max {
            return true;
        }
        let lapsed = self.all().filter_map(|member| Some((member.lapsed_ms(now)?, member.id)));
        let first = lapsed.max();
        first.and_then(|(_, id)| self.remove(id, |_| true)).is_some()
    }
}

impl Member {
    /// For how long the lease has been over; none while it runs.
    pub fn lapsed_ms(&self, now: Ticks) -> Option<u64> {
        match self.lease {
            Lease::Until { ends, .. } if now > ends => Some(ms_since(now, ends)),
            Lease::Until { .. } | Lease::Process => None,
        }
    }

    /// Begins the lease anew; returns how long it is.
    pub fn renew(&mut self, now: Ticks) -> u64 {
        match &mut self.lease {
            Lease::Process => 0,
            Lease::Until { ends, ms } => {
                *ends = after(now, *ms);
                *ms
            }
        }
    }

    /// What its registration was answered.
    pub fn again(&self) -> Registered {
        let lease_ms = self.lease_ms().unwrap_or_default();
        let Member { id, generation, began, .. } = *self;
        Registered { member: id, generation, epoch: began, lease_ms, replayed: true }
    }

    pub fn check_generation(&self, said: Option<Generation>) -> Result<(), Fenced> {
        match said {
            Some(said) if said != self.generation => Err(Fenced::Replaced {
                member: self.id,
                name: self.name.clone(),
                said,
                current: self.generation,
            }),
            Some(_) | None => Ok(()),
        }
    }

    pub fn check_lease(&self, now: Ticks) -> Result<(), Fenced> {
        match self.lapsed_ms(now) {
            Some(for_ms) => Err(Fenced::Lapsed { member: self.id, name: self.name.clone(), for_ms }),
            None => Ok(()),
        }
    }

    /// Whether it acknowledged the newest epoch, or still has time to.
    pub fn check_epoch(&self, flips: &Flips, now: Ticks) -> Result<(), Fenced> {
        let Some(for_ms) = self.behind_ms(flips, now) else { return Ok(()) };
        match self.lease_ms() {
            Some(lease_ms) if for_ms > lease_ms => Err(Fenced::Behind {
                member: self.id,
                name: self.name.clone(),
                acknowledged: self.acknowledged,
                epoch: flips.epoch(),
                for_ms,
            }),
            Some(_) | None => Ok(()),
        }
    }

    pub fn lease_ms(&self) -> Option<u64> {
        match self.lease {
            Lease::Process => None,
            Lease::Until { ms, .. } => Some(ms),
        }
    }

    pub fn lease_left_ms(&self, now: Ticks) -> Option<u64> {
        match self.lease {
            Lease::Process => None,
            Lease::Until { ends, .. } => Some(ms_since(ends, now)),
        }
    }

    pub fn shown(&self, flips: &Flips, now: Ticks) -> Shown {
        let state = match (self.lapsed_ms(now), self.behind_ms(flips, now)) {
            (Some(for_ms), _) => State::Lapsed { for_ms },
            (None, Some(for_ms)) => {
                State::Behind { epochs: flips.epoch().0.saturating_sub(self.acknowledged.0), for_ms }
            }
            (None, None) => State::Fresh,
        };
        Shown {
            member: self.id,
            name: self.name.clone(),
            kind: self.kind,
            generation: self.generation,
            acknowledged: self.acknowledged,
            state,
            fenced: self.check_lease(now).and_then(|()| self.check_epoch(flips, now)).is_err(),
            lease_ms: self.lease_ms(),
            lease_left_ms: self.lease_left_ms(now),
            registered_at: self.registered_at,
        }
    }

    /// For how long a flip has waited for it; none when none does.
    fn behind_ms(&self, flips: &Flips, now: Ticks) -> Option<u64> {
        flips.first_after(self.acknowledged).map(|flipped| ms_since(now, flipped))
    }
}
