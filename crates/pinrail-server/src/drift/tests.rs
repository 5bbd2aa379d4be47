//! The watch over a scripted provider: what it spends, what stops it, what it finds, what an all-clear does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use pinrail_domain::drift::Sign;
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::Actor;
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::document::Document;
use super::*;
use crate::testing::Bench;

const DAY_MS: u64 = 86_400_000;

/// A model by its seed, and what its provider does.
struct Provider {
    seed: AtomicU32,
    logprobs: bool,
    calls: AtomicU32,
    /// Answers of this number and later are refused so.
    fails: Mutex<BTreeMap<u32, AskFailed>>,
}

impl Provider {
    fn new(logprobs: bool) -> Arc<Provider> {
        let (seed, calls) = (AtomicU32::new(1), AtomicU32::new(0));
        Arc::new(Provider { seed, logprobs, calls, fails: Mutex::default() })
    }

    fn fail_from(&self, call: u32, failed: AskFailed) {
        self.fails.lock().unwrap().insert(call, failed);
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Questions for Provider {
    async fn ask(&self, _: &ProviderSpec, body: &Value) -> Result<Value, AskFailed> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        if let Some((_, failed)) = self.fails.lock().unwrap().range(..=call).next_back() {
            return Err(failed.clone());
        }
        assert_eq!(body["max_tokens"], 1);
        let wants = body["logprobs"] == true;
        if wants && !self.logprobs {
            return Err(AskFailed::Refused("no logprobs here".to_owned()));
        }
        let text = body["messages"][0]["content"].as_str().unwrap();
        let unit = |seed: u64| (xxh3_64_with_seed(text.as_bytes(), seed) >> 11) as f64 / (1_u64 << 53) as f64;
        let first = unit(u64::from(self.seed.load(Ordering::Relaxed)));
        let drawn = (xxh3_64_with_seed(&call.to_le_bytes(), 5) >> 11) as f64 / (1_u64 << 53) as f64;
        let told = json!({ "content": [{ "top_logprobs": [
            { "token": "A", "logprob": first.ln() }, { "token": " b", "logprob": (1.0 - first).ln() },
        ] }] });
        let content = if drawn < first { "A" } else { "b." };
        Ok(json!({
            "choices": [{ "message": { "content": content }, "logprobs": if wants { told } else { Value::Null } }],
            "usage": { "prompt_tokens": 12, "completion_tokens": 1 },
        }))
    }
}

struct Watched {
    bench: Bench,
    drift: Drift,
    provider: Arc<Provider>,
}

impl Watched {
    async fn open(logprobs: bool) -> Watched {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let provider = Provider::new(logprobs);
        let drift = watch(&bench, &provider);
        Watched { bench, drift, provider }
    }

    /// Lets so many days pass, each looked at until it lacks nothing.
    async fn days(&self, days: u32) {
        for _ in 0..days {
            self.drift.run(None).await.unwrap();
            self.bench.clock.pass(DAY_MS);
        }
    }

    async fn state(&self) -> &'static str {
        self.drift.list().await.unwrap()[0].state()
    }

    async fn document(&self) -> Document {
        let watches = self.bench.control.watch_store().watch_list().await.unwrap();
        Document::read(Some(&watches[0].1))
    }

    fn findings(&self) -> Vec<LedgerSeq> {
        self.bench.control.snapshot().world.findings.keys().copied().collect()
    }
}

fn watch(bench: &Bench, provider: &Arc<Provider>) -> Drift {
    Drift::new(Options {
        control: bench.control.clone(),
        questions: Arc::clone(provider) as _,
        clock: Arc::clone(&bench.clock) as _,
        settings: Settings::DEFAULT,
    })
}

#[tokio::test(start_paused = true)]
async fn a_swap_is_one_finding_and_an_all_clear_calibrates_anew() {
    let watched = Watched::open(true).await;
    watched.days(12).await;
    assert_eq!(watched.state().await, "quiet");
    watched.provider.seed.store(2, Ordering::Relaxed);
    watched.days(2).await;
    assert_eq!((watched.state().await, watched.findings().len()), ("suspect", 0));
    watched.days(1).await;
    let found = watched.findings();
    assert_eq!((watched.state().await, found.len()), ("drifted", 1));
    let finding = watched.bench.control.snapshot().world.findings[&found[0]].clone();
    assert!(matches!(finding.sign, Sign::Border { days: 3, .. }), "{finding:?}");
    assert!(finding.what.contains("less than one false alarm in 100 years"), "{}", finding.what);
    // The same again is no news, not even for a server that starts anew.
    let again = Watched { drift: watch(&watched.bench, &watched.provider), ..watched };
    again.days(2).await;
    assert_eq!(again.findings(), found);
    let by = pinrail_control::By {
        actor: Actor::System,
        reason: "seen".to_owned(),
        idempotency: None,
        term: None,
    };
    again.bench.control.clear_drift(by, found[0]).await.unwrap();
    again.days(1).await;
    assert_eq!(again.state().await, "calibrating");
    again.days(12).await;
    assert_eq!((again.state().await, again.findings().len()), ("quiet", 0));
}

