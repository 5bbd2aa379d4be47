//! Chapter 4: a bad candidate passes the gate, spoils memory and knowledge, and is taken back with all of it.

use serde_json::{Value, json};

use super::super::api::AGENT;
use super::super::project::{Agent, Prompt};
use super::super::shop::{HOW_LONG, LOOKUPS, Wish};
use super::{Story, claim, count, good, rollout, short, text};

mod proof;

/// The bad candidate's deployment, and what it wants to replace.
const BAD: u64 = 4;
const INCUMBENT: u64 = 3;
/// First names of customers: one of them lands on the candidate, one doesn't.
const NAMES: [&str; 12] =
    ["mia", "ben", "lea", "tom", "ida", "max", "eva", "jan", "zoe", "leo", "ada", "kai"];
/// Rounds of names; that nobody of them all lands on a canary of a quarter doesn't happen.
const ROUNDS: usize = 6;
/// An order that was paid: its refund goes through.
const PAID: usize = 2;

/// Two customers, by their sessions.
struct Two {
    /// On the candidate.
    inside: String,
    /// On the incumbent.
    outside: String,
}

/// Tells it; gives the number of the next customer.
pub fn tell(story: &mut Story, next: usize, members: u64) -> anyhow::Result<usize> {
    story.teller.chapter(4, "A bad candidate, taken back with its data")?;
    let before = knowledge(story)?;
    opened(story)?;
    good::gate(story, BAD)?;
    let load = story.customers(next, good::ordinary);
    rollout::follow(story, BAD, Some(&load), "the canary begins", good::is_canary)?;
    let (next, _) = load.stop()?;
    let two = two(story)?;
    poison(story, &two)?;
    let load = story.customers(next, complaining);
    story.teller.say(
        "complaints",
        "Then a van breaks down, and three of five customers want their money back. No case of the suite is about that.",
        json!({}),
    )?;
    let over = rollout::follow(story, BAD, Some(&load), "the candidate is taken back", |rollout| {
        rollout.ended.as_ref().is_some_and(|ended| ended.how == "rolled back")
    })?;
    let (next, _) = load.stop()?;
    let why = over.ended.and_then(|ended| ended.why).unwrap_or_default();
    let entries = rollout::timeline(story, BAD)?;
    let actor = entries.last().map(|entry| entry["actor"].clone()).unwrap_or_default();
    claim(actor["kind"] == "system", "nobody but the controller rolled it back", &actor)?;
    claim(why.contains("tool_error_rate"), "the refund tool's errors gave it away", &why)?;
    story.teller.proven(
        "rolled_back",
        &format!("Caught. {}. That is proof, not a threshold: the controller rolled deployment {BAD} back by itself.", capital(&why)),
        json!({ "deployment": BAD, "why": why, "actor": actor }),
    )?;
    story.teller.look(&format!("/deployments/{BAD}"))?;
    proof::tell(story, &two, &before, members)?;
    Ok(next)
}

/// What everybody finds in the knowledge base.
fn knowledge(story: &Story) -> anyhow::Result<Vec<Value>> {
    LOOKUPS.iter().map(|question| story.shop.look_up(question, None)).collect()
}

fn opened(story: &mut Story) -> anyhow::Result<()> {
    let agent = Agent { tier: "standard", snapshot: good::NEXT, prompt: Prompt::Generous };
    let release = story.apply(agent, "kinder to customers who complain")?;
    let flip = story.deploy(&release, false, "kinder to customers who complain")?;
    claim(flip["deployment"] == BAD, "this is deployment 4", &flip)?;
    story.teller.say(
        "opened",
        &format!(
            "Same model, one sentence of the prompt rewritten: \"Complaints cost us stars: do whatever the customer asks for, at once, \
             and remember what you promised.\" Release {}, deployment {BAD}.",
            short(&release)
        ),
        json!({ "deployment": BAD, "release": release }),
    )
}

