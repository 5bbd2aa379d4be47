//! Who was misled, what they did, and that the world is told.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;

use async_trait::async_trait;
use pinrail_domain::agent::{AgentSpec, Compensation};
use pinrail_domain::deploy::Traffic;
use pinrail_domain::id::{DeploymentId, EventSeq, RunId};
use pinrail_domain::journal::{Event, Outcome as Ending, Stamp};
use pinrail_domain::key::Tenants;
use pinrail_domain::release::Manifest;
use pinrail_domain::state::Layer;
use pinrail_domain::state::derive::Cause;
use pinrail_domain::tier::Tier;
use pinrail_store::Artifacts as _;
use serde_json::json;

use super::bench::*;
use super::state::*;
use crate::deploy::blast::Why;
use crate::deploy::compensate::{ATTEMPTS_MAX, Compensate, Outcome};
use crate::deploy::flow::Writer;
use crate::outbound::{Address, Fault, Message, Outbound, Receipt, SendError};
use crate::publish::Publish;
use crate::state::{Reader, WriteAs};

/// A receiver that answers as it is told, and takes everything afterwards.
#[derive(Default)]
struct Receiver {
    answers: Mutex<VecDeque<SendError>>,
    taken: Mutex<Vec<(String, serde_json::Value)>>,
}

#[async_trait]
impl Outbound for Receiver {
    async fn send(&self, to: &Address, report: &Message) -> Result<Receipt, SendError> {
        assert_eq!(to.url, "https://example.com/hook");
        if let Some(error) = self.answers.lock().unwrap().pop_front() {
            return Err(error);
        }
        let body = serde_json::from_slice(&report.body).unwrap();
        self.taken.lock().unwrap().push((report.id.clone(), body));
        Ok(Receipt { status: 204, said: String::new() })
    }
}

fn error(what: &str, fault: Fault) -> SendError {
    SendError { what: what.to_owned(), fault, answer: None }
}

/// A release of the planner whose tool `refund` changes the world, serving all traffic.
async fn with_tools(bench: &Bench, snapshot: &str) -> DeploymentId {
    let tools = json!([{"type": "function", "function": {"name": "refund"}}, {"type": "function", "function": {"name": "look"}}]);
    let schema = bench.store.artifact_put(tools.to_string().as_bytes()).await.unwrap();
    let manifest: Manifest = serde_json::from_value(json!({
        "pinrail": 1,
        "model": {"provider": "p", "snapshot": snapshot},
        "tools": {"schema": schema, "side_effects": ["refund"]},
    }))
    .unwrap();
    let release = manifest.id().unwrap();
    let publish = Publish { agent: agent("planner"), manifest, model_override: None };
    bench.control.publish(by("publish"), publish).await.unwrap();
    let wish = pinrail_domain::deploy::Open {
        releases: [(agent("planner"), release)].into(),
        ..wish(&["planner"], snapshot, Traffic::Now)
    };
    bench.control.deploy(by("deploy"), &wish).await.unwrap().value.deployment
}

async fn append(bench: &Bench, run: RunId, events: Vec<Event>) {
    bench.control.runs().append(run, &Tenants::All, None, events, None).await.unwrap();
}

fn call_of(tool: &str, id: &str) -> Event {
    Event::ToolCall { name: tool.to_owned(), id: Some(id.to_owned()), arguments: json!({"order": id}) }
}

struct Story {
    bench: Bench,
    bad: DeploymentId,
    own: RunId,
    misled: RunId,
    second: RunId,
}

