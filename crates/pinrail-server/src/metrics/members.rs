//! Members by how they follow.

use pinrail_control::members::State as Follows;
use pinrail_telemetry::metrics::{Page, table};

use super::{number, size, soon};
use crate::state::State;

const MILLIS: f64 = 1_000.0;

/// Puts them on the page, where the store says who they are.
pub async fn gather(page: &mut Page, state: &State) {
    let Some(members) = soon(state.control.members().list()).await else { return };
    let (mut fresh, mut behind, mut lapsed, mut lag_ms) = (0, 0, 0, 0);
    for member in members {
        match member.state {
            Follows::Fresh => fresh += 1,
            Follows::Behind { epochs: _, for_ms } => {
                behind += 1;
                lag_ms = lag_ms.max(for_ms);
            }
            Follows::Lapsed { for_ms: _ } => lapsed += 1,
        }
    }
    for (word, count) in [("fresh", fresh), ("behind", behind), ("lapsed", lapsed)] {
        page.gauge(&table::MEMBERS, &[word], size(count));
    }
    page.gauge(&table::MEMBERS_LAG, &[], number(lag_ms) / MILLIS);
}
