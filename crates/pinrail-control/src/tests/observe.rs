//! What the controller observes: followed live, read again after a start, and the same both ways.

use pinrail_domain::agent::AgentSpec;
use pinrail_domain::deploy::{Open, Traffic};
use pinrail_domain::id::{DeploymentId, RunId};
use pinrail_domain::journal::{Ending, Event, ModelResponse, Outcome};
use pinrail_domain::rollout::Facts;
use pinrail_domain::rollout::history::Point;
use pinrail_domain::stats::{Arms, Verdict};
use pinrail_domain::tier::Tier;
use pinrail_store::memory::Strike;
use serde_json::json;

use super::bench::*;
use crate::runs::Create;

/// Half of the traffic, watched by errors, latency and a score.
fn spec() -> AgentSpec {
    let settings = json!({ "rollout": {
        "steps": [{ "canary": { "percent": 50, "min_runs": 50 } }],
        "guardrails": [
            { "metric": "error_rate", "margin": "5%" },
            { "metric": "latency" },
            { "metric": "score:helpful" },
        ],
    } });
    serde_json::from_value(settings).unwrap()
}

/// A bench with a rollout of `m2` at half of the traffic.
async fn rolling() -> (Bench, DeploymentId) {
    let bench = Bench::new(Tier::Standard).await;
    bench.control.agent_put(by("a"), &agent("planner"), &spec()).await.unwrap();
    bench.release("planner", "m2-2026-01-01").await;
    let plan = bench.control.plan_for(&[agent("planner")], &"default".parse().unwrap()).unwrap();
    let wish = wish(&["planner"], "m2-2026-01-01", Traffic::Canary(share("50%")));
    let wish = Open { traffic: Traffic::Rollout(Box::new(plan)), ..wish };
    let id = bench.control.deploy(by("rollout"), &wish).await.unwrap().value.deployment;
    (bench, id)
}

fn answered(us: u64) -> Event {
    Event::ModelResponse(Box::new(ModelResponse {
        call: 1,
        status: 200,
        ending: Ending::Complete,
        first_byte_us: us / 2,
        last_byte_us: us,
        ..ModelResponse::default()
    }))
}

impl Bench {
    /// A gateway call of a session; the candidate's fail.
    async fn called(&self, session: Option<&str>, candidate: DeploymentId) -> (RunId, DeploymentId) {
        let begun = self.begin(session).await.unwrap();
        let (run, deployment) = (begun.stamp.run, begun.stamp.deployment);
        let bad = deployment == candidate;
        let outcome = if bad { Outcome::Error } else { Outcome::Ok };
        let now = self.clock.0.load(std::sync::atomic::Ordering::SeqCst);
        let at = pinrail_domain::time::Timestamp(now);
        let events = vec![(at, answered(1_000)), (at, Event::Finished { outcome, why: None })];
        self.control.runs().record(run, events).await;
        (run, deployment)
    }

