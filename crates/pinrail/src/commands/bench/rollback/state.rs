//! Taking back deployments that wrote state: the same cost however much it was, and what the next reader pays.

use std::time::Duration;

use pinrail_control::state::context::SetRefused;
use pinrail_control::state::{Authorised, Change, Decided, NewValue, Reader, WriteAs};
use pinrail_control::{By, Control};
use pinrail_domain::deploy::TakeBack;
use pinrail_domain::id::{CollectionName, DeploymentId, IngestName, TenantId};
use pinrail_domain::state::{Space, StateKey};

use super::super::{Bench, Row, process, quantile};
use super::{BUDGET_US, FLAT_FACTOR, open};
use crate::output::talk;

/// Records in the store when deployments are taken back.
const RECORDS: [usize; 3] = [1_000, 100_000, 1_000_000];
/// Data jobs that these records are divided among; each is taken back once.
const JOBS: usize = 10;
/// Records written together.
const BATCH: usize = 1_000;
/// How long the manifests of the openings may take before the measurement begins.
const SETTLE: Duration = Duration::from_secs(120);

pub async fn measure(bench: &Bench, fsync_us: u64) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut medians = Vec::new();
    for records in RECORDS.into_iter().filter(|records| !bench.quick || *records < 1_000_000) {
        let Measured { flips, reads } = with_records(bench, records).await?;
        let (p50, worst) = (quantile(&flips, 0.5), quantile(&flips, 1.0));
        medians.push(p50);
        rows.push(
            Row::new(
                "rollback",
                format!("call to flipped, {JOBS} jobs with {records} records in all"),
                format!("p50 {p50} µs, slowest {worst} µs"),
            )
            .against(format!("{fsync_us} µs one write and sync"))
            .budget("≤ 10 ms + one sync", worst <= BUDGET_US + fsync_us),
        );
        rows.push(Row::new(
            "rollback",
            format!("the first read after it, {} records taken back", records / JOBS),
            format!("p50 {} µs, slowest {} µs", quantile(&reads, 0.5), quantile(&reads, 1.0)),
        ));
    }
    let flat = medians[medians.len() - 1] as f64 / medians[0].max(1) as f64;
    let what = format!("{} against {} records, p50", RECORDS[medians.len() - 1], RECORDS[0]);
    rows.push(Row::new("rollback", what, format!("{flat:.2}×")).budget("≤ 1.5×", flat <= FLAT_FACTOR));
    Ok(rows)
}

/// Sorted, in microseconds.
struct Measured {
    flips: Vec<u64>,
    reads: Vec<u64>,
}

async fn with_records(bench: &Bench, records: usize) -> anyhow::Result<Measured> {
    let folder = bench.folder()?;
    let control = open(folder.path()).await?;
    let space = Space::context(TenantId::shared(), &CollectionName::new("bench")?);
    let by = || By::system("bench");
    let mut jobs = Vec::new();
    for n in 0..JOBS {
        let name = IngestName::new(&format!("job-{n}"))?;
        jobs.push(control.open_ingest(by(), &name).await?.value.deployment);
    }
    for (n, job) in jobs.iter().enumerate() {
        let author = control.states().author(WriteAs::Job(*job)).await?;
        load(&control, &author, &space, n * records / JOBS..(n + 1) * records / JOBS).await?;
        drop(author);
        control.promote(by(), *job, false).await?;
        if records >= 1_000_000 {
            talk(&format!("  {} of {records} records written", (n + 1) * records / JOBS));
        }
    }
    settle(&control, &jobs).await;
    let (mut flips, mut reads) = (Vec::new(), Vec::new());
    for job in &jobs {
        let before = seen(&control, &space).await?;
        flips.push(control.roll_back(by(), *job, TakeBack::default()).await?.took_us);
        let start = process::now();
        let after = seen(&control, &space).await?;
        reads.push(process::us_since(start));
        anyhow::ensure!(before - after == records / JOBS, "a rollback hid {} records", before - after);
    }
    flips.sort_unstable();
    reads.sort_unstable();
    Ok(Measured { flips, reads })
}

async fn load(
    control: &Control,
    by: &Authorised,
    space: &Space,
    records: std::ops::Range<usize>,
) -> anyhow::Result<()> {
    let end = records.end;
    for first in records.step_by(BATCH) {
        let mut changes = Vec::new();
        for n in first..end.min(first + BATCH) {
            let json = format!("{{\"protocol\":1,\"value\":\"fact number {n}\"}}");
            let value = Some(NewValue { json, vector: None });
            changes.push(Change { key: StateKey::new(&format!("fact-{n}"))?, value, parents: Vec::new() });
        }
        let decide = |_: &_| Ok::<_, SetRefused>(Decided { changes: changes.clone(), expect: None });
        control.states().write(by, space, None, decide).await?;
    }
    Ok(())
}

async fn seen(control: &Control, space: &Space) -> anyhow::Result<usize> {
    Ok(control.states().view(space, &Reader::everybody(), |sight| sight.shown().len()).await?)
}

/// Waits until the openings' manifests are recorded, so that none is worked out while rollbacks are measured.
async fn settle(control: &Control, jobs: &[DeploymentId]) {
    let start = process::now();
    let is_missing = || {
        let snapshot = control.snapshot();
        jobs.iter().any(|job| snapshot.world.deployments.get(job).is_some_and(|job| job.manifest.is_none()))
    };
    while is_missing() && u128::from(process::us_since(start)) < SETTLE.as_micros() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
