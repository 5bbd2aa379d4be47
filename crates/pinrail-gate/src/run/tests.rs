use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::{SuiteKind, SuitePin};
use pinrail_domain::id::RunId;
use pinrail_domain::ledger::Actor;
use pinrail_domain::time::{Ticks, Timestamp};
use pinrail_store::Memory;
use pinrail_store::gates::{GateRecord, GateStatus};
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::answer::ToolCall;
use crate::ask::{Arm, AskFailed, Reply};
use crate::row::{Outcome, Row};
use crate::suite::{AssertKind, Assertion, Case, FORMAT, Suite, ToolResult, Turn};

mod cut;
mod talks;

/// Tells tokio's time, which tests let pass.
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_000 + self.ticks().0 / 1_000_000)
    }

    fn ticks(&self) -> Ticks {
        Ticks(u64::try_from(self.0.elapsed().as_nanos()).unwrap())
    }
}

/// A model call as the fake sees it.
#[derive(Clone, Debug)]
struct Asked {
    release: ReleaseId,
    body: Value,
    /// From 0, over all calls.
    number: usize,
}

impl Asked {
    fn said(&self) -> &str {
        self.body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap_or_default()
    }
}

type Script = Box<dyn Fn(&Asked) -> Result<Reply, AskFailed> + Send + Sync>;

/// Models that answer as a test says, a second each.
struct Fake {
    script: Script,
    runs: Mutex<BTreeMap<RunId, ReleaseId>>,
    asked: Mutex<Vec<Asked>>,
    ended: Mutex<Vec<bool>>,
    next_run: AtomicU64,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

#[async_trait]
impl Models for Fake {
    async fn begin(&self, of: Arm) -> Result<RunId, AskFailed> {
        let run = RunId::from_parts(1, self.next_run.fetch_add(1, Ordering::Relaxed).into());
        self.runs.lock().unwrap().insert(run, of.release);
        Ok(run)
    }

    async fn ask(&self, run: RunId, body: Value) -> Result<Reply, AskFailed> {
        let release = self.runs.lock().unwrap()[&run];
        let asked = {
            let mut all = self.asked.lock().unwrap();
            let asked = Asked { release, body, number: all.len() };
            all.push(asked.clone());
            asked
        };
        let now = self.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_at_once.fetch_max(now, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.at_once.fetch_sub(1, Ordering::Relaxed);
        (self.script)(&asked)
    }

    async fn end(&self, run: RunId, ok: bool) {
        self.runs.lock().unwrap().remove(&run).expect("the run is open");
        self.ended.lock().unwrap().push(ok);
    }

    async fn embed(&self, _texts: &[String]) -> Result<Vec<Vec<f32>>, AskFailed> {
        Err(AskFailed::Lasting("no embedder".to_owned()))
    }
}

/// A gate to run against models that answer as a test says.
struct Bench {
    job: Job,
    fake: Arc<Fake>,
    store: Arc<Memory>,
    stop: watch::Sender<bool>,
    told: watch::Sender<Progress>,
}

fn release(name: &str) -> ReleaseId {
    ReleaseId(Digest::of(name.as_bytes()))
}

fn gate(n: u64) -> GateId {
    GateId::from_parts(n, n.into())
}

fn says(text: &str) -> Result<Reply, AskFailed> {
    let message = json!({ "role": "assistant", "content": text });
    let text = text.to_owned();
    let cost_nano_usd = Some(1_000);
    Ok(Reply {
        message,
        text,
        is_pin: true,
        served: Some("m-1".to_owned()),
        cost_nano_usd,
        ..Reply::default()
    })
}

fn passing(retry_after_ms: Option<u64>) -> Result<Reply, AskFailed> {
    Err(AskFailed::Passing { why: "busy".to_owned(), retry_after_ms })
}

/// A case that asks for this and is passed by an answer that holds `good`.
fn case(question: &str) -> Case {
    let turn = Turn { messages: vec![json!({ "role": "user", "content": question })], asserts: Vec::new() };
    let assert = Assertion { kind: AssertKind::Contains, value: "good".into(), ..Assertion::default() };
    Case { turns: vec![turn], asserts: vec![assert], ..Case::default() }
}

fn held(name: &str, cases: Vec<Case>) -> Held {
    let kind = SuiteKind::Success;
    let suite =
        Suite { pinrail_suite: FORMAT, name: name.to_owned(), kind, description: String::new(), cases };
    let digest = suite.digest().unwrap();
    let pin = SuitePin {
        name: name.to_owned(),
        kind,
        digest,
        margin: None,
        better: false,
        floor: None,
        imported: false,
    };
    Held { pin, suite: Arc::new(suite) }
}

fn questions(count: usize) -> Vec<Case> {
    (0..count).map(|n| case(&format!("q{n}"))).collect()
}

impl Bench {
    async fn new(
        cases: Vec<Case>,
        script: impl Fn(&Asked) -> Result<Reply, AskFailed> + Send + Sync + 'static,
    ) -> Bench {
        let held = vec![held("basics", cases)];
        let settings = Settings {
            suites: held.iter().map(|held| held.pin.clone()).collect(),
            repeats: 2,
            repeats_max: 2,
            alpha: 0.05,
            budget_nano_usd: 1_000_000_000,
            concurrency: 1,
            calls_per_minute: None,
            reuse: false,
            judge: None,
            by: Actor::System,
            reason: String::new(),
        };
        let contestant = |name| Contestant { release: release(name), tools: Vec::new() };
        let job = Job {
            gate: gate(1),
            agent: "support".parse().unwrap(),
            candidate: contestant("new"),
            incumbent: Some(contestant("old")),
            settings,
            held,
            spent_nano_usd: 0,
            retry_errors: false,
        };
        let fake = Arc::new(Fake {
            script: Box::new(script),
            runs: Mutex::default(),
            asked: Mutex::default(),
            ended: Mutex::default(),
            next_run: AtomicU64::new(0),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        });
        let (stop, told) = (watch::Sender::new(false), watch::Sender::new(Progress::default()));
        let bench = Bench { job, fake, store: Arc::new(Memory::new()), stop, told };
        bench.record(1).await;
        bench
    }

