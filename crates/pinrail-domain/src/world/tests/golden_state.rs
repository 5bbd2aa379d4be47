//! The golden state: what implementations in other languages check their reading of state's ledger entries and the
//! visibility rule against.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::golden::Teller;
use super::play::manifest;
use super::*;
use crate::deploy::{Open, Traffic};
use crate::id::{StateSeq, TenantId};
use crate::state::view::{Cascade, Ranges, Span, View};
use crate::state::{Op, Operation, StateKey};

/// The file's shape.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Golden {
    entries: Vec<Entry>,
    /// What was written between the entries, to one space.
    operations: Vec<Row>,
    expected: Expected,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    seq: StateSeq,
    ledger: LedgerSeq,
    deployment: DeploymentId,
    key: StateKey,
    op: Op,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Expected {
    head: Digest,
    epoch: Epoch,
    floor: Moment,
    deployments: Vec<Deployment>,
    spans: Vec<Counts>,
    cascades: Vec<Taken>,
    views: Vec<Seen>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Counts {
    deployment: DeploymentId,
    #[serde(flatten)]
    span: Span,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Taken {
    at: LedgerSeq,
    from: DeploymentId,
    records: Ranges,
}

/// What a reader sees: everybody, or a deployment's own runs.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Seen {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own: Option<DeploymentId>,
    at: Moment,
    visible: Vec<StateSeq>,
}

const FILE: &str = include_str!("../../../../../docs/golden/state.json");

#[test]
fn the_golden_state_folds_to_what_it_says() {
    let golden: Golden = serde_json::from_str(FILE).unwrap();
    let mut world = World::default();
    for entry in &golden.entries {
        assert_eq!(entry.compute_hash().unwrap(), entry.hash, "{}", entry.seq);
        world.apply(entry).unwrap();
    }
    assert_eq!(expected(&world, &golden.operations), golden.expected);
    // The stored form is what is hashed: nothing in the file is left out when it is read.
    let raw: serde_json::Value = serde_json::from_str(FILE).unwrap();
    assert_eq!(serde_json::to_value(&golden).unwrap(), raw);
    for entry in raw["entries"].as_array().unwrap() {
        let mut hashed = entry.clone();
        let hash = hashed.as_object_mut().unwrap().remove("hash").unwrap();
        assert_eq!(serde_json::to_value(crate::canonical::digest(&hashed).unwrap()).unwrap(), hash);
    }
}

/// Keeps the file and the decisions in step: the same wishes still give the same entries.
#[test]
fn the_golden_state_is_what_its_story_gives_today() {
    let golden: Golden = serde_json::from_str(FILE).unwrap();
    let (world, entries, operations) = story();
    let today = Golden { entries, expected: expected(&world, &operations), operations };
    assert_eq!(golden, today, "the story now gives:\n{}", serde_json::to_string_pretty(&today).unwrap());
}

fn expected(world: &World, operations: &[Row]) -> Expected {
    let deployments = world.deployments.values().map(|deployment| Deployment::clone(deployment));
    let spans = world.deployments.keys().map(|id| Counts { deployment: *id, span: world.commits.span(*id) });
    let taken = |cascade: &Cascade| {
        let Cascade { at, from, records } = cascade.clone();
        Taken { at, from, records }
    };
    let last = operations.last().map(|row| row.seq).unwrap_or_default();
    let moments = (1..=world.head.seq.0).map(LedgerSeq).map(|ledger| {
        let state = operations.iter().filter(|row| row.ledger <= ledger).map(|row| row.seq).next_back();
        Moment { state: state.unwrap_or_default(), ledger }
    });
    let newest = Moment { state: last, ledger: world.head.seq };
    let everybody = moments.map(|at| seen(world, operations, None, at));
    let own = world.deployments.keys().map(|own| seen(world, operations, Some(*own), newest));
    Expected {
        head: world.head.hash,
        epoch: world.epoch,
        floor: world.floor,
        deployments: deployments.collect(),
        spans: spans.collect(),
        cascades: world.commits.cascades().iter().map(taken).collect(),
        views: everybody.chain(own).collect(),
    }
}

fn seen(world: &World, operations: &[Row], own: Option<DeploymentId>, at: Moment) -> Seen {
    let view = View { own, at, commits: Arc::clone(&world.commits) };
    let operations: Vec<Operation> = operations
        .iter()
        .cloned()
        .map(|Row { seq, ledger, deployment, key, op }| Operation { seq, ledger, deployment, key, op })
        .collect();
    let is_visible = |place: &usize| {
        let operation = &operations[*place];
        let later = operations[place + 1..].iter().filter(|later| later.key == operation.key);
        view.hidden(operation, &later.cloned().collect::<Vec<_>>()).is_none()
    };
    let visible = (0..operations.len()).filter(is_visible).map(|place| operations[place].seq).collect();
    Seen { own, at, visible }
}

/// A release that is taken back in two steps, a good data job, a bad one, one whose poison was built upon, and what is
/// done for good: a collection and an erasure.
fn story() -> (World, Vec<Entry>, Vec<Row>) {
    let mut teller = Teller { world: World::default(), entries: Vec::new(), deployer: None };
    let mut rows = Vec::new();
    let mut write = |teller: &Teller, deployment, key: &str, op| {
        let (seq, ledger) = (StateSeq(rows.len() as u64 * 2 + 1), teller.world.head.seq);
        rows.push(Row { seq, ledger, deployment, key: StateKey::new(key).unwrap(), op });
        seq
    };
    let ground = DeploymentId(0);
    let release = open_release(&mut teller);
    write(&teller, ground, "the user said", Op::Put);
    write(&teller, release, "summary", Op::Put);
    let good = ingest(&mut teller, "docs-2026-05");
    let proof = Digest::of(b"the manifest");
    teller.tell("", vec![Body::ManifestRecorded { deployment: good, manifest: proof }]);
    write(&teller, good, "doc/1", Op::Put);
    write(&teller, good, "doc/gr\u{f6}\u{df}e", Op::Put);
    write(&teller, good, "summary", Op::Delete);
    teller.tell(
        "checked",
        deploy::promote(
            &teller.world,
            good,
            &deploy::Grounds::ASKED,
            false,
            play::judge,
            crate::time::Timestamp(0),
        )
        .unwrap(),
    );
    let bad = ingest(&mut teller, "docs-2026-06");
    write(&teller, bad, "doc/1", Op::Put);
    write(&teller, bad, "doc/2", Op::Put);
    back(&mut teller, bad, false, Ranges::default());
    let poison = ingest(&mut teller, "docs-2026-06");
    write(&teller, poison, "doc/1", Op::Delete);
    write(&teller, poison, "doc/3", Op::Put);
    teller.tell(
        "",
        deploy::promote(
            &teller.world,
            poison,
            &deploy::Grounds::ASKED,
            false,
            play::judge,
            crate::time::Timestamp(0),
        )
        .unwrap(),
    );
    let taken = [write(&teller, release, "summary", Op::Put), write(&teller, release, "advice", Op::Put)];
    write(&teller, release, "plan", Op::Put);
    let named = write(&teller, ground, "the user quoted", Op::Put);
    back(&mut teller, poison, false, Ranges::of(taken.into_iter().chain([named, named.next()])));
    back(&mut teller, release, true, Ranges::default());
    write(&teller, ground, "the user said", Op::Put);
    back(&mut teller, release, false, Ranges::default());
    write(&teller, release, "plan", Op::Delete);
    let floor = Moment { state: StateSeq(10), ledger: LedgerSeq(9) };
    teller.tell("", vec![Body::StateCollected { deployments: vec![bad], records: 2, floor }]);
    let erased = Body::StateErased {
        tenant: TenantId::new("acme").unwrap(),
        subject: Some("session/42".to_owned()),
        records: 2,
        runs: 1,
        proof: Digest::of(b"what was erased"),
    };
    teller.tell("asked by mail", vec![erased]);
    (teller.world, teller.entries, rows)
}

fn open_release(teller: &mut Teller) -> DeploymentId {
    let support: AgentName = "support".parse().unwrap();
    let spec = serde_json::from_value(json!({
        "format": "openai", "base_url": "sim:", "catalogue": "sim", "retries_max": 1,
        "timeouts": {"connect_ms": 5_000, "first_byte_ms": 300_000, "idle_ms": 60_000}}))
    .unwrap();
    teller.tell("", vec![Body::ProviderPut { provider: "p".parse().unwrap(), spec: Box::new(spec) }]);
    teller.tell("", vec![Body::AgentPut { agent: support.clone(), spec: AgentSpec::default() }]);
    let manifest = manifest("m-2026-01-01");
    teller.tell("", vec![play::created("support", &manifest)]);
    let releases = [(support, manifest.id().unwrap())].into();
    let segment = SegmentName::default_segment();
    let wish = Open { releases, segment, traffic: Traffic::Now, lift_hold: false };
    let (id, bodies) =
        deploy::open(&teller.world, &wish, Salt(7), play::judge, crate::time::Timestamp(0)).unwrap();
    teller.tell("the first one", bodies);
    id
}

fn ingest(teller: &mut Teller, name: &str) -> DeploymentId {
    let salt = Salt(teller.world.head.seq.0);
    let (id, body) = deploy::open_ingest(&teller.world, &name.parse().unwrap(), salt).unwrap();
    teller.tell("nightly", vec![body]);
    id
}

fn back(teller: &mut Teller, id: DeploymentId, keep_state: bool, derived: Ranges) {
    let body = deploy::roll_back(&teller.world, id, &TakeBack { keep_state, derived, ..TakeBack::default() })
        .unwrap();
    teller.tell("it was wrong", vec![body]);
}
