//! Choosing the deployment for a run, in process: one thread, a candidate at 20 %, eight segments.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use pinrail_domain::agent::{AgentSpec, Segment};
use pinrail_domain::assign::Salt;
use pinrail_domain::deployment::{Deployment, Pointer, Status};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{AgentName, DeploymentId, LedgerSeq, ReleaseId, SegmentName, TenantId};
use pinrail_domain::routes::{Question, Routes};
use pinrail_domain::share::Share;
use pinrail_domain::time::Timestamp;
use pinrail_domain::world::World;

use super::{Bench, Row, process};

/// Agents in the world that is asked.
const AGENTS: u64 = 500;
/// The agent that is asked for.
pub(super) const ASKED: &str = "agent-250";
const ASKED_AT_ONCE: u32 = 100_000;
/// The budget, in nanoseconds.
pub(super) const BUDGET_NS: f64 = 1_000.0;

pub fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let routes = Routes::of(&world()?);
    let mut rows = Vec::new();
    for (what, bound) in
        [("by bucket, 8 segments, 500 agents", None), ("a bound session", Some(DeploymentId(501)))]
    {
        let ns = resolved_ns(&routes, bound, bench.seconds / 5)?;
        rows.push(Row::new("resolve", what, format!("{ns:.0} ns")).budget("≤ 1 µs", ns <= BUDGET_NS));
    }
    Ok(rows)
}

/// How long one answer takes, in nanoseconds.
pub(super) fn resolved_ns(
    routes: &Routes,
    bound: Option<DeploymentId>,
    lasts: Duration,
) -> anyhow::Result<f64> {
    let attributes = BTreeMap::from([("plan".to_owned(), "free".to_owned())]);
    let tenant = TenantId::shared();
    let units: Vec<String> = (0..1_024).map(|n| format!("session-{n}")).collect();
    let ask = |unit: &str, bound| {
        let question = Question { tenant: &tenant, attributes: &attributes, unit, bound, parent: None };
        black_box(routes.resolve(black_box(ASKED), question)).map(|decision| decision.target.deployment)
    };
    let (mut asked, start) = (0_u64, process::now());
    while start.elapsed() < lasts {
        for n in 0..ASKED_AT_ONCE {
            ask(&units[n as usize % units.len()], bound)?;
        }
        asked += u64::from(ASKED_AT_ONCE);
    }
    Ok(start.elapsed().as_nanos() as f64 / asked as f64)
}

/// Agents in eight segments, each with something active and a candidate.
pub(super) fn world() -> anyhow::Result<World> {
    let mut world = World::default();
    let segment = |n: u32| -> anyhow::Result<Segment> {
        Ok(Segment {
            name: SegmentName::new(&format!("segment-{n}"))?,
            tenants: vec![TenantId::new(&format!("tenant-{n}"))?],
            attributes: BTreeMap::from([("plan".to_owned(), vec!["pro".to_owned()])]),
        })
    };
    let segments = (0..8).map(segment).collect::<anyhow::Result<Vec<_>>>()?;
    let spec = AgentSpec { segments, ..AgentSpec::default() };
    for n in 0..AGENTS {
        let agent = AgentName::new(&format!("agent-{n}"))?;
        world.agents.insert(agent.clone(), spec.clone().into());
        for (id, status) in [
            (n + 1, Status::Promoted { at: Timestamp(0), seq: LedgerSeq(1) }),
            (
                AGENTS + n + 1,
                Status::Candidate { weight: Share::from_bps(2_000)?, segments: BTreeMap::new() },
            ),
        ] {
            let deployment = Deployment {
                id: DeploymentId(id),
                ingest: None,
                releases: BTreeMap::from([(agent.clone(), ReleaseId(Digest::of(&id.to_le_bytes())))]),
                segment: SegmentName::default_segment(),
                salt: Salt(id),
                opened_at: Timestamp(0),
                opened_seq: LedgerSeq(1),
                reason: String::new(),
                status,
                replaced: BTreeMap::new(),
                manifest: None,
                rollout: None,
                gate: None,
                waivers: Vec::new(),
                evidence: None,
            };
            world.deployments.insert(deployment.id, deployment.into());
        }
        let pointer = Pointer {
            active: Some(DeploymentId(n + 1)),
            candidate: Some(DeploymentId(AGENTS + n + 1)),
            weight: Share::from_bps(2_000)?,
            hold: None,
        };
        world.pointers.insert((agent, SegmentName::default_segment()), pointer);
    }
    Ok(world)
}
