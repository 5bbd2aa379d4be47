//! How fast a million runs are listed: `cargo run --release -p pinrail-store-postgres --example lists -- URL [RUNS] [lopsided] [plans]`.
//!
//! The URL is of an empty, migrated database (`pinrail migrate`), or of one that this filled before. Runs of a week in three agents, fifty tenants and forty
//! deployments are written as replicas write them; then every filter, and combinations that match little or nothing, are explained.
//! `lopsided`: what else is common (single calls, live runs that no gate asks in, the tenant `default`, outcome ok) only the first few runs have, each another.
//! Prints a table, and with `plans` the plans.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for the terminal; a surprise must panic"
)]
#![expect(clippy::disallowed_methods, reason = "measuring reads a clock")]

use std::time::Instant;

use pinrail_domain::id::{AgentName, DeploymentId, RunId, SessionId, TenantId};
use pinrail_domain::journal::{Event, Outcome, RunStatus};
use pinrail_domain::time::Timestamp;
use pinrail_store::conformance::sample;
use pinrail_store::journal::{RunFilter, Start, Write};
use pinrail_store::{Journal, ReplicaId};
use pinrail_store_postgres::{Options, Postgres};

/// 2026-01-01.
const BEGIN_MS: u64 = 1_767_225_600_000;
const WEEK_MS: u64 = 7 * 86_400_000;
const LIMIT: usize = 50;
/// How many runs of a lopsided week have what a filter asks for.
const FEW: u64 = 30;

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let url = args.next().expect("a URL of a migrated database");
    let runs: u64 = args.next().map_or(1_000_000, |runs| runs.parse().unwrap());
    let words: Vec<String> = args.collect();
    let says = |word: &str| words.iter().any(|said| said == word);
    let (lopsided, plans) = (says("lopsided"), says("plans"));
    let store = Postgres::connect(Options::new(&url)).await.unwrap();
    if store.run_list(&RunFilter::default(), None, 1).await.unwrap().is_empty() {
        fill(&store, runs, lopsided).await;
    }
    println!("{:<44} {:>6} {:>10} {:>10}", "filter", "found", "first ms", "again ms");
    for (name, filter) in filters() {
        let mut took = Vec::new();
        let mut found = 0;
        for _ in 0..2 {
            let began = Instant::now();
            found = store.run_list(&filter, None, LIMIT).await.unwrap().len();
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
        println!("{name:<44} {found:>6} {:>10.1} {:>10.1}", took[0], took[1]);
        if plans {
            for line in store.run_list_explained(&filter, None, LIMIT).await.unwrap() {
                println!("    {line}");
            }
        }
    }
    let began = Instant::now();
    let open = store.run_open_total().await.unwrap();
    println!("{:<44} {open:>6} {:>10.1}", "all open runs, counted", began.elapsed().as_secs_f64() * 1e3);
    let began = Instant::now();
    let open = store.run_open(DeploymentId(40)).await.unwrap().total();
    println!(
        "{:<44} {open:>6} {:>10.1}",
        "a deployment's open runs, counted",
        began.elapsed().as_secs_f64() * 1e3
    );
}

async fn fill(store: &Postgres, runs: u64, lopsided: bool) {
    let made = |n| if lopsided { lopsided_start(n, runs) } else { start(n, runs) };
    let began = Instant::now();
    for first in (0..runs).step_by(500) {
        let batch: Vec<Write> =
            (first..runs.min(first + 500)).map(|n| Write::Start(Box::new(made(n)))).collect();
        assert!(store.journal_write(batch.into()).await.iter().all(Result::is_ok));
    }
    println!("{runs} runs written in {:.0} s", began.elapsed().as_secs_f64());
}

fn start(n: u64, runs: u64) -> Start {
    let mut start = sample::start(sample::stamp(0));
    let at = BEGIN_MS + WEEK_MS * n / runs;
    let random = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834) >> 48;
    // Scattered, so that what one filter takes says nothing about the others.
    let dice =
        |sides: u64, salt: u64| (n ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_right(29) % sides;
    start.stamp.run = RunId::from_parts(at, random);
    start.at = Timestamp(at);
    start.stamp.agent = agent(dice(3, 1));
    start.stamp.tenant = if dice(2, 2) == 0 { TenantId::shared() } else { tenant(dice(50, 3)) };
    start.stamp.session = (dice(2, 4) == 0).then(|| session(n / 8));
    start.stamp.single = dice(2, 5) == 0;
    // Deployments follow each other, as do their releases.
    start.stamp.deployment = DeploymentId(1 + 40 * n / runs);
    start.stamp.release = sample::release(&format!("r{}", 1 + 40 * n / runs));
    let outcome = match dice(200, 6) {
        0 => Outcome::Error,
        1 => Outcome::Cancelled,
        _ => Outcome::Ok,
    };
    if dice(5_000, 7) != 0 {
        start.events = sample::one_call();
        start.events.retain(|(_, event)| !matches!(event, Event::Finished { .. }));
        start.events.push((Timestamp(at + 900), Event::Finished { outcome, why: None }));
    }
    start
}

/// Only the first few runs are what most are elsewhere; the last ones at that, in the order that lists have.
fn lopsided_start(n: u64, runs: u64) -> Start {
    let mut start = start(n, runs);
    let outcome = if n < FEW { Outcome::Ok } else { Outcome::Error };
    for (_, event) in &mut start.events {
        if let Event::Finished { outcome: said, .. } = event {
            *said = outcome;
        }
    }
    start.stamp.single = (FEW..2 * FEW).contains(&n);
    start.stamp.tenant = if (2 * FEW..3 * FEW).contains(&n) { TenantId::shared() } else { tenant(n % 50) };
    if !(3 * FEW..4 * FEW).contains(&n) {
        start.stamp.shadow = Some(RunId::from_parts(BEGIN_MS, u128::from(n)));
    }
    if !(4 * FEW..5 * FEW).contains(&n) {
        start.stamp.deployment = DeploymentId(0);
    }
    start
}