#[tokio::test(start_paused = true)]
async fn no_day_costs_more_than_it_may_whatever_is_asked_for() {
    let watched = Watched::open(false).await;
    for day in 0..6 {
        let before = watched.provider.calls();
        for _ in 0..4 {
            watched.drift.run(None).await.unwrap();
            // A server that starts anew has spent what the one before it did.
            watch(&watched.bench, &watched.provider).run(None).await.unwrap();
        }
        let refused = u32::from(day == 0);
        let calls = watched.provider.calls() - before - refused;
        let spent = watched.document().await.spent;
        assert!(calls <= 400 && spent.tokens == calls, "day {day}: {calls} calls, {spent:?}");
        assert_eq!(spent.input_tokens, 12 * u64::from(calls), "day {day}");
        watched.bench.clock.pass(DAY_MS);
    }
    assert_eq!(watched.document().await.prompts.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_when_the_server_dies_counts_as_spent() {
    let watched = Watched::open(true).await;
    let mut look = Box::pin(watched.drift.run(None));
    // The look is dropped after some polls: wherever it is, it has written down what it may cost.
    for _ in 0..40 {
        let poll =
            |cx: &mut std::task::Context<'_>| std::task::Poll::Ready(look.as_mut().poll(cx).is_ready());
        assert!(!std::future::poll_fn(poll).await, "it was over before it died");
    }
    drop(look);
    let calls = watched.provider.calls();
    let spent = watched.document().await.spent.tokens;
    assert!(calls > 20 && calls <= spent, "{calls} calls, {spent} spent");
}

#[tokio::test(start_paused = true)]
async fn a_busy_provider_is_left_alone() {
    let watched = Watched::open(true).await;
    let why = "429 slow down".to_owned();
    watched.provider.fail_from(30, AskFailed::Busy { why, retry_after_ms: Some(3_600_000) });
    watched.drift.run(None).await.unwrap();
    assert_eq!(watched.provider.calls(), 31);
    watched.bench.clock.pass(3_000_000);
    watched.drift.run(None).await.unwrap();
    assert_eq!(watched.provider.calls(), 31, "it asked before the hour was over");
    watched.provider.fails.lock().unwrap().clear();
    watched.bench.clock.pass(700_000);
    watched.drift.run(None).await.unwrap();
    assert!(watched.provider.calls() > 40);
}

#[tokio::test(start_paused = true)]
async fn a_failing_provider_ends_the_look_and_is_said() {
    let watched = Watched::open(true).await;
    watched.days(9).await;
    let calls = watched.provider.calls();
    watched.provider.fail_from(calls, AskFailed::Failed("500 planted".to_owned()));
    watched.drift.run(None).await.unwrap();
    assert_eq!(watched.provider.calls() - calls, 5);
    let shown = &watched.drift.list().await.unwrap()[0];
    assert!(shown.sentence().contains("500 planted"), "{}", shown.sentence());
    // The day is made good when the provider is back.
    watched.provider.fails.lock().unwrap().clear();
    watched.days(1).await;
    assert_eq!(watched.drift.list().await.unwrap()[0].judged.days.len(), 9);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_spread_over_the_day() {
    let watched = Watched::open(true).await;
    watched.days(2).await;
    let mut looked = vec![];
    for _ in 0..24 {
        let calls = watched.provider.calls();
        watched.drift.look_at_due().await.unwrap();
        looked.push(watched.provider.calls() - calls);
        watched.bench.clock.pass(DAY_MS / 24);
    }
    let looks: Vec<u32> = looked.iter().copied().filter(|calls| *calls > 0).collect();
    assert!((3..=5).contains(&looks.len()) && looks.iter().all(|calls| *calls <= 60), "{looked:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_another_model_is_one_finding() {
    use pinrail_domain::journal::Event;
    let watched = Watched::open(true).await;
    watched.drift.start();
    let run = watched.bench.run("acme").await.parse().unwrap();
    let event = |served: &str| {
        let (pinned, served) = ("sim-small-2026-01-15".to_owned(), served.to_owned());
        vec![(watched.bench.state.clock.now(), Event::Drift { call: 1, pinned, served, provider: None })]
    };
    for served in ["other-1", "other-1", "other-2", "other-1"] {
        watched.drift.notices().of(run, &event(served));
    }
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    let snapshot = watched.bench.control.snapshot();
    let served: Vec<&Sign> = snapshot.world.findings.values().map(|finding| &finding.sign).collect();
    let sign = |served: &str| Sign::Served { served: served.to_owned() };
    assert_eq!(served, [&sign("other-1"), &sign("other-2")]);
    watched.drift.stop().await;
}
