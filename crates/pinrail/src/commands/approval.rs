//! `pinrail approval`: tool calls that wait for a person.

use pinrail_api::Page;
use pinrail_api::approvals::{Approval, Decide};
use pinrail_domain::approval::{ApprovalState, who};
use pinrail_domain::id::{AgentName, ApprovalId, RunId, TenantId, ToolName};

use super::paging::with_next;
use crate::cli::Context;
use crate::client::Query;
use crate::output::table::{or_dash, pairs, table};
use crate::output::{one_line, time};

/// Decide about tool calls that wait for a person
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail approval list
  pinrail approval list --state denied --agent support
  pinrail approval show appr_01k0zw…
  pinrail approval approve appr_01k0zw… --reason 'checked the order'
  pinrail approval deny appr_01k0zw… --reason 'twice already'

Calls wait where the dial stands at supervised (`pinrail dial set AGENT supervised --reason …`). Each is decided once and in
time, and made once.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the calls, newest first
    List(List),
    /// Show one call with its arguments, as far as they are kept
    Show { approval: ApprovalId },
    /// Let the call be made, once
    Approve(Said),
    /// Keep the call from being made
    Deny(Said),
}

#[derive(Debug, clap::Args)]
struct List {
    /// pending, approved, denied, expired or used
    #[arg(long, default_value = "pending")]
    state: ApprovalState,
    /// Calls in every state
    #[arg(long, conflicts_with = "state")]
    all: bool,
    #[arg(long)]
    agent: Option<AgentName>,
    #[arg(long)]
    tool: Option<ToolName>,
    #[arg(long)]
    run: Option<RunId>,
    #[arg(long)]
    tenant: Option<TenantId>,
    /// The next page, as the page before names it
    #[arg(long)]
    before: Option<ApprovalId>,
    #[arg(long)]
    limit: Option<usize>,
}

#[derive(Debug, clap::Args)]
struct Said {
    approval: ApprovalId,
    /// Why; the run's journal keeps it
    #[arg(long, default_value = "")]
    reason: String,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match args.what {
        What::List(wish) => list(wish, context),
        What::Show { approval } => {
            let reply = context.client.get::<Approval>(&format!("/api/v1/approvals/{approval}"))?;
            Ok(context.out.reply(&reply, |approval| show(approval, context))?)
        }
        What::Approve(said) => decide(said, "approve", context),
        What::Deny(said) => decide(said, "deny", context),
    }
}

fn list(wish: List, context: &Context) -> anyhow::Result<()> {
    let List { state, all, agent, tool, run, tenant, before, limit } = wish;
    let path = Query::default()
        .add("state", (!all).then_some(state))
        .add("agent", agent)
        .add("tool", tool)
        .add("run", run)
        .add("tenant", tenant)
        .add("before", before)
        .add("limit", limit)
        .on("/api/v1/approvals");
    let reply = context.client.get::<Page<Approval>>(&path)?;
    context.out.reply(&reply, |page| {
        let rows = page.items.iter().map(|approval| row(approval, context)).collect();
        let header = ["approval", "state", "agent", "tenant", "tool", "arguments", "asked", "expires"];
        let listed = table(&header, rows, "no call waits for a person");
        with_next(listed, "--before", page.next.as_ref())
    })?;
    Ok(())
}

fn row(approval: &Approval, context: &Context) -> Vec<String> {
    vec![
        approval.approval.to_string(),
        approval.state.to_string(),
        approval.agent.to_string(),
        approval.tenant.to_string(),
        approval.tool.to_string(),
        or_dash(approval.arguments.as_ref().map(|text| one_line(text, 50))),
        time::relative(context.now, approval.asked_at),
        approval.expires_at.rfc3339(),
    ]
}

fn show(approval: &Approval, context: &Context) -> String {
    let decided = approval.decision.as_ref().map(|decision| {
        let verdict = if decision.approved { "approved" } else { "denied" };
        let when = time::relative(context.now, decision.at);
        format!("{verdict} by {}, {when}: {}", who(&decision.by), decision.reason)
    });
    let arguments = match (&approval.arguments, approval.arguments_digest) {
        (Some(text), _) if approval.truncated => format!("{text} … (cut)"),
        (Some(text), _) => text.clone(),
        (None, Some(digest)) => format!("not kept, {digest}"),
        (None, None) => "not kept".to_owned(),
    };
    let Approval { state, agent, segment, tenant, run, release, deployment, tool, why, .. } = approval;
    let asked = time::relative(context.now, approval.asked_at);
    let used = approval.used.map(|used| format!("{}, by {}", time::relative(context.now, used.at), used.run));
    pairs(&[
        ("approval", Some(approval.approval.to_string())),
        ("state", Some(state.to_string())),
        ("agent", Some(format!("{agent}, segment {segment}, tenant {tenant}"))),
        ("run", Some(run.to_string())),
        ("session", approval.session.as_ref().map(ToString::to_string)),
        ("release", Some(format!("{} in deployment {deployment}", release.short()))),
        ("tool", Some(tool.to_string())),
        ("arguments", Some(arguments)),
        ("asked", Some(format!("{asked}: {why}"))),
        ("expires", Some(approval.expires_at.rfc3339())),
        ("decided", decided),
        ("used", used),
    ])
}

fn decide(said: Said, verb: &str, context: &Context) -> anyhow::Result<()> {
    let Said { approval, reason } = said;
    let path = format!("/api/v1/approvals/{approval}/{verb}");
    let reply = context.client.post::<Approval>(&path, &Decide { reason })?;
    context.out.reply(&reply, |approval| match approval.state {
        ApprovalState::Approved => {
            let until = approval.expires_at.rfc3339();
            format!(
                "{} is approved: `{}` may be called once, until {until}",
                approval.approval, approval.tool
            )
        }
        ApprovalState::Pending | ApprovalState::Denied | ApprovalState::Expired | ApprovalState::Used => {
            format!("{} is {}", approval.approval, approval.state)
        }
    })?;
    Ok(())
}