    async fn record(&self, n: u64) {
        let record = GateRecord {
            id: gate(n),
            agent: self.job.agent.clone(),
            deployment: None,
            candidate: self.job.candidate.release,
            incumbent: None,
            created_at: Timestamp(1),
            status: GateStatus::Running,
            document: "{}".to_owned(),
        };
        self.store.gate_create(vec![record], None).await.unwrap();
    }

    fn means(&self) -> Means {
        Means {
            models: Arc::clone(&self.fake) as _,
            store: Arc::clone(&self.store) as _,
            clock: Arc::new(TokioClock(Instant::now())),
            python: None,
        }
    }

    async fn run(&self) -> Result<Ended, RunFailed> {
        let ended = run(Arc::new(self.job.clone()), self.means(), &self.told, self.stop.subscribe()).await;
        assert!(self.fake.runs.lock().unwrap().is_empty(), "every run is ended");
        ended
    }

    async fn report(&self) -> Report {
        match self.run().await.unwrap() {
            Ended::Judged(report) => *report,
            Ended::Stopped => panic!("nobody stopped it"),
        }
    }

    async fn rows(&self) -> Vec<Row> {
        let rows = self.store.gate_rows_read(self.job.gate, None, 10_000).await.unwrap();
        rows.iter().map(|row| serde_json::from_slice(&row.body).unwrap()).collect()
    }

    fn asked(&self) -> Vec<Asked> {
        self.fake.asked.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.fake.asked.lock().unwrap().len()
    }

