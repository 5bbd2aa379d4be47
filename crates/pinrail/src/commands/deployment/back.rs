//! `pinrail deployment rollback`.

use pinrail_api::deployments::Flip;
use pinrail_api::deployments::back::{Hides, PassedOver, Plan, RollBack};
use pinrail_domain::dial::Stranded;
use pinrail_domain::id::AgentName;

use super::{or_nothing, runs, show_flip, total};
use crate::cli::Context;
use crate::exit::Usage;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail deployment rollback 3 --reason 'wrong refunds'
  pinrail deployment rollback 3 --cascade --dry-run
  pinrail deployment rollback 3 --cascade --reason 'and all that was concluded from it'
  pinrail deployment rollback 3 --to-callable --reason 'and the one before is gone at the provider'
  pinrail deployment rollback 3 --keep-state --reason 'slow, but right'

A rollback is one entry in the ledger, however much was written, and nothing blocks it. Nothing is deleted: what it hides
can be read with `as_of`, and `pinrail deployment verify` proves that everything else is as it was.")]
pub struct Args {
    id: u64,
    /// Why; the ledger keeps it, and whoever lifts the hold reads it
    #[arg(long, required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Pointers only: what it wrote counts on, until it is rolled back again without this
    #[arg(long, conflicts_with = "cascade")]
    keep_state: bool,
    /// Take along what others derived from its writes
    #[arg(long)]
    cascade: bool,
    /// Return to the newest release that can be called, as far as is known, and pass over what cannot
    #[arg(long)]
    to_callable: bool,
    /// Change nothing, and say what would be hidden, who is affected and what stays done
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let Args { id, reason, keep_state, cascade, to_callable, dry_run } = args;
    let path = format!("/api/v1/deployments/{id}/rollback");
    let body =
        RollBack { reason: reason.unwrap_or_default(), keep_state, cascade, callable: to_callable, dry_run };
    if dry_run {
        let reply = context.client.post::<Plan>(&path, &body)?;
        return Ok(context.out.reply(&reply, show)?);
    }
    if body.reason.trim().is_empty() {
        return Err(
            Usage("a rollback needs a reason: whoever lifts the hold must know why".to_owned()).into()
        );
    }
    let reply = context.client.post::<Flip>(&path, &body)?;
    let show = |flip: &Flip| {
        let over = passed_over(&flip.passed_over, &flip.uncallable, false);
        if over.is_empty() {
            show_flip(flip, None)
        } else {
            format!("{}\n{}", show_flip(flip, None), over.trim_end())
        }
    };
    Ok(context.out.reply(&reply, show)?)
}

fn show(plan: &Plan) -> String {
    let id = plan.deployment;
    let mut text = format!("deployment {id} is {}; nothing was changed. A rollback would:\n", plan.state);
    for (agent, to) in &plan.pointers {
        text.push_str(&format!("  serve {agent} from {}\n", or_nothing(*to)));
    }
    text.push_str(&passed_over(&plan.passed_over, &plan.uncallable, true));
    if total(plan.open_runs) > 0 {
        text.push_str(&format!("  let {} finish on its stamp\n", runs(plan.open_runs)));
    }
    match (plan.layers.is_empty(), plan.keep_state) {
        (true, true) => text.push_str("  hide nothing: what it wrote counts on\n"),
        (true, false) => text.push_str("  hide nothing: it wrote nothing\n"),
        (false, _) => {}
    }
    for (layer, hides) in &plan.layers {
        text.push_str(&format!("  hide in {layer}: {}\n", hidden(hides)));
    }
    for (deployment, records) in &plan.taken_along {
        text.push_str(&format!("  take along {records} records of deployment {deployment}\n"));
    }
    text.push_str(&stranded(&plan.stranded, true));
    text.push_str(&super::blast::reach(plan.reach));
    text.push_str(&super::blast::effects(&plan.side_effects, id.0));
    text.push_str(&super::blast::cut(&plan.cut));
    text
}

/// What a rollback to what can be called passes over, and why; a line each.
fn passed_over(passed: &[PassedOver], uncallable: &[AgentName], would: bool) -> String {
    let mut text = String::new();
    for PassedOver { agent, deployment, release, why } in passed {
        let short = release.short();
        let line = if uncallable.contains(agent) {
            format!("deployment {deployment} ({agent}={short}) cannot be called: {why}")
        } else {
            format!(
                "{} deployment {deployment} ({agent}={short}): {why}",
                if would { "pass over" } else { "passed over" }
            )
        };
        text.push_str(&format!("  {line}\n"));
    }
    for agent in uncallable {
        text.push_str(&format!(
            "  nothing that {agent} served before can be called: it goes where any rollback leads\n"
        ));
    }
    text
}

/// Fallbacks that answer nobody without the deployment; a line each, and what to do.
pub(super) fn stranded(stranded: &[Stranded], would: bool) -> String {
    let mut text: String = stranded.iter().map(|stranded| format!("  warning: {stranded}\n")).collect();
    if !stranded.is_empty() {
        let when = if would { "before that, name" } else { "name" };
        text.push_str(&format!(
            "  {when} another: `pinrail dial set AGENT fallback --release ID --reason …`, `[dial] fallback` in agent.toml\n"
        ));
    }
    text
}

/// What goes in a layer.
pub(super) fn hidden(hides: &Hides) -> String {
    let Hides { spaces, puts, deletes, taken_along } = *hides;
    let mut parts = vec![format!("{puts} records in {spaces} spaces")];
    if deletes > 0 {
        parts.push(format!("{deletes} deletes (what they deleted comes back)"));
    }
    if taken_along > 0 {
        parts.push(format!("{taken_along} of others that were derived from them"));
    }
    parts.join(", ")
}
