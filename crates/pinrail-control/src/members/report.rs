//! Who acknowledged an epoch, how fast, and who didn't.

use pinrail_domain::id::{Generation, MemberName};
use pinrail_domain::member::{Change, MemberId};
use pinrail_domain::time::{Ticks, Timestamp};
pub use pinrail_store::members::Answer;

use super::flips::{Expected, Flip, Flips, Outcome};
use super::registry::Registry;

/// How an epoch was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochReport {
    /// What raised the epoch, and to what.
    pub change: Change,
    /// When this process's snapshot was swapped; where replicas share the ledger, when it was appended.
    pub flipped_at: Timestamp,
    /// Over the members that acknowledged, the gateways of replicas among them; the one gateway of a server that is alone isn't
    /// counted.
    pub took: Option<Took>,
    /// All that held a lease at the flip, by name.
    pub members: Vec<MemberAck>,
}

/// How long acknowledgements took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

/// What a member made of the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberAck {
    pub member: MemberId,
    pub name: MemberName,
    pub generation: Generation,
    pub answer: Answer,
}

impl EpochReport {
    /// How many acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.members.iter().filter(|member| matches!(member.answer, Answer::Acknowledged { .. })).count()
    }

    /// Whether nothing is awaited any more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.members.iter().any(|member| matches!(member.answer, Answer::Missing { .. }))
    }
}

impl Took {
    /// Of sorted samples, by nearest rank; none of none.
    #[must_use]
    pub fn of(sorted: &[u64]) -> Option<Took> {
        let max_us = *sorted.last()?;
        let rank = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
        Some(Took { p50_us: rank(50), p99_us: rank(99), max_us })
    }
}

/// The report of a flip; none where it happened before this server started.
pub fn of(flip: &Flip, registry: &Registry, flips: &Flips, now: Ticks) -> Option<EpochReport> {
    let flipped_at = flip.swapped?.at;
    let mut took: Vec<u64> = flip.took_us().collect();
    took.sort_unstable();
    let answered = |expected: &Expected| MemberAck {
        member: expected.member,
        name: expected.name.clone(),
        generation: expected.generation,
        answer: answer(expected, registry, flips, now),
    };
    let mut members: Vec<MemberAck> = flip.expected.iter().map(answered).collect();
    members.sort_by(|a, b| a.name.cmp(&b.name).then(a.member.cmp(&b.member)));
    Some(EpochReport { change: flip.change.clone(), flipped_at, took: Took::of(&took), members })
}

fn answer(expected: &Expected, registry: &Registry, flips: &Flips, now: Ticks) -> Answer {
    match expected.outcome {
        Outcome::Itself => Answer::Acknowledged { took_us: 0 },
        Outcome::Acknowledged { took_us } => Answer::Acknowledged { took_us },
        Outcome::Left => Answer::Left,
        Outcome::Replaced => Answer::Replaced,
        Outcome::Lapsed => Answer::Fenced,
        // Who isn't there any more lapsed and was forgotten: whoever leaves or comes again settles it.
        Outcome::Waiting => match registry.get(expected.member) {
            Some(member) if member.check_lease(now).and_then(|()| member.check_epoch(flips, now)).is_ok() => {
                Answer::Missing { lease_left_ms: member.lease_left_ms(now).unwrap_or_default() }
            }
            Some(_) | None => Answer::Fenced,
        },
    }
}
