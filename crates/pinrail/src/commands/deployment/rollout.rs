//! Where a rollout stands, for a person; `pinrail deployment freeze | resume | approve`.

use pinrail_api::deployments::rollout::{Rollout, Standing, StepStanding, Watched};
use pinrail_api::deployments::{Because, Flip};
use pinrail_domain::deployment::{Gate, GateVerdict};
use pinrail_domain::rollout::facts::{harm_words, value_words};
use pinrail_domain::rollout::told::Says;
use pinrail_domain::time::Timestamp;

use super::show_flip;
use crate::cli::Context;
use crate::client::{ClientError, Reply};
use crate::output::table::{or_dash, table};
use crate::output::time;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail deployment freeze 3 --reason 'a fair is on'
  pinrail deployment resume 3 --reason 'the fair is over'
  pinrail deployment approve 3 --reason 'read twenty answers'

Freezing stops what happens by itself, except a rollback by a guardrail. Resuming gives the step its whole time again.")]
pub struct Change {
    id: u64,
    /// Why; the ledger keeps it
    #[arg(long, default_value = "")]
    reason: String,
}

impl Change {
    pub fn run(self, verb: &str, context: &Context) -> anyhow::Result<()> {
        let Change { id, reason } = self;
        let path = format!("/api/v1/deployments/{id}/{verb}");
        let reply = context.client.post::<Flip>(&path, &Because { reason })?;
        // The change is made; where it stands now is told as well as it can be.
        let stands = if context.out.is_json() { None } else { get(id, context).ok() };
        context.out.reply(&reply, |flip| {
            let stands = stands.map(|stands| format!("{}\n", stands.value.sentence)).unwrap_or_default();
            show_flip(flip, None) + &stands
        })?;
        Ok(())
    }
}

/// Asks where a rollout stands.
pub fn get(id: u64, context: &Context) -> Result<Reply<Rollout>, ClientError> {
    context.client.get(&format!("/api/v1/deployments/{id}/rollout"))
}

/// Where a rollout stands.
pub fn show(rollout: &Rollout, now: Timestamp) -> String {
    let mut text = format!("{}\n", rollout.sentence);
    if let Some(refused) = &rollout.refused {
        text.push_str(&format!("What comes next could not be done, and is tried again: {refused}\n"));
    }
    let at = |at| or_dash(Option::map(at, |at| time::relative(now, at)));
    let rows = rollout.steps.iter().map(|step| {
        let StepStanding { step, what, standing, since, until, seq, .. } = step;
        vec![
            step.to_string(),
            what.clone(),
            standing_word(*standing).to_owned(),
            at(*since),
            at(*until),
            or_dash(*seq),
        ]
    });
    let header = ["step", "what", "is", "since", "until", "entry"];
    text.push_str(&format!("\n{}\n", table(&header, rows.collect(), "")));
    if has_numbers(rollout) {
        let rows = rollout.guardrails.iter().map(|watched| guardrail(watched).to_vec());
        text.push_str(&format!("\n{}\n", table(&GUARDRAIL_HEADER, rows.collect(), "")));
    }
    for trouble in rollout.guardrails.iter().filter(|watched| watched.says == Says::NoSource) {
        text.push_str(&format!("  {}\n", trouble.words));
    }
    let pairs = &rollout.pairs;
    if pairs.compared + pairs.failed + pairs.dropped > 0 {
        text.push_str(&format!(
            "shadow: {} answers compared, {} failed, {} dropped; divergence {}; cost ${}\n",
            pairs.compared,
            pairs.failed,
            pairs.dropped,
            pairs.divergence.map_or_else(|| "unknown".to_owned(), |mean| format!("{mean:.3} on average")),
            pairs.cost
        ));
    }
    text + "\n"
}

/// Whether there is something to say of the guardrails: one that ended before anything was written down has no numbers.
pub fn has_numbers(rollout: &Rollout) -> bool {
    let mut guardrails = rollout.guardrails.iter();
    guardrails.any(|watched| watched.finding.is_some() || rollout.ended.is_none())
}

/// What [`guardrail`] gives.
pub const GUARDRAIL_HEADER: [&str; 7] =
    ["guardrail", "says", "candidate", "incumbent", "worse by", "to prove", "units"];

/// A guardrail in cells: what it says and the numbers behind that.
pub fn guardrail(watched: &Watched) -> [String; 7] {
    let Watched { guardrail, proves, says, finding, .. } = watched;
    let metric = &guardrail.metric;
    let judged = finding.as_ref().map(|finding| finding.judged);
    let value = |value: Option<f64>| or_dash(value.map(|value| value_words(value, metric)));
    let harm = |harm: f64| harm_words(harm, metric);
    let worse = judged.and_then(|judged| match (judged.harm_low, judged.harm_high) {
        (Some(low), Some(high)) => Some(format!("{} to {}", harm(low), harm(high))),
        (Some(low), None) => Some(format!("at least {}", harm(low))),
        (None, Some(high)) => Some(format!("at most {}", harm(high))),
        (None, None) => None,
    });
    let samples = judged.map(|judged| judged.samples).unwrap_or_default();
    [
        guardrail.name.clone(),
        says.to_string(),
        value(judged.and_then(|judged| judged.candidate)),
        value(judged.and_then(|judged| judged.incumbent)),
        or_dash(worse),
        proves.clone(),
        format!("{} and {}", samples.candidate, samples.incumbent),
    ]
}

/// Where a step stands, in a word or two.
pub fn standing_word(standing: Standing) -> &'static str {
    match standing {
        Standing::Done => "done",
        Standing::Now => "now",
        Standing::ToCome => "to come",
        Standing::Ended => "ended here",
        Standing::Skipped => "never reached",
    }
}

/// A verdict with its report.
pub fn gate_words(gate: &Gate) -> String {
    let verdict = match gate.verdict {
        GateVerdict::Pass => "pass",
        GateVerdict::Fail => "fail",
        GateVerdict::Inconclusive => "inconclusive",
    };
    match gate.report {
        Some(report) => format!("{verdict} (report {report})"),
        None => verdict.to_owned(),
    }
}

#[cfg(test)]
pub mod tests;
