use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::concerns::{Concerns, state_at};
use super::*;
use crate::deploy;
use crate::deployment::Deployment;
use crate::world::World;
use crate::world::tests::play::{Play, Wish, wish};

fn spec(json: serde_json::Value) -> Result<WebhookSpec, String> {
    let mut whole = json!({ "url": "https://hooks.example/x" });
    whole.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
    serde_json::from_value(whole).map_err(|error| error.to_string())
}

#[test]
fn settings_that_leak_or_never_fire_are_refused() {
    let check = |json: serde_json::Value, expected: &str| {
        let refusal = match spec(json) {
            Ok(spec) => spec.check().unwrap_err().to_string(),
            Err(refusal) => refusal,
        };
        assert!(refusal.contains(expected), "{refusal}");
    };
    for url in ["http://example.com/x", "ftp://x", "https://", "https://u:p@x/", "https://x y", "https://?a"]
    {
        check(json!({ "url": url }), "https://HOST");
    }
    check(json!({ "url": format!("https://x/{}", "y".repeat(2_000)) }), "at most 2000");
    check(
        json!({ "events": ["deployment_rolledback"] }),
        "matches no kind of ledger entry; there are provider_put",
    );
    check(json!({ "events": ["Deployment*"] }), "no pattern");
    check(json!({ "events": [""] }), "no pattern");
    check(json!({ "events": vec!["*"; EVENTS_MAX + 1] }), "number of events is 51; at most 50");
    check(json!({ "agents": vec!["a"; AGENTS_MAX + 1] }), "number of agents is 101");
    check(json!({ "event": ["*"] }), "unknown field `event`");
    // I15: a secret in the wrong place is refused and not repeated.
    let pasted = spec(json!({ "secret_env": "whsec_c2VjcmV0" })).unwrap().check().unwrap_err().to_string();
    assert!(pasted.contains("never hold the secret") && !pasted.contains("c2V"), "{pasted}");
    for url in ["https://example.com/hook?a=1", "http://127.0.0.1:9/x", "http://[::1]/", "http://localhost:9"]
    {
        assert_eq!(
            spec(json!({ "url": url, "secret_env": "HOOK", "events": ["*"] })).unwrap().check(),
            Ok(())
        );
    }
}

#[test]
fn a_star_stands_for_any_letters() {
    let check = |pattern, kind, expected| assert_eq!(matches(pattern, kind), expected, "{pattern} {kind}");
    check("*", "weight_set", true);
    check("deployment_*", "deployment_opened", true);
    check("deployment_*", "redeployment_opened", false);
    check("*_put", "agent_put", true);
    check("*_put", "agent_removed", false);
    check("d*_ro*_back", "deployment_rolled_back", true);
    check("*a*a*", "agent_a", true);
    check("*a*a*", "agent", false);
    check("ab*ba", "aba", false);
    check("weight_set", "weight_set", true);
    check("weight_set", "weight_sets", false);
    check("**", "x", true);
}

#[test]
fn without_events_all_is_wanted_but_noise_and_without_agents_whatever_it_concerns() {
    let all = spec(json!({})).unwrap();
    for kind in Body::kinds() {
        assert_eq!(all.wants_kind(kind), *kind != "manifest_recorded", "{kind}");
    }
    assert!(spec(json!({ "events": ["manifest_*"] })).unwrap().wants_kind("manifest_recorded"));
    let [support, other] = ["support", "other"].map(|name| BTreeSet::from([name.parse().unwrap()]));
    assert!(all.wants_agents(&support) && all.wants_agents(&BTreeSet::new()));
    let own = spec(json!({ "agents": ["support"] })).unwrap();
    assert!(own.wants_agents(&support) && !own.wants_agents(&other) && !own.wants_agents(&BTreeSet::new()));
}

#[test]
fn an_entry_tells_what_it_is_about() {
    let check = |body: serde_json::Value, subject: Option<&str>, agents: &[&str]| {
        let body: Body = serde_json::from_value(body).unwrap();
        let found = Concerns::of(&body, &World::default());
        assert_eq!(found.subject.as_deref(), subject);
        assert_eq!(found.agents.iter().map(AgentName::as_str).collect::<Vec<_>>(), agents);
    };
    let release = format!("sha256:{}", "0".repeat(64));
    let opened = json!({ "type": "deployment_opened", "deployment": 7, "releases": { "b": release, "a": release },
        "segment": "default", "weight": 0, "salt": "0000000000000001" });
    check(opened, Some("deployments/7"), &["a", "b"]);
    check(json!({ "type": "hold_lifted", "agent": "a", "segment": "s" }), Some("agents/a"), &["a"]);
    check(json!({ "type": "provider_removed", "provider": "p" }), Some("providers/p"), &[]);
    check(json!({ "type": "webhook_removed", "webhook": "w" }), Some("webhooks/w"), &[]);
    check(json!({ "type": "key_revoked", "key": "0123456789ab" }), Some("keys/0123456789ab"), &[]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However late an entry is told, the state of its deployment is the one that it led to.
    #[test]
    fn a_deployments_state_is_that_of_its_entry(wishes in prop::collection::vec(wish(), 1..20)) {
        let mut play = Play::new();
        let mut seen = Vec::new();
        for wish in wishes.iter().filter(|wish| !matches!(wish, Wish::RemoveAgent { .. } | Wish::PutAgent { .. })) {
            let _refused_or_done = play.step(wish);
            let state = |known: &Arc<Deployment>| (known.id, deploy::state(&play.world, known));
            seen.push((play.world.head.seq, play.world.deployments.values().map(state).collect::<Vec<_>>()));
        }
        for (at, states) in seen {
            for (id, state) in states {
                prop_assert_eq!(state_at(&play.world, &play.world.deployments[&id], at), state, "{} at {}", id, at);
            }
        }
    }
}
