//! Webhooks: everything that is wanted arrives, in order, whatever the receiver and the process go through.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pinrail_domain::deploy::Traffic;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{LedgerSeq, WebhookName};
use pinrail_domain::ledger::Actor;
use pinrail_domain::tier::Tier;
use pinrail_domain::webhook::{WEBHOOKS_MAX, WebhookSpec};
use pinrail_store::memory::Strike;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::bench::*;
use crate::agents::Change;
use crate::outbound::{Address, Fault, Message, Outbound, Receipt, SendError};
use crate::webhooks::deliverer::Deliverer;
use crate::webhooks::letters::{ResendError, Resent};
use crate::webhooks::{ATTEMPTS_MAX, EVENT_BYTES_MAX, WebhookRefused, backoff};

/// Receivers, by their URL: each answers as it is told, and takes everything afterwards.
#[derive(Default)]
struct World {
    answers: Mutex<BTreeMap<String, VecDeque<Fault>>>,
    taken: Mutex<Vec<Sent>>,
    tried: Mutex<Vec<Sent>>,
    /// Receivers that never answer.
    hanging: Mutex<Vec<String>>,
    arrived: Notify,
}

#[derive(Clone, Debug)]
struct Sent {
    url: String,
    id: String,
    at: Instant,
    event: Value,
}

#[async_trait]
impl Outbound for World {
    async fn send(&self, to: &Address, message: &Message) -> Result<Receipt, SendError> {
        let event: Value = serde_json::from_slice(&message.body).unwrap();
        let sent = Sent { url: to.url.clone(), id: message.id.clone(), at: Instant::now(), event };
        self.tried.lock().unwrap().push(sent.clone());
        if self.hanging.lock().unwrap().contains(&to.url) {
            std::future::pending::<()>().await;
        }
        let answer = self.answers.lock().unwrap().get_mut(&to.url).and_then(VecDeque::pop_front);
        match answer {
            Some(fault) => Err(SendError { what: "not now".to_owned(), fault, answer: None }),
            None => {
                self.taken.lock().unwrap().push(sent);
                self.arrived.notify_waiters();
                Ok(Receipt { status: 204, said: String::new() })
            }
        }
    }
}

impl World {
    fn answer(&self, hook: &str, faults: impl IntoIterator<Item = Fault>) {
        self.answers.lock().unwrap().entry(url(hook)).or_default().extend(faults);
    }

    /// The ids that a receiver took, in order.
    fn ids(&self, hook: &str) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        taken.iter().filter(|sent| sent.url == url(hook)).map(|sent| sent.id.clone()).collect()
    }

    fn kinds(&self, hook: &str) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        let of = taken.iter().filter(|sent| sent.url == url(hook));
        of.map(|sent| sent.event["type"].as_str().unwrap().trim_start_matches("pinrail.").to_owned())
            .collect()
    }

    /// Waits until a receiver took so many.
    async fn wait_for(&self, hook: &str, count: usize) {
        loop {
            let arrived = self.arrived.notified();
            if self.ids(hook).len() >= count {
                return;
            }
            arrived.await;
        }
    }

    /// The pauses between the attempts at one event, in milliseconds.
    fn pauses(&self, hook: &str, id: &str) -> Vec<u128> {
        let tried = self.tried.lock().unwrap();
        let at: Vec<Instant> =
            tried.iter().filter(|sent| sent.url == url(hook) && sent.id == id).map(|sent| sent.at).collect();
        at.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect()
    }
}

const LATER: Fault = Fault::Later { after: None };

fn url(hook: &str) -> String {
    format!("https://{hook}.example/in")
}

fn name(hook: &str) -> WebhookName {
    hook.parse().unwrap()
}

async fn put(bench: &Bench, hook: &str, settings: Value) -> Change {
    let mut spec = json!({ "url": url(hook) });
    spec.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let spec: WebhookSpec = serde_json::from_value(spec).unwrap();
    bench.control.webhook_put(by("hook"), &name(hook), &spec).await.unwrap().value
}

/// A control plane with one deployment, deliveries running.
async fn bench() -> (Bench, Arc<World>, Deliverer) {
    let (bench, world) = (Bench::new(Tier::Standard).await, Arc::new(World::default()));
    bench.manifests_settled().await;
    let deliverer = bench.control.deliver_webhooks(Arc::clone(&world) as Arc<dyn Outbound>);
    (bench, world, deliverer)
}

