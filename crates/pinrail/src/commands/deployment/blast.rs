//! `pinrail deployment blast-radius | report | compensate`.

use pinrail_api::deployments::blast::{
    AffectedRun, BlastRadius, CallReport, Compensate, Compensated, Effects, Reach, Report, SideEffect, Step,
};
use pinrail_domain::state::derive::{Cause, Misled};

use super::back::hidden;
use super::proof::show_proof;
use super::show_drain;
use crate::cli::Context;
use crate::client::Query;
use crate::commands::member::acks;
use crate::output::{one_line, time};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail deployment blast-radius 3
  pinrail deployment blast-radius 3 --json --limit 1000

Listed are its own runs, and every run that read one of its records, or one that was derived from them, with the reason.")]
pub struct Args {
    id: u64,
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only runs behind this one
    #[arg(long, value_name = "RUN")]
    after: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail deployment compensate 3 --dry-run
  pinrail deployment compensate 3
  pinrail deployment compensate 3 --again         also what was delivered before, under the same ids

Where reports go is in agent.toml: [compensation] url = \"https://…\", secret_env = \"NAME\".")]
pub struct Compensating {
    id: u64,
    /// Send nothing, and say what would be sent
    #[arg(long)]
    dry_run: bool,
    /// Send also what was delivered before
    #[arg(long)]
    again: bool,
    /// Why: receivers are told, and it is journaled with each report
    #[arg(long, default_value = "")]
    reason: String,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let Args { id, limit, after } = args;
    let query = Query::default().add("limit", limit).add("after", after);
    let reply =
        context.client.get::<BlastRadius>(&query.on(&format!("/api/v1/deployments/{id}/blast-radius")))?;
    Ok(context.out.reply(&reply, |blast| show(blast, context))?)
}

/// Returns whether the proof holds; true without one.
pub fn report(id: u64, verify: bool, context: &Context) -> anyhow::Result<bool> {
    let query = Query::default().add("verify", verify.then_some("true"));
    let reply = context.client.get::<Report>(&query.on(&format!("/api/v1/deployments/{id}/report")))?;
    context.out.reply(&reply, |report| show_report(report, context))?;
    Ok(reply.value.verification.is_none_or(|proof| proof.holds))
}

/// Returns whether every call was reported that could be.
pub fn compensate(args: Compensating, context: &Context) -> anyhow::Result<bool> {
    let Compensating { id, dry_run, again, reason } = args;
    let path = format!("/api/v1/deployments/{id}/compensate");
    let reply = context.client.post::<Compensated>(&path, &Compensate { dry_run, again, reason })?;
    context.out.reply(&reply, show_compensated)?;
    if reply.value.failed > 0 {
        let failed = reply.value.failed;
        anyhow::bail!(crate::exit::Failed {
            code: "not_delivered",
            what: format!("{failed} reports were not delivered"),
            next_step: format!(
                "mend the receiver and run `pinrail deployment compensate {id}` again: what was delivered is left out"
            ),
            source: None,
        });
    }
    Ok(true)
}

/// How far it reached, for a person.
pub(super) fn reach(reach: Reach) -> String {
    let Reach { own_runs, misled_runs, sessions, tenants } = reach;
    format!(
        "affected: {own_runs} runs of its own, {misled_runs} of others that read what it wrote or what came of that; \
         {sessions} sessions, {tenants} tenants\n"
    )
}

/// What can't be taken back, for a person.
pub(super) fn effects(effects: &Effects, deployment: u64) -> String {
    let Effects { calls, compensated, unreported, tools } = effects;
    let mut text = if *calls == 0 {
        "side effects: none were journaled\n".to_owned()
    } else {
        let tools: Vec<String> = tools.iter().map(|(tool, calls)| format!("{tool} {calls}×")).collect();
        format!(
            "side effects stay: {} ({calls} calls, {compensated} reported): pinrail deployment blast-radius {deployment}\n",
            tools.join(", ")
        )
    };
    if *unreported > 0 {
        text.push_str(&format!(
            "  {unreported} more were asked for by models, and nobody journaled whether they were made\n"
        ));
    }
    text
}

pub(super) fn cut(cut: &[String]) -> String {
    cut.iter().map(|what| format!("CUT: {what}\n")).collect()
}

fn show(blast: &BlastRadius, context: &Context) -> String {
    let mut text = format!("deployment {} ({})\n", blast.deployment, blast.state);
    for (layer, touched) in &blast.layers {
        text.push_str(&format!(
            "  {layer}: {} records, {} derived from them by others\n",
            touched.written, touched.derived
        ));
    }
    text.push_str(&reach(blast.reach));
    text.push_str(&cut(&blast.cut));
    for run in &blast.runs {
        text.push_str(&show_run(run, context));
    }
    if let Some(next) = &blast.next {
        text.push_str(&format!("more with --after {next}\n"));
    }
    text
}

