//! Chapter 5: the dial is turned, by a person.

use serde_json::{Value, json};

use super::super::api::{AGENT, Caller, TENANT};
use super::super::shop::Wish;
use super::{Story, claim, text, took};

/// Another tenant of the shop.
const OTHER: &str = "globex";
/// An order that was paid.
const PAID: usize = 5;

pub fn tell(story: &mut Story, members: u64) -> anyhow::Result<()> {
    story.teller.chapter(5, "Turn it down, not off")?;
    let visit = story.shop.visit(Wish::Lost, PAID, "nora")?;
    claim(visit.called == ["issue_refund"], "a lost parcel is paid back", visit.called.join(", "))?;
    story.teller.say(
        "full",
        "Between everything on and everything off there is the dial. At `full`, the agent pays a lost parcel back: it calls `issue_refund`.",
        json!({ "called": visit.called }),
    )?;
    read_only(story, members)?;
    off(story, members)?;
    let place = json!({ "agent": AGENT });
    turn(story, &place, "full", "looked into it", members)?;
    let left = story.api.get("dial")?["settings"].as_array().map_or(0, Vec::len);
    claim(left == 0, "the dial is at full everywhere", left)?;
    let visit = story.shop.visit(Wish::Lost, PAID + 3, "olga")?;
    claim(visit.called == ["issue_refund"], "a lost parcel is paid back again", visit.called.join(", "))?;
    story.teller.proven(
        "full_again",
        "And back to `full`. Guardrails and drift may turn the dial down by themselves; only people turn it up. Nothing blocks it.",
        json!({ "called": visit.called, "settings": left }),
    )?;
    story.teller.look("/dial")
}

fn read_only(story: &mut Story, members: u64) -> anyhow::Result<()> {
    let epoch = turn(story, &json!({ "agent": AGENT }), "read_only", "odd refunds this week", members)?;
    let visit = story.shop.visit(Wish::Lost, PAID, "paul")?;
    claim(visit.called.is_empty(), "no tool is called", visit.called.join(", "))?;
    claim(
        visit.dial.as_deref() == Some("read_only"),
        "the answer says so",
        visit.dial.clone().unwrap_or_default(),
    )?;
    story.teller.proven(
        "read_only",
        &format!(
            "After the rollback somebody wants to look at the refunds first: `pinrail dial set {AGENT} read_only`. {} later every \
             worker knows. The agent goes on answering; tools that change the world are withheld:",
            took(&epoch["took"]["max_us"])
        ),
        json!({ "acknowledged_us": epoch["took"]["max_us"], "acknowledged": epoch["acknowledged"], "called": visit.called }),
    )?;
    story.teller.lines(&[("Paul", visit.spoken()), ("tools called", "none".to_owned())])
}

fn off(story: &mut Story, members: u64) -> anyhow::Result<()> {
    let place = json!({ "agent": AGENT, "tenant": OTHER });
    let epoch = turn(story, &place, "off", "they asked for it", members)?;
    let question = json!([{ "role": "user", "content": "What is 1 + 1?" }]);
    let theirs = story.api.chat(Caller { tenant: Some(OTHER), ..Caller::default() }, &question)?;
    let code = text(&theirs.body["error"]["code"]);
    claim(theirs.status.as_u16() == 503 && code == "dialled", "the tenant gets a 503", &theirs.body)?;
    let ours = story.api.chat(Caller { tenant: Some(TENANT), ..Caller::default() }, &question)?;
    claim(ours.is_good(), "everybody else is served", &ours.body)?;
    turn(story, &place, "full", "they want it back", members)?;
    let again = story.api.chat(Caller { tenant: Some(OTHER), ..Caller::default() }, &question)?;
    claim(again.is_good(), "the tenant is served again", &again.body)?;
    let retry = theirs.retry_after.unwrap_or_default();
    story.teller.proven(
        "off",
        &format!(
            "One of your tenants wants it off: `pinrail dial set {AGENT} off --tenant {OTHER}`, known to all in {}. {OTHER} gets 503 \
             and `Retry-After: {retry}`, everybody else an answer. Back to `full`, and {OTHER} is served again.",
            took(&epoch["took"]["max_us"])
        ),
        json!({
            "status": theirs.status.as_u16(), "code": code, "retry_after": retry, "others": ours.status.as_u16(),
            "acknowledged_us": epoch["took"]["max_us"],
        }),
    )
}

/// Turns the dial, and waits until everybody knows; gives who acknowledged it.
fn turn(story: &Story, place: &Value, position: &str, reason: &str, members: u64) -> anyhow::Result<Value> {
    let body = json!({ "place": place, "position": position, "reason": reason });
    let turned = story.api.put("dial", &body)?;
    claim(turned["changed"] == true && turned["recorded"] == true, "the dial is turned", &turned)?;
    story.acknowledged(&turned["epoch"], members)
}
