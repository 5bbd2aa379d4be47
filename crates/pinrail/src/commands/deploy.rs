//! `pinrail deploy`: opens a deployment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pinrail_api::deployments::rollout::{Outlined, WantedRollout};
use pinrail_api::deployments::{Flip, OpenDeployment};
use pinrail_domain::id::{AgentName, IngestName, SegmentName};
use pinrail_domain::rollout::RolloutSpec;
use pinrail_domain::share::Share;

use super::deployment::show_flip;
use crate::cli::Context;
use crate::exit::Usage;
use crate::files::BadFiles;
use crate::files::section::read_file;

mod outline;

/// Put releases in front of traffic, one agent or several together
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail deploy support=4f1c22 --now --reason 'first release'
  pinrail deploy support=9ab01d                                 step by step, as the agent's plan says
  pinrail deploy support=9ab01d --dry-run                       what each step needs, and how long that takes
  pinrail deploy support=9ab01d --plan careful.toml             with another plan
  pinrail deploy support=9ab01d --weight 5%                     a canary by hand
  pinrail deploy planner=11aa22 executor=33bb44 --now           both at once, or neither
  pinrail deploy support=9ab01d --segment enterprise --now --lift-hold
  pinrail deploy open --ingest docs-november                    for a data job: commit or take back its writes as one

Release ids may be cut to 6 or more hex digits. Without --now and --weight the candidate follows the plan in agent.toml, or its
tier's; `pinrail deployment show ID` says where it stands. `pinrail deployment promote ID` gives a candidate all traffic,
`pinrail deployment rollback ID` takes it back. docs/rollouts.md explains plans.")]
#[command(group = clap::ArgGroup::new("traffic"))]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// An agent and its release
    #[arg(required = true, value_name = "AGENT=RELEASE", value_parser = parse_pair)]
    releases: Vec<(AgentName, String)>,
    /// Segment of the agents' traffic [default: default]
    #[arg(long)]
    segment: Option<SegmentName>,
    /// All traffic at once
    #[arg(long, group = "traffic")]
    now: bool,
    /// A canary's share of traffic, such as 5% or 0.25%, set by hand from then on
    #[arg(long, value_name = "SHARE", group = "traffic", allow_hyphen_values = true)]
    weight: Option<Share>,
    /// A rollout with the plan in this file: TOML with what agent.toml has in [rollout]
    #[arg(long, value_name = "FILE", group = "traffic")]
    plan: Option<PathBuf>,
    /// Open nothing, and say what each step needs and how long that is likely to take
    #[arg(long)]
    dry_run: bool,
    /// Why; the ledger keeps it
    #[arg(long, default_value = "")]
    reason: String,
    /// Lift the hold of an earlier rollback with it
    #[arg(long)]
    lift_hold: bool,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Open a deployment for a data job: what is written in its name commits or aborts as one
    #[command(after_help = "Examples:
  pinrail deploy open --ingest docs-november --reason 'the new handbook'
  pinrail deployment commit 7 --reason 'counts are right'       everybody sees it from then on
  pinrail deployment rollback 7 --reason 'wrong language'       before or after the commit")]
    Open {
        /// The job's name; one job of a name is open at a time
        #[arg(long, value_name = "NAME")]
        ingest: IngestName,
        /// Why; the ledger keeps it
        #[arg(long, default_value = "")]
        reason: String,
    },
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    if let Some(What::Open { ingest, reason }) = args.what {
        return open_ingest(ingest, reason, context);
    }
    let Args { what: _, releases, segment, now, weight, plan, dry_run, reason, lift_hold } = args;
    let count = releases.len();
    let releases: BTreeMap<AgentName, String> = releases.into_iter().collect();
    if releases.len() < count {
        return Err(Usage("an agent is named twice; a deployment runs one release of each".to_owned()).into());
    }
    let rollout = match plan {
        Some(file) => Some(WantedRollout::Own(Box::new(read_plan(&file)?))),
        None if !now && weight.is_none() => Some(WantedRollout::Agents(true)),
        None => None,
    };
    let is_rollout = rollout.is_some();
    let wish =
        OpenDeployment { releases, ingest: None, segment, now, weight, rollout, reason, lift_hold, dry_run };
    if dry_run {
        let reply = context.client.post::<Outlined>("/api/v1/deployments", &wish)?;
        return Ok(context.out.reply(&reply, outline::show)?);
    }
    let reply = context.client.post::<Flip>("/api/v1/deployments", &wish)?;
    context.out.reply(&reply, |flip| {
        let id = flip.deployment;
        let next = format!("  where it stands:  pinrail deployment show {id}\n");
        show_flip(flip, weight) + if is_rollout { &next } else { "" }
    })?;
    Ok(())
}

/// A plan in a file: what `agent.toml` has in `[rollout]`, with or without that heading.
fn read_plan(file: &Path) -> anyhow::Result<RolloutSpec> {
    let mut faults = Vec::new();
    let read = read_file(file, file, &mut faults, |section| {
        if section.has("rollout") {
            return section.get("rollout");
        }
        let (steps, guardrails) = (section.get("steps"), section.get("guardrails"));
        Some(RolloutSpec { steps, guardrails, alpha: section.get("alpha") })
    });
    read.ok_or_else(|| BadFiles(faults).into())
}

fn open_ingest(ingest: IngestName, reason: String, context: &Context) -> anyhow::Result<()> {
    let wish = OpenDeployment {
        releases: BTreeMap::new(),
        ingest: Some(ingest),
        segment: None,
        now: false,
        weight: None,
        rollout: None,
        reason,
        lift_hold: false,
        dry_run: false,
    };
    let reply = context.client.post::<Flip>("/api/v1/deployments", &wish)?;
    context.out.reply(&reply, |flip| {
        let id = flip.deployment;
        format!(
            "deployment {id} is open for data job {} (epoch {}, ledger entry {})\n\
             \n  write in its name:  \"deployment\": {id} in the body of writes to memory, context or vectors\
             \n  see it as it will be:  `?deployment={id}` on reads\
             \n  make it count:  pinrail deployment commit {id}\
             \n  take it back:  pinrail deployment rollback {id} --reason …\n",
            flip.ingest.as_ref().map(ToString::to_string).unwrap_or_default(),
            flip.epoch,
            flip.seq
        )
    })?;
    Ok(())
}

fn parse_pair(text: &str) -> Result<(AgentName, String), String> {
    let (agent, release) = text.split_once('=').ok_or("expected AGENT=RELEASE, such as support=4f1c22")?;
    let hex = release.strip_prefix("sha256:").unwrap_or(release);
    if hex.is_empty() || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!(
            "`{release}` is not a release id: expected hex digits (`pinrail release list` shows them)"
        ));
    }
    Ok((AgentName::new(agent).map_err(|bad| bad.to_string())?, release.to_ascii_lowercase()))
}
