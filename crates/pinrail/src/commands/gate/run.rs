//! `pinrail gate run`: has a candidate judged, and follows that to its verdict.

use std::process::ExitCode;

use pinrail_api::gates::{Gate, StartGate, StartedGate, StartedGates};
use pinrail_api::problem::Code;
use pinrail_domain::id::{AgentName, DeploymentId, GateId};
use pinrail_domain::rollout::quantity::Usd;
use serde_json::json;

use super::follow::{self, COULD_NOT_RUN, Followed};
use crate::cli::Context;
use crate::client::ClientError;
use crate::exit::{self, Usage};
use crate::output::{money, talk, time};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail gate run 3
  pinrail gate run 3 --dry-run
  pinrail gate run support --candidate 9b0c7e --suite basics --budget 2.50
  pinrail gate run 3 --json | jq -r '.gates[].ended.verdict'

Exit codes: 0 pass, 1 fail, 2 inconclusive, 3 it could not be run, or was stopped. Of several agents' gates the worst counts.
A gate that asks the same already is followed, not started again.")]
pub struct Args {
    /// A candidate's deployment, or an agent with --candidate
    #[arg(value_name = "DEPLOYMENT|AGENT")]
    target: String,
    /// The agent's release to judge
    #[arg(long, value_name = "RELEASE")]
    candidate: Option<String>,
    /// The release to compare it with [default: what is served now]
    #[arg(long, value_name = "RELEASE", requires = "candidate")]
    incumbent: Option<String>,
    /// Only this suite; may be given again [default: all in the agent's settings]
    #[arg(long = "suite", value_name = "NAME")]
    suites: Vec<String>,
    /// How often each arm answers each case
    #[arg(long, value_name = "K")]
    repeats: Option<u32>,
    /// What it may cost, in US dollars
    #[arg(long, value_name = "USD", value_parser = |text: &str| text.parse::<Usd>().map_err(|bad| bad.to_string()))]
    budget: Option<Usd>,
    /// How many answers are asked for at once
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// Count answers that earlier gates have; they are marked
    #[arg(long)]
    reuse: bool,
    /// Only say what it would take
    #[arg(long, conflicts_with = "detach")]
    dry_run: bool,
    /// Start it and don't wait
    #[arg(long)]
    detach: bool,
    /// Why; the ledger keeps it with the verdict
    #[arg(long, default_value = "")]
    reason: String,
}

/// Runs gates; whatever goes wrong ends with the code that says that there is no verdict.
pub fn run(args: Args, context: &Context) -> ExitCode {
    match attempt(args, context) {
        Ok(code) => code,
        Err(error) => {
            exit::report(&error, context.out.is_json());
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}

fn attempt(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (dry_run, detach) = (args.dry_run, args.detach);
    let wish = wish(args)?;
    let started = match context.client.post::<StartedGates>("/api/v1/gates", &wish) {
        Ok(reply) => reply,
        Err(error) => match already_running(&error).filter(|_| !dry_run && !detach) {
            Some(gate) => {
                talk(&format!("{gate} asks the same already: following it"));
                return follow_all(&[gate], context);
            }
            None => return Err(error.into()),
        },
    };
    if dry_run || detach {
        context.out.reply(&started, |started| started.gates.iter().map(told).collect())?;
        return Ok(ExitCode::SUCCESS);
    }
    started.value.gates.iter().for_each(|gate| talk(told(gate).trim_end()));
    let gates: Vec<GateId> = started.value.gates.iter().filter_map(|gate| gate.gate).collect();
    follow_all(&gates, context)
}

fn wish(args: Args) -> Result<StartGate, Usage> {
    let Args {
        target,
        candidate,
        incumbent,
        suites,
        repeats,
        budget,
        concurrency,
        reuse,
        dry_run,
        reason,
        ..
    } = args;
    let (mut deployment, mut agent) = (None, None);
    match (target.parse::<u64>(), &candidate) {
        (Ok(id), None) => deployment = Some(DeploymentId(id)),
        (_, Some(_)) => {
            let name = target.parse::<AgentName>();
            agent = Some(name.map_err(|bad| Usage(format!("`{target}` is {bad}")))?);
        }
        (Err(_), None) => {
            return Err(Usage(format!(
                "`{target}` is no deployment's number; of an agent, name the release to judge: --candidate RELEASE"
            )));
        }
    }
    Ok(StartGate {
        deployment,
        agent,
        candidate,
        incumbent,
        suites,
        repeats,
        budget,
        concurrency,
        reuse,
        dry_run,
        reason,
    })
}

/// Follows gates one after the other, while all of them run; shows how they ended.
fn follow_all(gates: &[GateId], context: &Context) -> anyhow::Result<ExitCode> {
    let mut ended: Vec<Followed> = Vec::with_capacity(gates.len());
    for gate in gates {
        let followed = follow::to_its_end(*gate, context)?;
        if !context.out.is_json() {
            context.out.data(&follow::shown(&followed.gate, context))?;
        }
        ended.push(followed);
    }
    if context.out.is_json() {
        let gates: Vec<&Gate> = ended.iter().map(|followed| &followed.gate).collect();
        context.out.value(&json!({ "gates": gates }), String::new)?;
    }
    Ok(follow::worst(&ended))
}

/// The gate that asks the same, where that is why none was started.
fn already_running(error: &ClientError) -> Option<GateId> {
    let ClientError::Refused(problem) = error else { return None };
    let is_it = problem.code == Code::GateState;
    problem.facts.get("gate").filter(|_| is_it)?.as_str()?.parse().ok()
}

/// What was started, or would be, and what that takes.
fn told(started: &StartedGate) -> String {
    let StartedGate { gate, agent, candidate, incumbent, suites, repeats, estimate } = started;
    let name = gate.map(|gate| format!("{gate}: ")).unwrap_or_default();
    let against = incumbent.map_or("alone".to_owned(), |incumbent| format!("against {}", incumbent.short()));
    let cost = match estimate.cost_nano_usd {
        Some(cost) => format!("about {}", money::about(cost)),
        None => "at an unknown price, which the budget can't stop".to_owned(),
    };
    let over = estimate.cost_nano_usd.is_some_and(|cost| cost > estimate.budget_nano_usd);
    let budget = money::cost(estimate.budget_nano_usd);
    let budget = if over { format!("more than the budget of {budget}") } else { format!("budget {budget}") };
    format!(
        "{name}{agent}={} {against}, {}: {} answers to {} cases, {repeats} each; {} k tokens, {cost} ({budget}), some {} at 3 s a call\n",
        candidate.short(),
        suites.join(", "),
        estimate.answers,
        estimate.cases,
        (estimate.input_tokens + estimate.output_tokens) / 1_000,
        time::span(estimate.time_ms),
    )
}