fn show_run(run: &AffectedRun, context: &Context) -> String {
    let session = run.session.as_ref().map(|session| format!(", session {session}")).unwrap_or_default();
    let mut text = format!(
        "{}  {} on deployment {}, tenant {}{session}, {}\n",
        run.run, run.agent, run.deployment, run.tenant, run.status
    );
    if let Some(Misled { record, at }) = run.read {
        text.push_str(&format!("  read record {record} as of {at}{}\n", because(&run.chain)));
    }
    if run.wrote > 0 {
        text.push_str(&format!("  wrote {} tainted records\n", run.wrote));
    }
    for SideEffect { event, tool, at, arguments, result, compensated_at, .. } in &run.side_effects {
        let result = result.as_deref().unwrap_or("no result journaled");
        let reported = compensated_at.map(|at| format!(", reported {}", time::both(context.now, at)));
        text.push_str(&format!(
            "  called {tool} {} ({result}, event {event}, {}{})\n",
            one_line(arguments, 60),
            time::both(context.now, *at),
            reported.unwrap_or_default()
        ));
    }
    if run.unreported > 0 {
        text.push_str(&format!("  {} calls were asked for and not journaled\n", run.unreported));
    }
    text
}

/// Why a record is tainted, in words.
fn because(chain: &[Step]) -> String {
    let steps = chain.iter().map(|Step { record, cause }| match cause {
        Cause::Seed => format!("record {record} is the deployment's own"),
        Cause::Parent { record: parent } => format!("record {record} was derived from record {parent}"),
        Cause::Run { run, record: read, at } => {
            format!("record {record} was written by {run} after it had read record {read} as of {at}")
        }
    });
    let steps: Vec<String> = steps.collect();
    if steps.is_empty() { String::new() } else { format!(": {}", steps.join("; ")) }
}

fn show_report(report: &Report, context: &Context) -> String {
    let at = |at| time::both(context.now, at);
    let name = report.ingest.as_ref().map(|name| format!(", data job {name}")).unwrap_or_default();
    let mut text = format!("deployment {} is {}{name}\n", report.deployment, report.state);
    text.push_str(&format!("opened: {}\n", at(report.opened_at)));
    if let Some(back) = &report.rolled_back {
        text.push_str(&format!("rolled back: {}: {}\n", at(back.at), back.why));
        let flip = report
            .flip_us
            .map_or_else(|| "unknown: it was another process that did it".to_owned(), time::millis);
        text.push_str(&format!("call to flip: {flip}\n"));
    }
    if let Some(report) = &report.acknowledged {
        text.push_str(acks(report).trim_end());
        text.push('\n');
    }
    let verb = if report.hidden { "hidden" } else { "wrote" };
    if report.layers.is_empty() {
        text.push_str("it wrote nothing\n");
    }
    for (layer, hides) in &report.layers {
        text.push_str(&format!("{verb} in {layer}: {}\n", hidden(hides)));
    }
    for (layer, derived) in report.derived.iter().filter(|(_, derived)| **derived > 0) {
        text.push_str(&format!("derived from it in {layer}: {derived} records of others\n"));
    }
    if report.ingest.is_none() {
        text.push_str(&show_drain(&report.drain, report.deployment, context));
    }
    text.push_str(&reach(report.reach));
    text.push_str(&effects(&report.side_effects, report.deployment.0));
    text.push_str(&super::back::stranded(&report.stranded, !report.hidden));
    text.push_str(&cut(&report.cut));
    if let Some(proof) = &report.verification {
        text.push_str(&show_proof(proof));
    }
    text
}

fn show_compensated(done: &Compensated) -> String {
    let mut text = String::new();
    for CallReport { id, tool, outcome, attempts, why, .. } in &done.reports {
        let attempts = attempts.filter(|attempts| *attempts > 1).map(|n| format!(" after {n} attempts"));
        let why = why.as_ref().map(|why| format!(": {why}"));
        text.push_str(&format!(
            "{id}  {tool}  {}{}{}\n",
            outcome.replace('_', " "),
            attempts.unwrap_or_default(),
            why.unwrap_or_default()
        ));
    }
    let Compensated { delivered, would_send, skipped, no_address, failed, unreported, .. } = done;
    text.push_str(&format!(
        "{delivered} delivered, {would_send} would be sent, {skipped} delivered before, {no_address} of agents without an \
         address, {failed} failed\n"
    ));
    if *unreported > 0 {
        text.push_str(&format!(
            "{unreported} calls were asked for through the gateway and not journaled: nobody can be told of these\n"
        ));
    }
    text.push_str(&cut(&done.cut));
    text
}
