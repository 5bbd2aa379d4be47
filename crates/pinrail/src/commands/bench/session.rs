//! Reading a session's memory in a view: 200 turns, before and after a thousand deployments wrote to the same session.

use pinrail_control::By;
use pinrail_control::Control;
use pinrail_control::state::memory::Turn;
use pinrail_control::state::{Reader, WriteAs};
use pinrail_domain::deploy::TakeBack;
use pinrail_domain::id::{AgentName, DeploymentId, SessionId, TenantId};
use pinrail_domain::state::Space;

use super::{Bench, Row, process, quantile};

/// Turns that a reader sees.
const TURNS: usize = 200;
/// Deployments that wrote to the session: every other one was rolled back.
const PAST: usize = 1_000;
/// Turns that each of them wrote.
const WRITTEN: usize = 4;
/// Reads measured.
const READS: usize = 2_000;
const BUDGET_US: u64 = 2_000;

pub async fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let folder = bench.folder()?;
    let control = super::rollback::open(folder.path()).await?;
    let space = Space::memory(TenantId::shared(), &AgentName::new("bench")?, &SessionId::new("s")?);
    let said = (0..TURNS).map(|n| turn(&format!("turn-{n}"), true)).collect();
    control.states().remember_as(WriteAs::Operator, &space, said, None).await?;
    let fresh = reads(&control, &space, &Reader::everybody()).await?;
    for n in 0..PAST {
        past(&control, &space, n).await?;
    }
    let worn = reads(&control, &space, &Reader::everybody()).await?;
    let open = job(&control, PAST).await?;
    let written = vec![turn("turn-0", false)];
    control.states().remember_as(WriteAs::Job(open), &space, written, None).await?;
    let own = reads(&control, &space, &Reader { own: Some(open), ..Reader::everybody() }).await?;
    let row = |what: &str, sorted: &[u64]| {
        let (p50, p99) = (quantile(sorted, 0.5), quantile(sorted, 0.99));
        let row = Row::new(
            "state",
            format!("read a session of {TURNS} turns, {what}"),
            format!("p50 {p50} µs, p99 {p99} µs"),
        );
        row.budget("p99 ≤ 2 ms", p99 <= BUDGET_US)
    };
    let base = format!("p50 {} µs without them", quantile(&fresh, 0.5));
    Ok(vec![
        row("no deployments before", &fresh),
        row(&format!("{PAST} deployments wrote to it, half rolled back"), &worn).against(base.clone()),
        row("the same, through an open deployment's eyes", &own).against(base),
    ])
}

/// A deployment that wrote to the session and was promoted or taken back. Those that were promoted wrote over each
/// other's turns, so that a reader sees as many turns as before.
async fn past(control: &Control, space: &Space, n: usize) -> anyhow::Result<()> {
    let job = job(control, n).await?;
    let is_bad = n.is_multiple_of(2);
    let key = |turn: usize| if is_bad { format!("bad-{n}-{turn}") } else { format!("turn-{turn}") };
    let written = (0..WRITTEN).map(|written| turn(&key(written), false)).collect();
    control.states().remember_as(WriteAs::Job(job), space, written, None).await?;
    if is_bad {
        control.roll_back(By::system("bench"), job, TakeBack::default()).await?;
    } else {
        control.promote(By::system("bench"), job, false).await?;
    }
    Ok(())
}

async fn job(control: &Control, n: usize) -> anyhow::Result<DeploymentId> {
    let opened = control.open_ingest(By::system("bench"), &format!("job-{n}").parse()?).await?;
    Ok(opened.value.deployment)
}

fn turn(key: &str, told: bool) -> Turn {
    let json = format!("{{\"content\":\"{}\",\"role\":\"user\"}}", "what somebody said ".repeat(8));
    let key = Some(key.parse().expect("letters and digits are a key"));
    Turn { key, json, told, parents: Vec::new() }
}

/// How long reads take, in microseconds, sorted.
async fn reads(control: &Control, space: &Space, reader: &Reader) -> anyhow::Result<Vec<u64>> {
    let mut samples = Vec::with_capacity(READS);
    for _ in 0..READS {
        let start = process::now();
        let recalled = control.states().recall(space, reader, None, TURNS).await?;
        samples.push(process::us_since(start));
        anyhow::ensure!(recalled.turns.len() == TURNS, "the session lost turns");
    }
    samples.sort_unstable();
    Ok(samples)
}
