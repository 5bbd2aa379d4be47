//! Holding what is visible now against a manifest's line.
//!
//! Conditions for each record in which then and now differ. It may be visible now and not then because it came since
//! (and counts), because its deployment was committed since, or because what had ended it was taken back since. It may
//! be visible then and not now because a later put or delete that counts ended it, because its deployment was
//! taken back since, or because a cascade took it along. Everything else is a discrepancy, and so is a
//! difference that the deployment in question made while it isn't committed (I4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Line, Member, SetDigest};
use crate::digest::Digest;
use crate::id::{DeploymentId, StateSeq};
use crate::state::Space;
use crate::state::view::Hidden;

/// What the ledger and the operations say, whatever the records' content has become.
pub trait Facts {
    /// Why everybody didn't see the record at the manifest's moment; none if they did.
    fn hidden_then(&self, record: StateSeq) -> Option<Hidden>;
    /// Why not everybody sees the record now; none if they do.
    fn hidden_now(&self, record: StateSeq) -> Option<Hidden>;
    /// What everybody must see now, in sequence order.
    fn visible_now(&self) -> Vec<StateSeq>;
    /// Who made the operation.
    fn deployment(&self, record: StateSeq) -> Option<DeploymentId>;
    /// Whether what the deployment wrote counts now.
    fn counts(&self, deployment: DeploymentId) -> bool;
}

/// What a space's comparison gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub space: Space,
    /// As the manifest has it.
    pub recorded: Tally,
    /// As of then, worked out today.
    pub then: Tally,
    pub now: Tally,
    /// How many records are visible then and now.
    pub unchanged: u64,
    /// What each deployment changed since, itself or by being committed or taken back.
    pub accounts: BTreeMap<DeploymentId, Account>,
    /// What isn't as it must be: the first [`DISCREPANCIES_MAX`].
    pub discrepancies: Vec<Discrepancy>,
    /// How many there are in all.
    pub discrepancies_count: u64,
}

/// A set's size and digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub count: u64,
    pub digest: Digest,
}

/// What a deployment changed since the manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Records of its own that became visible: written since, or committed since.
    pub added: u64,
    /// Records that it superseded.
    pub superseded: u64,
    /// Records that it deleted.
    pub deleted: u64,
    /// Records that came back because its operation, which had ended them, counts no more.
    pub restored: u64,
    /// Records of its own that its rollback hid.
    pub retracted: u64,
    /// Records of others that its rollback took along.
    pub taken_along: u64,
}

/// Something that can't be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Discrepancy {
    /// The set as of then isn't what it was: a record of it was changed, added or removed behind Pinrail's back.
    ThenDiffers { recorded: Tally, recomputed: Tally },
    /// The record's content isn't what was written.
    Corrupt { record: StateSeq },
    /// Everybody sees a record of the deployment, which isn't committed.
    Leaked { record: StateSeq },
    /// The deployment, which isn't committed, hides a record from everybody.
    HiddenBy { record: StateSeq, by: StateSeq },
    /// Reads show the record, although it must be hidden.
    Shown { record: StateSeq, although: Hidden },
    /// Reads don't show the record, although it came since and must be visible.
    Missing { record: StateSeq },
    /// The record is visible now, and nothing says why it became so.
    Appeared { record: StateSeq, was: Option<Hidden> },
    /// The record isn't visible now, and nothing says why it ceased to be.
    Vanished { record: StateSeq, is: Option<Hidden> },
}

/// Whoever has more than this has one cause, not as many.
pub const DISCREPANCIES_MAX: usize = 100;

