//! What a rollout does next, or what it waits for: one pure decision, made again at every look.
//!
//! In this order, and the first that holds decides:
//! 1. a guardrail that rolls back is breached, or shadow answers are too far off: take the candidate back, whatever the
//!    step, and also while the rollout is stopped;
//! 2. a guardrail that turns the dial is breached: stop and turn it, also while the rollout is stopped, but once until
//!    somebody resumes: a person who turns it up again has the last word;
//! 3. the rollout is stopped: nothing, until somebody resumes, promotes or rolls back;
//! 4. a guardrail that freezes is breached, or the arms don't get the shares that they should: stop;
//! 5. the step has all it needs: enter the next one, or promote after the last;
//! 6. the step's money or time is used up: stop and ask;
//! 7. else wait, and say for what.
//!
//! Ties between breaches go to the guardrail that the plan lists first; of those that turn the dial, to the one that turns
//! it furthest down.

use super::acts::promotion_missing;
use super::facts::{Facts, Finding, margin_words};
use super::plan::{Guardrail, Step};
use super::progress::{Rollout, Stop, Stopped};
use super::spec::OnBreach;
use crate::deployment::{Deployment, Status};
use crate::dial::Position;
use crate::gate;
use crate::id::DeploymentId;
use crate::ledger::Actor;
use crate::share::Share;
use crate::time::Timestamp;
use crate::world::World;

/// The decision, with its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// What to do now.
    pub action: Option<Action>,
    /// What is missing before the rollout moves on; empty where it moves.
    pub waits: Vec<String>,
    /// What comes when nothing is missing any more.
    pub next: String,
    /// When something happens by itself even if nothing is observed.
    pub at: Option<Timestamp>,
}

/// What the controller does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The step's place in the plan.
    Enter(usize),
    Promote,
    /// Says why, in a sentence; `guardrail` is none for shadow answers that are too far off.
    RollBack {
        guardrail: Option<String>,
        why: String,
    },
    Stop(Stop),
}

/// Decides for one deployment; none where it has no rollout under way.
#[must_use]
pub fn look(world: &World, id: DeploymentId, facts: &Facts, now: Timestamp) -> Option<Outlook> {
    let deployment = world.deployments.get(&id)?;
    let rollout = deployment.rollout.as_deref()?;
    match deployment.status {
        Status::Candidate { .. } => Some(Look { world, deployment, rollout, facts, now }.decide()),
        Status::Promoted { .. } | Status::RolledBack { .. } => None,
    }
}

/// More unproven guardrails than this are named without their numbers, or nobody reads the sentence to its end.
const UNPROVEN_SPELT_OUT: usize = 2;

struct Look<'a> {
    world: &'a World,
    deployment: &'a Deployment,
    rollout: &'a Rollout,
    facts: &'a Facts,
    now: Timestamp,
}

