//! Watching a rollout: what moves is drawn, and it is asked for until something is as wanted.

use pinrail_api::deployments::rollout::{Rollout, Standing, StepStanding, Watched};
use pinrail_domain::rollout::Step;
use pinrail_domain::rollout::told::Says;
use serde_json::Value;

use super::super::chart;
use super::super::load::{Counts, Load};
use super::{Story, claim};

/// How long the last picture stays: it shows what decided.
const LAST_PICTURE_MS: u64 = 2_000;

/// Follows a rollout, with its customers if there are any, until `done` holds of it; gives it as it is then.
pub fn follow(
    story: &mut Story,
    deployment: u64,
    load: Option<&Load>,
    what: &str,
    done: impl Fn(&Rollout) -> bool,
) -> anyhow::Result<Rollout> {
    let path = format!("/api/v1/deployments/{deployment}/rollout");
    let (client, url) = (story.context.client.clone(), path.as_str());
    let deadline = story.deadline();
    loop {
        let rollout = client.get::<Rollout>(url)?.value;
        if done(&rollout) {
            if rollout.ended.is_some() && story.teller.is_live() {
                let lines = picture(&rollout, load.map(Load::counts).as_ref(), story.teller.columns());
                story.teller.show(&lines);
                story.teller.wait(LAST_PICTURE_MS)?;
            }
            story.teller.hide();
            return Ok(rollout);
        }
        let stopped = rollout.stopped.as_ref().map(|stopped| stopped.words.as_str());
        claim(stopped.is_none(), what, stopped.unwrap_or_default())?;
        claim(rollout.ended.is_none(), what, &rollout.sentence)?;
        let counts = load.map(Load::counts);
        if let Some(trouble) = counts.as_ref().and_then(|counts| counts.trouble.as_ref()) {
            anyhow::bail!("a customer wasn't served: {trouble}");
        }
        claim(story.is_before(deadline), what, &rollout.sentence)?;
        if story.teller.is_live() {
            let lines = picture(&rollout, counts.as_ref(), story.teller.columns());
            story.teller.show(&lines);
        }
        story.halt.pause(super::LOOK_MS)?;
    }
}

/// The step that it is at.
pub fn step(rollout: &Rollout) -> Option<&Step> {
    rollout.steps.iter().find(|step| step.standing == Standing::Now).map(|step| &step.plan)
}

/// The guardrail of a metric.
pub fn guardrail<'r>(rollout: &'r Rollout, name: &str) -> Option<&'r Watched> {
    rollout.guardrails.iter().find(|watched| watched.guardrail.name == name)
}

/// The timeline's entries.
pub fn timeline(story: &Story, deployment: u64) -> anyhow::Result<Vec<Value>> {
    let page = story.api.get(&format!("deployments/{deployment}/timeline"))?;
    Ok(page["items"].as_array().cloned().unwrap_or_default())
}

fn picture(rollout: &Rollout, counts: Option<&Counts>, columns: usize) -> Vec<String> {
    let at = |step: &&StepStanding| matches!(step.standing, Standing::Now | Standing::Ended);
    let now = rollout.steps.iter().find(at);
    let marks: String =
        rollout.steps.iter().map(|step| if step.standing == Standing::Done { '■' } else { '□' }).collect();
    let what = now.map_or("over", |step| step.what.as_str());
    let mut lines = vec![format!("  {marks}  step {} of {}: {what}", rollout.step, rollout.steps.len())];
    if let Some(counts) = counts {
        let line = chart::spark(&counts.seconds, 20);
        lines.push(format!("  customers  {line} {}/s, {} so far", counts.per_second(), counts.visits));
    }
    match now.map(|step| &step.plan) {
        Some(Step::Shadow { min_runs, .. }) => {
            let share = share(rollout.pairs.compared, *min_runs);
            lines.push(format!(
                "  pairs      {} {} of {min_runs} compared",
                chart::bar(share, 20),
                rollout.pairs.compared
            ));
        }
        Some(Step::Canary { percent, .. }) => {
            let weight = f64::from(percent.0.bps()) / 10_000.0;
            let (ours, theirs) = (rollout.units.candidate, rollout.units.incumbent);
            lines.push(format!(
                "  candidate  {} {} of new sessions: {ours} beside {theirs}",
                chart::bar(weight, 20),
                percent.0
            ));
            let width = columns.saturating_sub(62).min(34);
            lines.extend(rollout.guardrails.iter().map(|watched| bounds(watched, width)));
            lines.push("  worse by: ├─┤ what the evidence leaves open, 0 nothing, ┊ the margin".to_owned());
        }
        Some(Step::Gate | Step::Pause { .. } | Step::Approve { .. }) | None => {}
    }
    lines
}

/// A guardrail's numbers, and its bounds closing in on the margin.
fn bounds(watched: &Watched, width: usize) -> String {
    let name = &watched.guardrail.name;
    let judged = watched.finding.as_ref().map(|finding| &finding.judged);
    let Some((ours, theirs)) = judged.and_then(|judged| judged.candidate.zip(judged.incumbent)) else {
        return format!("  {name}  nothing to compare yet");
    };
    let judged = judged.expect("it has a candidate's value");
    let (low, high) = (judged.harm_low.unwrap_or(-1.0), judged.harm_high.unwrap_or(1.0));
    let line = chart::interval(low, high, watched.guardrail.margin.0, width);
    let says = match watched.says {
        Says::Worse => "worse",
        Says::NotWorse if high < watched.guardrail.margin.0 => "not worse",
        // By the margin times the step's slack.
        Says::NotWorse => "enough for this step",
        Says::Undecided | Says::TooFewSamples | Says::NoSource => "",
    };
    format!("  {name:<15} {:>5.1} % against {:>4.1} %  {line} {says}", ours * 100.0, theirs * 100.0)
}

#[allow(clippy::cast_precision_loss, reason = "tens of pairs")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
