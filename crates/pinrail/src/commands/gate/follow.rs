//! Following a gate to its end, and how that is shown.

use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use pinrail_api::gates::{Gate, GateProgress};
use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::gate::Source;
use pinrail_domain::id::GateId;
use pinrail_gate::report::{Page, text};
use pinrail_gate::statement::{About, Envelope};
use pinrail_gate::verdict::Report;
use serde_json::Value;

use crate::cli::Context;
use crate::client::{ClientError, Query, Reply};
use crate::output::{clean, money, one_line, table, time};

/// A gate that is over.
pub struct Followed {
    pub gate: Gate,
}

const FAIL: u8 = 1;
const INCONCLUSIVE: u8 = 2;
/// There is no verdict: it was refused, failed, or was stopped.
pub const COULD_NOT_RUN: u8 = 3;

/// One question's longest wait.
const POLL_MS: u64 = 5_000;
/// Between two questions: a bar that moves more often tells nobody more.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a server that is away is asked again, a second apart: long enough for a restart.
const AWAY_MAX: u32 = 300;
const AWAY_PAUSE: Duration = Duration::from_secs(1);

/// Follows a gate until it is over, with a bar on a terminal.
pub fn to_its_end(id: GateId, context: &Context) -> anyhow::Result<Followed> {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len}  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let (mut done, mut away) = (None, 0);
    loop {
        let query = match done {
            Some(done) => Query::default().add("done", Some(done)).add("wait_ms", Some(POLL_MS)),
            None => Query::default(),
        };
        match context.client.get::<Gate>(&query.on(&format!("/api/v1/gates/{id}/watch"))) {
            Ok(Reply { value: gate, .. }) if gate.status == "running" => {
                (done, away) = (Some(gate.progress.done), 0);
                draw(&bar, &gate);
                pause(PAUSE);
            }
            Ok(_) => break,
            // It goes on when the server is back.
            Err(ClientError::Unreachable { .. }) if done.is_some() && away < AWAY_MAX => {
                away += 1;
                bar.set_message("the server is away; the gate goes on when it is back");
                pause(AWAY_PAUSE);
            }
            Err(error) => {
                bar.finish_and_clear();
                return Err(error.into());
            }
        }
    }
    bar.finish_and_clear();
    let gate = context.client.get::<Gate>(&format!("/api/v1/gates/{id}"))?.value;
    Ok(Followed { gate })
}

/// The exit code of several gates: a proven failure counts most, then a gate without a verdict.
pub fn worst(ended: &[Followed]) -> ExitCode {
    let codes = ended.iter().map(|followed| code(&followed.gate));
    let rank = |code: &u8| match *code {
        FAIL => 3,
        COULD_NOT_RUN => 2,
        INCONCLUSIVE => 1,
        0 | 4.. => 0,
    };
    ExitCode::from(codes.max_by_key(rank).unwrap_or(COULD_NOT_RUN))
}

fn code(gate: &Gate) -> u8 {
    match gate.ended.as_ref().and_then(|ended| ended.verdict) {
        Some(GateVerdict::Pass) => 0,
        Some(GateVerdict::Fail) => FAIL,
        Some(GateVerdict::Inconclusive) => INCONCLUSIVE,
        None => COULD_NOT_RUN,
    }
}

/// A gate as people read it: its report where it has one, else where it stands.
pub fn shown(gate: &Gate, context: &Context) -> String {
    match gate.report.clone().map(serde_json::from_value::<Report>) {
        Some(Ok(report)) => reported(gate, &report, context),
        Some(Err(_)) | None => stands(gate),
    }
}

/// How far a gate is, in a line.
pub fn words(progress: &GateProgress, budget_nano_usd: u64) -> String {
    let mut parts = Vec::new();
    let mut count = |count: u64, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    count(progress.errors, "errors");
    count(progress.refused, "refused");
    count(progress.reused, "reused");
    count(progress.retries, "retries");
    parts.push(format!("{} of {}", money::cost(progress.spent_nano_usd), money::cost(budget_nano_usd)));
    if let Some(eta_ms) = progress.eta_ms.filter(|_| progress.done < progress.total) {
        parts.push(format!("{} left", time::span(eta_ms)));
    }
    parts.extend(progress.suite.clone());
    if progress.queued {
        parts.push("waits for its turn".to_owned());
    }
    parts.join(", ")
}

fn draw(bar: &ProgressBar, gate: &Gate) {
    let progress = &gate.progress;
    bar.set_length(progress.total);
    bar.set_position(progress.done);
    bar.set_prefix(clean(gate.agent.as_str()));
    bar.set_message(clean(&one_line(&words(progress, gate.settings.budget_nano_usd), 100)));
    bar.tick();
}

fn reported(gate: &Gate, report: &Report, context: &Context) -> String {
    let ended = gate.ended.as_ref();
    let about = About {
        agent: gate.agent.clone(),
        gate: gate.gate,
        at: ended.map_or(gate.created_at, |ended| ended.at),
        source: Source::Run,
        judge: gate.settings.judge.as_ref().map(|(_, release)| *release),
        url: None,
    };
    let statement = ended.and_then(|ended| ended.statement);
    let signer = statement.and_then(|digest| signer(&digest.to_string(), context));
    let page = Page { report, about: &about, signed_by: signer.as_deref() };
    let progress = &gate.progress;
    let mut said = text(&page);
    said.push_str(&format!(
        "{} answers ({} each, {} reused, {} retries), {}\n",
        progress.done,
        progress.repeats,
        progress.reused,
        progress.retries,
        money::cost(progress.spent_nano_usd)
    ));
    said
}

/// The id of the key that signed a statement; none where nobody did, or it can't be read now.
fn signer(digest: &str, context: &Context) -> Option<String> {
    let envelope = context.client.get::<Value>(&format!("/api/v1/artifacts/{digest}")).ok()?.value;
    let envelope: Envelope = serde_json::from_value(envelope).ok()?;
    envelope.signatures.into_iter().find_map(|signature| signature.keyid)
}

fn stands(gate: &Gate) -> String {
    let names: Vec<&str> = gate.settings.suites.iter().map(|suite| suite.name.as_str()).collect();
    let against =
        gate.incumbent.map_or("alone".to_owned(), |incumbent| format!("against {}", incumbent.short()));
    let progress = &gate.progress;
    let answers = format!(
        "{} of {} answers, {}",
        progress.done,
        progress.total,
        words(progress, gate.settings.budget_nano_usd)
    );
    table::pairs(&[
        ("gate", Some(gate.gate.to_string())),
        ("status", Some(gate.status.clone())),
        ("why", gate.ended.as_ref().map(|ended| clean(&ended.why))),
        ("candidate", Some(format!("{}={} {against}", gate.agent, gate.candidate.short()))),
        ("deployment", gate.deployment.map(|id| id.to_string())),
        ("suites", Some(names.join(", "))),
        ("progress", Some(answers)),
    ])
}

#[allow(
    clippy::disallowed_methods,
    reason = "there is no event of a server that is away, nor of a person's eye"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