impl Look<'_> {
    fn decide(&self) -> Outlook {
        let next = self.next();
        let act = |action| Outlook { action: Some(action), waits: Vec::new(), next: next.clone(), at: None };
        if let Some(back) = self.breach() {
            return act(back);
        }
        if let Some(turned) = self.turned_down() {
            return act(Action::Stop(turned));
        }
        if let Some(stopped) = &self.rollout.stopped {
            return Outlook { action: None, waits: vec![stopped_words(stopped)], next, at: None };
        }
        if let Some(stop) = self.stop() {
            return act(Action::Stop(stop));
        }
        let mut waits = self.missing();
        if self.rollout.step + 1 == self.rollout.plan.steps.len() && *self.rollout.current() != Step::Gate {
            let missing = promotion_missing(self.world, self.deployment, self.now);
            waits.extend(missing.iter().map(ToString::to_string));
        }
        if waits.is_empty() {
            return act(self.onward());
        }
        if self.is_over_budget() {
            return act(Action::Stop(Stop::Budget));
        }
        let deadline = self.deadline();
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            return act(Action::Stop(Stop::Deadline { missing: waits }));
        }
        Outlook { action: None, waits, next, at: self.pause_ends().or(deadline) }
    }

    /// The first breach that takes the candidate back.
    fn breach(&self) -> Option<Action> {
        if let Some((guardrail, finding)) = self.breached(OnBreach::Rollback).next() {
            let why = format!("guardrail {}", finding.sentence());
            return Some(Action::RollBack { guardrail: Some(guardrail.name.clone()), why });
        }
        let Step::Shadow { max_divergence: Some(max), .. } = self.rollout.current() else { return None };
        let low = self.facts.pairs.divergence_low.filter(|low| low > max)?;
        let why = format!(
            "shadow answers differ by at least {low:.3} on average over {} pairs; {max} is allowed",
            self.facts.pairs.compared
        );
        Some(Action::RollBack { guardrail: None, why })
    }

    /// The breach that turns the dial furthest down, if the stop that there is hasn't turned it that far.
    fn turned_down(&self) -> Option<Stop> {
        let lower = Position::ALL.into_iter().rev().filter(|position| *position > Position::Full);
        let first = |position| Some((position, self.breached(OnBreach::Dial(position)).next()?));
        let (position, (guardrail, _)) = lower.filter_map(first).next()?;
        let turned = match self.rollout.stopped.as_ref().map(|stopped| &stopped.why) {
            Some(Stop::Breach { dial, guardrail: _ }) => *dial,
            Some(
                Stop::Person { .. }
                | Stop::Deadline { .. }
                | Stop::SampleRatio
                | Stop::Budget
                | Stop::Drift { .. },
            )
            | None => None,
        };
        let is_news = turned.is_none_or(|turned| turned < position);
        is_news.then(|| Stop::Breach { guardrail: guardrail.name.clone(), dial: Some(position) })
    }

    fn stop(&self) -> Option<Stop> {
        if let Some((guardrail, _)) = self.breached(OnBreach::Freeze).next() {
            return Some(Stop::Breach { guardrail: guardrail.name.clone(), dial: None });
        }
        self.facts.ratio_off.then_some(Stop::SampleRatio)
    }

    /// What the current step still needs.
    fn missing(&self) -> Vec<String> {
        match self.rollout.current() {
            Step::Gate => gate::step_missing(self.world, self.deployment, self.now),
            Step::Shadow { min_runs, max_divergence, .. } => self.pairs_missing(*min_runs, *max_divergence),
            Step::Canary { min_runs, slack, .. } => self.proof_missing(*min_runs, *slack),
            Step::Pause { length: None } => {
                vec!["somebody to resume it (`pinrail deployment resume`)".to_owned()]
            }
            Step::Pause { length: Some(length) } => {
                let ends = self.rollout.since.plus_ms(length.ms);
                if ends > self.now {
                    vec![format!("the pause to end, at {}", ends.rfc3339())]
                } else {
                    Vec::new()
                }
            }
            Step::Approve { by } => self.approvals_missing(by),
        }
    }

    fn pairs_missing(&self, min_runs: u64, max: Option<f64>) -> Vec<String> {
        let pairs = &self.facts.pairs;
        let mut missing = self.unread();
        if pairs.compared < min_runs {
            missing.push(format!(
                "{} more compared answers ({} of {min_runs})",
                min_runs - pairs.compared,
                pairs.compared
            ));
        }
        if let Some(max) = max
            && !pairs.divergence_high.is_some_and(|high| high <= max)
        {
            let high = pairs.divergence_high.unwrap_or(1.0);
            missing.push(format!(
                "proof that answers differ by at most {max} on average; what is proven is {high:.3}"
            ));
        }
        missing
    }

    fn proof_missing(&self, min_runs: u64, slack: f64) -> Vec<String> {
        let runs = self.facts.runs.candidate;
        let mut missing = self.unread();
        if runs < min_runs {
            missing.push(format!("{} more runs of the candidate ({runs} of {min_runs})", min_runs - runs));
        }
        let unproven: Vec<_> =
            self.judged().filter(|(guardrail, finding)| !finding.is_not_worse(guardrail, slack)).collect();
        if unproven.len() > UNPROVEN_SPELT_OUT {
            let names: Vec<&str> = unproven.iter().map(|(guardrail, _)| guardrail.name.as_str()).collect();
            let all = self.rollout.plan.guardrails.len();
            missing.push(format!("{} of {all} guardrails to be proven: {}", names.len(), names.join(", ")));
            return missing;
        }
        for (guardrail, finding) in unproven {
            let margin = margin_words(guardrail.margin, slack, &guardrail.metric);
            missing.push(format!("proof of at most {margin} worse: {}", finding.sentence()));
        }
        missing
    }

    /// Nothing moves on what is half known.
    fn unread(&self) -> Vec<String> {
        if self.facts.complete {
            Vec::new()
        } else {
            vec!["the journal to be read again after the start".to_owned()]
        }
    }

    fn approvals_missing(&self, by: &[String]) -> Vec<String> {
        let approvals = &self.rollout.approvals;
        if by.is_empty() {
            let missing = approvals.is_empty();
            return missing
                .then(|| "an approval (`pinrail deployment approve`)".to_owned())
                .into_iter()
                .collect();
        }
        let approved = |name: &String| {
            approvals.iter().any(|approval| match &approval.by {
                Actor::Key { name: key, .. } => key == name,
                Actor::Open | Actor::System => false,
            })
        };
        let missing = by.iter().filter(|name| !approved(name));
        missing.map(|name| format!("the approval of the holder of key `{name}`")).collect()
    }

    fn is_over_budget(&self) -> bool {
        match self.rollout.current() {
            Step::Shadow { budget: Some(budget), .. } => self.facts.pairs.cost >= *budget,
            Step::Shadow { budget: None, .. }
            | Step::Gate
            | Step::Canary { .. }
            | Step::Pause { .. }
            | Step::Approve { .. } => false,
        }
    }

    fn onward(&self) -> Action {
        let next = self.rollout.step + 1;
        if next < self.rollout.plan.steps.len() { Action::Enter(next) } else { Action::Promote }
    }

    fn next(&self) -> String {
        match self.rollout.plan.steps.get(self.rollout.step + 1) {
            Some(step) => step_words(step),
            None => "promotion".to_owned(),
        }
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.rollout.current().deadline().map(|deadline| self.rollout.since.plus_ms(deadline.ms))
    }

    fn pause_ends(&self) -> Option<Timestamp> {
        match self.rollout.current() {
            Step::Pause { length: Some(length) } => Some(self.rollout.since.plus_ms(length.ms)),
            Step::Pause { length: None }
            | Step::Gate
            | Step::Shadow { .. }
            | Step::Canary { .. }
            | Step::Approve { .. } => None,
        }
    }

    fn breached(&self, on_breach: OnBreach) -> impl Iterator<Item = (&Guardrail, &Finding)> {
        let breached = move |(guardrail, finding): &(&Guardrail, &Finding)| {
            guardrail.on_breach == on_breach && finding.is_breach(guardrail)
        };
        self.judged().filter(breached)
    }

    fn judged(&self) -> impl Iterator<Item = (&Guardrail, &Finding)> {
        self.rollout.plan.guardrails.iter().zip(&self.facts.findings)
    }
}

