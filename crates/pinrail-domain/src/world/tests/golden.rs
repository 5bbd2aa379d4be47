//! The golden ledger: what implementations in other languages check their reading of a ledger against.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::play::{judge, manifest, share};
use super::*;
use crate::agent::Segment;
use crate::deploy::{Open, Traffic};
use crate::dial::{Place, Position};
use crate::digest::Digest;
use crate::drift::{Sign, Subject};
use crate::id::{DeploymentId, McpServerName, TenantId};
use crate::key::{Scope, Tenants, Token};
use crate::ledger::{Actor, Draft};
use crate::mcp::McpServerSpec;
use crate::provider::ProviderSpec;
use crate::state::view::Ranges;
use crate::tier::Tier;

/// The file's shape.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Golden {
    entries: Vec<Entry>,
    expected: Expected,
}

/// What the entries fold to.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Expected {
    head: Digest,
    epoch: Epoch,
    pointers: Vec<At>,
    deployments: Vec<Deployment>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct At {
    agent: AgentName,
    segment: SegmentName,
    #[serde(flatten)]
    pointer: Pointer,
}

const FILE: &str = include_str!("../../../../../docs/golden/ledger.json");

#[test]
fn the_golden_ledger_folds_to_what_it_says() {
    let golden: Golden = serde_json::from_str(FILE).unwrap();
    let mut world = World::default();
    for entry in &golden.entries {
        assert_eq!(entry.compute_hash().unwrap(), entry.hash, "{}", entry.seq);
        world.apply(entry).unwrap();
    }
    assert_eq!(expected(&world), golden.expected);
    // The stored form is what is hashed: nothing in the file is left out when it is read.
    let raw: serde_json::Value = serde_json::from_str(FILE).unwrap();
    assert_eq!(serde_json::to_value(&golden).unwrap(), raw);
    for entry in raw["entries"].as_array().unwrap() {
        let mut hashed = entry.clone();
        let hash = hashed.as_object_mut().unwrap().remove("hash").unwrap();
        let digest = crate::canonical::digest(&hashed).unwrap();
        assert_eq!(serde_json::to_value(digest).unwrap(), hash);
    }
}

/// Keeps the file and the decisions in step: the same wishes still give the same entries.
#[test]
fn the_golden_ledger_is_what_its_story_gives_today() {
    let golden: Golden = serde_json::from_str(FILE).unwrap();
    let (world, entries) = story();
    let today = Golden { entries, expected: expected(&world) };
    assert_eq!(golden, today, "the story now gives:\n{}", serde_json::to_string_pretty(&today).unwrap());
}

fn expected(world: &World) -> Expected {
    let at = |((agent, segment), pointer): (&PointerKey, &Pointer)| At {
        agent: agent.clone(),
        segment: segment.clone(),
        pointer: pointer.clone(),
    };
    Expected {
        head: world.head.hash,
        epoch: world.epoch,
        pointers: world.pointers.iter().map(at).collect(),
        deployments: world.deployments.values().map(|deployment| Deployment::clone(deployment)).collect(),
    }
}

