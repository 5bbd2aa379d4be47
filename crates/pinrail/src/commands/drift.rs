//! `pinrail drift`: what changed behind its pin, and how that is watched.

use pinrail_api::drift::{Drift, DriftCleared, DriftFinding, DriftLooked, DriftModel, DriftRun, RunDrift};
use pinrail_domain::drift::Subject;
use pinrail_domain::id::ProviderName;
use serde_json::json;

use crate::cli::Context;
use crate::client::escape;
use crate::output::table::{or_dash, pairs, table};
use crate::output::{one_line, time};

/// See what changed behind its pin: models that answer otherwise, tools that are others
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail drift list                              open findings, and how each model is
  pinrail drift show openai gpt-4o-2024-08-06     its days, its border prompts, what it costs
  pinrail drift run                               look now, within the day's tokens
  pinrail drift clear 214 --reason 'the provider confirmed the new checkpoint; the gate passes'

Models are watched by border prompts, a few hundred tokens a day ([drift] in pinrail.toml); an agent's own [drift] on_finding
says what a finding does: alert, freeze, or dial. docs/drift.md says how it works and what it can't see.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List open findings and watched models
    List,
    /// Show one watched model: days, prompts, cost
    Show { provider: ProviderName, snapshot: String },
    /// Say that a finding is dealt with; the watch of a model calibrates anew from today
    Clear {
        /// The finding's ledger entry
        finding: u64,
        /// Why; the ledger keeps it
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Look now, for whatever today still lacks
    Run {
        #[arg(requires = "snapshot")]
        provider: Option<ProviderName>,
        snapshot: Option<String>,
    },
}

/// Longest sentence in a table.
const SENTENCE_CHARS: usize = 90;

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match args.what {
        What::List => {
            let reply = context.client.get::<Drift>("/api/v1/drift")?;
            Ok(context.out.reply(&reply, |drift| list(drift, context))?)
        }
        What::Show { provider, snapshot } => {
            let path = format!("/api/v1/drift/models/{provider}/{}", escape(&snapshot));
            let reply = context.client.get::<DriftModel>(&path)?;
            Ok(context.out.reply(&reply, |model| show(model, context))?)
        }
        What::Clear { finding, reason } => {
            let path = format!("/api/v1/drift/{finding}/clear");
            let reply = context.client.post::<DriftCleared>(&path, &json!({ "reason": reason }))?;
            Ok(context.out.reply(&reply, cleared)?)
        }
        What::Run { provider, snapshot } => {
            let wish = RunDrift { provider, snapshot };
            let reply = context.client.post::<DriftRun>("/api/v1/drift/run", &wish)?;
            Ok(context.out.reply(&reply, |run| looked(&run.looked))?)
        }
    }
}

fn cleared(cleared: &DriftCleared) -> String {
    let DriftCleared { finding, seq, subject } = cleared;
    let then = match subject {
        Some(Subject::Model { .. }) => "; what the model answers from today on is what is normal".to_owned(),
        Some(Subject::Tools { server, pin: _ }) => format!(
            "; a tool of {server} is served again once it is as it is pinned. What differs is found anew: to take it over, pin \
             the server anew (`pinrail tools pin`) and deploy a release of that"
        ),
        None => String::new(),
    };
    format!("finding {finding} is cleared with ledger entry {seq}{then}")
}

fn list(drift: &Drift, context: &Context) -> String {
    let mut text = String::new();
    if drift.findings.is_empty() {
        text.push_str("no open findings\n");
    }
    for DriftFinding { finding, at, what, agents, .. } in &drift.findings {
        let agents: Vec<String> = agents.iter().map(ToString::to_string).collect();
        let agents = if agents.is_empty() { "nobody".to_owned() } else { agents.join(", ") };
        text.push_str(&format!("finding {finding}, {}: {what}\n", time::both(context.now, *at)));
        text.push_str(&format!(
            "  served to {agents}; when it is dealt with: pinrail drift clear {finding} --reason …\n"
        ));
    }
    text.push('\n');
    if !drift.settings.enabled {
        text.push_str("border prompts are turned off in pinrail.toml ([drift] enabled = false)\n\n");
    }
    let rows = drift.models.iter().map(|model| {
        vec![
            model.provider.to_string(),
            model.snapshot.clone(),
            model.state.clone(),
            format!("{}/{}", model.tokens_today, drift.settings.tokens_per_day),
            or_dash(model.last_look.map(|at| time::relative(context.now, at))),
            one_line(&model.sentence, SENTENCE_CHARS),
        ]
    });
    let header = ["provider", "model", "state", "tokens today", "last look", "which means"];
    text.push_str(&table(&header, rows.collect(), "no model is watched: none is pinned by a release in use"));
    text
}

fn show(model: &DriftModel, context: &Context) -> String {
    let agents: Vec<String> = model.agents.iter().map(ToString::to_string).collect();
    let points = |share: f64| format!("{:.0} points", 100.0 * share);
    let mut text = pairs(&[
        ("model", Some(format!("{} of {}", model.snapshot, model.provider))),
        ("agents", Some(if agents.is_empty() { "none any more".to_owned() } else { agents.join(", ") })),
        ("state", Some(model.sentence.clone())),
        ("promise", Some(model.promise.clone())),
        ("asked by", model.mode.clone()),
        ("prompts", Some(model.prompts.to_string())),
        ("baseline", Some(format!("{} quiet days", model.baseline_days))),
        ("smallest shift seen", model.smallest_shift.map(points)),
        ("noise of quiet days", model.noise.map(|noise| format!("{noise:.1} times what drawing explains"))),
        (
            "today",
            Some(format!(
                "{} tokens of answers and {} of questions, {} calls, {} failed",
                model.tokens_today, model.input_tokens_today, model.calls_today, model.failed_today
            )),
        ),
        ("last look", model.last_look.map(|at| time::both(context.now, at))),
        ("left alone until", model.paused_until.map(time::absolute)),
    ]);
    let days = model.days.iter().map(|day| {
        vec![
            day.day.clone(),
            day.state.clone(),
            or_dash(day.shift.map(points)),
            or_dash(
                day.sigma.zip(day.sigma_needed).map(|(sigma, needed)| format!("{sigma:.1} of {needed:.1}")),
            ),
        ]
    });
    text.push_str("\n\n");
    text.push_str(&table(&["day", "state", "shift", "sigma"], days.collect(), "no whole day yet"));
    let prompts = model.asked.iter().map(|asked| {
        let answers = asked.answers.iter().map(|(answer, share)| format!("{answer} {:.0} %", 100.0 * share));
        vec![asked.prompt.clone(), answers.collect::<Vec<_>>().join(", ")]
    });
    text.push_str("\n\n");
    text.push_str(&table(&["border prompt", "last answered"], prompts.collect(), "no border prompts yet"));
    text
}

fn looked(looked: &[DriftLooked]) -> String {
    let rows = looked.iter().map(|model| {
        vec![
            model.provider.to_string(),
            model.snapshot.clone(),
            model.calls.to_string(),
            model.state.clone(),
            match model.finding {
                Some(finding) => format!("finding {finding}: {}", model.sentence),
                None => model.sentence.clone(),
            },
        ]
    });
    let header = ["provider", "model", "calls", "state", "which means"];
    table(&header, rows.collect(), "no model is watched: none is pinned by a release in use")
}
