//! `pinrail run`: lists, shows and follows runs, and speaks for a worker by hand.

use pinrail_api::runs::{
    CreateRun, Events, FinishRun, NewScore, Run, RunChanged, RunCreated, RunResumed, ScoreRun,
};
use pinrail_domain::id::{AgentName, RunId, SessionId, TenantId};
use pinrail_domain::journal::{Outcome, RunStatus, Summary};
use pinrail_domain::routes::Via;
use serde_json::json;
use serde_json::value::RawValue;

use crate::cli::Context;
use crate::client::Query;
use crate::output::table::{or_dash, pairs};
use crate::output::{event, money, time};

mod list;
mod tail;

/// List, show and follow runs
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail run list --agent support --status running
  pinrail run list --release 4f1c22 --since 2h --outcome error
  pinrail run list --text 'where is my order' --since 7d   looks through what runs say, newest first
  pinrail run show run_01j…
  pinrail run tail run_01j…                           follows one run to its end
  pinrail run tail --agent support                    follows the newest runs
  pinrail run create support --tenant acme --session s-17 --attribute plan=gold
  pinrail run finish run_01j… --outcome ok
  pinrail run score run_01j… helpful=0.8 on-topic=1   also long after its end")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List runs, newest first
    List(list::List),
    /// Show a run's stamp, totals and events
    Show { id: RunId },
    /// Follow one run's events to its end, or the newest runs
    Tail(tail::Tail),
    /// Create a run: bound for life to what is deployed now
    Create(Create),
    /// End a run
    Finish {
        id: RunId,
        /// ok, error or cancelled
        #[arg(long, value_parser = parse_outcome)]
        outcome: Outcome,
        #[arg(long)]
        why: Option<String>,
    },
    /// Say how good a run was, from 0 to 1; the newest score of a name counts
    Score {
        id: RunId,
        /// Such as helpful=0.8
        #[arg(value_name = "NAME=VALUE", required = true, value_parser = parse_score)]
        scores: Vec<(String, f64)>,
        /// Why; kept with each of the scores
        #[arg(long)]
        comment: Option<String>,
    },
    /// Get what a worker needs to go on with a run, on the stamp it always had
    Resume { id: RunId },
}

/// Which runs.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Filter {
    #[arg(long)]
    agent: Option<AgentName>,
    /// Release id or the first 6 or more digits of it
    #[arg(long)]
    release: Option<String>,
    #[arg(long, value_name = "ID")]
    deployment: Option<u64>,
    /// queued, running, paused, parked or finished
    #[arg(long)]
    status: Option<RunStatus>,
    /// Only runs that ended so: ok, error or cancelled
    #[arg(long, value_parser = parse_outcome)]
    outcome: Option<Outcome>,
    #[arg(long)]
    tenant: Option<TenantId>,
    #[arg(long)]
    session: Option<SessionId>,
    /// Only runs that answer copies of live requests, which else are left out
    #[arg(long)]
    shadow: bool,
    /// Only runs in which gates ask, which else are left out
    #[arg(long)]
    gate: bool,
}

#[derive(Debug, clap::Args)]
struct Create {
    agent: AgentName,
    #[arg(long)]
    tenant: Option<TenantId>,
    #[arg(long)]
    session: Option<SessionId>,
    /// What segments match on
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = parse_attribute)]
    attributes: Vec<(String, String)>,
    /// The run that this one is a part of: it inherits that one's deployment
    #[arg(long, value_name = "RUN")]
    parent: Option<RunId>,
    /// It waits for a worker
    #[arg(long)]
    queued: bool,
}

const PATH: &str = "/api/v1/runs";

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match args.what {
        What::List(list) => list.show(context),
        What::Show { id } => show(id, context),
        What::Tail(tail) => tail.follow(context),
        What::Create(create) => create_run(create, context),
        What::Finish { id, outcome, why } => {
            let path = format!("{PATH}/{id}/finish");
            let reply = context.client.post::<RunChanged>(&path, &FinishRun { outcome, why })?;
            Ok(context
                .out
                .reply(&reply, |changed| format!("{} is {}", changed.run, status(&changed.summary)))?)
        }
        What::Score { id, scores, comment } => score(id, scores, comment, context),
        What::Resume { id } => resume(id, context),
    }
}

