//! Chapter 1: the provider moves a floating alias, and nobody deployed.

use serde_json::{Value, json};

use super::super::project::{Agent, Prompt};
use super::super::shop::{Visit, sum};
use super::super::{api, chart};
use super::{Story, claim, percent, text};

/// The alias, and what answers to it before and after the provider moved it (script.toml).
pub const ALIAS: &str = "sim-1-latest";
pub const BEFORE: &str = "sim-1-2026-01-15";
const AFTER: &str = "sim-1-2026-06-01";
/// Answers after the move: enough to see that they are worse.
const AFTERWARDS: usize = 50;
/// The move comes sooner.
const ASKED_MAX: usize = 200;
/// Between two customers, where people read along.
const BETWEEN_MS: u64 = 45;

/// One model's answers.
#[derive(Default)]
struct Answers {
    asked: u64,
    right: u64,
    seen: Vec<(usize, Visit)>,
}

pub fn tell(story: &mut Story) -> anyhow::Result<()> {
    story.teller.chapter(1, "The model changes, and nobody deployed")?;
    begin(story)?;
    let (before, after) = traffic(story)?;
    told_by_pinrail(story)?;
    let (was, is) = (percent(before.right, before.asked), percent(after.right, after.asked));
    claim(was >= is + 10, "answers became worse", format!("{was} % right, then {is} %"))?;
    story.teller.say(
        "behaviour_changed",
        &format!("It isn't only a name: {was} % of the sums were right before, {is} % are now. The same question, asked again:"),
        json!({ "right_before": was, "right_after": is }),
    )?;
    same_question(story, &before)?;
    let opened = story.api.get("deployments")?["items"].as_array().map_or(0, Vec::len);
    claim(opened == 1, "there was one deployment", opened)?;
    let sentence = "Your own release history shows none of this: there is still only deployment 1.";
    story.teller.say("nobody_deployed", sentence, json!({ "deployments": opened }))?;
    story.teller.look("/drift")
}

/// The agent on its alias, in front of traffic.
fn begin(story: &mut Story) -> anyhow::Result<()> {
    let agent = Agent { tier: "throwaway", snapshot: ALIAS, prompt: Prompt::Careful };
    let release = story.apply(agent, "the shop's first agent")?;
    let shown = story.api.get(&format!("releases/{release}"))?;
    claim(shown["identity"] == "floating", "the model's name is floating", &shown["identity"])?;
    story.teller.say(
        "floating",
        &format!(
            "An agent called `support` answers the customers of a small shop. Its release names the model `{ALIAS}`. Pinrail calls \
             such a name floating, since the provider may let another model answer to it; tier `throwaway` allows it all the same."
        ),
        json!({ "release": release, "model": ALIAS, "identity": shown["identity"] }),
    )?;
    let flip = story.deploy(&release, true, "the first release")?;
    claim(flip["deployment"] == 1, "this is deployment 1", &flip)?;
    story.shop.load_facts()?;
    Ok(())
}

/// Customers ask for sums until the provider has moved the alias, and a while longer.
fn traffic(story: &mut Story) -> anyhow::Result<(Answers, Answers)> {
    let (mut before, mut after) = (Answers::default(), Answers::default());
    for n in 0..ASKED_MAX {
        let visit = story.shop.sum(n, &format!("guest-{n}"), api::TENANT)?;
        let known = [BEFORE, AFTER].contains(&visit.served.as_str());
        claim(known, "one of two models answers", &visit.served)?;
        let moved = visit.served == AFTER;
        if moved && after.asked == 0 {
            story.teller.hide();
            story.teller.say(
                "moved",
                &format!(
                    "{} customers asked what two articles cost together, and {} got the right sum. And now, in the middle of it, the \
                     provider lets another model answer to `{ALIAS}`. Nobody here did anything.",
                    before.asked, before.right
                ),
                json!({ "asked": before.asked, "right": before.right, "served": BEFORE }),
            )?;
        }
        let answers = if moved { &mut after } else { &mut before };
        answers.asked += 1;
        answers.right += u64::from(visit.right);
        answers.seen.push((n, visit));
        if story.teller.is_live() {
            story.teller.show(&[line(BEFORE, &before), line(AFTER, &after)]);
        }
        story.teller.wait(BETWEEN_MS)?;
        if after.seen.len() >= AFTERWARDS {
            break;
        }
    }
    story.teller.hide();
    claim(
        after.asked > 0,
        "the provider moves the alias",
        format!("{ASKED_MAX} answers came from {BEFORE}"),
    )?;
    Ok((before, after))
}

#[allow(clippy::cast_precision_loss, reason = "tens of answers")]
fn line(model: &str, answers: &Answers) -> String {
    let share = answers.right as f64 / answers.asked.max(1) as f64;
    let marks: Vec<u64> = answers.seen.iter().map(|(_, visit)| if visit.right { 4 } else { 1 }).collect();
    format!(
        "  {model}  {:>3} answers  {} {:>3} % right  {}",
        answers.asked,
        chart::bar(share, 10),
        percent(answers.right, answers.asked),
        chart::spark(&marks, 24)
    )
}

/// The findings that Pinrail made by itself.
fn told_by_pinrail(story: &mut Story) -> anyhow::Result<()> {
    let of = |findings: &Value, served: &str| {
        let mut all = findings["findings"].as_array().into_iter().flatten();
        all.find(|finding| finding["sign"]["served"] == served).cloned()
    };
    let (first, second) = story.until("the drift is found", || {
        let findings = story.api.get("drift")?;
        Ok(of(&findings, BEFORE).zip(of(&findings, AFTER)))
    })?;
    let (finding, what) = (&second["finding"], text(&second["what"]));
    let sentence = format!(
        "Pinrail compares who answered with what the release names, on every call. Drift finding {finding}: {what} (until now it was \
         `{}`). It is an entry of the ledger, and goes out by webhook where one is set.",
        text(&first["sign"]["served"])
    );
    let facts = json!({ "finding": finding, "what": what, "served_before": BEFORE, "served_now": AFTER });
    story.teller.proven("drift_found", &sentence, facts)
}

/// A question that was answered right before is asked until it is answered wrong.
fn same_question(story: &mut Story, before: &Answers) -> anyhow::Result<()> {
    for (n, was) in before.seen.iter().filter(|(_, visit)| visit.right) {
        let is = story.shop.sum(*n, &format!("again-{n}"), api::TENANT)?;
        if is.right {
            continue;
        }
        return story.teller.lines(&[("asked", sum(*n).0), (BEFORE, was.said.clone()), (AFTER, is.said)]);
    }
    claim(false, "a question that was answered right is answered wrong now", "all are right")
}
