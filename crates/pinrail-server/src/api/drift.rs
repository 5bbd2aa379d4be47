//! Drift: what is watched, what was found, what people say to it.

use pinrail_api::drift::{DriftDay, DriftFinding, DriftModel, DriftPrompt};
use pinrail_api::problem::{Code, Problem};
use pinrail_domain::drift::Finding;
use pinrail_domain::drift::border::{Mode, Verdict, date};
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::world::World;

use crate::call::{Call, bad_name};
use crate::drift::Shown;

pub mod clear;
pub mod finding;
pub mod list;
pub mod model;
pub mod run;

#[cfg(test)]
mod tests;

/// The finding that the path names.
fn seq(call: &Call) -> Result<LedgerSeq, Problem> {
    let number = call.text("finding").parse();
    number
        .map(LedgerSeq)
        .map_err(|_| bad_name("finding in the path: not the number of a ledger entry".to_owned()))
}

fn no_finding(seq: LedgerSeq) -> Problem {
    Problem::new(Code::NotFound, format!("there is no open finding {seq}"))
        .next_step("list them: `pinrail drift list` (GET /api/v1/drift)")
}

fn found(world: &World, finding: &Finding) -> DriftFinding {
    DriftFinding {
        finding: finding.seq,
        at: finding.at,
        subject: finding.subject.clone(),
        sign: finding.sign.clone(),
        what: finding.what.clone(),
        evidence: finding.evidence,
        agents: world.agents_on(&finding.subject),
    }
}

/// A model as the API shows it, with at most so many of its last days.
fn shown(call: &Call, shown: &Shown, days_max: usize) -> DriftModel {
    let judged = &shown.judged;
    let today = u32::try_from(call.state.clock.now().0 / 86_400_000).unwrap_or(u32::MAX);
    let spent = shown.spent(today);
    let days = &judged.days[judged.days.len().saturating_sub(days_max)..];
    DriftModel {
        provider: shown.model.key.provider.clone(),
        snapshot: shown.model.key.snapshot.clone(),
        agents: shown.model.agents.clone(),
        state: shown.state().to_owned(),
        sentence: shown.sentence(),
        promise: judged.promise(),
        mode: shown.mode().map(|mode| {
            match mode {
                Mode::Sampled => "sampled",
                Mode::Logprobs => "logprobs",
            }
            .to_owned()
        }),
        prompts: u32::try_from(shown.prompts().len()).unwrap_or(u32::MAX),
        baseline_days: u32::try_from(judged.baseline.len()).unwrap_or(u32::MAX),
        smallest_shift: judged.smallest,
        noise: judged.noise,
        false_alarms_per_year: judged.false_alarms_per_year,
        tokens_today: spent.tokens,
        input_tokens_today: spent.input_tokens,
        calls_today: spent.calls,
        failed_today: spent.failed,
        last_look: shown.last_look(),
        paused_until: shown.paused_until().filter(|until| *until > call.state.clock.now()),
        days: days.iter().map(|(number, verdict)| day(*number, verdict)).collect(),
        asked: vec![],
    }
}

fn asked(shown: &Shown) -> Vec<DriftPrompt> {
    let last = |prompt: &String| {
        let day = shown.days.iter().rev().find_map(|day| day.tallies.get(prompt));
        let tally = day.cloned().unwrap_or_default();
        let shares = tally.answers.keys().map(|answer| (answer.clone(), tally.share(answer)));
        DriftPrompt {
            prompt: prompt.clone(),
            asked: tally.asked,
            failed: tally.failed,
            answers: shares.collect(),
        }
    };
    shown.prompts().iter().map(last).collect()
}

fn day(number: u32, verdict: &Verdict) -> DriftDay {
    let (shift, sigma, needed) = match verdict {
        Verdict::Calibrating { .. } | Verdict::Quiet => (None, None, None),
        Verdict::Suspect { shift, sigma, needed, .. } | Verdict::Drifted { shift, sigma, needed, .. } => {
            (Some(*shift), Some(*sigma), Some(*needed))
        }
    };
    DriftDay { day: date(number), state: verdict.state().to_owned(), shift, sigma, sigma_needed: needed }
}