/// A provider, an agent with a segment, a key, two releases, a deployment and a canary that is taken back;
/// then what was watched.
fn story() -> (World, Vec<Entry>) {
    let support: AgentName = "support".parse().unwrap();
    let token = Token::from_random(&[0xab; 38]);
    let key = Key {
        id: token.id.clone(),
        name: "deployer".to_owned(),
        scopes: [Scope::Deploy, Scope::Read].into(),
        tenants: Tenants::Only([TenantId::new("acme").unwrap()].into()),
        secret_hash: token.secret_hash(),
    };
    let beta = Segment {
        name: "beta".parse().unwrap(),
        tenants: vec!["acme".parse().unwrap()],
        attributes: [("plan".to_owned(), vec!["pro".to_owned(), "größe".to_owned()])].into(),
    };
    let spec = AgentSpec {
        tier: Tier::Critical,
        description: "answers customers".to_owned(),
        segments: vec![beta],
        ..AgentSpec::default()
    };
    let mut teller = Teller { world: World::default(), entries: Vec::new(), deployer: None };
    // Spelled out, so that today's defaults may change and the story stays.
    let spec_of_p: ProviderSpec = serde_json::from_value(json!({
        "format": "openai", "base_url": "sim:", "catalogue": "sim", "retries_max": 1,
        "timeouts": {"connect_ms": 5_000, "first_byte_ms": 300_000, "idle_ms": 60_000}}))
    .unwrap();
    teller.tell(
        "first start",
        vec![Body::ProviderPut { provider: "p".parse().unwrap(), spec: Box::new(spec_of_p) }],
    );
    teller.tell("", vec![Body::AgentPut { agent: support.clone(), spec }]);
    teller.tell("for the pipeline", vec![Body::KeyCreated { key: key.clone() }]);
    teller.deployer = Some(Actor::Key { id: key.id, name: key.name });
    let [old, new] = ["m-2026-01-01", "m-2026-02-01"].map(manifest);
    for manifest in [&old, &new] {
        let body = Body::ReleaseCreated {
            release: manifest.id().unwrap(),
            agent: support.clone(),
            manifest: Box::new(manifest.clone()),
            identity: "pinned".to_owned(),
            model_override: None,
        };
        teller.tell("release create", vec![body]);
    }
    let open = |teller: &mut Teller, manifest: &Manifest, traffic, salt, reason: &str| {
        let releases = [(support.clone(), manifest.id().unwrap())].into();
        let wish = Open { releases, segment: SegmentName::default_segment(), traffic, lift_hold: false };
        let (id, bodies) =
            deploy::open(&teller.world, &wish, Salt(salt), judge, crate::time::Timestamp(0)).unwrap();
        teller.tell(reason, bodies);
        id
    };
    // Before there was a gate, the two entries were written at once.
    let first = open(&mut teller, &old, Traffic::Canary(Share::NONE), 7, "the first one");
    let promoted = Body::DeploymentPromoted { deployment: first, overridden: None, evidence: None };
    teller.tell("the first one", vec![promoted]);
    let canary = open(&mut teller, &new, Traffic::Canary(share(500)), u64::MAX, "try the new model");
    teller.tell(
        "refuses refunds – \u{201c}Größe\u{201d} \u{1f6d1}\n",
        vec![deploy::roll_back(&teller.world, canary, &deploy::TakeBack::default()).unwrap()],
    );
    assert_eq!(canary, DeploymentId(2));
    watched(&mut teller, &support, &old);
    (teller.world, teller.entries)
}

