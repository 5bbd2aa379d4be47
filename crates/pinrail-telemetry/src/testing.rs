//! Calls that nobody made, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use pinrail_domain::agent::Bodies;
use pinrail_domain::begin::{Alternatives, Begun};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, Epoch, ReleaseId, RunId};
use pinrail_domain::journal::{Event, ModelResponse, Outcome, Stamp, Usage};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::Contract;
use pinrail_domain::routes::Via;
use pinrail_domain::time::{Ticks, Timestamp};
use pinrail_gateway::telemetry::{Attempted, Ended, Seen, Traced, Tried};
use pinrail_wire::Dialect;
use serde_json::json;

/// What a call's values must not end up in.
pub const TENANT: &str = "a-tenant-nobody-may-see";
pub const SESSION: &str = "a-session-nobody-may-see";

/// A call that went well, to be changed.
pub struct Call {
    pub begun: Begun,
    pub seen: Seen,
    pub events: Vec<(Timestamp, Event)>,
    pub outcome: Outcome,
    pub elsewhere: bool,
}

impl Call {
    pub fn of(agent: &str, deployment: u64) -> Call {
        let manifest =
            json!({"pinrail": 1, "model": {"provider": "openai", "snapshot": "gpt-4o-2024-08-06"}});
        let stamp = Stamp {
            run: RunId::from_parts(1_800_000_000_000, 7),
            agent: agent.parse().unwrap(),
            tenant: TENANT.parse().unwrap(),
            session: Some(SESSION.parse().unwrap()),
            parent: None,
            attributes: BTreeMap::new(),
            single: true,
            shadow: None,
            gate: None,
            deployment: DeploymentId(deployment),
            release: ReleaseId(Digest::of(b"release")),
            segment: "default".parse().unwrap(),
            epoch: Epoch(5),
            via: Via::Active,
            provider: "openai".parse().unwrap(),
            snapshot: "gpt-4o-2024-08-06".to_owned(),
        };
        let spec = ProviderSpec { catalogue: "openai".to_owned(), ..ProviderSpec::simulated() };
        let begun = Begun {
            stamp: Arc::new(stamp),
            call: 1,
            epoch: Epoch(6),
            contract: Arc::new(Contract {
                id: ReleaseId(Digest::of(b"release")),
                manifest: Arc::new(serde_json::from_value(manifest).unwrap()),
                system: None,
                tools: None,
                pins: BTreeMap::default(),
            }),
            provider: Arc::new(spec),
            bodies: Bodies::Off,
            dial: None,
            shadow: None,
            alternatives: Alternatives::default(),
        };
        let mut seen = Seen::new(Dialect::Chat, Ticks(1_000_000_000));
        seen.overhead_us = Some(120);
        seen.tried.push(tried("openai", Attempted::Ok));
        let answer = ModelResponse {
            call: 1,
            status: 200,
            served_model: Some("gpt-4o-2024-08-06".to_owned()),
            finish_reason: Some("stop".to_owned()),
            usage: Some(Usage { input_tokens: 10, output_tokens: 5, cached_input_tokens: 4 }),
            cost_nano_usd: Some(2_500_000),
            first_byte_us: 30_000,
            last_byte_us: 40_000,
            ..ModelResponse::default()
        };
        let events = vec![(Timestamp(0), Event::ModelResponse(Box::new(answer)))];
        Call { begun, seen, events, outcome: Outcome::Ok, elsewhere: false }
    }

    /// Forty milliseconds after it arrived.
    pub fn ended(&self) -> Ended<'_> {
        Ended {
            begun: &self.begun,
            seen: &self.seen,
            at: Timestamp(1_800_000_000_040),
            ticks: Ticks(1_040_000_000),
            outcome: self.outcome,
            events: &self.events,
            retries: 1,
            elsewhere: self.elsewhere,
        }
    }
}

/// An attempt that took thirty-nine milliseconds.
pub fn tried(provider: &str, how: Attempted) -> Tried {
    Tried {
        provider: provider.parse().unwrap(),
        began: Ticks(1_001_000_000),
        first_byte: Some(Ticks(1_030_000_000)),
        ended: Some(Ticks(1_040_000_000)),
        how,
        status: Some(200),
        traced: None::<Traced>,
    }
}
