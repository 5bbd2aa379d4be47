use serde_json::{Value, json};

use super::super::Entry;
use super::*;

/// The golden ledger, and the world that it leaves.
fn golden() -> (Vec<Entry>, World) {
    let raw = include_str!("../../../../../docs/golden/ledger.json");
    let file: Value = serde_json::from_str(raw).unwrap();
    let entries: Vec<Entry> = serde_json::from_value(file["entries"].clone()).unwrap();
    let mut world = World::default();
    for entry in &entries {
        world.apply(entry).unwrap();
    }
    (entries, world)
}

fn said(body: Value) -> String {
    serde_json::from_value::<Body>(body).unwrap().in_words(&golden().1)
}

#[test]
fn what_happened_is_told_with_whose_it_was() {
    let (entries, world) = golden();
    let told: Vec<String> = entries.iter().map(|entry| entry.body.in_words(&world)).collect();
    let check = |expected: &str| {
        assert!(told.iter().any(|told| told == expected), "{expected}\nis none of\n{}", told.join("\n"));
    };
    check("Wrote the settings of provider p");
    check("Wrote the settings of agent support");
    check("Promoted deployment 1 of support (default)");
    check("Rolled back deployment 2 of support (default)");
    check("Cleared drift finding 13");
    check("Removed MCP server desk");
    check("Learnt about models from the provider's own list: 2 added, 1 changed, 0 no longer listed");
}

#[test]
fn every_kind_has_its_sentence() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let check = |body: Value, expected: &str| assert_eq!(said(body), expected);
    let on = |kind: &str, more: Value| {
        let mut body = json!({ "type": kind, "deployment": 1 });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    check(
        on("deployment_rolled_back", json!({ "keep_state": true })),
        "Rolled back deployment 1 of support (default), pointers only",
    );
    check(
        json!({ "type": "deployment_promoted", "deployment": 99, "overridden": "it burns" }),
        "Promoted deployment 99, overriding its rollout: it burns",
    );
    check(
        on("rollout_resumed", json!({ "generation": 1 })),
        "Resumed the rollout of deployment 1 of support (default)",
    );
    check(
        on("rollout_approved", json!({ "generation": 1, "step": 2 })),
        "Approved step 3 of deployment 1 of support (default)",
    );
    check(
        on("rollout_stopped", json!({ "generation": 1, "why": { "why": "drift", "what": "it moved" } })),
        "Stopped the rollout of deployment 1 of support (default): frozen by drift: it moved",
    );
    check(
        on("gate_overridden", json!({ "kinds": ["safety", "success"] })),
        "Overrode the gate of deployment 1 of support (default) for safety, success suites",
    );
    check(
        on("gate_override_seconded", json!({ "overridden": 9 })),
        "Seconded override 9 of the gate of deployment 1 of support (default)",
    );
    check(
        on("manifest_recorded", json!({ "manifest": digest })),
        "Recorded the state as it was when deployment 1 of support (default) was opened",
    );
    check(on("weight_set", json!({ "weight": 500 })), "Set deployment 1 of support (default) to 5%");
    check(
        json!({ "type": "state_erased", "tenant": "acme", "records": 1, "runs": 2, "proof": digest }),
        "Erased what tenant acme said: 1 record and 2 runs",
    );
    check(json!({ "type": "hold_lifted", "agent": "a", "segment": "vip" }), "Lifted the hold on a (vip)");
    check(json!({ "type": "key_revoked", "key": "0123456789ab" }), "Revoked key 0123456789ab");
    check(json!({ "type": "webhook_removed", "webhook": "chat" }), "Removed webhook chat");
    check(
        json!({ "type": "dial_set", "place": {}, "position": "off" }),
        "Turned the dial of everything to off",
    );
    check(
        json!({ "type": "dial_set", "place": { "tool": "mail", "tenant": "acme" }, "position": "full" }),
        "Turned the dial of tool mail, tenant acme back to full",
    );
    check(json!({ "type": "release_retired", "release": digest }), "Retired release 000000000000");
}
