//! Where the dial stands, worked out in the plainest way: one place after the other, and the most restrictive wins.

use std::collections::BTreeMap;

use pinrail_domain::dial::{Caller, Place, Position, ToolRule};
use pinrail_domain::ledger::Body;

use crate::notebook::Noted;

/// Every place that isn't at `full`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Dials(BTreeMap<Place, Position>);

impl Dials {
    pub(crate) fn of(settings: impl Iterator<Item = (Place, Position)>) -> Dials {
        Dials(settings.collect())
    }

    pub(crate) fn at(&self, place: &Place) -> Position {
        self.0.get(place).copied().unwrap_or_default()
    }

    pub(crate) fn places(&self) -> Vec<Place> {
        self.0.keys().cloned().collect()
    }

    pub(crate) fn turn(&mut self, body: &Body) {
        let Body::DialSet { place, position, .. } = body else { return };
        match position {
            Position::Full => self.0.remove(place),
            Position::Supervised
            | Position::ReadOnly
            | Position::Fallback
            | Position::Canned
            | Position::Off => self.0.insert(place.clone(), *position),
        };
    }

    /// With what is in force without the ledger.
    pub(crate) fn with(&self, notes: &[Noted]) -> Dials {
        let mut dials = self.clone();
        for note in notes {
            let stands = dials.0.entry(note.turn.place.clone()).or_default();
            *stands = note.position().max(*stands);
        }
        dials
    }

    /// What is left of a caller's calls, tools aside.
    pub(crate) fn position(&self, caller: Caller<'_>) -> Position {
        let here = self.0.iter().filter(|(place, _)| place.tool.is_none() && is_at(place, caller));
        here.map(|(_, position)| *position).max().unwrap_or_default()
    }

    /// What may become of a tool's call.
    pub(crate) fn rule(&self, caller: Caller<'_>, tool: &str, has_side_effects: bool) -> ToolRule {
        let of_tool = self.0.iter().filter(|(place, _)| {
            place.tool.as_ref().is_some_and(|named| named.as_str() == tool) && is_at(place, caller)
        });
        let own = of_tool.map(|(_, position)| *position).max().unwrap_or_default();
        let all = self.position(caller);
        if own > Position::Supervised
            || all >= Position::Canned
            || has_side_effects && all > Position::Supervised
        {
            ToolRule::Withheld
        } else if own == Position::Supervised || has_side_effects && all == Position::Supervised {
            ToolRule::NeedsApproval
        } else {
            ToolRule::Allowed
        }
    }
}

fn is_at(place: &Place, caller: Caller<'_>) -> bool {
    let Place { agent, segment, tenant, tool: _ } = place;
    agent.as_ref().is_none_or(|agent| agent == caller.agent)
        && segment.as_ref().is_none_or(|segment| segment == caller.segment)
        && tenant.as_ref().is_none_or(|tenant| tenant == caller.tenant)
}
