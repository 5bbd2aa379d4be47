//! Walks the table: what each route lets in, what it keeps from whom (I11), and that the handbook shows it.

use http::Method;
use pinrail_api::problem::Code;
use pinrail_domain::key::Scope;
use serde_json::{Value, json};

use super::{Access, ROUTES, Route, Takes};
use crate::testing::{Answered, Bench};

const HANDBOOK: &str = include_str!("../../../../docs/api.md");

/// What runs read and write in their tenant's name.
const STATE: [&str; 3] = ["/api/v1/memory/", "/api/v1/context/", "/api/v1/vectors/"];
/// Questions that are too long for a query.
const ASKED_BY_POST: [&str; 2] = ["/search", "/count"];

/// A path of the route, naming what there is.
fn path(route: &Route, run: &str) -> String {
    let digest = pinrail_domain::digest::Digest::of(b"").to_string();
    route
        .path
        .replace("{run}", run)
        .replace("{agent}", "support")
        .replace("{provider}", "sim")
        .replace("{release}", &digest)
        .replace("{other}", &digest)
        .replace("{digest}", &digest)
        .replace("{deployment}", "1")
        .replace("{approval}", "appr_00000000000000000000000001")
        .replace("{gate}", "gate_00000000000000000000000001")
        .replace("{key}", "0123456789ab")
        .replace("{session}", "s")
        .replace("{space}", "orders")
        .replace("{member}", "mem_0000000000000000")
        .replace("{epoch}", "1")
        .replace("{webhook}", "chat")
        .replace("{server}", "files")
        .replace("{seq}", "1")
}

/// A legal body for the routes under a run: a new one must be given one here. Bodies about state name the run.
fn body(route: &Route, run: &str) -> Option<Value> {
    match route.takes {
        Takes::Nothing => None,
        Takes::Json("AppendEvents") => Some(json!({ "events": [{ "type": "note", "name": "n" }] })),
        Takes::Json("FinishRun") => Some(json!({ "outcome": "ok" })),
        Takes::Json("AuthorizeTool") => Some(json!({ "tool": "look" })),
        Takes::Json("ScoreRun") => Some(json!({ "scores": [{ "name": "helpful", "value": 1 }] })),
        Takes::Json("RegisterMember") => Some(json!({ "name": "m", "kind": "worker" })),
        Takes::Json("Acknowledge") => Some(json!({ "epoch": 0 })),
        Takes::Json("CreateRun") => Some(json!({ "agent": "support", "tenant": "a" })),
        Takes::Json("Remember") => {
            Some(json!({ "run": run, "turns": [{ "role": "user", "content": "hello" }] }))
        }
        Takes::Json("PutContext") => Some(json!({ "run": run, "value": 1 })),
        Takes::Json("SendMessage") => Some(json!({ "run": run, "kind": "k", "body": 1 })),
        Takes::Json("AskResync") => Some(json!({ "run": run, "accepts": [1] })),
        Takes::LargeJson("UpsertVectors") => {
            Some(json!({ "run": run, "records": [{ "key": "k", "vector": [1, 0] }] }))
        }
        Takes::Json("SearchVectors") => Some(json!({ "run": run, "vector": [1, 0] })),
        Takes::Json("DeleteVectors") => Some(json!({ "run": run, "keys": ["k"] })),
        Takes::JsonOrNothing("CountVectors") => Some(json!({ "run": run })),
        Takes::LargeJson("SetCanaries" | "CheckCanaries") => {
            Some(json!({ "canaries": [{ "text": "t", "vector": [1, 0] }] }))
        }
        Takes::Json(_) | Takes::JsonOrNothing(_) | Takes::LargeJson(_) | Takes::Bytes => Some(json!({})),
    }
}

async fn ask(bench: &Bench, route: &Route, run: &str) -> Answered {
    let mut path = path(route, run);
    if is_state(route) {
        path = format!("{path}?run={run}");
    }
    bench.send(route.method.as_str(), &path, &[], body(route, run).as_ref()).await
}

/// Whether the route reads or writes state, in the name of a run or through its eyes.
fn is_state(route: &Route) -> bool {
    STATE.iter().any(|layer| route.path.starts_with(layer))
}

fn scopes(route: &Route) -> Option<(&'static [Scope], bool)> {
    match route.access {
        Access::Public => None,
        Access::Key { scopes, by_tenant } => Some((scopes, by_tenant)),
    }
}