/// Deployment 2 poisons the context; a run of deployment 3 reads it, refunds, and concludes something that
/// another run reads and refunds upon.
async fn story() -> Story {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let spec = AgentSpec {
        compensation: Some(Compensation { url: "https://example.com/hook".into(), secret_env: None }),
        ..AgentSpec::default()
    };
    bench.control.agent_put(by("hook"), &agent("planner"), &spec).await.unwrap();
    let space = pinrail_domain::state::Space::context(tenant("acme"), &"orders".parse().unwrap());
    let bad = with_tools(&bench, "m2-2026-01-01").await;
    let own: std::sync::Arc<Stamp> = run_on(&bench, bad).await;
    let author = states.author(WriteAs::Run(&own)).await.unwrap();
    states.context_set(&author, &space, set("vip", Some("true"), None), None).await.unwrap();
    append(&bench, own.run, vec![call_of("look", "l"), call_of("refund", "r1")]).await;
    let refunded =
        Event::ToolResult { name: "refund".into(), id: Some("r1".into()), error: false, result: json!(1) };
    append(&bench, own.run, vec![refunded]).await;

    let good = with_tools(&bench, "m3-2026-01-01").await;
    let misled = run_on(&bench, good).await;
    let unaware = run_on(&bench, good).await;
    let second = run_on(&bench, good).await;
    append(&bench, unaware.run, vec![call_of("refund", "fine")]).await;
    let all = crate::state::context::Accepts::All;
    states.context_get(&space, &key("vip"), &reader(&misled), &all).await.unwrap();
    append(&bench, misled.run, vec![call_of("refund", "r2"), call_of("refund", "r3")]).await;
    remember(&bench, &misled, &session("m"), "a vip", false).await;
    states.recall(&session("m"), &reader(&second), None, 10).await.unwrap();
    append(&bench, second.run, vec![call_of("refund", "r4")]).await;
    // Somebody who only looks is not misled.
    states.recall(&session("m"), &Reader::everybody(), None, 10).await.unwrap();
    bench.control.runs().finish(misled.run, &Tenants::All, Ending::Ok, None, None).await.unwrap();
    bench.roll_back(bad).await;
    let (own, misled, second) = (own.run, misled.run, second.run);
    Story { bench, bad, own, misled, second }
}