    fn progress(&self) -> Progress {
        self.told.borrow().clone()
    }
}

fn is_error(row: &Row) -> bool {
    matches!(row.outcome, Outcome::Error { .. })
}

#[tokio::test(start_paused = true)]
async fn arms_take_turns_and_every_answer_is_kept() {
    let bench = Bench::new(questions(2), |_| says("good")).await;
    bench.report().await;
    let (new, old) = (release("new"), release("old"));
    let order: Vec<_> = bench.asked().iter().map(|asked| (asked.said().to_owned(), asked.release)).collect();
    let expected = [
        ("q0", new),
        ("q0", old),
        ("q1", old),
        ("q1", new),
        ("q0", old),
        ("q0", new),
        ("q1", new),
        ("q1", old),
    ];
    assert_eq!(order, expected.map(|(question, release)| (question.to_owned(), release)));
    let rows = bench.rows().await;
    assert_eq!(rows.len(), 8);
    assert!(rows.iter().all(|row| matches!(&row.outcome, Outcome::Scored(score) if score.pass)), "{rows:?}");
    assert!(rows.iter().all(|row| row.served == ["m-1"] && row.run.is_some()));
    let progress = bench.progress();
    assert_eq!((progress.done, progress.total, progress.spent_nano_usd), (8, 8, 8_000));
    assert_eq!((progress.eta_ms, progress.projected_nano_usd), (Some(0), Some(8_000)));
    assert!(bench.fake.ended.lock().unwrap().iter().all(|ok| *ok));
}

#[tokio::test(start_paused = true)]
async fn no_more_is_under_way_than_allowed() {
    let mut bench = Bench::new(questions(10), |_| says("good")).await;
    bench.job.settings.concurrency = 4;
    bench.report().await;
    assert_eq!(bench.fake.most_at_once.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_case_of_two_suites_is_asked_once() {
    let mut bench = Bench::new(questions(2), |_| says("good")).await;
    bench.job.held.push(held("more", vec![case("q1"), case("q2"), case("q2")]));
    bench.report().await;
    assert_eq!(bench.count(), 3 * 2 * 2);
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_kept() {
    let mut bench = Bench::new(questions(5), |_| says("good")).await;
    bench.job.settings.calls_per_minute = Some(10);
    bench.job.settings.concurrency = 8;
    let began = Instant::now();
    bench.report().await;
    // Twenty calls, one each six seconds, and the last takes a second.
    assert_eq!(began.elapsed().as_secs(), 19 * 6 + 1);
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_after_the_wait_that_is_asked_for() {
    let bench = Bench::new(questions(1), |asked| match asked.number {
        0 => passing(Some(60_000)),
        1 => passing(None),
        _ => says("good"),
    });
    let bench = bench.await;
    let began = Instant::now();
    bench.report().await;
    assert!((60 + 2..60 + 2 + 12).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let rows = bench.rows().await;
    assert_eq!(rows.iter().map(|row| row.retries).sum::<u32>(), 2);
    assert_eq!((rows.len(), bench.progress().retries), (4, 2));
    assert!(!rows.iter().any(is_error));
}

#[tokio::test(start_paused = true)]
async fn what_never_passes_is_an_error_and_no_failed_case() {
    for failure in
        [passing(None), passing(Some(500_000)), Err(AskFailed::Lasting("no such model".to_owned()))]
    {
        let tries = match &failure {
            Err(AskFailed::Passing { retry_after_ms: None, .. }) => 5,
            _ => 1,
        };
        let bench = Bench::new(questions(40), move |asked| match asked.said() {
            "q3" if asked.release == release("new") => failure.clone(),
            _ => says("good"),
        });
        let bench = bench.await;
        let report = bench.report().await;
        let rows = bench.rows().await;
        assert_eq!((rows.len(), rows.iter().filter(|row| is_error(row)).count()), (160, 2));
        assert_eq!(bench.count(), 158 + 2 * tries);
        assert_eq!(bench.progress().errors, 2);
        assert_ne!(report.verdict, GateVerdict::Fail, "{}", report.why);
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_errors_end_it_early() {
    let bench = Bench::new(questions(40), |asked| {
        let failed = asked.release == release("old");
        if failed { Err(AskFailed::Lasting("gone".to_owned())) } else { says("good") }
    });
    let bench = bench.await;
    let report = bench.report().await;
    assert_eq!(report.verdict, GateVerdict::Inconclusive);
    let expected = "errors: 5 of the 80 answers of";
    assert!(report.why.starts_with(expected), "{}", report.why);
    assert!(bench.count() < 12, "{}", bench.count());
}

#[tokio::test(start_paused = true)]
async fn what_another_model_answered_does_not_count() {
    let bench = Bench::new(questions(40), |asked| match (asked.said(), says("good")) {
        ("q7", Ok(reply)) => Ok(Reply { is_pin: false, served: Some("m-2".to_owned()), ..reply }),
        (_, said) => said,
    });
    let bench = bench.await;
    bench.report().await;
    let rows = bench.rows().await;
    let refused = |row: &&Row| matches!(&row.outcome, Outcome::Refused { why } if why.contains("`m-2`"));
    assert_eq!(rows.iter().filter(refused).count(), 4);
    assert_eq!(bench.progress().refused, 4);
}

#[tokio::test(start_paused = true)]
async fn an_undecided_gate_asks_for_more_by_itself() {
    // One answer in ten is bad, in both arms: too few answers to tell that from harm.
    let mut bench = Bench::new(questions(60), |asked| {
        let dice = Digest::of(&asked.number.to_le_bytes()).as_bytes()[0];
        says(if dice < 26 { "bad" } else { "good" })
    })
    .await;
    let first = bench.report().await;
    assert_eq!((first.verdict, bench.progress().repeats), (GateVerdict::Inconclusive, 2), "{}", first.why);
    let wanted = first.more_repeats().unwrap();
    for allowed in [wanted - 1, wanted + 5] {
        bench.job.settings.repeats_max = allowed;
        bench.report().await;
        let progress = bench.progress();
        assert!(progress.repeats > 2 && progress.repeats <= allowed, "{progress:?}");
        assert_eq!((progress.done, progress.total), (120 * u64::from(progress.repeats), progress.done));
    }
}