#[tokio::test(start_paused = true)]
async fn every_route_lets_in_the_keys_that_it_names_and_no_other() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let run = bench.run("a").await;
    let admin = bench.key(&["admin"], None).await;
    bench.as_key(&admin).get("/api/v1/status").await.ok();
    for route in ROUTES {
        let (method, path) = (&route.method, route.path);
        let Some((scopes, by_tenant)) = scopes(route) else {
            assert!(ask(&bench, route, &run).await.status < 400, "{path} is public");
            continue;
        };
        let without = ask(&bench, route, &run).await;
        without.problem("unauthenticated");
        assert!(without.header("www-authenticate").is_some());
        for held in [Scope::Deploy, Scope::Run, Scope::Read] {
            let key = bench.key(&[&held.to_string()], None).await;
            let answered = ask(&bench.as_key(&key), route, "run_00000000000000000000000000").await;
            let allowed = scopes.iter().any(|scope| held.includes(*scope));
            assert_eq!(answered.status != 403, allowed, "{method} {path} with {held}: {:?}", answered.json());
        }
        for held in [Scope::Run, Scope::Read] {
            let key = bench.key(&[&held.to_string()], Some(&["a"])).await;
            let answered = ask(&bench.as_key(&key), route, "run_00000000000000000000000000").await;
            let allowed = by_tenant && scopes.iter().any(|scope| held.includes(*scope));
            assert_eq!(
                answered.status != 403,
                allowed,
                "{method} {path} with {held} of a: {:?}",
                answered.json()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_route_shows_or_changes_another_tenants_run() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let of_a = bench.run("a").await;
    bench.key(&["admin"], None).await;
    let key_of_b = bench.key(&["run", "read"], Some(&["b"])).await;
    let key_of_a = bench.key(&["run", "read"], Some(&["a"])).await;
    let (as_b, as_a) = (bench.as_key(&key_of_b), bench.as_key(&key_of_a));
    let before = as_a.get(&format!("/api/v1/runs/{of_a}")).await.ok();

    let by_tenant = ROUTES.iter().filter(|route| scopes(route).is_some_and(|(_, by_tenant)| by_tenant));
    for route in by_tenant.filter(|route| route.path.starts_with("/api/v1/runs") || is_state(route)) {
        let answered = ask(&as_b, route, &of_a).await;
        let (method, path) = (&route.method, route.path);
        let is_for_deployers = scopes(route).is_some_and(|(scopes, _)| scopes == [Scope::Deploy]);
        if is_for_deployers {
            answered.problem("forbidden");
        } else if path.contains("{run}") || is_state(route) {
            answered.problem("not_found"); // I11
        } else if route.method == Method::GET {
            assert_eq!(answered.ok()["items"], json!([]), "{method} {path}"); // I11
        } else {
            answered.problem("forbidden"); // I11: a run for tenant a
        }
        assert!(!String::from_utf8_lossy(&answered.body).contains("\"tenant\":\"a\""), "{method} {path}");
    }
    as_b.get("/api/v1/runs?tenant=a").await.ok()["items"]
        .as_array()
        .unwrap()
        .is_empty()
        .then_some(())
        .unwrap();
    let headers = [("x-pinrail-tenant", "a")];
    as_b.send("GET", "/api/v1/runs", &headers, None).await.problem("forbidden");
    let child = json!({ "agent": "support", "parent": of_a });
    as_b.post("/api/v1/runs", child).await.problem("not_found");
    // And nothing of it was changed.
    assert_eq!(as_a.get(&format!("/api/v1/runs/{of_a}")).await.ok(), before);
}

#[tokio::test(start_paused = true)]
async fn two_callers_may_use_the_same_idempotency_key() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    bench.key(&["admin"], None).await;
    let wish = json!({ "agent": "support" });
    let headers = [("idempotency-key", "1")];
    let mut runs = Vec::new();
    for tenant in ["a", "b"] {
        let key = bench.key(&["run"], Some(&[tenant])).await;
        let made = bench.as_key(&key).send("POST", "/api/v1/runs", &headers, Some(&wish)).await.ok();
        assert_eq!(made["stamp"]["tenant"], tenant);
        runs.push(made["run"].clone());
    }
    assert_ne!(runs[0], runs[1]);
}

#[test]
fn the_handbook_shows_every_route_and_every_code() {
    for route in ROUTES {
        let heading = format!("{} {}", route.method, route.path);
        assert!(HANDBOOK.contains(&heading), "docs/api.md doesn't show {heading}");
    }
    for code in Code::ALL {
        let row = format!("| `{}` | {} | {} |", code.as_str(), code.status(), code.title());
        assert!(HANDBOOK.contains(&row), "docs/api.md lacks this row:\n{row}");
    }
}

#[test]
fn only_runs_state_and_membership_are_open_to_keys_of_tenants_and_little_is_public() {
    for route in ROUTES {
        let (method, path) = (&route.method, route.path);
        match route.access {
            Access::Public => {
                assert!(["/", "/healthz", "/readyz", "/openapi.json"].contains(&path), "{path}")
            }
            Access::Key { scopes, by_tenant } => {
                let lists_members = (method, path) == (&Method::GET, "/api/v1/members");
                let own = ["/mcp/", "/api/v1/runs", "/api/v1/members", "/api/v1/watch", "/api/v1/approvals"];
                let shows_answers = path.starts_with("/api/v1/deployments/{deployment}/pairs");
                let is_own = own.iter().any(|prefix| path.starts_with(prefix)) && !lists_members
                    || is_state(route)
                    || shows_answers;
                assert_eq!(by_tenant, is_own, "{method} {path}"); // I11
                // What can't be undone, and who may do what.
                let finals = ["/api/v1/gc", "/api/v1/gc/journal", "/api/v1/erasures"];
                let is_final = route.is_mutation() && finals.contains(&path);
                let is_admins = path.starts_with("/api/v1/keys") || is_final;
                assert_eq!(scopes == [Scope::Admin], is_admins, "{method} {path}");
                let reads = scopes.contains(&Scope::Read);
                let asks =
                    method == Method::GET || ASKED_BY_POST.iter().any(|question| path.ends_with(question));
                assert!(!reads || asks, "{method} {path} changes what a reader may only read");
                assert_eq!(route.is_mutation(), !asks, "{method} {path}");
            }
        }
    }
}
