//! What people want of the dial, and what calls of tools they are asked about.

use std::sync::Arc;

use pinrail_domain::dial::{Caller, Place, Position, ToolRule, Turn};
use pinrail_domain::id::ApprovalId;
use pinrail_domain::journal::Stamp;

use super::Plan;
use crate::op::{Change, RunWork, Tool, ToolWish};
use crate::setting::{SETTING, name};
use crate::truth::TrueApproval;

impl Plan<'_> {
    /// A turn of the dial: half of them where it stands at something, and then mostly up.
    pub(super) fn turn(&mut self) -> Change {
        let set = self.truth.dials().places();
        let place = self.dice.pick(&set).filter(|_| self.dice.chance(60)).cloned();
        let goes_up = place.is_some() && self.dice.chance(70);
        let place = place.unwrap_or_else(|| self.place());
        let position = match (goes_up, place.tool.is_some()) {
            (true, _) => Position::Full,
            (false, true) => [Position::Supervised, Position::Supervised, Position::Off][self.dice.below(3)],
            (false, false) => POSITIONS[self.dice.below(POSITIONS.len())],
        };
        let release = self.dice.pick(&SETTING.releases).copied();
        let release = release.filter(|_| position == Position::Fallback && self.dice.chance(40));
        Change::Turn(Turn { place, position, release, text: None })
    }

    fn place(&mut self) -> Place {
        let agent = self.dice.pick(&SETTING.agents).cloned();
        let tenant = self.dice.pick(&SETTING.tenants).cloned();
        let segment = self.dice.pick(&SETTING.segments).cloned();
        let tool = Some(name(Tool::ALL[self.dice.below(2)].name()));
        let everywhere = Place::default();
        match self.dice.below(20) {
            0..=6 => Place { agent, ..everywhere },
            7..=10 => Place { agent, segment, ..everywhere },
            11..=12 => Place { tenant, ..everywhere },
            13..=14 => Place { agent, tenant, ..everywhere },
            15..=16 => Place { tool, ..everywhere },
            17..=18 => Place { agent, tool, ..everywhere },
            _ => everywhere,
        }
    }

    /// A person decides about a call, now and then about one that was decided about.
    pub(super) fn decide(&mut self) -> Change {
        let waiting: Vec<ApprovalId> = self.truth.approvals_pending();
        let any: Vec<ApprovalId> = self.truth.approvals.keys().copied().collect();
        let from = if waiting.is_empty() || self.dice.chance(20) { any } else { waiting };
        match self.dice.pick(&from) {
            Some(id) => Change::Decide { id: *id, approved: self.dice.chance(75) },
            None => self.turn(),
        }
    }

    /// Calls are few, so that the same one is wanted again: most of all one that a person has approved.
    pub(super) fn authorize(&mut self) -> RunWork {
        let approved: Vec<&TrueApproval> = self.truth.approvals_approved().collect();
        if let Some(approval) = self.dice.pick(&approved).filter(|_| self.dice.chance(80))
            && let Some(run) = self.runs.iter().find(|run| run.run == approval.run)
        {
            let (id, by_gateway) = (approval.call.clone(), approval.call.is_none() && self.dice.chance(30));
            let arguments = usize::from(self.dice.chance(5));
            let wish = ToolWish { tool: Tool::Acts, arguments, id, by_gateway };
            return RunWork::Authorize { run: Arc::clone(run), wish };
        }
        let dials = self.truth.dials();
        let is_supervised = |run: &&Arc<Stamp>| {
            let caller = Caller { agent: &run.agent, segment: &run.segment, tenant: &run.tenant };
            dials.rule(caller, Tool::Acts.name(), true) == ToolRule::NeedsApproval
        };
        let supervised: Vec<Arc<Stamp>> = self.runs.iter().filter(is_supervised).cloned().collect();
        let from = if supervised.is_empty() || self.dice.chance(20) { self.runs } else { &supervised[..] };
        let Some(run) = self.dice.pick(from).cloned() else { return self.create() };
        let wish = ToolWish {
            tool: if self.dice.chance(85) { Tool::Acts } else { Tool::Looks },
            arguments: usize::from(self.dice.chance(20)),
            id: self.dice.chance(30).then(|| format!("call-{}", self.dice.below(2))),
            by_gateway: self.dice.chance(30),
        };
        RunWork::Authorize { run, wish }
    }
}

/// What the dial is turned to, where it isn't turned up.
const POSITIONS: [Position; 10] = [
    Position::Supervised,
    Position::Supervised,
    Position::Supervised,
    Position::Supervised,
    Position::ReadOnly,
    Position::Fallback,
    Position::Fallback,
    Position::Fallback,
    Position::Canned,
    Position::Off,
];
