//! The dial: what it takes away from runs, and the calls that wait for a person.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pinrail_domain::agent::{AgentSpec, Bodies, JournalPolicy};
use pinrail_domain::approval::ApprovalState;
use pinrail_domain::begin::{BeginError, Wanted};
use pinrail_domain::deploy::Traffic;
use pinrail_domain::dial::{DialSpec, Place, Position, Ruling, Turn};
use pinrail_domain::id::{ApprovalId, DeploymentId, RunId};
use pinrail_domain::key::Tenants;
use pinrail_domain::model::Layers;
use pinrail_domain::release::Manifest;
use pinrail_domain::routes::Via;
use pinrail_domain::tier::Tier;
use pinrail_store::approvals::{ApprovalFilter, Approvals as _};
use pinrail_store::memory::Strike;
use serde_json::{Value, json};

use super::bench::{Bench, agent, by, creating, keyed, manifest, tenant};
use crate::CommitError;
use crate::approvals::{AuthorizeError, Authorized, DecideRefused, ToolCall};
use crate::publish::Publish;
use crate::runs::CreateRefused;

pub fn at(agent_name: &str, position: Position) -> Turn {
    Turn { place: Place::agent(&agent(agent_name)), position, release: None, text: None }
}

impl Bench {
    pub async fn dial(&self, position: Position) {
        self.control.turn_dial(by("incident"), &at("planner", position)).await.unwrap();
    }

    async fn tool(&self, tool: &str, position: Position) {
        let place = Place { tool: Some(tool.parse().unwrap()), ..Place::default() };
        let turn = Turn { place, position, release: None, text: None };
        self.control.turn_dial(by("incident"), &turn).await.unwrap();
    }

    /// The planner with a release that pins two tools, of which `refund` has side effects.
    async fn with_tools(&self) {
        let schema = json!([
            { "type": "function", "function": { "name": "refund" } },
            { "type": "function", "function": { "name": "search" } }
        ]);
        let schema = self.control.artifact_put(schema.to_string().as_bytes()).await.unwrap();
        let mut with = serde_json::to_value(manifest("m2-2026-01-01")).unwrap();
        with["tools"] = json!({ "schema": schema, "side_effects": ["refund"] });
        let with: Manifest = serde_json::from_value(with).unwrap();
        let publish = Publish { agent: agent("planner"), manifest: with, model_override: None };
        let release = self.control.publish(by("publish"), publish).await.unwrap().value.release;
        let mut open = super::bench::wish(&["planner"], "m2-2026-01-01", Traffic::Now);
        open.releases = [(agent("planner"), release)].into();
        self.control.deploy(by("deploy"), &open).await.unwrap();
    }

    async fn settings(&self, dial: DialSpec, bodies: Bodies) {
        let journal = JournalPolicy { bodies };
        let spec = AgentSpec { dial: Some(Box::new(dial)), journal, ..AgentSpec::default() };
        self.control.agent_put(by("a"), &agent("planner"), &spec).await.unwrap();
    }

    async fn authorize(&self, run: RunId, tool: &str, arguments: Value, id: Option<&str>) -> Authorized {
        let stamp = self.control.authorizing(run, &Tenants::All).await.unwrap();
        let call = ToolCall { tool, arguments: &arguments, id, side_effects: None };
        self.control.authorize_tool(&stamp, call).await.unwrap()
    }

    async fn approve(&self, id: ApprovalId, yes: bool) -> Result<(), DecideRefused> {
        self.control.decide_approval(by("looked at it"), id, &Tenants::All, yes).await.map(drop)
    }

