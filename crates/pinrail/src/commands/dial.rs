//! `pinrail dial`: the graduated switch between everything on and everything off.

use pinrail_api::dial::{Dial, DialSetting, DialTurned, InForce, SetDial, ToolInForce};
use pinrail_domain::approval::who;
use pinrail_domain::dial::{Place, Position};
use pinrail_domain::id::{AgentName, SegmentName, TenantId, ToolName};

use crate::cli::Context;
use crate::client::Query;
use crate::output::table::{or_dash, table};
use crate::output::{one_line, time};

/// Turn agents, tenants and tools down and up again, and see where the dial stands
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail dial set support read_only --reason 'refunds look odd'
  pinrail dial set support fallback --release 4f1c22 --reason 'the new one is slow'
  pinrail dial set support canned --text 'Back at noon.' --reason maintenance
  pinrail dial set support off --tenant acme --reason 'they asked for it'
  pinrail dial set --tool send_mail off --reason spam
  pinrail dial set --all off --reason 'incident 7'
  pinrail dial show
  pinrail dial show support --tenant acme --tool issue_refund

Positions, each taking away more than the one before: full, supervised (a person approves each call with side effects),
read_only (no such calls), fallback (another release answers), canned (a text answers), off. docs/dial.md says it all.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Turn the dial
    Set(Set),
    /// Show where it stands, or what that leaves of one caller's calls
    Show(Show),
}

#[derive(Debug, clap::Args)]
struct Set {
    /// AGENT and POSITION; with --all, --tenant or --tool the agent may be left out
    #[arg(required = true, num_args = 1..=2, value_names = ["AGENT", "POSITION"])]
    names: Vec<String>,
    /// Only this segment of the agent
    #[arg(long)]
    segment: Option<SegmentName>,
    /// Only this tenant
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Only this tool: full, supervised or off
    #[arg(long)]
    tool: Option<ToolName>,
    /// Everywhere
    #[arg(long, conflicts_with_all = ["segment", "tenant", "tool"])]
    all: bool,
    /// At fallback: who answers, by 6 or more digits of its id
    #[arg(long)]
    release: Option<String>,
    /// At canned: what is said
    #[arg(long)]
    text: Option<String>,
    /// Why; the ledger keeps it, and refusals repeat it
    #[arg(long)]
    reason: String,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// What is in force for this agent's callers
    agent: Option<AgentName>,
    #[arg(long, requires = "agent")]
    segment: Option<SegmentName>,
    #[arg(long, requires = "agent")]
    tenant: Option<TenantId>,
    #[arg(long, requires = "agent")]
    tool: Option<ToolName>,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match args.what {
        What::Set(wish) => set(wish, context),
        What::Show(wish) => show(wish, context),
    }
}

fn set(wish: Set, context: &Context) -> anyhow::Result<()> {
    let Set { names, segment, tenant, tool, all, release, text, reason } = wish;
    let (agent, position) = match &names[..] {
        [agent, position] => (Some(agent.parse::<AgentName>()?), position),
        [position] if all || tenant.is_some() || tool.is_some() => (None, position),
        _ => anyhow::bail!("name an agent and a position, such as `pinrail dial set support off`; or --all"),
    };
    anyhow::ensure!(!(all && agent.is_some()), "--all names no agent: leave one of the two out");
    let position: Position = position.parse()?;
    let place = Place { agent, segment, tenant, tool };
    let reply = context
        .client
        .put::<DialTurned>("/api/v1/dial", &SetDial { place, position, release, text, reason })?;
    context.out.reply(&reply, |turned| {
        let DialTurned { place, position, changed, epoch, recorded } = turned;
        let stands = if *changed { "stands" } else { "stood already" };
        let mut text = format!("the dial of {place} {stands} at {position} (epoch {epoch})");
        if !recorded {
            text.push_str(
                "\nNOT RECORDED: the store can't be written. It is in force in this server alone, survives its restart, and is \
                 written to the ledger when the store is back; other servers don't know of it until then",
            );
        }
        text
    })?;
    Ok(())
}

fn show(wish: Show, context: &Context) -> anyhow::Result<()> {
    let Show { agent, segment, tenant, tool } = wish;
    let path = Query::default()
        .add("agent", agent.as_ref())
        .add("segment", segment)
        .add("tenant", tenant)
        .add("tool", tool)
        .on("/api/v1/dial");
    let reply = context.client.get::<Dial>(&path)?;
    context.out.reply(&reply, |dial| match (&dial.in_force, &agent) {
        (Some(force), Some(agent)) => in_force(agent, force),
        (Some(_) | None, _) => all(dial, context),
    })?;
    Ok(())
}

fn in_force(agent: &AgentName, force: &InForce) -> String {
    let why = |place: &Option<String>, reason: &Option<String>| match (place, reason) {
        (Some(place), Some(reason)) => format!(", by the dial of {place}: {reason}"),
        (Some(place), None) => format!(", by the dial of {place}"),
        (None, _) => String::new(),
    };
    let mut text = format!("{agent} is at {}{}", force.position, why(&force.place, &force.reason));
    for ToolInForce { tool, rule, rule_with_side_effects, place, reason } in &force.tools {
        let rule = match rule == rule_with_side_effects {
            true => rule.to_string(),
            false => format!("{rule}, with side effects {rule_with_side_effects}"),
        };
        text.push_str(&format!("\ntool {tool}: {rule}{}", why(place, reason)));
    }
    text
}

fn all(dial: &Dial, context: &Context) -> String {
    let row = |setting: &DialSetting| {
        let DialSetting { place, position, release, text, since, by, reason, recorded, .. } = setting;
        let answers =
            release.map(|release| release.short()).or_else(|| text.as_ref().map(|text| one_line(text, 40)));
        vec![
            position.to_string(),
            place.to_string(),
            or_dash(answers),
            time::relative(context.now, *since),
            who(by),
            one_line(reason, 60),
            if *recorded { "yes" } else { "NO" }.to_owned(),
        ]
    };
    let rows = dial.settings.iter().map(row).collect();
    let header = ["position", "place", "answers", "since", "by", "reason", "recorded"];
    table(&header, rows, "everything is on; `pinrail dial set AGENT POSITION --reason …` turns it down")
}