/// Holds what is visible `now` to everybody against the manifest `line` of the deployment `opened` and against what was
/// visible `then`; both in sequence order.
#[must_use]
pub fn compare(
    line: &Line,
    opened: DeploymentId,
    then: &[Member],
    now: &[Member],
    facts: &impl Facts,
) -> Verdict {
    let recorded = Tally { count: line.count, digest: line.digest };
    let tally = |members: &[Member]| {
        let set = SetDigest::of(members);
        Tally { count: set.count(), digest: set.digest() }
    };
    let mut verdict = Verdict {
        space: line.space.clone(),
        recorded,
        then: tally(then),
        now: tally(now),
        unchanged: 0,
        accounts: BTreeMap::new(),
        discrepancies: Vec::new(),
        discrepancies_count: 0,
    };
    if verdict.then != recorded {
        verdict.object(Discrepancy::ThenDiffers { recorded, recomputed: verdict.then });
    }
    let shown =
        |record: StateSeq| [then, now].iter().any(|set| set.binary_search_by_key(&record, |m| m.seq).is_ok());
    for record in facts.visible_now().into_iter().filter(|record| !shown(*record)) {
        verdict.object(Discrepancy::Missing { record });
    }
    let (mut then, mut now) = (then.iter().peekable(), now.iter().peekable());
    loop {
        let (member, was, is) = match (then.peek(), now.peek()) {
            (Some(was), Some(is)) if was.seq == is.seq => (*is, true, true),
            (Some(was), Some(is)) if was.seq < is.seq => (*was, true, false),
            (_, Some(is)) => (*is, false, true),
            (Some(was), None) => (*was, true, false),
            (None, None) => return verdict,
        };
        then.next_if(|_| was);
        now.next_if(|_| is);
        if !member.is_whole {
            verdict.object(Discrepancy::Corrupt { record: member.seq });
        }
        match (was, is) {
            (true, false) => verdict.ended(opened, member, facts),
            (false, _) => verdict.added(opened, member, facts),
            (true, true) => verdict.stayed(member, facts),
        }
    }
}

impl Verdict {
    /// Whether everything is as it must be.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.discrepancies_count == 0
    }

    fn object(&mut self, discrepancy: Discrepancy) {
        self.discrepancies_count += 1;
        if self.discrepancies.len() < DISCREPANCIES_MAX {
            self.discrepancies.push(discrepancy);
        }
    }

    fn account(&mut self, deployment: DeploymentId) -> &mut Account {
        self.accounts.entry(deployment).or_default()
    }

    fn stayed(&mut self, member: &Member, facts: &impl Facts) {
        match facts.hidden_now(member.seq) {
            None => self.unchanged += 1,
            Some(although) => self.object(Discrepancy::Shown { record: member.seq, although }),
        }
    }

    fn added(&mut self, opened: DeploymentId, member: &Member, facts: &impl Facts) {
        let record = member.seq;
        if member.deployment == opened && !facts.counts(opened) {
            return self.object(Discrepancy::Leaked { record });
        }
        if let Some(although) = facts.hidden_now(record) {
            return self.object(Discrepancy::Shown { record, although });
        }
        let was = facts.hidden_then(record);
        match was {
            Some(Hidden::AfterAsOf | Hidden::Uncommitted { .. }) => {
                self.account(member.deployment).added += 1
            }
            // What had ended it counts no more.
            Some(Hidden::Superseded { by } | Hidden::Deleted { by }) => match facts.deployment(by) {
                Some(by) => self.account(by).restored += 1,
                None => self.object(Discrepancy::Appeared { record, was }),
            },
            None
            | Some(
                Hidden::Aborted { .. } | Hidden::Retracted { .. } | Hidden::Derived { .. } | Hidden::Delete,
            ) => self.object(Discrepancy::Appeared { record, was }),
        }
    }

    fn ended(&mut self, opened: DeploymentId, member: &Member, facts: &impl Facts) {
        let record = member.seq;
        let is = facts.hidden_now(record);
        match &is {
            Some(Hidden::Superseded { by } | Hidden::Deleted { by }) => match facts.deployment(*by) {
                None => self.object(Discrepancy::Vanished { record, is }),
                Some(who) if who == opened && !facts.counts(opened) => {
                    self.object(Discrepancy::HiddenBy { record, by: *by });
                }
                Some(who) => {
                    let account = self.account(who);
                    let is_put = matches!(is, Some(Hidden::Superseded { .. }));
                    *(if is_put { &mut account.superseded } else { &mut account.deleted }) += 1;
                }
            },
            Some(Hidden::Retracted { deployment }) => self.account(*deployment).retracted += 1,
            Some(Hidden::Derived { from }) => self.account(*from).taken_along += 1,
            None
            | Some(
                Hidden::AfterAsOf | Hidden::Uncommitted { .. } | Hidden::Aborted { .. } | Hidden::Delete,
            ) => self.object(Discrepancy::Vanished { record, is }),
        }
    }
}
