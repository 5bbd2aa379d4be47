use pinrail_domain::digest::Digest;
use pinrail_domain::id::ReleaseId;
use pinrail_domain::model::Lifecycle;
use pinrail_domain::release::diff::{TextDiff, diff};
use pinrail_domain::release::{Contract, Manifest};
use pinrail_domain::time::Timestamp;
use serde_json::{Value, json};

use super::diff::{ReleaseDiff, Side, ToolChange};
use super::release::{Model, ReleasePage, Tool};
use super::*;

const HOSTILE: &str = "<script>alert(1)</script></textarea>\u{202e}\u{1b}[31m\"'";

fn manifest() -> Manifest {
    let manifest = json!({
        "pinrail": 1,
        "model": { "provider": "sim", "snapshot": "sim-1-2026-06-01", "params": { "temperature": 0.2 } },
        "prompt": { "system": Digest::of(b"p") },
        "tools": { "schema": Digest::of(b"t"), "side_effects": ["refund"] },
        "state": { "vectors": { "kb": { "embedder": "e", "dims": 3, "metric": "cosine" } },
                   "memory": { "schema": "chat/v1" }, "context": { "protocol": 2, "accepts": [1, 2] } },
    });
    serde_json::from_value(manifest).unwrap()
}

fn release(id: &[u8]) -> Release {
    let id = ReleaseId(Digest::of(id));
    Release {
        release: id,
        short: id.short(),
        agents: vec!["support".parse().unwrap()],
        identity: "pinned".to_owned(),
        identity_why: "dated".to_owned(),
        created_at: Timestamp(1_799_000_000_000),
        manifest: manifest(),
        live: true,
        model_override: Some(HOSTILE.to_owned()),
        retired: None,
        degraded: vec![HOSTILE.to_owned()],
    }
}

fn page(prompt: &str, tools: Vec<Tool>) -> ReleasePage {
    let model = Model {
        provider: "sim".to_owned(),
        snapshot: HOSTILE.to_owned(),
        identity: "floating".to_owned(),
        why: HOSTILE.to_owned(),
        standing: Lifecycle::RetiringSoon { at: Timestamp(1_801_000_000_000), days_left: 12 },
        params: json!({ "stop": [HOSTILE] }).as_object().unwrap().clone(),
    };
    ReleasePage {
        release: release(b"a"),
        models: vec![model],
        prompt: Some(prompt.to_owned()),
        tools,
        servers: Vec::new(),
        serves: Vec::new(),
        warm: Vec::new(),
        deployments: Vec::new(),
        deployments_count: 0,
        verdicts: Vec::new(),
        entries: Vec::new(),
        others: Vec::new(),
        needs: vec!["support/default serves it (deployment 1)".to_owned()],
    }
}

fn tool(name: &str, description: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        description: description.to_owned(),
        server: None,
        side_effects: true,
        parameters: json!({ "properties": { "order": { "description": HOSTILE } }, "required": ["order"] }),
    }
}

fn is_harmless(html: &str) {
    assert!(!html.contains("<script") && !html.contains("</textarea"), "{html}");
    assert!(!html.contains('\u{202e}') && !html.contains('\u{1b}'), "{html}");
}

#[test]
fn a_contract_is_shown_whole_and_hostile_text_stays_text() {
    let html =
        page(HOSTILE, vec![tool("refund", HOSTILE), tool(HOSTILE, "")]).main(&Shell::of("/releases/a"));
    let html = html.into_string();
    is_harmless(&html);
    for shown in [
        "retiring soon",
        "changes the world",
        "order*",
        "chat/v1",
        "writes protocol 2, reads 1, 2",
        "cosine",
        "U+202E",
        "support/default serves it (deployment 1)",
        "pinrail gate run support --candidate",
        "/retire\"",
    ] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
}

#[test]
fn whoever_only_reads_is_offered_no_retiring() {
    let mut shell = Shell::of("/releases/a");
    shell.who = crate::Who::Key {
        name: "r".to_owned(),
        scopes: vec![pinrail_domain::key::Scope::Read],
        tenants: pinrail_domain::key::Tenants::All,
    };
    assert!(!page("p", Vec::new()).main(&shell).as_str().contains("/retire"));
}

#[test]
fn releases_are_listed_and_an_empty_list_teaches_the_way_on() {
    let line = Line {
        release: release(b"a"),
        standing: Lifecycle::Active,
        serves: vec![Place {
            agent: "support".parse().unwrap(),
            segment: "default".parse().unwrap(),
            deployment: DeploymentId(7),
            weight: Some(Share::from_bps(500).unwrap()),
        }],
    };
    let agents = vec!["support".parse().unwrap()];
    let mut list = Releases { items: vec![line], next: Some("9".to_owned()), agent: None, agents };
    let html = list.main(&Shell::of("/releases")).into_string();
    assert!(html.contains("candidate 5 %") && html.contains("/releases?before=9"), "{html}");
    assert!(html.contains("/deployments/7") && html.contains("degraded"), "{html}");
    list.agent = Some("support".parse().unwrap());
    let html = list.main(&Shell::of("/releases")).into_string();
    assert!(html.contains("/releases?before=9&amp;agent=support"), "{html}");
    list.items = Vec::new();
    let html = list.main(&Shell::of("/releases")).into_string();
    assert!(html.contains("pinrail release create support"), "{html}");
}

#[test]
fn a_diff_shows_words_tools_and_parameters() {
    let contract = |system: &str, tools: Value, temperature: f64| {
        let mut manifest = manifest();
        manifest.prompt.system = Some(Digest::of(system.as_bytes()));
        manifest.model.params.insert("temperature".to_owned(), json!(temperature));
        Contract {
            id: ReleaseId(Digest::of(system.as_bytes())),
            manifest: manifest.into(),
            system: Some(system.into()),
            tools: Some(tools.to_string().into()),
            pins: Default::default(),
        }
    };
    let function = |name: &str, text: &str| json!({ "type": "function", "function": { "name": name, "description": text } });
    let before =
        contract("You are kind.", json!([function("refund", "old"), function("gone", HOSTILE)]), 0.2);
    let after = contract(HOSTILE, json!([function("refund", HOSTILE), function("new", "")]), 0.7);
    let found = diff(&before, &after);
    assert!(matches!(found.prompt.text, Some(TextDiff { .. })));
    let change = |name: &str, before: Option<&str>, after: Option<&str>| ToolChange {
        name: name.to_owned(),
        before: before.map(|text| function(name, text)),
        after: after.map(|text| function(name, text)),
    };
    let side = |contract: &Contract| Side {
        release: contract.id,
        snapshot: HOSTILE.to_owned(),
        created_at: Timestamp(0),
        retired: true,
        agents: vec!["support".parse().unwrap()],
    };
    let page = ReleaseDiff {
        before: side(&before),
        after: side(&after),
        diff: found,
        tools: vec![
            change("refund", Some("old"), Some(HOSTILE)),
            change("gone", Some(HOSTILE), None),
            change("new", None, Some("")),
        ],
        verdicts: Vec::new(),
    };
    let html = page.main(&Shell::of("/releases/a/diff/b")).into_string();
    is_harmless(&html);
    for shown in [
        "params.temperature",
        "<del><code>0.2</code></del>",
        "<ins><code>0.7</code></ins>",
        "added",
        "removed",
        "changed",
        "/function/description",
        "--incumbent",
    ] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    let swapped = format!("/releases/{}/diff/{}", page.after.release.0.hex(), page.before.release.0.hex());
    assert!(html.contains(&swapped), "{html}");
}