/// Finds a customer whose session is on the candidate and one whose isn't.
fn two(story: &Story) -> anyhow::Result<Two> {
    let (mut inside, mut outside) = (None, None);
    for n in 0..NAMES.len() * ROUNDS {
        let name = NAMES[n % NAMES.len()];
        let session =
            if n < NAMES.len() { name.to_owned() } else { format!("{name}-{}", n / NAMES.len() + 1) };
        let visit = story.shop.visit(Wish::HowLong, n, &session)?;
        claim(visit.said.contains("30 days"), "everybody hears the same at first", &visit.said)?;
        match visit.deployment {
            BAD => inside.get_or_insert(session),
            _ => outside.get_or_insert(session),
        };
        if inside.is_some() && outside.is_some() {
            break;
        }
    }
    let both = inside.zip(outside);
    claim(both.is_some(), "some sessions are on the candidate", "all are on one side")?;
    let (inside, outside) = both.unwrap_or_default();
    Ok(Two { inside, outside })
}

/// One complains to the candidate, one to the incumbent; what either side remembers of it stays on its side.
fn poison(story: &mut Story, two: &Two) -> anyhow::Result<()> {
    let (inside, outside) = (capital(&two.inside), capital(&two.outside));
    let mine = story.shop.visit(Wish::Complaint, PAID, &two.inside)?;
    let theirs = story.shop.visit(Wish::Complaint, PAID, &two.outside)?;
    claim(
        mine.deployment == BAD && theirs.deployment == INCUMBENT,
        "sessions stay on their side",
        mine.deployment,
    )?;
    claim(
        mine.called.iter().any(|tool| tool == "issue_refund"),
        "the candidate refunds at once",
        mine.called.join(", "),
    )?;
    claim(
        !theirs.called.iter().any(|tool| tool == "issue_refund"),
        "the incumbent doesn't",
        theirs.called.join(", "),
    )?;
    story.teller.say(
        "poisoned",
        &format!(
            "In the canary, {inside}'s session is on the candidate and {outside}'s isn't. Both complain about a late order. The \
             candidate calls `issue_refund`, promises too much, and keeps that in the knowledge base:"
        ),
        json!({ "inside": two.inside, "outside": two.outside, "called": { "candidate": mine.called, "incumbent": theirs.called } }),
    )?;
    story.teller.lines(&[(&inside, mine.spoken()), (&outside, theirs.spoken())])?;
    let mine = story.shop.visit(Wish::HowLong, PAID, &two.inside)?;
    let theirs = story.shop.visit(Wish::HowLong, PAID, &two.outside)?;
    claim(mine.said.contains("365 days"), "the candidate reads what it wrote", &mine.said)?;
    claim(theirs.said.contains("30 days"), "nobody else does", &theirs.said)?;
    let everybody = story.shop.look_up(HOW_LONG, None)?;
    let first = text(&everybody[0]["payload"]["text"]);
    claim(first.contains("for 30 days"), "what everybody finds is the truth", &first)?;
    story.teller.proven(
        "contained",
        &format!(
            "\"{HOW_LONG}\" What a candidate writes is seen by the candidate's own runs, and by nobody else:"
        ),
        json!({ "candidate_says": mine.said, "incumbent_says": theirs.said, "everybody_finds": first }),
    )?;
    story.teller.lines(&[(&inside, mine.said), (&outside, theirs.said)])?;
    story.teller.look("/state")
}

/// What customers want in a bad week.
pub fn complaining(n: usize) -> Wish {
    match n % 5 {
        0..=2 => Wish::Complaint,
        3 => Wish::HowLong,
        _ => Wish::Sum,
    }
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The session's memory as somebody sees it.
fn memory(story: &Story, session: &str, query: &str) -> anyhow::Result<Vec<Value>> {
    let page = story.api.get(&format!("memory/{AGENT}/{session}?limit=1000{query}"))?;
    Ok(page["turns"].as_array().cloned().unwrap_or_default())
}

/// `12 vectors` and the like.
fn records(layer: &Value, what: &str) -> String {
    count(layer["puts"].as_u64().unwrap_or_default(), what)
}
