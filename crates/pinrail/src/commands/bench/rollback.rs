//! Taking a deployment back: from the call to the flip, with ledgers that are longer and longer, and more and more state.

use std::collections::BTreeMap;
use std::sync::Arc;

use pinrail_control::publish::Publish;
use pinrail_control::{By, Control, Options};
use pinrail_domain::agent::AgentSpec;
use pinrail_domain::deploy::{Open, TakeBack, Traffic};
use pinrail_domain::id::{AgentName, ProviderName, ReleaseId, SegmentName};
use pinrail_domain::model::Layers;
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::Manifest;
use pinrail_domain::share::Share;
use pinrail_store_sqlite::Sqlite;

use super::{Bench, Row, quantile};
use crate::system::{OsEntropy, SystemClock};

mod state;

/// Deployments that came before.
const PAST: [usize; 3] = [10, 100, 1_000];
/// Rollbacks measured at each length.
const MEASURED: usize = 100;
/// The budget beyond one sync, in microseconds, and how flat it must be.
const BUDGET_US: u64 = 10_000;
const FLAT_FACTOR: f64 = 1.5;

pub async fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let fsync = super::fsync_us(&bench.dir)?;
    let folder = bench.folder()?;
    let control = open(folder.path()).await?;
    let agent = AgentName::new("bench")?;
    let releases = publish(&control, &agent).await?;
    let mut rows = Vec::new();
    let mut medians = Vec::new();
    for past in PAST {
        while control.snapshot().world.deployments.len() < past {
            take_back(&control, &agent, releases[1]).await?;
        }
        let mut samples = Vec::new();
        for _ in 0..MEASURED {
            samples.push(take_back(&control, &agent, releases[1]).await?);
        }
        samples.sort_unstable();
        let (p50, p99) = (quantile(&samples, 0.5), quantile(&samples, 0.99));
        medians.push(p50);
        rows.push(
            Row::new(
                "rollback",
                format!("call to flipped, {past} deployments before"),
                format!("p50 {p50} µs, p99 {p99} µs"),
            )
            .against(format!("{fsync} µs one write and sync"))
            .budget("≤ 10 ms + one sync", p99 <= BUDGET_US + fsync),
        );
    }
    let flat = medians[medians.len() - 1] as f64 / medians[0].max(1) as f64;
    let what = format!("{} against {} deployments before, p50", PAST[PAST.len() - 1], PAST[0]);
    rows.push(Row::new("rollback", what, format!("{flat:.2}×")).budget("≤ 1.5×", flat <= FLAT_FACTOR));
    rows.extend(state::measure(bench, fsync).await?);
    Ok(rows)
}

/// Opens a canary and takes it back; returns how long the rollback took, in microseconds.
async fn take_back(control: &Control, agent: &AgentName, release: ReleaseId) -> anyhow::Result<u64> {
    let wish = Open {
        releases: BTreeMap::from([(agent.clone(), release)]),
        segment: SegmentName::default_segment(),
        traffic: Traffic::Canary(Share::from_bps(2_000)?),
        lift_hold: true,
    };
    let opened = control.deploy(By::system("bench"), &wish).await?;
    let taken_back =
        control.roll_back(By::system("bench"), opened.value.deployment, TakeBack::default()).await?;
    Ok(taken_back.took_us)
}

/// A control plane over SQLite.
pub async fn open(folder: &std::path::Path) -> anyhow::Result<Control> {
    let store = Sqlite::open(pinrail_store_sqlite::Options::new(folder.join("pinrail.db")))?;
    let options = Options {
        store: Arc::new(store),
        clock: Arc::new(SystemClock::start()),
        entropy: Arc::new(OsEntropy),
        catalogue: Layers::embedded(None),
        vectors_folder: None,
        notebook: None,
        spool: None,
        stale_ms_max: pinrail_control::runs::STALE_MS_MAX,
        leads: true,
    };
    Ok(Control::open(options).await?.0)
}

async fn publish(control: &Control, agent: &AgentName) -> anyhow::Result<Vec<ReleaseId>> {
    let by = || By::system("bench");
    control.provider_put(by(), &ProviderName::new("sim")?, &ProviderSpec::simulated()).await?;
    control.agent_put(by(), agent, &AgentSpec::default()).await?;
    let mut releases = Vec::new();
    for temperature in [0, 1] {
        let manifest: Manifest = serde_json::from_value(serde_json::json!({
            "pinrail": 1,
            "model": { "provider": "sim", "snapshot": "sim-1-2026-01-15", "params": { "temperature": temperature } },
        }))?;
        let publish = Publish { agent: agent.clone(), manifest, model_override: None };
        releases.push(control.publish(by(), publish).await?.value.release);
    }
    let wish = Open {
        releases: BTreeMap::from([(agent.clone(), releases[0])]),
        segment: SegmentName::default_segment(),
        traffic: Traffic::Now,
        lift_hold: false,
    };
    control.deploy(by(), &wish).await?;
    Ok(releases)
}