    /// The facts once everything that was journaled is in them.
    async fn observed(&self, id: DeploymentId) -> Facts {
        self.control.runs().settled().await;
        let observer = &self.control.inner.observer;
        observer.follow(&self.control.snapshot().world);
        loop {
            settle().await;
            let facts = observer.facts(id);
            if facts.complete {
                return facts;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_followed_live_is_what_the_journal_says() {
    let (bench, id) = rolling().await;
    let before = bench.observed(id).await;
    assert!(before.complete && before.units == Arms::default());
    let (mut units, mut runs) = (Arms::default(), Vec::new());
    for n in 0..100 {
        let session = format!("s{n}");
        let (run, deployment) = bench.called(Some(&session), id).await;
        bench.called(Some(&session), id).await;
        runs.push(run);
        if deployment == id { units.candidate += 1 } else { units.incumbent += 1_u64 }
    }
    let live = bench.observed(id).await;
    assert_eq!((live.units, live.runs.candidate), (units, 2 * units.candidate));
    let errors = &live.findings[0].judged;
    assert_eq!((errors.candidate, errors.incumbent), (Some(1.0), Some(0.0)));
    assert_eq!(errors.verdict, Verdict::Worse, "{errors:?}");
    assert_eq!(live.findings[1].judged.candidate, Some(1.0), "milliseconds");
    // Late scores count; the newest of a run is the one.
    for (run, value) in [(runs[0], 0.25), (runs[1], 0.5), (runs[0], 0.75)] {
        let score = Event::Score { name: "helpful".to_owned(), value, comment: None };
        bench.control.runs().record(run, vec![(START, score)]).await;
    }
    let scored = bench.observed(id).await;
    let Arms { candidate, incumbent } = scored.findings[2].judged.samples;
    assert_eq!(candidate + incumbent, 2);
    // After a restart everything is read again, and says the same.
    bench.control.drain().await;
    let (again, _) = bench.another().await;
    assert!(!again.control.inner.observer.facts(id).complete);
    assert_eq!(again.observed(id).await, scored);
}

#[tokio::test(start_paused = true)]
async fn how_guardrails_moved_is_known_after_a_restart_and_after_the_end() {
    let (bench, id) = rolling().await;
    bench.observed(id).await;
    for n in 0..60 {
        bench.called(Some(&format!("s{n}")), id).await;
        bench.observed(id).await;
        bench.clock.0.fetch_add(1_000, std::sync::atomic::Ordering::SeqCst);
    }
    let errors = |watched: &crate::rollouts::Watched| -> Vec<Point> {
        watched.history.courses().next().unwrap().1.to_vec()
    };
    let live = bench.control.history(id).await.unwrap().unwrap();
    assert!(live.complete && !live.from_ledger);
    assert_eq!(errors(&live).len(), 60);
    bench.control.drain().await;
    let (again, _) = bench.another().await;
    again.observed(id).await;
    let replayed = again.control.history(id).await.unwrap().unwrap();
    let (before, after) = (errors(&live), errors(&replayed));
    assert!(replayed.complete && after.len() > 50, "{}", after.len());
    assert_eq!(before.last().map(|point| point.judged), after.last().map(|point| point.judged));
    assert!(after.is_sorted_by_key(|point| point.at));
    assert_eq!(after[10].judged, before[10].judged, "read in the journal's order");
    // The history of a rollout that is over stays, and of one that nobody saw the ledger keeps the ends of steps.
    again.roll_back(id).await;
    assert_eq!(errors(&again.control.history(id).await.unwrap().unwrap()), after);
    let (later, _) = again.another().await;
    let kept = later.control.history(id).await.unwrap().unwrap();
    assert!(kept.from_ledger && kept.complete);
    assert_eq!(errors(&kept).last().map(|point| point.judged), after.last().map(|point| point.judged));
    assert!(later.control.history(DeploymentId(1)).await.unwrap().is_none(), "no rollout");
}

#[tokio::test(start_paused = true)]
async fn sessions_of_before_and_what_nobody_assigned_are_not_compared() {
    let bench = Bench::new(Tier::Standard).await;
    // Bound before there was anything to choose.
    bench.begin(Some("old")).await.unwrap();
    bench.control.agent_put(by("a"), &agent("planner"), &spec()).await.unwrap();
    bench.release("planner", "m2-2026-01-01").await;
    let plan = bench.control.plan_for(&[agent("planner")], &"default".parse().unwrap()).unwrap();
    let wish = wish(&["planner"], "m2-2026-01-01", Traffic::Rollout(Box::new(plan)));
    let id = bench.control.deploy(by("rollout"), &wish).await.unwrap().value.deployment;
    bench.called(Some("old"), id).await;
    assert_eq!(bench.observed(id).await.units, Arms::default());
    // A sub-agent's run is part of the unit of the run that began it.
    let parent = bench.created(Some("new")).await;
    let child = Create { parent: Some(parent), session: Some("own".parse().unwrap()), ..creating(None) };
    let child = bench.create(child).await.unwrap().stamp.run;
    bench.finish(child).await.unwrap();
    let facts = bench.observed(id).await;
    assert_eq!(facts.units.candidate + facts.units.incumbent, 1);
    assert_eq!(facts.runs.candidate + facts.runs.incumbent, 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_of_which_nobody_heard_is_counted_once() {
    for strike in [Strike::BeforeEffect, Strike::AfterEffect] {
        let (bench, id) = rolling().await;
        bench.observed(id).await;
        bench.store.fail(1, strike);
        for n in 0..20 {
            bench.called(Some(&format!("s{n}")), id).await;
        }
        let mut facts = bench.observed(id).await;
        while facts.runs.candidate + facts.runs.incumbent < 20 {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            facts = bench.observed(id).await;
        }
        assert_eq!(facts.units.candidate + facts.units.incumbent, 20, "{strike:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_overflows_is_made_good_from_the_store() {
    let (bench, id) = rolling().await;
    bench.observed(id).await;
    // One batch each, and nobody takes them: the queue holds fewer.
    for n in 0..100 {
        let session = format!("s{n}");
        let run = bench.created(Some(&session)).await;
        bench.finish(run).await.unwrap();
    }
    let facts = bench.observed(id).await;
    assert_eq!(facts.units.candidate + facts.units.incumbent, 100);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_forgotten() {
    let (bench, id) = rolling().await;
    bench.observed(id).await;
    assert!(bench.control.inner.observer.is_wanted());
    bench.roll_back(id).await;
    bench.control.inner.observer.follow(&bench.control.snapshot().world);
    assert!(!bench.control.inner.observer.is_wanted());
    assert_eq!(bench.control.inner.observer.facts(id), Facts::default());
}

/// A metrics server that says what the test wants.
struct Said(std::sync::Mutex<(Vec<String>, Result<f64, String>)>);

#[async_trait::async_trait]
impl crate::observe::MetricsSource for Said {
    async fn sum(&self, _url: &str, query: &str, _token_env: Option<&str>) -> Result<f64, String> {
        let mut said = self.0.lock().unwrap();
        said.0.push(query.to_owned());
        // Half of the candidate's are bad, a tenth of the incumbent's.
        let share = match query.strip_prefix("bad{deployment=") {
            Some(arm) if arm.starts_with("\"2\"") => 0.5,
            Some(_) => 0.1,
            None => 1.0,
        };
        said.1.clone().map(|total| total * share)
    }
}

#[tokio::test(start_paused = true)]
async fn a_metrics_server_is_asked_for_both_arms_and_its_trouble_is_no_breach() {
    let bench = Bench::new(Tier::Standard).await;
    let settings = json!({ "rollout": {
        "steps": [{ "canary": { "percent": 50, "min_runs": 1 } }],
        "guardrails": [{ "metric": "prometheus", "prometheus": {
            "url": "http://127.0.0.1:9090",
            "bad": "bad{deployment=\"$deployment\",agent=\"$agent\"}[$sinces]",
            "total": "total{release=\"$release\"}[$sinces]",
        } }],
    } });
    let spec: AgentSpec = serde_json::from_value(settings).unwrap();
    bench.control.agent_put(by("a"), &agent("planner"), &spec).await.unwrap();
    let release = bench.release("planner", "m2-2026-01-01").await;
    let plan = bench.control.plan_for(&[agent("planner")], &"default".parse().unwrap()).unwrap();
    let wish = wish(&["planner"], "m2-2026-01-01", Traffic::Rollout(Box::new(plan)));
    let id = bench.control.deploy(by("rollout"), &wish).await.unwrap().value.deployment;
    let said = Said(std::sync::Mutex::new((Vec::new(), Ok(0.0))));
    let ask = async |answer: Result<f64, &str>| {
        said.0.lock().unwrap().1 = answer.map_err(str::to_owned);
        bench.control.inner.ask_once(&said).await;
        bench.observed(id).await.findings[0].clone()
    };
    assert!(bench.observed(id).await.findings[0].trouble.is_some(), "nobody was asked");
    let early = ask(Ok(1.0)).await;
    assert!(early.trouble.unwrap().contains("less than 30 s ago"));
    bench.clock.0.fetch_add(90_000, std::sync::atomic::Ordering::SeqCst);
    let judged = ask(Ok(1_000.0)).await;
    assert_eq!((judged.trouble, judged.judged.verdict), (None, Verdict::Worse));
    let asked = said.0.lock().unwrap().0.clone();
    assert_eq!(asked[0], "bad{deployment=\"2\",agent=\"planner\"}[90s]");
    assert_eq!(asked[1], format!("total{{release=\"{release}\"}}[90s]"));
    assert!(asked[2].contains("deployment=\"1\"") && asked.len() == 4);
    for (answer, says) in [(Err("it answered 503"), "it answered 503"), (Ok(f64::NAN), "NaN is no count")] {
        let finding = ask(answer).await;
        assert_eq!(finding.judged.samples, Arms::default());
        let trouble = finding.trouble.unwrap();
        assert!(trouble.contains(says) && trouble.contains("`bad` of deployment 2"), "{trouble}");
    }
}