/// What was watched since: a swapped model, tools of a server, the dial; and a return to a deployment that is named.
fn watched(teller: &mut Teller, support: &AgentName, old: &Manifest) {
    let server: McpServerName = "desk".parse().unwrap();
    let spec: McpServerSpec = serde_json::from_value(
        json!({ "url": "https://tools.example.com/mcp", "headers_env": { "authorization": "DESK" } }),
    )
    .unwrap();
    teller.tell("their tools", vec![Body::McpServerPut { server: server.clone(), spec }]);
    let catalogue = Body::CatalogueUpdated {
        catalogue: Digest::of(b"catalogue"),
        source: "the provider's own list".to_owned(),
        added: 2,
        changed: 1,
        removed: 0,
    };
    teller.tell("as they say today", vec![catalogue]);
    let model = Subject::Model { provider: "p".parse().unwrap(), snapshot: "m-2026-01-01".to_owned() };
    let tools = Subject::Tools { server: server.clone(), pin: Digest::of(b"pin") };
    let found = |subject: &Subject, sign: Sign, what: &str, evidence: Option<Digest>| Body::DriftFound {
        subject: subject.clone(),
        sign,
        what: what.to_owned(),
        evidence,
    };
    let served = Sign::Served { served: "m-2026-03-01".to_owned() };
    teller.tell("", vec![found(&model, served, "p answers for m-2026-01-01 with m-2026-03-01", None)]);
    let changed = Sign::Tools {
        changed: vec!["refund".to_owned()],
        added: vec!["wipe".to_owned()],
        removed: Vec::new(),
        identity: None,
    };
    let evidence = Some(Digest::of(b"listed"));
    teller.tell("", vec![found(&tools, changed, "desk changed refund and added wipe", evidence)]);
    let finding = teller.world.head.seq;
    teller.tell("pinned anew", vec![Body::DriftCleared { finding }]);
    let place = Place {
        agent: Some(support.clone()),
        segment: Some("beta".parse().unwrap()),
        tenant: Some("acme".parse().unwrap()),
        tool: None,
    };
    let dial = |place: &Place, position, release, text: Option<&str>| Body::DialSet {
        place: place.clone(),
        position,
        release,
        text: text.map(str::to_owned),
    };
    let tool = Place { tool: Some("refund".parse().unwrap()), ..Place::default() };
    teller.tell("odd refunds", vec![dial(&tool, Position::Supervised, None, None)]);
    let to = Some(old.id().unwrap());
    teller.tell("slow", vec![dial(&place, Position::Fallback, to, None)]);
    teller.tell("slower", vec![dial(&place, Position::Canned, None, Some("Zurück um zwölf."))]);
    teller.tell("mended", vec![dial(&place, Position::Full, None, None)]);
    return_to_a_named_one(teller, support);
    teller.tell("moved away", vec![Body::McpServerRemoved { server }]);
}

/// Two releases are promoted, the second is taken back to the first deployment, and nobody needs it any more.
fn return_to_a_named_one(teller: &mut Teller, support: &AgentName) {
    let mut last = None;
    for snapshot in ["m-2026-04-01", "m-2026-05-01"] {
        let manifest = manifest(snapshot);
        let release = manifest.id().unwrap();
        let created = Body::ReleaseCreated {
            release,
            agent: support.clone(),
            manifest: Box::new(manifest),
            identity: "pinned".to_owned(),
            model_override: None,
        };
        teller.tell("release create", vec![created]);
        let wish = Open {
            releases: [(support.clone(), release)].into(),
            segment: SegmentName::default_segment(),
            traffic: Traffic::Canary(Share::NONE),
            lift_hold: true,
        };
        let (id, bodies) = deploy::open(&teller.world, &wish, Salt(7), judge, Timestamp(0)).unwrap();
        teller.tell("the next one", bodies);
        let promoted = Body::DeploymentPromoted { deployment: id, overridden: None, evidence: None };
        teller.tell("the next one", vec![promoted]);
        last = Some((id, release));
    }
    let (id, release) = last.unwrap();
    let back = Body::DeploymentRolledBack {
        deployment: id,
        keep_state: false,
        derived: Ranges::default(),
        to: [(support.clone(), DeploymentId(1))].into(),
        evidence: None,
    };
    teller.tell("the one before can't be called", vec![back]);
    teller.tell("nobody needs it", vec![Body::ReleaseRetired { release }]);
}

pub(super) struct Teller {
    pub world: World,
    pub entries: Vec<Entry>,
    pub deployer: Option<Actor>,
}

impl Teller {
    pub(super) fn tell(&mut self, reason: &str, bodies: Vec<Body>) {
        for body in bodies {
            let draft = Draft {
                at: Timestamp(1_767_225_600_000 + 60_000 * self.world.head.seq.0),
                actor: self.deployer.clone().unwrap_or(Actor::System),
                reason: reason.to_owned(),
                body,
            };
            let entry = self.world.head.seal(draft).unwrap();
            self.world.apply(&entry).unwrap();
            self.entries.push(entry);
        }
    }
}