/// A step in a few words: `canary 5%`, `canary 50% in internal`.
#[must_use]
pub fn step_words(step: &Step) -> String {
    match step {
        Step::Gate | Step::Pause { length: None } => step.word().to_owned(),
        Step::Shadow { percent, .. } => format!("shadow {percent}"),
        Step::Canary { percent, segments, .. } if segments.is_empty() => format!("canary {percent}"),
        Step::Canary { percent, segments, .. } => {
            let names: Vec<&str> = segments.iter().map(|segment| segment.as_str()).collect();
            format!("canary {percent} in {}", names.join(", "))
        }
        Step::Pause { length: Some(length) } => format!("pause for {length}"),
        Step::Approve { by } if by.is_empty() => "approval".to_owned(),
        Step::Approve { by } => format!("approval by {}", by.join(", ")),
    }
}

/// Why a rollout stands still, in a sentence.
#[must_use]
pub fn stop_words(stop: &Stop) -> String {
    match stop {
        Stop::Person { reason } if reason.is_empty() => "frozen by a person".to_owned(),
        Stop::Person { reason } => format!("frozen by a person: {reason}"),
        Stop::Drift { what } => format!("frozen by drift: {what}"),
        Stop::Breach { guardrail, dial: None } => format!("frozen by guardrail {guardrail}"),
        Stop::Breach { guardrail, dial: Some(position) } => {
            format!("frozen by guardrail {guardrail}, which turns the dial down to {position}")
        }
        Stop::Deadline { missing } => {
            format!("undecided at the step's deadline; missing: {}", missing.join("; "))
        }
        Stop::SampleRatio => {
            "the arms don't get the shares that they should, so nothing that is compared can be trusted"
                .to_owned()
        }
        Stop::Budget => "shadow answers cost what they may, and there are too few of them".to_owned(),
    }
}

/// Where a rollout stands, what was seen and what comes, for people.
#[must_use]
pub fn sentence(deployment: &Deployment, facts: &Facts, outlook: &Outlook) -> String {
    let Some(rollout) = deployment.rollout.as_deref() else { return String::new() };
    let mut text = format!(
        "Step {} of {}, {}",
        rollout.step + 1,
        rollout.plan.steps.len(),
        step_words(rollout.current())
    );
    let weights = rollout.weights_now();
    if weights.largest() > Share::NONE {
        text.push_str(&format!(
            ": {} runs of the candidate and {} of the incumbent ended in it",
            facts.runs.candidate, facts.runs.incumbent
        ));
    }
    text.push_str(". ");
    match (&outlook.action, &rollout.stopped) {
        (Some(action), _) => text.push_str(&action_words(action, &outlook.next)),
        (None, Some(stopped)) => text.push_str(&format!("Stopped: {}.", stop_words(&stopped.why))),
        (None, None) => {
            text.push_str(&format!("Waits for {}. Then: {}.", outlook.waits.join("; for "), outlook.next));
            if let Some(at) = outlook.at {
                text.push_str(&match rollout.current().deadline() {
                    Some(_) => format!(" Undecided at {}, it stops and asks.", at.rfc3339()),
                    None => format!(" At {} it goes on.", at.rfc3339()),
                });
            }
        }
    }
    text
}

fn action_words(action: &Action, next: &str) -> String {
    match action {
        Action::Enter(_) | Action::Promote => format!("Nothing is missing; next is {next}."),
        Action::RollBack { why, .. } => format!("It goes back: {why}."),
        Action::Stop(stop) => format!("It stops: {}.", stop_words(stop)),
    }
}

fn stopped_words(stopped: &Stopped) -> String {
    format!(
        "a person, to resume, promote or roll back; it stands since {}: {}",
        stopped.at.rfc3339(),
        stop_words(&stopped.why)
    )
}

#[cfg(test)]
mod tests;
