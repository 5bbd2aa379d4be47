//! What the rollback of the bad candidate came to, and the proof that nothing of it is left.

use serde_json::{Value, json};

use super::super::super::shop::{HOW_LONG, LOOKUPS, Wish};
use super::super::{Story, claim, count, text, took};
use super::{BAD, INCUMBENT, PAID, Two, capital, knowledge, memory, records};

pub fn tell(story: &mut Story, two: &Two, before: &[Value], members: u64) -> anyhow::Result<()> {
    let report = story.api.get(&format!("deployments/{BAD}/report"))?;
    flipped(story, &report, members)?;
    hidden(story, &report, two)?;
    reached(story, &report)?;
    verified(story)?;
    same_as_before(story, two, before)
}

fn flipped(story: &mut Story, report: &Value, members: u64) -> anyhow::Result<()> {
    let epoch = story.acknowledged(&report["acknowledged"]["epoch"], members)?;
    claim(report["flip_us"].is_u64(), "the time to the flip is known", report)?;
    let change = &epoch["change"];
    claim(change["kind"] == "deployment_rolled_back", "one ledger entry rolled it back", change)?;
    story.teller.proven(
        "flip",
        &format!(
            "Ledger entry {} did all of it: {} from the call to the flip, and {} later the last of {members} workers had acknowledged it.",
            change["seq"],
            took(&report["flip_us"]),
            took(&epoch["took"]["max_us"])
        ),
        json!({ "entry": change["seq"], "flip_us": report["flip_us"], "acknowledged": epoch["acknowledged"], "acknowledged_us": epoch["took"]["max_us"] }),
    )
}

fn hidden(story: &mut Story, report: &Value, two: &Two) -> anyhow::Result<()> {
    let (memories, vectors) = (&report["layers"]["memory"], &report["layers"]["vectors"]);
    let some = |layer: &Value| layer["puts"].as_u64().is_some_and(|puts| puts > 0);
    claim(
        report["hidden"] == true && some(memories) && some(vectors),
        "what it wrote is hidden",
        &report["layers"],
    )?;
    let turns = memory(story, &two.inside, "")?;
    let bad = turns.iter().filter(|turn| turn["deployment"] == BAD).count();
    let own = turns.iter().filter(|turn| turn["role"] == "user").count();
    claim(bad == 0 && own > 0, "the bad turns are gone and the customer's own are there", json!(turns))?;
    let kept = memory(story, &two.inside, "&history=true")?;
    let kept =
        kept.iter().filter(|turn| turn["hidden"]["why"] == "aborted" && turn["content"].is_string()).count();
    claim(kept > 0, "the bad turns are kept for the record", kept)?;
    story.teller.proven(
        "hidden",
        &format!(
            "With it went all that it wrote: {} in {} and {}, hidden at once, deleted nowhere. In {}'s session the customer's own \
             words are still there; the agent's promises aren't.",
            records(memories, "turn"),
            count(memories["spaces"].as_u64().unwrap_or_default(), "session"),
            records(vectors, "vector"),
            capital(&two.inside)
        ),
        json!({ "layers": report["layers"], "session": two.inside, "turns_of_the_customer": own, "turns_of_the_candidate": bad, "turns_kept": kept }),
    )
}

fn reached(story: &mut Story, report: &Value) -> anyhow::Result<()> {
    let reach = &report["reach"];
    claim(reach["misled_runs"] == 0, "nobody outside the canary was misled", reach)?;
    let calls = report["side_effects"]["tools"]["issue_refund"].as_u64().unwrap_or_default();
    let radius = story.api.get(&format!("deployments/{BAD}/blast-radius?limit=1000"))?;
    let runs = radius["runs"].as_array().into_iter().flatten();
    let effects = runs.flat_map(|run| run["side_effects"].as_array().into_iter().flatten());
    let done =
        effects.filter(|effect| effect["tool"] == "issue_refund" && effect["result"] == "ok").count() as u64;
    claim(calls > 0 && done > 0 && done <= calls, "refunds were made", format!("{done} of {calls}"))?;
    story.teller.say(
        "blast_radius",
        &format!(
            "Whom it reached: {} of its own in {}, and no run of anybody else read what it wrote. What no rollback takes back is listed: \
             `issue_refund` was called {calls} times, and {done} times money went out (`pinrail deployment blast-radius {BAD}`).",
            count(reach["own_runs"].as_u64().unwrap_or_default(), "run"),
            count(reach["sessions"].as_u64().unwrap_or_default(), "session"),
        ),
        json!({ "reach": reach, "refund_calls": calls, "refunds_made": done }),
    )
}

fn verified(story: &mut Story) -> anyhow::Result<()> {
    let proof = story.api.get(&format!("deployments/{BAD}/verify"))?;
    claim(
        proof["holds"] == true && proof["findings"] == 0,
        "what is visible is what was visible before",
        &proof,
    )?;
    let (mut unchanged, mut added) = (0, 0);
    for space in proof["spaces"].as_array().into_iter().flatten() {
        unchanged += space["unchanged"].as_u64().unwrap_or_default();
        let accounts = space["accounts"].as_object().into_iter().flatten();
        added += accounts.map(|(_, account)| account["added"].as_u64().unwrap_or_default()).sum::<u64>();
    }
    story.teller.proven(
        "verified",
        &format!(
            "Proof: `pinrail deployment verify {BAD}` read all {} again. Visible is what was visible when deployment {BAD} was opened \
             ({unchanged}), plus what others added since ({added}), and nothing else.",
            count(proof["records_checked"].as_u64().unwrap_or_default(), "record"),
        ),
        json!({ "holds": true, "records_checked": proof["records_checked"], "unchanged": unchanged, "added_by_others": added, "probes": proof["probes"] }),
    )
}

/// The same searches and the same customer, once more.
fn same_as_before(story: &mut Story, two: &Two, before: &[Value]) -> anyhow::Result<()> {
    let now = knowledge(story)?;
    let same = LOOKUPS.iter().zip(before.iter().zip(&now)).filter(|(_, (before, now))| before == now).count();
    claim(same == LOOKUPS.len(), "the same searches find the same", json!(now))?;
    let again = story.shop.visit(Wish::HowLong, PAID, &two.inside)?;
    claim(again.deployment == INCUMBENT, "the session goes on with the incumbent", again.deployment)?;
    claim(again.said.contains("30 days"), "the customer hears the truth again", &again.said)?;
    let holds = story.api.get("pointers")?["pointers"][0]["hold"].clone();
    claim(!holds.is_null(), "a hold is set", &holds)?;
    story.teller.proven(
        "same_as_before",
        &format!(
            "The {same} searches of before find the same, with the same score. And {} asks once more:",
            capital(&two.inside)
        ),
        json!({ "searches_same": same, "says": again.said, "hold": holds }),
    )?;
    story.teller.lines(&[("asked", HOW_LONG.to_owned()), (&capital(&two.inside), again.said)])?;
    let why = text(&holds["why"]);
    claim(why.contains("tool_error_rate"), "the hold says why", &holds)?;
    story.teller.say(
        "held",
        "A hold keeps the same candidate from being tried again by accident, until a person lifts it.",
        json!({ "why": why }),
    )
}
