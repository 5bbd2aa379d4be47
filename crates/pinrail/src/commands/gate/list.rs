//! `pinrail gate list`: gates, newest first.

use pinrail_api::Page;
use pinrail_api::gates::Gate;
use pinrail_domain::id::{AgentName, GateId};
use pinrail_domain::time::Clock as _;

use crate::cli::Context;
use crate::client::Query;
use crate::commands::paging::with_next;
use crate::output::{money, table, time};
use crate::system::SystemClock;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only gates of this agent
    #[arg(long)]
    agent: Option<AgentName>,
    /// Only gates of this deployment
    #[arg(long, value_name = "ID")]
    deployment: Option<u64>,
    /// Only gates in this state
    #[arg(long)]
    status: Option<Status>,
    /// Only gates before this one: the next page
    #[arg(long, value_name = "GATE")]
    before: Option<GateId>,
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Status {
    Running,
    Finished,
    Failed,
    Cancelled,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let status = args.status.map(|status| match status {
        Status::Running => "running",
        Status::Finished => "finished",
        Status::Failed => "failed",
        Status::Cancelled => "cancelled",
    });
    let path = Query::default()
        .add("agent", args.agent.as_ref())
        .add("deployment", args.deployment)
        .add("status", status)
        .add("before", args.before)
        .add("limit", args.limit)
        .on("/api/v1/gates");
    let reply = context.client.get::<Page<Gate>>(&path)?;
    let now = SystemClock::start().now();
    context.out.reply(&reply, |page| {
        let header =
            ["gate", "agent", "deployment", "candidate", "incumbent", "state", "answers", "cost", "begun"];
        let rows = page.items.iter().map(|gate| {
            let verdict = gate.ended.as_ref().and_then(|ended| ended.verdict);
            vec![
                gate.gate.to_string(),
                gate.agent.to_string(),
                table::or_dash(gate.deployment),
                gate.candidate.short(),
                table::or_dash(gate.incumbent.map(|release| release.short())),
                verdict.map_or_else(|| gate.status.clone(), |verdict| verdict.as_str().to_owned()),
                format!("{}/{}", gate.progress.done, gate.progress.total),
                money::cost(gate.progress.spent_nano_usd),
                time::relative(now, gate.created_at),
            ]
        });
        let empty = "no gates: `pinrail gate run DEPLOYMENT` starts one";
        with_next(table::table(&header, rows.collect(), empty), "--before", page.next.as_ref())
    })?;
    Ok(())
}
