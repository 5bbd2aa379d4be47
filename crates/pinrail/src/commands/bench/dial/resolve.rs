//! What settings of the dial add to choosing the deployment, in process.

use std::sync::Arc;

use pinrail_domain::dial::{Place, Position, Setting};
use pinrail_domain::id::{AgentName, LedgerSeq, TenantId, ToolName};
use pinrail_domain::ledger::Actor;
use pinrail_domain::routes::Routes;
use pinrail_domain::time::Timestamp;

use super::super::resolve::{ASKED, BUDGET_NS, resolved_ns, world};
use super::{Bench, Row};

/// Settings that there are, of which one concerns the agent that is asked.
const SETTINGS: [usize; 3] = [0, 1, 100];

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let mut world = world()?;
    let mut rows = Vec::new();
    let mut without = String::new();
    for settings in SETTINGS {
        for n in world.dials.len()..settings {
            world.dials.insert(place(n)?, Arc::new(setting(n)));
        }
        let ns = resolved_ns(&Routes::of(&world), None, bench.seconds / 5)?;
        let what = match settings {
            0 => "resolve, no dial is set".to_owned(),
            1 => "resolve, 1 setting, which concerns the agent".to_owned(),
            more => format!("resolve, {more} settings, 1 of which concerns the agent"),
        };
        let mut row = Row::new("dial", what, format!("{ns:.0} ns")).budget("≤ 1 µs", ns <= BUDGET_NS);
        if settings == 0 {
            without = format!("{ns:.0} ns without one");
        } else {
            row = row.against(without.clone());
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The first place is the agent that is asked; others are other agents, tenants, and tools of other agents.
fn place(n: usize) -> anyhow::Result<Place> {
    if n == 0 {
        return Ok(Place::agent(&AgentName::new(ASKED)?));
    }
    let agent = Some(AgentName::new(&format!("agent-{n}"))?);
    Ok(match n % 3 {
        0 => Place { agent, ..Place::default() },
        1 => Place { tenant: Some(TenantId::new(&format!("tenant-{n}"))?), ..Place::default() },
        _ => Place { agent, tool: Some(ToolName::new("send_mail")?), ..Place::default() },
    })
}

fn setting(n: usize) -> Setting {
    Setting {
        position: if n % 3 == 2 { Position::Off } else { Position::ReadOnly },
        release: None,
        text: None,
        since: Timestamp(0),
        seq: LedgerSeq(n as u64 + 1),
        by: Actor::Open,
        reason: "bench".to_owned(),
    }
}