impl Filter {
    /// The filter as a query.
    pub fn query(&self) -> Query {
        Query::default()
            .add("agent", self.agent.as_ref())
            .add("release", self.release.as_ref())
            .add("deployment", self.deployment)
            .add("status", self.status)
            .add("outcome", self.outcome.map(Outcome::word))
            .add("tenant", self.tenant.as_ref())
            .add("session", self.session.as_ref())
            .add("shadow", self.shadow.then_some("true"))
            .add("gate", self.gate.then_some("true"))
    }
}

const HEADER: [&str; 9] =
    ["run", "started", "agent", "deployment", "release", "tenant", "session", "status", "cost"];

fn row(run: &Run, context: &Context) -> Vec<String> {
    let Run { run, stamp, summary } = run;
    let drifted = if summary.drifted { ", drifted" } else { "" };
    vec![
        run.to_string(),
        time::relative(context.now, summary.started_at),
        stamp.agent.to_string(),
        stamp.deployment.to_string(),
        stamp.release.short(),
        stamp.tenant.to_string(),
        or_dash(stamp.session.as_ref()),
        format!("{}{drifted}", status(summary)),
        money::cost(summary.cost_nano_usd),
    ]
}

fn show(id: RunId, context: &Context) -> anyhow::Result<()> {
    let run = context.client.get::<Run>(&format!("{PATH}/{id}"))?;
    let mut pages: Vec<Box<RawValue>> = Vec::new();
    let mut timeline = String::new();
    let mut from = 0;
    loop {
        let path = Query::default().add("from", Some(from)).on(&format!("{PATH}/{id}/events"));
        let page = context.client.get::<Events>(&path)?;
        if page.value.events.is_empty() {
            break;
        }
        timeline.extend(page.value.events.iter().map(|recorded| event::line(recorded) + "\n"));
        let raw: RawEvents = serde_json::from_str(page.raw.get())?;
        pages.extend(raw.events);
        anyhow::ensure!(page.value.next.0 > from, "the server sent the same events again");
        from = page.value.next.0;
        if from >= run.value.summary.next.0 {
            break;
        }
    }
    let all = json!({ "run": run.raw, "events": pages });
    context.out.value(&all, || format!("{}events\n{timeline}", head(&run.value, context)))?;
    Ok(())
}

/// A page's events exactly as they came.
#[derive(serde::Deserialize)]
struct RawEvents {
    events: Vec<Box<RawValue>>,
}

fn head(run: &Run, context: &Context) -> String {
    let Run { run, stamp, summary } = run;
    let attributes =
        stamp.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    let tokens =
        format!("{} calls, {} tokens in, {} out", summary.calls, summary.input_tokens, summary.output_tokens);
    let drift = "something else than the pin answered at least once".to_owned();
    let via = via(stamp.via);
    pairs(&[
        ("run", Some(run.to_string())),
        ("agent", Some(stamp.agent.to_string())),
        ("status", Some(status(summary))),
        ("started", Some(time::both(context.now, summary.started_at))),
        (
            "deployment",
            Some(format!("{} (segment {}, epoch {}, {via})", stamp.deployment, stamp.segment, stamp.epoch)),
        ),
        ("release", Some(stamp.release.to_string())),
        ("model", Some(format!("{} ({})", stamp.snapshot, stamp.provider))),
        ("tenant", Some(stamp.tenant.to_string())),
        ("session", stamp.session.as_ref().map(ToString::to_string)),
        ("parent", stamp.parent.map(|parent| parent.to_string())),
        ("copy of", stamp.shadow.map(|live| live.to_string())),
        ("gate", stamp.gate.map(|gate| gate.to_string())),
        ("divergence", summary.divergence.map(|divergence| format!("{divergence:.3}"))),
        ("attributes", Some(attributes.join(" ")).filter(|text| !text.is_empty())),
        ("used", Some(tokens)),
        ("cost", Some(money::cost(summary.cost_nano_usd))),
        ("drift", summary.drifted.then_some(drift)),
    ])
}

