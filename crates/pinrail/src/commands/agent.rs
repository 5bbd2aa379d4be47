//! `pinrail agent`: the agents that the server knows. Files make them (`pinrail apply`).

use std::process::ExitCode;

use pinrail_api::Page;
use pinrail_api::agents::{Agent, Explained};
use pinrail_domain::agent::Segment;
use pinrail_domain::explain::{Demand, State};
use pinrail_domain::id::AgentName;

use super::paging::{After, with_next};
use crate::cli::Context;
use crate::client::escape;
use crate::exit;
use crate::output::table::{or_dash, pairs, table};

/// Show agents: their tier, segments and journal policy
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail agent list
  pinrail agent show support
  pinrail agent explain support         what its tier demands, and what is missing

`pinrail apply` makes and changes agents.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List all agents
    List(After),
    /// Show one agent
    Show { agent: AgentName },
    /// Say what the agent's tier demands, what of that is met, and what is missing; exit code 1 when something is
    Explain { agent: AgentName },
}

/// Says what became of it: `explain` ends with 1 where something is missing.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::List(page) => {
            let reply = context.client.get::<Page<Agent>>(&page.on("/api/v1/agents"))?;
            context.out.reply(&reply, |page| with_next(list(&page.items), "--after", page.next.as_ref()))?;
        }
        What::Show { agent } => {
            let path = format!("/api/v1/agents/{}", escape(agent.as_str()));
            let reply = context.client.get::<Agent>(&path)?;
            context.out.reply(&reply, show)?;
        }
        What::Explain { agent } => {
            let path = format!("/api/v1/agents/{}/explain", escape(agent.as_str()));
            let reply = context.client.get::<Explained>(&path)?;
            context.out.reply(&reply, explained)?;
            if !reply.value.met {
                return Ok(ExitCode::from(exit::FAILED));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(agents: &[Agent]) -> String {
    let rows = agents.iter().map(|Agent { agent, spec }| {
        let segments = spec.segments.iter().map(|segment| segment.name.to_string()).collect::<Vec<_>>();
        let segments = if segments.is_empty() { None } else { Some(segments.join(", ")) };
        vec![agent.to_string(), spec.tier.to_string(), or_dash(segments), spec.description.clone()]
    });
    let empty = "no agents; `pinrail init` and `pinrail apply` make one";
    table(&["agent", "tier", "segments", "description"], rows.collect(), empty)
}

fn show(Agent { agent, spec }: &Agent) -> String {
    let description = Some(spec.description.clone()).filter(|text| !text.is_empty());
    let bodies = format!("{:?}", spec.journal.bodies).to_lowercase();
    let mut text = pairs(&[
        ("agent", Some(agent.to_string())),
        ("tier", Some(spec.tier.to_string())),
        ("description", description),
        ("journal bodies", Some(bodies)),
    ]);
    text.push_str("segments, the first match wins:\n");
    for segment in &spec.segments {
        text.push_str(&format!("  {}: {}\n", segment.name, conditions(segment)));
    }
    text.push_str("  default: everything else\n");
    text
}

fn explained(told: &Explained) -> String {
    let Explained { agent, tier, met: _, demands } = told;
    let missing = demands.iter().filter(|demand| demand.state == State::Missing).count();
    let mut text = match missing {
        0 => format!("{agent} is of tier {tier}: nothing that it demands is missing\n"),
        _ => format!("{agent} is of tier {tier}: {missing} of {} demands are MISSING\n", demands.len()),
    };
    for Demand { what, demanded, state, why, next_step } in demands {
        let state = match state {
            State::Met => "met    ",
            State::Missing => "MISSING",
            State::Unknown => "unknown",
        };
        text.push_str(&format!("\n{state}  {what}: {demanded}\n         {why}\n"));
        if let Some(next_step) = next_step {
            text.push_str(&format!("         next: {next_step}\n"));
        }
    }
    text
}

fn conditions(segment: &Segment) -> String {
    let tenants = segment.tenants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let tenants =
        Some(tenants).filter(|names| !names.is_empty()).map(|names| format!("tenant is one of {names}"));
    let attributes =
        segment.attributes.iter().map(|(name, values)| format!("{name} is one of {}", values.join(", ")));
    tenants.into_iter().chain(attributes).collect::<Vec<_>>().join(" and ")
}
