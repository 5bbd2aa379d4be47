//! Chapter 3: a good candidate goes all the way, and nobody has to watch.

use pinrail_api::deployments::rollout::Rollout;
use pinrail_domain::rollout::Step;
use serde_json::{Value, json};

use super::super::api::AGENT;
use super::super::project::{Agent, Prompt};
use super::super::shop::Wish;
use super::{Story, claim, count, rollout, short, text};

/// The candidate's model.
pub const NEXT: &str = "sim-2-2026-09-01";
/// The first customer's number here; those before were guests.
const FROM: usize = 1_000;

/// Tells it; gives the number of the next customer.
pub fn tell(story: &mut Story) -> anyhow::Result<usize> {
    story.teller.chapter(3, "A good candidate, promoted by nobody")?;
    let agent = Agent { tier: "standard", snapshot: NEXT, prompt: Prompt::Careful };
    let release = story.apply(agent, "the next generation")?;
    let flip = story.deploy(&release, false, "try the next generation")?;
    claim(flip["deployment"] == 3, "this is deployment 3", &flip)?;
    let plan = plan(story, 3)?;
    story.teller.say(
        "opened",
        &format!(
            "A newer model, `{NEXT}`. `pinrail deploy {AGENT}={}` opens deployment 3, which follows the plan in agent.toml: {plan}.",
            short(&release)
        ),
        json!({ "deployment": 3, "release": release, "plan": plan }),
    )?;
    story.teller.look("/deployments/3")?;
    gate(story, 3)?;
    let load = story.customers(FROM, ordinary);
    rollout::follow(story, 3, Some(&load), "the shadow step is passed", is_canary)?;
    shadowed(story, 3)?;
    let over = rollout::follow(story, 3, Some(&load), "the candidate is promoted", |rollout| {
        rollout.ended.as_ref().is_some_and(|ended| ended.how == "promoted")
    })?;
    let (next, served) = load.stop()?;
    promoted(story, &over, served.visits)?;
    Ok(next)
}

/// Whom ordinary customers ask.
pub fn ordinary(n: usize) -> Wish {
    if n.is_multiple_of(4) { Wish::HowLong } else { Wish::Sum }
}

/// Whether a rollout is at a canary.
pub fn is_canary(rollout: &Rollout) -> bool {
    matches!(rollout::step(rollout), Some(Step::Canary { .. }))
}

/// The plan's steps in a sentence.
fn plan(story: &Story, deployment: u64) -> anyhow::Result<String> {
    let rollout = story.api.get(&format!("deployments/{deployment}/rollout"))?;
    let steps = rollout["steps"].as_array().into_iter().flatten();
    Ok(steps.map(|step| text(&step["what"])).collect::<Vec<_>>().join(", then "))
}

/// Waits for the rollout's gate, and tells how it went; gives its id.
pub fn gate(story: &mut Story, deployment: u64) -> anyhow::Result<String> {
    rollout::follow(story, deployment, None, "the gate is passed", |rollout| {
        !matches!(rollout::step(rollout), Some(Step::Gate))
    })?;
    let gates = story.api.get(&format!("gates?deployment={deployment}"))?;
    let gate = text(&gates["items"][0]["gate"]);
    let shown = story.api.get(&format!("gates/{gate}"))?;
    let verdict = text(&shown["ended"]["verdict"]);
    claim(verdict == "pass", "the gate ends with a pass", &shown["ended"])?;
    let cases = cases(story, &gate)?;
    let (ours, theirs) = (passed(&cases, "candidate"), passed(&cases, "incumbent"));
    let asked = cases.iter().filter(|row| row["arm"] == "candidate").count();
    story.teller.proven(
        "gate_passed",
        &format!(
            "Gate: passed. Candidate and incumbent answered the same {asked} cases, {ours} and {theirs} of them right: ten points worse, \
             which the agent's settings tolerate, is ruled out."
        ),
        json!({ "gate": gate, "verdict": verdict, "cases": asked, "candidate": ours, "incumbent": theirs }),
    )?;
    story.teller.look(&format!("/gates/{gate}"))?;
    Ok(gate)
}

fn cases(story: &Story, gate: &str) -> anyhow::Result<Vec<Value>> {
    let page = story.api.get(&format!("gates/{gate}/rows?limit=1000"))?;
    Ok(page["items"].as_array().cloned().unwrap_or_default())
}

fn passed(cases: &[Value], arm: &str) -> usize {
    cases
        .iter()
        .filter(|row| {
            row["arm"] == arm && row["outcome"]["outcome"] == "scored" && row["outcome"]["pass"] == true
        })
        .count()
}

/// Tells what the shadow step has seen.
pub fn shadowed(story: &mut Story, deployment: u64) -> anyhow::Result<()> {
    let entries = rollout::timeline(story, deployment)?;
    let pairs = entries
        .iter()
        .rev()
        .map(|entry| &entry["evidence"]["pairs"])
        .find(|pairs| !pairs["compared"].is_null());
    let Some(pairs) = pairs else { return claim(false, "answers were compared", "no entry says so") };
    let compared = pairs["compared"].as_u64().unwrap_or_default();
    let differ = pairs["divergence"].as_f64().unwrap_or_default();
    story.teller.proven(
        "shadowed",
        &format!(
            "Shadow: the candidate answered copies of {}, and only the incumbent's answers were sent. On a scale from 0 (the same) to 1 \
             (nothing in common) they differ by {differ:.2}.",
            count(compared, "live request")
        ),
        json!({ "compared": compared, "divergence": differ }),
    )
}

fn promoted(story: &mut Story, over: &Rollout, visits: u64) -> anyhow::Result<()> {
    let entries = rollout::timeline(story, 3)?;
    let last = entries.last().cloned().unwrap_or_default();
    claim(last["actor"]["kind"] == "system", "nobody but the controller promoted it", &last)?;
    let active = story.api.get("pointers")?["pointers"][0]["active"]["deployment"].clone();
    claim(active == 3, "deployment 3 is active", &active)?;
    let units = over.units;
    let errors =
        rollout::guardrail(over, "error_rate").map(|watched| watched.words.clone()).unwrap_or_default();
    let tools =
        rollout::guardrail(over, "tool_error_rate").map(|watched| watched.words.clone()).unwrap_or_default();
    story.teller.proven(
        "promoted",
        &format!(
            "Canary: {visits} customers came; {} sessions on the candidate and {} beside it were compared at the same time. Both \
             guardrails are proven: {errors}; {tools}. So the controller promoted deployment 3 by itself.",
            units.candidate, units.incumbent
        ),
        json!({
            "deployment": 3, "state": over.state, "actor": last["actor"], "visits": visits,
            "units": { "candidate": units.candidate, "incumbent": units.incumbent },
        }),
    )
}
