//! `pinrail agent`: the agents that the server knows. Files make them (`pinrail apply`).

use pinrail_api::Page;
use pinrail_api::agents::Agent;
use pinrail_domain::agent::Segment;
use pinrail_domain::id::AgentName;

use super::paging::{After, with_next};
use crate::cli::Context;
use crate::client::escape;
use crate::output::table::{or_dash, pairs, table};

/// Show agents: their tier, segments and journal policy
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail agent list
  pinrail agent show support

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
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
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
    }
    Ok(())
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

fn conditions(segment: &Segment) -> String {
    let tenants = segment.tenants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let tenants =
        Some(tenants).filter(|names| !names.is_empty()).map(|names| format!("tenant is one of {names}"));
    let attributes =
        segment.attributes.iter().map(|(name, values)| format!("{name} is one of {}", values.join(", ")));
    tenants.into_iter().chain(attributes).collect::<Vec<_>>().join(" and ")
}