fn filters() -> Vec<(&'static str, RunFilter)> {
    [conditions(), combinations()].concat()
}

fn all() -> RunFilter {
    RunFilter::default()
}

/// When a share of the week was over, in percent.
fn at(share: u64) -> Option<Timestamp> {
    Some(Timestamp(BEGIN_MS + WEEK_MS * share / 100))
}

fn support() -> Option<AgentName> {
    Some(agent(0))
}

/// One condition each.
fn conditions() -> Vec<(&'static str, RunFilter)> {
    vec![
        ("none", all()),
        ("agent", RunFilter { agent: support(), ..all() }),
        ("agent, unknown", RunFilter { agent: Some(AgentName::new("nobody").unwrap()), ..all() }),
        ("release, old", RunFilter { release: Some(sample::release("r3")), ..all() }),
        ("deployment, old", RunFilter { deployment: Some(DeploymentId(3)), ..all() }),
        ("status running", RunFilter { status: Some(RunStatus::Running), ..all() }),
        ("status finished", RunFilter { status: Some(RunStatus::Finished), ..all() }),
        ("status paused (none)", RunFilter { status: Some(RunStatus::Paused), ..all() }),
        ("outcome ok", RunFilter { outcome: Some(Outcome::Ok), ..all() }),
        ("outcome error", RunFilter { outcome: Some(Outcome::Error), ..all() }),
        ("session", RunFilter { session: Some(session(1_000)), ..all() }),
        ("tenant", RunFilter { tenants: Some(vec![tenant(7)]), ..all() }),
        ("tenant default", RunFilter { tenants: Some(vec![TenantId::shared()]), ..all() }),
        ("tenants, 3", RunFilter { tenants: Some((0..3).map(tenant).collect()), ..all() }),
        ("tenants, 50", RunFilter { tenants: Some((0..50).map(tenant).collect()), ..all() }),
        ("tenants, 3 unknown", RunFilter { tenants: Some((90..93).map(tenant).collect()), ..all() }),
        ("tenants, 2 and default", RunFilter { tenants: Some(vec![tenant(1), TenantId::shared()]), ..all() }),
        ("single", RunFilter { single: Some(true), ..all() }),
        ("not single", RunFilter { single: Some(false), ..all() }),
        ("in no gate", RunFilter { gate: Some(false), ..all() }),
        ("copies (none)", RunFilter { shadow: Some(true), ..all() }),
        ("no copies", RunFilter { shadow: Some(false), ..all() }),
        ("in a gate (none)", RunFilter { gate: Some(true), ..all() }),
        ("of before there were replicas (none)", RunFilter { replica: Some(ReplicaId(0)), ..all() }),
        ("by the first replica", RunFilter { replica: Some(ReplicaId(1)), ..all() }),
        ("by another replica (none)", RunFilter { replica: Some(ReplicaId(9)), ..all() }),
        ("since the last percent", RunFilter { since: at(99), ..all() }),
        ("until the first tenth", RunFilter { until: at(10), ..all() }),
    ]
}

/// Several at once, many of which no run fulfils.
fn combinations() -> Vec<(&'static str, RunFilter)> {
    vec![
        (
            "single, tenant default",
            RunFilter { single: Some(true), tenants: Some(vec![TenantId::shared()]), ..all() },
        ),
        ("single, outcome ok", RunFilter { single: Some(true), outcome: Some(Outcome::Ok), ..all() }),
        ("agent, single", RunFilter { agent: support(), single: Some(true), ..all() }),
        ("agent, outcome ok", RunFilter { agent: support(), outcome: Some(Outcome::Ok), ..all() }),
        (
            "agent, tenant default",
            RunFilter { agent: support(), tenants: Some(vec![TenantId::shared()]), ..all() },
        ),
        ("a percent in the middle", RunFilter { since: at(50), until: at(51), ..all() }),
        (
            "agent, error, until the middle",
            RunFilter { agent: support(), outcome: Some(Outcome::Error), until: at(50), ..all() },
        ),
        ("agent and tenant", RunFilter { agent: support(), tenants: Some(vec![tenant(7)]), ..all() }),
        (
            "agent and deployment, old",
            RunFilter { agent: support(), deployment: Some(DeploymentId(3)), ..all() },
        ),
        (
            "deployment, old, and error",
            RunFilter { deployment: Some(DeploymentId(3)), outcome: Some(Outcome::Error), ..all() },
        ),
        (
            "deployment and another's release (none)",
            RunFilter { deployment: Some(DeploymentId(3)), release: Some(sample::release("r9")), ..all() },
        ),
        (
            "tenant, agent, error, single, a percent",
            RunFilter {
                tenants: Some(vec![tenant(7)]),
                agent: support(),
                outcome: Some(Outcome::Error),
                single: Some(true),
                since: at(50),
                until: at(51),
                ..all()
            },
        ),
        (
            "deployment, old, since the middle (none)",
            RunFilter { deployment: Some(DeploymentId(3)), since: at(50), ..all() },
        ),
        (
            "agent, running, old",
            RunFilter { agent: support(), status: Some(RunStatus::Running), until: at(10), ..all() },
        ),
    ]
}

fn agent(n: u64) -> AgentName {
    AgentName::new(["support", "planner", "executor"][usize::try_from(n).unwrap()]).unwrap()
}

fn tenant(n: u64) -> TenantId {
    TenantId::new(&format!("tenant-{n}")).unwrap()
}

fn session(n: u64) -> SessionId {
    SessionId::new(&format!("session-{n}")).unwrap()
}
