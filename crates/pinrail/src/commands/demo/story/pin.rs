//! Chapter 2: the agent is pinned.

use serde_json::{Value, json};

use super::super::api::{AGENT, TENANT};
use super::super::chart;
use super::super::project::{Agent, Prompt};
use super::drift::{ALIAS, BEFORE};
use super::{Story, claim, percent, short, text, took};

/// Sums that are asked again.
const ASKED: usize = 60;
const BETWEEN_MS: u64 = 40;

pub fn tell(story: &mut Story) -> anyhow::Result<()> {
    story.teller.chapter(2, "Pin it")?;
    let agent = Agent { tier: "standard", snapshot: BEFORE, prompt: Prompt::Careful };
    let release = story.apply(agent, "pinned")?;
    refused(story)?;
    let flip = story.deploy(&release, true, "pin the model")?;
    let shown = story.api.get(&format!("releases/{release}"))?;
    claim(shown["identity"] == "pinned", "the model is pinned", &shown["identity"])?;
    claim(flip["active"][AGENT] == 2, "deployment 2 is active", &flip)?;
    story.teller.proven(
        "pinned",
        &format!(
            "The next release names a dated snapshot, `{BEFORE}`, which stays what it is. Its id, {}, is the SHA-256 of the whole \
             contract: model, parameters, prompt, tools. Deployment 2 puts it in front of all traffic in {}.",
            short(&release),
            took(&flip["took_us"])
        ),
        json!({ "release": release, "identity": "pinned", "deployment": 2, "took_us": flip["took_us"] }),
    )?;
    let cleared = clear(story)?;
    let right = traffic(story)?;
    let drifted = drifted(story)?;
    claim(drifted == 0, "no answer drifted", drifted)?;
    let open = story.api.get("drift")?["findings"].as_array().map_or(0, Vec::len);
    claim(open == 0, "no finding is open", open)?;
    story.teller.proven(
        "no_drift",
        &format!(
            "The same customers ask the same: {} % right again, and all {ASKED} answers come from the pinned model. The {cleared} \
             findings are cleared, and none is new.",
            percent(right, ASKED as u64)
        ),
        json!({ "asked": ASKED, "right": right, "drifted": drifted, "findings_open": open }),
    )?;
    story.teller.look("/deployments/2")
}

/// The tier keeps the alias out from now on.
fn refused(story: &mut Story) -> anyhow::Result<()> {
    let manifest = json!({ "pinrail": 1, "model": { "provider": "sim", "snapshot": ALIAS } });
    let (status, problem) =
        story.api.try_post("releases", &json!({ "agent": AGENT, "manifest": manifest }))?;
    claim(problem["code"] == "model_refused", "tier standard refuses the alias", &problem)?;
    story.teller.say(
        "model_refused",
        &format!(
            "Tier `standard` takes no floating names. Who tries hears: \"{}\" ({status}).",
            text(&problem["detail"])
        ),
        json!({ "code": problem["code"], "detail": problem["detail"] }),
    )
}

/// A person says that the findings are dealt with; gives how many there were.
fn clear(story: &Story) -> anyhow::Result<usize> {
    let findings = story.api.get("drift")?;
    let findings: Vec<Value> = findings["findings"].as_array().cloned().unwrap_or_default();
    for finding in &findings {
        let path = format!("drift/{}/clear", finding["finding"]);
        story.api.post(&path, &json!({ "reason": "the agent is pinned now" }))?;
    }
    Ok(findings.len())
}

/// Asks the same sums again; gives how many answers are right.
fn traffic(story: &mut Story) -> anyhow::Result<u64> {
    let (mut right, mut marks) = (0, Vec::new());
    for n in 0..ASKED {
        let visit = story.shop.sum(n, &format!("guest-{n}"), TENANT)?;
        claim(visit.served == BEFORE, "the pinned model answers", &visit.served)?;
        claim(visit.deployment == 2, "sessions go over to deployment 2", visit.deployment)?;
        right += u64::from(visit.right);
        marks.push(if visit.right { 4 } else { 1 });
        let asked = n as u64 + 1;
        story.teller.show(&[format!(
            "  {BEFORE}  {asked:>3} answers  {:>3} % right  {}",
            percent(right, asked),
            chart::spark(&marks, 30)
        )]);
        story.teller.wait(BETWEEN_MS)?;
    }
    story.teller.hide();
    Ok(right)
}

/// How many of the deployment's runs were answered by something else than the pin.
fn drifted(story: &Story) -> anyhow::Result<usize> {
    let runs = story.until("every run is in the journal", || {
        let page = story.api.get("runs?deployment=2&limit=1000")?;
        let runs = page["items"].as_array().cloned().unwrap_or_default();
        Ok((runs.len() >= ASKED).then_some(runs))
    })?;
    Ok(runs.iter().filter(|run| run["summary"]["drifted"] == true).count())
}