fn create_run(create: Create, context: &Context) -> anyhow::Result<()> {
    let Create { agent, tenant, session, attributes, parent, queued } = create;
    let attributes = attributes.into_iter().collect();
    let wish = CreateRun { agent, tenant, session, attributes, parent, queued };
    let reply = context.client.post::<RunCreated>(PATH, &wish)?;
    context.out.reply(&reply, |made| {
        let model = format!("{} ({})", made.stamp.snapshot, made.stamp.provider);
        pairs(&[
            ("run", Some(made.run.to_string())),
            ("status", Some(made.status.clone())),
            ("deployment", Some(made.deployment.to_string())),
            ("release", Some(made.release.short())),
            ("model", Some(model)),
            ("epoch", Some(made.epoch.to_string())),
        ])
    })?;
    Ok(())
}

fn score(
    id: RunId,
    scores: Vec<(String, f64)>,
    comment: Option<String>,
    context: &Context,
) -> anyhow::Result<()> {
    let scores = scores.into_iter().map(|(name, value)| NewScore { name, value, comment: comment.clone() });
    let body = ScoreRun { scores: scores.collect() };
    let reply = context.client.post::<RunChanged>(&format!("{PATH}/{id}/scores"), &body)?;
    context.out.reply(&reply, |changed| {
        let words = body.scores.iter().map(|score| format!("{} {}", score.name, score.value));
        format!("{}: {}", changed.run, words.collect::<Vec<_>>().join(", "))
    })?;
    Ok(())
}

fn resume(id: RunId, context: &Context) -> anyhow::Result<()> {
    let reply = context.client.post::<RunResumed>(&format!("{PATH}/{id}/resume"), &json!({}))?;
    context.out.reply(&reply, |resumed| {
        let run = Run { run: resumed.run, stamp: resumed.stamp.clone(), summary: resumed.summary.clone() };
        let mut text = head(&run, context);
        if let Some(system) = &resumed.system {
            text.push_str(&format!("system prompt\n    {}\n", system.trim_end().replace('\n', "\n    ")));
        }
        text.push_str("events so far\n");
        text.extend(resumed.events.iter().map(|recorded| event::line(recorded) + "\n"));
        if let Some(from) = resumed.more_from {
            text.push_str(&format!("more from event {from} on: pinrail run show {id}\n"));
        }
        text
    })?;
    Ok(())
}

/// How the run got its deployment.
fn via(via: Via) -> String {
    match via {
        Via::Active => "active".to_owned(),
        Via::Bucket(bucket) => format!("bucket {bucket}"),
        Via::Session => "session".to_owned(),
        Via::Shadow => "a copy of a live request".to_owned(),
        Via::Gate => "a gate".to_owned(),
        Via::Dial => "the dial's fallback".to_owned(),
        Via::Parent => "parent".to_owned(),
    }
}

fn status(summary: &Summary) -> String {
    match summary.outcome {
        Some(outcome) => format!("{} ({})", summary.status, outcome.word()),
        None => summary.status.to_string(),
    }
}

fn parse_outcome(text: &str) -> Result<Outcome, String> {
    let found = Outcome::ALL.into_iter().find(|outcome| outcome.word() == text);
    found.ok_or_else(|| "expected ok, error or cancelled".to_owned())
}

fn parse_score(text: &str) -> Result<(String, f64), String> {
    let expected = "expected NAME=VALUE with a value from 0 to 1, such as helpful=0.8";
    let (name, value) = text.split_once('=').ok_or(expected)?;
    let value = value.parse().ok().filter(|value| (0.0..=1.0).contains(value)).ok_or(expected)?;
    Ok((name.to_owned(), value))
}

fn parse_attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE, such as plan=gold")?;
    if name.is_empty() {
        Err("the name is empty".to_owned())
    } else {
        Ok((name.to_owned(), value.to_owned()))
    }
}