#[tokio::test(start_paused = true)]
async fn a_blast_radius_names_runs_reasons_and_calls() {
    let Story { bench, bad, own, misled, second } = story().await;
    let blast = bench.control.blast(bad).await.unwrap().unwrap();
    // Runs that only sounded out which deployment they get are its own as well.
    let affected = blast.runs.iter().filter(|(_, run)| run.why != Why::Own).map(|(run, _)| *run);
    assert_eq!(affected.collect::<BTreeSet<_>>(), [misled, second].into());
    assert!(matches!(blast.runs[&own].why, Why::Own));
    assert_eq!((blast.layers[&Layer::Context].written, blast.layers[&Layer::Memory].derived), (1, 1));
    assert_eq!((blast.counts.misled_runs, blast.counts.tenants, blast.runs[&misled].wrote), (2, 1, 1));
    assert!(blast.cut.is_empty());
    let chain: Vec<_> = blast.chain(blast.runs[&second].why).into_iter().map(|step| step.cause).collect();
    let [Cause::Run { run, .. }, Cause::Seed] = chain[..] else { panic!("{chain:?}") };
    assert_eq!(run, misled);
    let flow = blast.flow();
    let writers: Vec<Vec<&Writer>> =
        flow.waves.iter().map(|wave| wave.written.values().flat_map(|by| by.keys()).collect()).collect();
    assert_eq!(writers, [vec![&Writer::Deployment], vec![&Writer::Run(misled)]]);
    let readers: Vec<Vec<RunId>> =
        flow.waves.iter().map(|wave| wave.readers.keys().copied().collect()).collect();
    assert_eq!((readers, flow.beyond), (vec![vec![misled], vec![second]], 0));

    let done = bench.control.side_effects(&blast.runs[&own]).await.unwrap();
    let told: Vec<_> =
        done.effects.iter().map(|effect| (effect.event, effect.tool.as_str(), effect.result)).collect();
    assert_eq!(told, [(EventSeq(2), "refund", Some("ok"))]);
    let done = bench.control.side_effects(&blast.runs[&misled]).await.unwrap();
    let told: Vec<_> = done.effects.iter().map(|effect| (effect.arguments.as_str(), effect.result)).collect();
    assert_eq!(told, [("{\"order\":\"r2\"}", None), ("{\"order\":\"r3\"}", None)]);
    let report = bench.control.report(bad).await.unwrap().unwrap();
    assert_eq!((report.effects.calls, report.effects.tools["refund"], report.hidden), (4, 4, true));
    assert_eq!(report.flip_us, bench.control.flip_us(bad));
    assert!(report.flip_us.is_some());
    assert!(bench.control.blast(DeploymentId(99)).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn every_call_is_reported_once_and_again_under_the_same_id() {
    let Story { bench, bad, own, misled, .. } = story().await;
    let receiver = Receiver::default();
    let compensate =
        async |how: Compensate| bench.control.compensate(bad, &receiver, how).await.unwrap().unwrap().reports;
    let planned = compensate(Compensate { dry_run: true, ..Compensate::default() }).await;
    assert_eq!(planned.len(), 4);
    assert!(planned.iter().all(|report| report.outcome == Outcome::WouldSend));
    assert!(receiver.taken.lock().unwrap().is_empty());
    // The first attempts fail; what can't be mended isn't tried again.
    let later = Fault::Later { after: None };
    let answers = [later, later, Fault::Refused].map(|fault| error("no", fault));
    receiver.answers.lock().unwrap().extend(answers);
    let done = compensate(Compensate::default()).await;
    assert_eq!(done[0].outcome, Outcome::Failed { attempts: 3, why: "no".to_owned() });
    assert!(matches!(done[1].outcome, Outcome::Delivered { attempts: 1, not_noted: None }), "{:?}", done[1]);
    assert_eq!(receiver.taken.lock().unwrap().len(), 3);
    // A second call sends what is missing, also for a run that has ended, and nothing twice.
    let done = compensate(Compensate::default()).await;
    assert!(matches!(done[0].outcome, Outcome::Delivered { .. }));
    assert!(done[1..].iter().all(|report| matches!(report.outcome, Outcome::Skipped { .. })), "{done:?}");
    assert!(bench.kinds(misled).await.ends_with(&["finished", "compensated", "compensated"]));
    let first = receiver.taken.lock().unwrap()[0].clone();
    compensate(Compensate { again: true, ..Compensate::default() }).await;
    let taken = receiver.taken.lock().unwrap().clone();
    assert_eq!((taken.len(), taken.iter().filter(|(id, _)| *id == first.0).count()), (8, 2));
    let (id, event) = taken.iter().find(|(_, event)| event["data"]["run"] == json!(own)).unwrap();
    assert_eq!((event["specversion"].as_str(), event["id"].as_str()), (Some("1.0"), Some(id.as_str())));
    assert_eq!(event["data"]["arguments"], json!({"order": "r1"}));
    assert_eq!(event["time"], "2026-11-20T00:00:00.000Z");
    let report = bench.control.report(bad).await.unwrap().unwrap();
    assert_eq!(report.effects.compensated, 4);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_away_is_not_asked_for_ever() {
    let Story { bench, bad, .. } = story().await;
    let receiver = Receiver::default();
    let away = error("away", Fault::Later { after: None });
    receiver.answers.lock().unwrap().extend(std::iter::repeat_n(away, 100));
    let done = bench.control.compensate(bad, &receiver, Compensate::default()).await.unwrap().unwrap();
    let attempts: Vec<_> = done
        .reports
        .iter()
        .map(|report| {
            let Outcome::Failed { attempts, .. } = &report.outcome else { panic!("{report:?}") };
            *attempts
        })
        .collect();
    assert_eq!(attempts, [ATTEMPTS_MAX; 4]);
    // Without an address there is nobody to tell.
    bench.control.agent_put(by("no hook"), &agent("planner"), &AgentSpec::default()).await.unwrap();
    let done = bench.control.compensate(bad, &receiver, Compensate::default()).await.unwrap().unwrap();
    assert!(done.reports.iter().all(|report| report.outcome == Outcome::NoAddress));
}