    fn wait(&self, ms: u64) {
        self.clock.0.fetch_add(ms, std::sync::atomic::Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn off_makes_no_run_and_lets_none_go_on() {
    let bench = Bench::new(Tier::Standard).await;
    let run = bench.created(Some("s")).await;
    bench.dial(Position::Off).await;
    let refusal = bench.begin(None).await.unwrap_err().to_string();
    assert!(refusal.contains("agent planner stands at off (incident)"), "{refusal}");
    let refusal = bench.create(creating(None)).await.unwrap_err();
    assert!(matches!(refusal, CreateRefused::Begin(BeginError::Dialled(_))), "{refusal}");
    let refusal = bench.join(run).await.unwrap_err();
    assert!(matches!(refusal, BeginError::Dialled(halted) if halted.retry_after_s == 60));
    assert_eq!(bench.kinds(run).await, ["plan"], "it stays open, and nothing else was stamped");
    bench.dial(Position::Full).await;
    assert_eq!(bench.join(run).await.unwrap().stamp.run, run);
}

/// I2
#[tokio::test(start_paused = true)]
async fn at_fallback_new_runs_go_there_and_old_ones_wait() {
    let bench = Bench::new(Tier::Standard).await;
    let two = bench.deploy(&["planner", "executor"], "m2-2026-01-01", Traffic::Now).await;
    let run = bench.created(Some("s")).await;
    bench.dial(Position::Fallback).await;
    let refusal = bench.join(run).await.unwrap_err().to_string();
    assert!(refusal.contains("is bound to release") && refusal.contains("begin a new run"), "{refusal}");
    let fallen = bench.create(creating(Some("s"))).await.unwrap().stamp;
    assert_eq!((fallen.deployment, fallen.via), (DeploymentId(1), Via::Dial));
    assert_eq!(bench.join(fallen.run).await.unwrap().dial.unwrap().dialled.position, Position::Fallback);
    bench.dial(Position::Full).await;
    assert_eq!(bench.join(run).await.unwrap().stamp.deployment, two);
    // The session never moved: the fallback was the dial's choice.
    assert_eq!(bench.begin(Some("s")).await.unwrap().stamp.deployment, two);
}

#[tokio::test(start_paused = true)]
async fn what_a_run_under_way_may_do_follows_the_dial() {
    let bench = Bench::new(Tier::Standard).await;
    bench.with_tools().await;
    let run = bench.created(None).await;
    assert_eq!(bench.join(run).await.unwrap().dial, None);
    let spec = DialSpec { canned: Some("back at noon".into()), ..DialSpec::default() };
    bench.settings(spec, Bodies::Full).await;
    bench.dial(Position::Canned).await;
    let dial = bench.join(run).await.unwrap().dial.unwrap();
    assert_eq!(dial.canned.as_deref(), Some("back at noon"));
    let check = async |tool: &str, ruling: Ruling| {
        let authorized = bench.authorize(run, tool, json!({}), None).await;
        assert_eq!(authorized.ruling, ruling, "{authorized:?}");
        authorized.why.unwrap_or_default()
    };
    bench.dial(Position::ReadOnly).await;
    check("search", Ruling::Allowed).await;
    assert!(check("refund", Ruling::Withheld).await.contains("stands at read_only (incident)"));
    assert!(check("rm", Ruling::Withheld).await.contains("pins no tool `rm`"));
    bench.dial(Position::Full).await;
    check("refund", Ruling::Allowed).await;
    bench.tool("search", Position::Off).await;
    assert!(check("search", Ruling::Withheld).await.contains("tool search"));
    assert_eq!(bench.kinds(run).await, ["plan"], "the journal follows");
    bench.control.drain().await;
    assert_eq!(
        bench.kinds(run).await,
        ["plan", "tool_ruled", "tool_ruled", "tool_ruled", "tool_ruled", "tool_ruled"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_one_person_and_is_made_once() {
    let bench = Bench::new(Tier::Standard).await;
    bench.with_tools().await;
    bench.settings(DialSpec::default(), Bodies::Full).await;
    let run = bench.created(None).await;
    bench.dial(Position::Supervised).await;
    let arguments = || json!({ "to": "Ada", "cents": 500 });
    let changes = bench.control.approval_changes();
    let asked = bench.authorize(run, "refund", arguments(), Some("c1")).await;
    assert_eq!(asked.ruling, Ruling::NeedsApproval);
    assert!(changes.has_changed().unwrap());
    assert_eq!(bench.authorize(run, "refund", arguments(), Some("c1")).await, asked, "asked for once");
    let id = asked.approval.unwrap();
    let shown = bench.control.approval(id, &Tenants::All).await.unwrap().unwrap();
    assert_eq!(shown.arguments.as_deref(), Some(r#"{"cents":500,"to":"Ada"}"#));
    assert_eq!(bench.control.approvals_pending().await.unwrap(), 1);
    // The same id is the same call.
    let stamp = bench.control.authorizing(run, &Tenants::All).await.unwrap();
    let other = json!({ "to": "Eve" });
    let call = ToolCall { tool: "refund", arguments: &other, id: Some("c1"), side_effects: None };
    let refusal = bench.control.authorize_tool(&stamp, call).await.unwrap_err();
    assert!(matches!(refusal, AuthorizeError::AnotherCall { .. }), "{refusal}");

    bench.approve(id, true).await.unwrap();
    let twice = bench.approve(id, false).await.unwrap_err().to_string();
    assert!(twice.contains("was approved by somebody"), "{twice}");
    let goes = bench.authorize(run, "refund", arguments(), Some("c1")).await;
    assert_eq!((goes.ruling, goes.approval), (Ruling::Allowed, Some(id)));
    assert_eq!(bench.authorize(run, "refund", arguments(), Some("c1")).await.ruling, Ruling::Allowed);
    assert_eq!(bench.authorize(run, "refund", arguments(), Some("c2")).await.ruling, Ruling::NeedsApproval);
    bench.control.drain().await;
    let kinds = bench.kinds(run).await;
    assert_eq!(kinds, ["plan", "tool_ruled", "approval_decided", "tool_ruled", "tool_ruled"]);
}

#[tokio::test(start_paused = true)]
async fn approvals_expire_and_denials_hold() {
    let bench = Bench::new(Tier::Standard).await;
    bench.with_tools().await;
    bench.dial(Position::Supervised).await;
    let run = bench.created(None).await;
    let ask = async || bench.authorize(run, "refund", Value::Null, None).await;
    let first = ask().await.approval.unwrap();
    let arguments = async |id| bench.control.approval(id, &Tenants::All).await.unwrap().unwrap().arguments;
    assert_eq!(arguments(first).await.as_deref(), Some("null"), "whoever decides sees them");
    bench.wait(3_600_000);
    assert_eq!(arguments(first).await, None, "by default the journal keeps digests");
    let late = bench.approve(first, true).await.unwrap_err().to_string();
    assert!(late.contains("expired at"), "{late}");
    let second = ask().await.approval.unwrap();
    assert_ne!(first, second);
    bench.approve(second, false).await.unwrap();
    let denied = ask().await;
    assert_eq!((denied.ruling, denied.approval), (Ruling::Denied, Some(second)));
    assert!(denied.why.unwrap().contains("looked at it"));
    bench.wait(3_600_000);
    let third = ask().await.approval.unwrap();
    bench.approve(third, true).await.unwrap();
    bench.wait(3_600_000);
    assert_eq!(ask().await.ruling, Ruling::NeedsApproval, "what was approved is not good for ever");
    let expired = ApprovalFilter {
        state: Some((ApprovalState::Expired, bench.control.inner.clock.now())),
        ..ApprovalFilter::default()
    };
    let expired = bench.control.approvals(&Tenants::All, expired, None, 9).await.unwrap();
    assert_eq!(expired.iter().map(|approval| approval.id).collect::<Vec<_>>(), [third, first]);
    assert_eq!(expired[0].arguments, None, "they went with the decision");
    assert_eq!(bench.store.approvals_forget(bench.control.inner.clock.now()).await.unwrap(), 1);
}

/// I11
#[tokio::test(start_paused = true)]
async fn another_tenants_approval_does_not_exist() {
    let bench = Bench::new(Tier::Standard).await;
    bench.with_tools().await;
    bench.dial(Position::Supervised).await;
    let run = bench.created(None).await;
    let id = bench.authorize(run, "refund", Value::Null, None).await.approval.unwrap();
    let others = Tenants::Only(BTreeSet::from([tenant("umbrella")]));
    let refusal = bench.control.decide_approval(by("x"), id, &others, true).await.unwrap_err();
    assert!(matches!(refusal, DecideRefused::NoApproval(_)), "{refusal}");
    assert_eq!(bench.control.approval(id, &others).await.unwrap(), None);
    assert_eq!(bench.control.approvals(&others, ApprovalFilter::default(), None, 9).await.unwrap(), []);
    assert!(matches!(bench.control.authorizing(run, &others).await, Err(AuthorizeError::NoRun(_))));
    // A repetition of the request that decided is told the same.
    let decide = async |request: &str| {
        bench.control.decide_approval(keyed("k", request), id, &Tenants::All, true).await
    };
    let first = decide("yes").await.unwrap();
    let second = decide("yes").await.unwrap();
    assert_eq!((first.replayed, second.replayed, &first.value), (false, true, &second.value));
    assert!(matches!(decide("no").await, Err(DecideRefused::KeyReused)));
}

#[tokio::test(start_paused = true)]
async fn a_call_in_an_answer_waits_for_the_model_to_ask_again() {
    let bench = Bench::new(Tier::Standard).await;
    bench.with_tools().await;
    bench.dial(Position::Supervised).await;
    let wants = async |session: Option<&str>, arguments: &str| {
        let stamp = bench.begin(session).await.unwrap().stamp;
        let wanted = Wanted { stamp, tool: "refund".to_owned(), arguments: arguments.to_owned() };
        bench.control.rule_tool(&wanted).await
    };
    let alone = wants(None, "{}").await;
    assert_eq!((alone.ruling, alone.approval), (Ruling::Withheld, None));
    assert!(alone.why.unwrap().contains("belongs to no session"));
    let asked = wants(Some("s"), r#"{"a":1,"b":2}"#).await;
    assert_eq!(asked.ruling, Ruling::NeedsApproval);
    assert_eq!(wants(Some("s"), r#"{ "b": 2, "a": 1 }"#).await.approval, asked.approval);
    assert_ne!(wants(Some("s"), r#"{"a":1,"b":3}"#).await.approval, asked.approval);
    assert_ne!(wants(Some("t"), r#"{"a":1,"b":2}"#).await.approval, asked.approval);
    bench.approve(asked.approval.unwrap(), true).await.unwrap();
    assert_eq!(wants(Some("s"), r#"{"a":1,"b":2}"#).await.ruling, Ruling::Allowed);
    let anew = wants(Some("s"), r#"{"a":1,"b":2}"#).await;
    assert_eq!(anew.ruling, Ruling::NeedsApproval, "each call is approved for itself");
    // Where nobody can be asked, nothing is let through.
    bench.store.fail(1, Strike::BeforeEffect);
    let failed = wants(Some("u"), "{}").await;
    assert_eq!(failed.ruling, Ruling::Withheld);
}

/// A notebook in memory.
#[derive(Default)]
struct Paper(std::sync::Mutex<Option<Vec<u8>>>);

impl crate::dial::Notebook for Paper {
    fn read(&self) -> std::io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn write(&self, bytes: &[u8]) -> std::io::Result<()> {
        *self.0.lock().unwrap() = Some(bytes.to_vec());
        Ok(())
    }
}

impl Bench {
    async fn reopened_with(&self, paper: &Arc<Paper>) -> Bench {
        let options = crate::Options {
            store: Arc::clone(&self.store) as _,
            clock: Arc::clone(&self.clock) as _,
            entropy: Arc::clone(&self.entropy) as _,
            catalogue: Layers::of(super::bench::catalogue()),
            vectors_folder: None,
            notebook: Some(Arc::clone(paper) as _),
            spool: None,
            stale_ms_max: crate::runs::STALE_MS_MAX,
            leads: true,
        };
        let control = crate::Control::open(options).await.unwrap().0;
        let Bench { store, clock, entropy, control: _ } = self;
        let (store, clock, entropy) = (Arc::clone(store), Arc::clone(clock), Arc::clone(entropy));
        Bench { store, clock, entropy, control }
    }
}

/// I7
#[tokio::test(start_paused = true)]
async fn no_broken_store_keeps_the_dial_from_being_turned_down() {
    let paper = Arc::new(Paper::default());
    let bench = Bench::new(Tier::Standard).await.reopened_with(&paper).await;
    bench.store.fail(1_000, Strike::BeforeEffect);
    bench.store.unreadable(true);
    let turned = bench.control.turn_dial(by("incident"), &at("planner", Position::Off)).await.unwrap();
    assert!(turned.value.changed && !turned.value.recorded);
    let refusal = bench.begin(None).await.unwrap_err().to_string();
    assert!(refusal.contains("stands at off (incident)"), "{refusal}");
    assert_eq!(bench.control.dials_unrecorded(), [Place::agent(&agent("planner"))]);
    // What makes no sense is refused all the same, and turning up waits for the ledger.
    let nonsense = bench.control.turn_dial(by("x"), &at("nobody", Position::Off)).await.unwrap_err();
    assert!(matches!(nonsense, CommitError::Refused(_)), "{nonsense}");
    let up = bench.control.turn_dial(by("x"), &at("planner", Position::Full)).await.unwrap_err();
    assert!(matches!(up, CommitError::Store(_)), "{up}");

    // A restart keeps it, and it is recorded when the store is back, in the name of who asked.
    bench.store.memory.forget_failures();
    bench.store.unreadable(false);
    let again = bench.reopened_with(&paper).await;
    assert!(again.begin(None).await.is_err());
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(again.control.dials_unrecorded(), []);
    let world = &again.control.snapshot().world;
    let setting = world.dials[&Place::agent(&agent("planner"))].clone();
    assert_eq!((setting.position, setting.reason.as_str()), (Position::Off, "incident"));
    assert!(again.begin(None).await.is_err());
    again.dial(Position::Full).await;
    assert!(again.begin(None).await.is_ok());
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert!(again.begin(None).await.is_ok(), "it doesn't come back");
}

/// A turn that waits to be recorded in one database is nothing to another, and waits on.
#[tokio::test(start_paused = true)]
async fn a_turn_that_waits_for_one_database_is_not_recorded_in_another() {
    let paper = Arc::new(Paper::default());
    let later = async |ms: u64, paper: &Arc<Paper>| {
        let bench = Bench::empty().await;
        bench.clock.0.fetch_add(ms, Ordering::SeqCst);
        bench.settle_in().await;
        bench.reopened_with(paper).await
    };
    let bench = later(1, &paper).await;
    bench.store.fail(1_000, Strike::BeforeEffect);
    bench.store.unreadable(true);
    bench.control.turn_dial(by("incident"), &at("planner", Position::Off)).await.unwrap();
    let elsewhere = later(2, &paper).await;
    assert_eq!(elsewhere.control.dials_unrecorded(), []);
    assert!(elsewhere.begin(None).await.is_ok());
    // What waits for this one is kept beside it.
    elsewhere.store.fail(1_000, Strike::BeforeEffect);
    elsewhere.store.unreadable(true);
    elsewhere.control.turn_dial(by("another"), &at("executor", Position::Off)).await.unwrap();
    elsewhere.store.memory.forget_failures();
    elsewhere.store.unreadable(false);
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(elsewhere.control.dials_unrecorded(), []);
    let world = &elsewhere.control.snapshot().world;
    assert!(world.dials.keys().eq([&Place::agent(&agent("executor"))]));

    bench.store.memory.forget_failures();
    bench.store.unreadable(false);
    let again = bench.reopened_with(&paper).await;
    assert_eq!(again.control.dials_unrecorded(), [Place::agent(&agent("planner"))]);
    assert!(again.begin(None).await.is_err());
}

/// I7
#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_holds_no_turn_up() {
    let bench = Bench::new(Tier::Standard).await;
    bench.store.ledger.shut();
    let turned = bench.control.turn_dial(by("incident"), &at("planner", Position::Off)).await.unwrap();
    assert!(!turned.value.recorded);
    assert!(bench.begin(None).await.is_err());
    bench.store.ledger.unlock();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(bench.control.dials_unrecorded(), []);
    assert!(bench.begin(None).await.is_err());
}

/// I9: somebody turned it further down meanwhile, and the turn's own entry, which turns it up from there, may be in the ledger.
#[tokio::test(start_paused = true)]
async fn a_turn_whose_entry_may_come_to_light_is_not_told_as_nothing() {
    let bench = Bench::new(Tier::Standard).await;
    bench.store.ledger.shut();
    // Both see the dial at full.
    let (further, wish) = (at("planner", Position::ReadOnly), at("planner", Position::Supervised));
    let further = bench.control.turn_dial(by("worse"), &further);
    let turned = bench.control.turn_dial(by("incident"), &wish);
    let then = async {
        super::bench::settle().await;
        bench.store.fail(1, Strike::AfterEffect);
        bench.store.unreadable(true);
        bench.store.ledger.unlock();
    };
    let (further, turned, ()) = tokio::join!(further, turned, then);
    assert!(further.unwrap().value.recorded);
    assert!(!turned.unwrap().value.recorded);
    bench.store.unreadable(false);
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(bench.control.dials_unrecorded(), []);
    let stands = bench.control.snapshot().world.dials.get(&wish.place).map(|known| known.position);
    assert_eq!(stands, Some(Position::Supervised));
}

/// Where the journal may keep nothing of a call, its approval holds for what was approved all the same.
#[tokio::test(start_paused = true)]
async fn an_approval_holds_for_its_own_arguments_also_where_none_are_kept() {
    let bench = Bench::new(Tier::Standard).await;
    bench.with_tools().await;
    bench.settings(DialSpec::default(), Bodies::Off).await;
    bench.dial(Position::Supervised).await;
    let run = bench.created(None).await;
    let asked = bench.authorize(run, "refund", serde_json::json!({ "amount": 1 }), Some("c1")).await;
    bench.approve(asked.approval.unwrap(), true).await.unwrap();
    let other = bench.authorize(run, "refund", serde_json::json!({ "amount": 1_000 }), Some("c1")).await;
    assert_eq!(other.ruling, Ruling::NeedsApproval);
    let same = bench.authorize(run, "refund", serde_json::json!({ "amount": 1 }), Some("c1")).await;
    assert_eq!(same.ruling, Ruling::Allowed);
}

/// Whoever tries again, with the id of the call, isn't journaled again.
#[tokio::test(start_paused = true)]
async fn an_answer_about_a_call_is_journaled_once() {
    let bench = Bench::new(Tier::Standard).await;
    bench.with_tools().await;
    let run = bench.created(None).await;
    let ask = async |tool: &str, id: Option<&str>, expected: Ruling| {
        assert_eq!(bench.authorize(run, tool, Value::Null, id).await.ruling, expected);
    };
    for _ in 0..2 {
        ask("refund", Some("c1"), Ruling::Allowed).await;
        // Another tool is another call; and without an id nobody knows whether it is the same.
        ask("search", Some("c1"), Ruling::Allowed).await;
        ask("search", None, Ruling::Allowed).await;
    }
    bench.dial(Position::ReadOnly).await;
    for _ in 0..2 {
        ask("refund", Some("c1"), Ruling::Withheld).await;
    }
    bench.control.drain().await;
    assert_eq!(bench.kinds(run).await.len(), 1 + 4 + 1, "the plan, four answers, and one that is news");
}