impl Bench {
    /// Waits for the notes that follow a deployment by themselves.
    async fn manifests_settled(&self) {
        let mut heads = self.control.inner.heads.subscribe();
        let is_noted =
            || self.control.snapshot().world.deployments.values().all(|known| known.manifest.is_some());
        while !is_noted() {
            heads.changed().await.unwrap();
        }
    }

    fn head(&self) -> u64 {
        self.control.snapshot().world.head.seq.0
    }

    async fn status(&self, hook: &str) -> crate::webhooks::Status {
        self.control.webhook(&name(hook)).await.unwrap().unwrap()
    }

    /// Waits until a webhook is done with all that the ledger has.
    async fn caught_up(&self, hook: &str) {
        while self.status(hook).await.lag > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_webhook_is_told_in_order_and_what_was_before_is_not() {
    let (bench, world, _deliverer) = bench().await;
    assert_eq!(put(&bench, "chat", json!({})).await, Change::Created);
    let since = bench.head();
    let two = bench.deploy(&["planner"], "m2-2026-01-01", Traffic::Now).await;
    bench.manifests_settled().await;
    bench.roll_back(two).await;
    bench.caught_up("chat").await;
    assert_eq!(
        world.kinds("chat"),
        ["release_created", "deployment_opened", "deployment_promoted", "deployment_rolled_back"]
    );
    let taken = world.taken.lock().unwrap().clone();
    let back = &taken[3].event;
    let entry = bench.control.ledger_read(LedgerSeq(bench.head() - 1), 1).await.unwrap().remove(0);
    assert_eq!(back["id"], format!("ledger-{}", entry.seq));
    assert_eq!(
        (&back["specversion"], &back["source"], &back["subject"], &back["time"]),
        (&json!("1.0"), &json!("/pinrail"), &json!("deployments/2"), &json!(entry.at.rfc3339()))
    );
    let data = &back["data"];
    assert_eq!((&data["actor"]["kind"], &data["reason"]), (&json!("open"), &json!("bad")));
    assert_eq!(
        (&data["hash"], &data["body"]["type"]),
        (&json!(entry.hash), &json!("deployment_rolled_back"))
    );
    assert_eq!(data["agents"], json!(["planner"]));
    let states: Vec<&Value> = taken.iter().map(|sent| &sent.event["data"]["deployment"]["state"]).collect();
    assert_eq!(states, [&Value::Null, &json!("candidate"), &json!("active"), &json!("rolled back")]);
    assert!(
        world.ids("chat").iter().all(|id| id.trim_start_matches("ledger-").parse::<u64>().unwrap() > since)
    );
    let status = bench.status("chat").await;
    assert_eq!((status.cursor.0, status.lag, status.trouble), (bench.head(), 0, None));
    assert_eq!(status.delivered.unwrap().seq, entry.seq);
}

#[tokio::test(start_paused = true)]
async fn filters_choose_kinds_and_agents() {
    let (bench, world, _deliverer) = bench().await;
    put(&bench, "kinds", json!({ "events": ["deployment_rolled_*", "weight_set"] })).await;
    put(&bench, "agents", json!({ "agents": ["executor"] })).await;
    put(&bench, "notes", json!({ "events": ["manifest_*"] })).await;
    let two = bench.deploy(&["planner"], "m2-2026-01-01", Traffic::Now).await;
    let three = bench.deploy(&["executor"], "m3-2026-01-01", Traffic::Canary(share("5%"))).await;
    bench.control.set_weight(by("wider"), three, share("10%")).await.unwrap();
    bench.manifests_settled().await;
    bench.roll_back(two).await;
    for hook in ["kinds", "agents", "notes"] {
        bench.caught_up(hook).await;
    }
    assert_eq!(world.kinds("kinds"), ["weight_set", "deployment_rolled_back"]);
    assert_eq!(world.kinds("agents"), ["release_created", "deployment_opened", "weight_set"]);
    assert_eq!(world.kinds("notes"), ["manifest_recorded"; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_away_is_tried_again_and_delays_only_itself() {
    let (bench, world, _deliverer) = bench().await;
    for hook in ["away", "well", "hangs"] {
        put(&bench, hook, json!({ "events": ["release_created"] })).await;
    }
    world.hanging.lock().unwrap().push(url("hangs"));
    world.answer("away", [LATER, LATER, LATER, Fault::Later { after: Some(Duration::from_secs(60)) }]);
    let id = format!("ledger-{}", bench.head() + 1);
    bench.release("planner", "m2-2026-01-01").await;
    // I7, I13: what commits waits for none of them.
    bench.release("planner", "m3-2026-01-01").await;
    world.wait_for("well", 2).await;
    assert!(world.ids("away").is_empty());
    let trouble = bench.status("away").await.trouble.unwrap();
    assert_eq!((format!("ledger-{}", trouble.seq), trouble.what), (id.clone(), "not now".to_owned()));
    world.wait_for("away", 2).await;
    assert_eq!(world.ids("away"), world.ids("well"));
    let pauses = world.pauses("away", &id);
    let bounds = [500..=1_000, 1_000..=2_000, 2_000..=4_000, 60_000..=60_000];
    assert!(pauses.iter().zip(bounds).all(|(pause, bound)| bound.contains(pause)), "{pauses:?}");
    assert_eq!(pauses.len(), 4);
    assert!(bench.status("away").await.trouble.is_none());
}

#[test]
fn pauses_double_up_to_a_cap_and_are_cut_by_up_to_a_half() {
    let check = |attempts, random, asked: Option<u64>, ms| {
        let pause = backoff(attempts, random, asked.map(Duration::from_secs));
        assert_eq!(pause.as_millis(), ms, "{attempts} {random:?} {asked:?}");
    };
    check(1, [0, 0], None, 500);
    check(1, [255, 255], None, 1_000);
    check(2, [255, 255], None, 2_000);
    check(11, [255, 255], None, 1_024_000);
    check(12, [255, 255], None, 1_800_000);
    check(u32::MAX, [0, 0], None, 900_000);
    check(1, [0, 0], Some(7), 7_000);
    check(12, [255, 255], Some(7), 1_800_000);
    check(1, [0, 0], Some(1_000_000), 3_600_000);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_or_tried_too_often_becomes_a_dead_letter_and_the_next_goes_out() {
    let (bench, world, _deliverer) = bench().await;
    put(&bench, "chat", json!({})).await;
    let first = bench.head() + 1;
    world.answer("chat", [Fault::Refused]);
    world.answer("chat", [LATER; ATTEMPTS_MAX as usize]);
    for snapshot in ["m2-2026-01-01", "m3-2026-01-01", "retiring-2026-01-01"] {
        bench.release("planner", snapshot).await;
    }
    bench.caught_up("chat").await;
    assert_eq!(world.ids("chat"), [format!("ledger-{}", first + 2)]);
    let control = &bench.control;
    let letters = control.dead_letters(&name("chat"), LedgerSeq(0), 10).await.unwrap().unwrap();
    let seen: Vec<_> = letters.iter().map(|letter| (letter.seq.0, letter.attempts)).collect();
    assert_eq!(seen, [(first, 1), (first + 1, ATTEMPTS_MAX)]);
    assert_eq!(bench.status("chat").await.dead_letters, 2);

    // Sent again by hand: under the same id, and what is taken is no dead letter any more.
    world.answer("chat", [Fault::Refused]);
    let chat = name("chat");
    let resent = control.dead_letter_resend(&chat, LedgerSeq(first), &*world).await.unwrap();
    assert_eq!(resent, Resent { seq: LedgerSeq(first), why: Some("not now".to_owned()) });
    assert_eq!(control.dead_letters(&chat, LedgerSeq(0), 1).await.unwrap().unwrap()[0].attempts, 2);
    let all = control.dead_letters_resend(&chat, &*world).await.unwrap();
    assert_eq!((all.letters.len(), all.left), (2, 0));
    assert!(all.letters.iter().all(|resent| resent.why.is_none()));
    assert_eq!(world.ids("chat")[1..], [format!("ledger-{first}"), format!("ledger-{}", first + 1)]);
    let gone = control.dead_letter_resend(&chat, LedgerSeq(first), &*world).await.unwrap_err();
    assert!(matches!(gone, ResendError::NoLetter { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_it_was_and_nothing_is_lost() {
    let (bench, world, deliverer) = bench().await;
    put(&bench, "chat", json!({})).await;
    let first = bench.head() + 1;
    bench.release("planner", "m2-2026-01-01").await;
    bench.caught_up("chat").await;
    // It dies while the receiver is away; more happens while nobody delivers.
    world.answer("chat", [LATER; 3]);
    bench.release("planner", "m3-2026-01-01").await;
    while world.pauses("chat", &format!("ledger-{}", first + 1)).is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(deliverer);
    settle().await;
    bench.release("executor", "m3-2026-01-01").await;
    let (again, _) = bench.another().await;
    assert_eq!((again.status("chat").await.cursor.0, again.status("chat").await.lag), (first, 2));
    let deliverer = again.control.deliver_webhooks(Arc::clone(&world) as Arc<dyn Outbound>);
    again.caught_up("chat").await;
    let ids = [first, first + 1, first + 2].map(|seq| format!("ledger-{seq}"));
    assert_eq!(world.ids("chat"), ids);
    deliverer.stop().await;
    again.release("executor", "m2-2026-01-01").await;
    settle().await;
    assert_eq!(world.ids("chat"), ids);
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_is_not_sent_again_because_the_store_was_away() {
    let (bench, world, _deliverer) = bench().await;
    put(&bench, "chat", json!({})).await;
    bench.caught_up("chat").await;
    for strike in [Strike::BeforeEffect, Strike::AfterEffect] {
        let count = world.ids("chat").len();
        world.answer("chat", [LATER]);
        bench.release("planner", if count == 0 { "m2-2026-01-01" } else { "m3-2026-01-01" }).await;
        settle().await;
        bench.store.fail(3, strike);
        bench.caught_up("chat").await;
        assert_eq!(world.ids("chat").len(), count + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_here_is_waited_for_and_new_settings_or_a_test_end_the_wait() {
    let (bench, world, _deliverer) = bench().await;
    put(&bench, "chat", json!({ "secret_env": "CHAT_SECRET" })).await;
    world.answer("chat", [Fault::Here; 40]);
    bench.release("planner", "m2-2026-01-01").await;
    tokio::time::sleep(Duration::from_secs(4 * 3_600)).await;
    let status = bench.status("chat").await;
    assert_eq!((status.dead_letters, status.lag), (0, 1));
    assert!(status.trouble.unwrap().attempts > ATTEMPTS_MAX);
    // The pause is half an hour by now, and the settings end it.
    world.answers.lock().unwrap().clear();
    let before = Instant::now();
    assert_eq!(put(&bench, "chat", json!({})).await, Change::Updated);
    bench.caught_up("chat").await;
    assert!(before.elapsed() < Duration::from_secs(1));

    world.answer("chat", [LATER; 10]);
    bench.release("planner", "m3-2026-01-01").await;
    tokio::time::sleep(Duration::from_secs(500)).await;
    world.answers.lock().unwrap().clear();
    let before = Instant::now();
    let tested = bench.control.webhook_test(&name("chat"), &Actor::Open, &*world).await.unwrap();
    assert_eq!(tested.result.unwrap().status, 204);
    bench.caught_up("chat").await;
    assert!(before.elapsed() < Duration::from_secs(1));
    assert!(world.kinds("chat").contains(&"webhook.test".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_is_removed_leaves_nothing_and_one_of_its_name_begins_anew() {
    let (bench, world, _deliverer) = bench().await;
    put(&bench, "chat", json!({})).await;
    world.answer("chat", [Fault::Refused]);
    bench.release("planner", "m2-2026-01-01").await;
    bench.caught_up("chat").await;
    let removed = bench.control.webhook_remove(by("enough"), &name("chat")).await.unwrap();
    assert_eq!(removed.value, Change::Removed);
    let again = bench.control.webhook_remove(by("enough"), &name("chat")).await.unwrap_err();
    assert!(again.to_string().contains("no webhook `chat`"));
    bench.release("planner", "m3-2026-01-01").await;
    put(&bench, "chat", json!({})).await;
    bench.release("executor", "m3-2026-01-01").await;
    bench.caught_up("chat").await;
    assert_eq!(world.ids("chat"), [format!("ledger-{}", bench.head())]);
    assert_eq!(bench.status("chat").await.dead_letters, 0);
    let kept = pinrail_store::Deliveries::delivery_outlets(&*bench.store).await.unwrap();
    assert_eq!(kept.len(), 1, "{kept:?}");
}

#[tokio::test(start_paused = true)]
async fn settings_are_checked_and_putting_them_twice_changes_nothing() {
    let (bench, _world, _deliverer) = bench().await;
    let refusal = async |hook: &str, settings: Value| {
        let mut spec = json!({ "url": url("x") });
        spec.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let spec: WebhookSpec = serde_json::from_value(spec).unwrap();
        match bench.control.webhook_put(by("hook"), &name(hook), &spec).await {
            Err(crate::CommitError::Refused(refused)) => refused,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(refusal("a", json!({ "url": "ftp://x" })).await, WebhookRefused::Bad(_)));
    let unknown = refusal("a", json!({ "agents": ["planer"] })).await;
    assert_eq!(unknown.to_string(), "there is no agent `planer` to tell of");
    for n in 0..WEBHOOKS_MAX {
        assert_eq!(put(&bench, &format!("hook-{n}"), json!({})).await, Change::Created);
    }
    let head = bench.head();
    assert_eq!(put(&bench, "hook-0", json!({})).await, Change::Unchanged);
    assert_eq!(bench.head(), head);
    assert_eq!(refusal("one-more", json!({})).await, WebhookRefused::TooMany);
}

#[tokio::test(start_paused = true)]
async fn a_long_entry_is_told_without_its_body() {
    let (bench, world, _deliverer) = bench().await;
    put(&bench, "chat", json!({})).await;
    let tenants: Vec<String> = (0..10_000).map(|n| format!("tenant-with-a-long-name-{n}")).collect();
    let spec = json!({ "segments": [{ "name": "s", "tenants": tenants }] });
    let spec = serde_json::from_value(spec).unwrap();
    bench.control.agent_put(by("many"), &agent("planner"), &spec).await.unwrap();
    bench.caught_up("chat").await;
    let event = world.taken.lock().unwrap().last().unwrap().event.clone();
    assert!(event.to_string().len() < EVENT_BYTES_MAX);
    assert_eq!(event["data"]["body"], json!({ "type": "agent_put" }));
    assert_eq!(
        (&event["data"]["body_left_out"], &event["subject"]),
        (&json!(true), &json!("agents/planner"))
    );
}

/// Bytes that follow from a seed alone.
struct Dice {
    seed: u64,
    drawn: u64,
}

impl Dice {
    fn below(&mut self, n: u8) -> u8 {
        self.drawn += 1;
        let bytes = format!("{}/{}", self.seed, self.drawn);
        Digest::of(bytes.as_bytes()).as_bytes()[0] % n
    }
}

/// Whatever receivers answer, however the store fails and the process ends: each wanted entry is told or is a dead
/// letter, what is told is first told in the ledger's order, and every attempt says the same.
#[tokio::test(start_paused = true)]
async fn nothing_is_lost_in_any_order_of_faults() {
    for seed in 0..25 {
        let mut dice = Dice { seed, drawn: 0 };
        let (mut bench, world, mut deliverer) = bench().await;
        put(&bench, "chat", json!({ "events": ["provider_*"] })).await;
        let since = bench.head();
        let spec = bench.control.snapshot().world.providers.values().next().unwrap().as_ref().clone();
        for n in 0..30 {
            match dice.below(8) {
                0 => world.answer("chat", [Fault::Later { after: Some(Duration::from_secs(2)) }, LATER]),
                1 => world.answer("chat", [Fault::Refused, Fault::Here]),
                2 => world.answer("chat", [LATER; ATTEMPTS_MAX as usize]),
                3 => bench.store.fail(1, Strike::BeforeEffect),
                4 => bench.store.fail(2, Strike::AfterEffect),
                5 => {
                    drop(deliverer);
                    settle().await;
                    // A start needs its store.
                    bench.store.memory.forget_failures();
                    bench = bench.another().await.0;
                    deliverer = bench.control.deliver_webhooks(Arc::clone(&world) as Arc<dyn Outbound>);
                }
                _ => {
                    let name = format!("p-{n}").parse().unwrap();
                    // A put that the store failed may have happened or not: the ledger says.
                    let _ = bench.control.provider_put(by("more"), &name, &spec).await;
                }
            }
            tokio::time::sleep(Duration::from_secs(u64::from(dice.below(4)))).await;
        }
        bench.store.memory.forget_failures();
        // Pauses add up to hours, of which every look costs.
        while bench.status("chat").await.lag > 0 {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let entries = bench.control.ledger_read(LedgerSeq(since), 1_000).await.unwrap();
        let wanted: Vec<u64> = entries
            .iter()
            .filter(|entry| entry.body.kind().starts_with("provider_"))
            .map(|entry| entry.seq.0)
            .collect();
        let dead = bench.control.dead_letters(&name("chat"), LedgerSeq(0), 1_000).await.unwrap().unwrap();
        let dead: BTreeSet<u64> = dead.iter().map(|letter| letter.seq.0).collect();
        let mut once = BTreeSet::new();
        let ids = world.ids("chat").into_iter().filter(|id| once.insert(id.clone()));
        let told: Vec<u64> = ids.map(|id| id.trim_start_matches("ledger-").parse().unwrap()).collect();
        let owed: Vec<u64> = wanted.iter().copied().filter(|seq| !dead.contains(seq)).collect();
        assert_eq!(told, owed, "seed {seed}, dead {dead:?}");
        let tried = world.tried.lock().unwrap().clone();
        let mut said: BTreeMap<&str, &Value> = BTreeMap::new();
        for sent in &tried {
            assert_eq!(*said.entry(&sent.id).or_insert(&sent.event), &sent.event, "seed {seed}");
        }
    }
}
