//! The stage: which agents, tenants, sessions, spaces and releases there are. Few, so that things meet.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use pinrail_domain::agent::{AgentSpec, Segment};
use pinrail_domain::assign::Salt;
use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::{ALPHA, GateSpec, Judgement, Source, SuiteJudged, SuiteKind, SuitePin};
use pinrail_domain::id::{AgentName, DeploymentId, ReleaseId, SegmentName, SessionId, TenantId};
use pinrail_domain::ledger::{Actor, Body, Draft, Entry, Head};
use pinrail_domain::model::{Catalogue, Layers};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::Manifest;
use pinrail_domain::rollout::Plan;
use pinrail_domain::share::Share;
use pinrail_domain::state::{Space, StateKey};
use pinrail_domain::tier::Tier;
use pinrail_domain::time::Timestamp;
use serde_json::json;

/// The names of everything.
pub(crate) struct Setting {
    pub catalogue: Layers,
    pub agents: Vec<AgentName>,
    pub tenants: Vec<TenantId>,
    pub sessions: Vec<SessionId>,
    pub segments: Vec<SegmentName>,
    pub releases: Vec<ReleaseId>,
    pub keys: Vec<StateKey>,
    /// The ledger up to where the story begins: a provider, the agents, their releases, and the first deployment.
    pub ledger: Vec<Entry>,
}

/// The setting, made once.
pub(crate) static SETTING: LazyLock<Setting> = LazyLock::new(Setting::new);

const MODELS: [&str; 3] = ["m1-2026-01-01", "m2-2026-01-01", "m3-2026-01-01"];

impl Setting {
    fn new() -> Setting {
        let agents: Vec<AgentName> = ["planner", "executor", "judge"].map(name).into();
        let tenants: Vec<TenantId> = ["acme", "umbrella"].map(name).into();
        let vip: SegmentName = name("vip");
        let releases = MODELS.map(|model| manifest(model).id().expect("it has a canonical form")).into();
        let mut bodies =
            vec![Body::ProviderPut { provider: name("p"), spec: Box::new(ProviderSpec::simulated()) }];
        for (agent, tier) in agents.iter().zip([Tier::Standard, Tier::Critical, Tier::Throwaway]) {
            let segment =
                Segment { name: vip.clone(), tenants: vec![tenants[1].clone()], attributes: BTreeMap::new() };
            let gate = (tier == Tier::Critical).then(|| GateSpec { suites: suites(), ..GateSpec::default() });
            let spec = AgentSpec { tier, segments: vec![segment], gate, ..AgentSpec::default() };
            bodies.push(Body::AgentPut { agent: agent.clone(), spec });
            for model in MODELS {
                let manifest = manifest(model);
                bodies.push(Body::ReleaseCreated {
                    release: manifest.id().expect("it has a canonical form"),
                    agent: agent.clone(),
                    manifest: Box::new(manifest),
                    identity: "pinned".to_owned(),
                    model_override: None,
                });
            }
        }
        let first = manifest(MODELS[0]).id().expect("it has a canonical form");
        bodies.push(Body::DeploymentOpened {
            deployment: DeploymentId(1),
            releases: agents.iter().map(|agent| (agent.clone(), first)).collect(),
            segment: SegmentName::default_segment(),
            weight: Share::NONE,
            salt: Salt(1),
            ingest: None,
            rollout: None,
        });
        bodies.push(Body::DeploymentPromoted {
            deployment: DeploymentId(1),
            overridden: None,
            evidence: None,
        });
        Setting {
            catalogue: Layers::of(catalogue()),
            agents,
            tenants,
            sessions: ["s0", "s1", "s2"].map(name).into(),
            segments: vec![SegmentName::default_segment(), vip],
            releases,
            keys: ["k0", "k1", "k2", "k3"].map(name).into(),
            ledger: chain(bodies),
        }
    }

    /// How the agent's deployments are rolled out: by few runs, with people in between.
    pub(crate) fn plan(&self, agent: usize, segment: &SegmentName) -> Plan {
        let settings = json!({
            "segments": [{ "name": "vip", "tenants": ["umbrella"] }],
            "rollout": {
                "steps": [
                    { "canary": { "percent": 50, "min_runs": 1, "segments": ["vip"] } },
                    { "canary": { "percent": 30, "min_runs": 1 } },
                    "gate",
                    { "pause": {} },
                    { "canary": { "percent": 60, "min_runs": 2 } },
                    { "approve": {} },
                ],
                "guardrails": [],
            },
        });
        let spec: AgentSpec = serde_json::from_value(settings).expect("good settings");
        Plan::of(&self.agents[agent % self.agents.len()], &spec, segment)
    }

    /// A space of shared context.
    pub(crate) fn context(&self, tenant: usize, which: usize) -> Space {
        let names = ["orders", "facts"];
        Space::context(self.tenants[tenant % 2].clone(), &name(names[which % names.len()]))
    }
}

/// Parses a name of the setting's own.
pub(crate) fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a good name")
}

/// The place of the agent of tier `critical`.
pub(crate) const CRITICAL: usize = 1;

/// What a gate of that agent says.
pub(crate) fn judgement(
    candidate: ReleaseId,
    incumbent: Option<ReleaseId>,
    verdict: GateVerdict,
) -> Judgement {
    let judged = |pin: SuitePin| SuiteJudged {
        margin: pin.margin(),
        floor: incumbent.is_none().then(|| pin.floor()),
        name: pin.name,
        kind: pin.kind,
        digest: pin.digest,
        verdict,
        cases: 100,
    };
    Judgement {
        candidate,
        incumbent,
        verdict,
        alpha: ALPHA,
        suites: suites().into_iter().map(judged).collect(),
        served: vec![MODELS[0].to_owned()],
        source: Source::Run,
        statement: Digest::of(b"statement"),
    }
}

fn suites() -> Vec<SuitePin> {
    let pin = |kind: SuiteKind| SuitePin {
        name: kind.to_string(),
        kind,
        digest: Digest::of(kind.as_str().as_bytes()),
        margin: None,
        better: false,
        floor: None,
        imported: false,
    };
    SuiteKind::ALL.map(pin).to_vec()
}

fn manifest(model: &str) -> Manifest {
    let value = json!({ "pinrail": 1, "model": { "provider": "p", "snapshot": model } });
    serde_json::from_value(value).expect("a good manifest")
}

fn catalogue() -> Catalogue {
    let group: Vec<String> =
        MODELS.iter().map(|model| format!("{{ id = \"{model}\", identity = \"pinned\" }}")).collect();
    let text = format!(
        "version = 1\nas_of = \"2026-11-20\"\n[[providers.sim.groups]]\nsource = \"the simulation\"\n\
         as_of = \"2026-11-20\"\nmodels = [{}]\n",
        group.join(", ")
    );
    let own = Catalogue::from_toml(&text).expect("a good catalogue");
    Catalogue::overlaid(Catalogue::embedded().clone(), own)
}

fn chain(bodies: Vec<Body>) -> Vec<Entry> {
    let mut head = Head::START;
    let mut entries = Vec::with_capacity(bodies.len());
    for body in bodies {
        let at = Timestamp(1_795_132_000_000);
        let draft = Draft { at, actor: Actor::System, reason: "the setting".to_owned(), body };
        let entry = head.seal(draft).expect("it has a canonical form");
        head = Head { seq: entry.seq, hash: entry.hash };
        entries.push(entry);
    }
    entries
}
