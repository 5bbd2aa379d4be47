use std::collections::BTreeSet;

use http::Method;
use pinrail_domain::key::Scope;
use serde_json::json;

use super::PAGES;
use crate::routes::Access;
use crate::testing::{Answered, Bench, id_of};

mod gates;
mod releases;

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml");

fn text(answered: &Answered) -> String {
    String::from_utf8(answered.body.to_vec()).unwrap()
}

/// An address of the page, naming what need not be there.
fn path(pattern: &str) -> String {
    let mut path = String::new();
    for piece in pattern.split('/').skip(1) {
        path.push('/');
        path.push_str(if piece.starts_with('{') { "1" } else { piece });
    }
    path
}

#[tokio::test(start_paused = true)]
async fn every_page_lets_in_the_keys_that_it_names_and_no_other() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    bench.key(&["admin"], None).await;
    for page in PAGES {
        let Access::Key { scopes, by_tenant } = page.access else { continue };
        let path = path(page.path);
        let ask = async |cookie: Option<&str>| {
            let headers: Vec<_> = [HTML].into_iter().chain(cookie.map(|cookie| ("cookie", cookie))).collect();
            if page.method == Method::POST {
                bench.send_form(&path, &headers, &[("reason", "r")]).await
            } else {
                bench.send("GET", &path, &headers, None).await
            }
        };
        let stranger = ask(None).await;
        let turned_away = if page.method == Method::POST { 401 } else { 303 };
        assert_eq!(stranger.status, turned_away, "{} {path}", page.method);
        for held in [Scope::Admin, Scope::Deploy, Scope::Run, Scope::Read] {
            let key = bench.key(&[&held.to_string()], None).await;
            let answered = ask(Some(&bench.sign_in(&key).await)).await;
            let allowed = scopes.iter().any(|scope| held.includes(*scope));
            assert_eq!(
                answered.status != 403,
                allowed,
                "{} {path} with {held}: {}",
                page.method,
                text(&answered)
            );
        }
        for held in [Scope::Run, Scope::Read] {
            let key = bench.key(&[&held.to_string()], Some(&["a"])).await;
            let answered = ask(Some(&bench.sign_in(&key).await)).await;
            let allowed = by_tenant && scopes.iter().any(|scope| held.includes(*scope));
            assert_eq!(answered.status != 403, allowed, "{} {path} with {held} of a", page.method); // I11
        }
    }
}

#[test]
fn pages_that_change_something_need_more_than_reading_and_addresses_come_once() {
    let mut seen = BTreeSet::new();
    for page in PAGES {
        assert!(seen.insert((page.method.to_string(), page.path)), "{} {}", page.method, page.path);
        if page.method == Method::POST
            && let Access::Key { scopes, .. } = page.access
            && page.path != "/logout"
        {
            assert!(!scopes.contains(&Scope::Read), "{} changes what a reader may only read", page.path);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_becomes_a_session_and_the_session_ends_with_its_key() {
    let bench = Bench::open().await;
    let admin = bench.key(&["admin"], None).await;
    let away = bench.send("GET", "/keys", &[HTML], None).await;
    assert_eq!((away.status, away.header("location").unwrap()), (303, "/login?next=%2Fkeys"));
    let wrong = bench.send_form("/login", &[], &[("key", "pr_nonsense")]).await;
    assert_eq!(wrong.status, 401);
    assert!(!text(&wrong).contains("pr_nonsense"), "I15: {}", text(&wrong));
    let cookie = bench.sign_in(&admin).await;
    assert!(!cookie.contains(&admin) && !admin.contains(&cookie)); // I15
    let headers = [HTML, ("cookie", cookie.as_str())];
    let page = bench.send("GET", "/keys", &headers, None).await;
    assert_eq!(page.status, 200);
    let html = text(&page);
    assert!(html.contains(id_of(&admin)) && !html.contains(&admin), "{html}"); // I15
    // The API knows no cookie.
    bench.send("GET", "/api/v1/keys", &headers, None).await.problem("unauthenticated");
    // Another key is revoked from the page, with a reason, and the ledger's entry is shown.
    let other = bench.key(&["read"], None).await;
    let theirs = bench.sign_in(&other).await;
    let confirm = bench.send("GET", &format!("/keys/{}/revoke", id_of(&other)), &headers, None).await;
    assert!(text(&confirm).contains("Reason, kept on record"));
    let done = bench
        .send_form(&format!("/keys/{}/revoke", id_of(&other)), &headers[1..], &[("reason", "left us")])
        .await;
    assert_eq!(done.status, 303, "{}", text(&done));
    let to = done.header("location").unwrap().to_owned();
    let shown = text(&bench.send("GET", &to, &headers, None).await);
    assert!(shown.contains("left us") && shown.contains("/ledger/3"), "{to}: {shown}");
    // Somebody else's link to the entry claims nothing.
    let reader = bench.key(&["admin"], None).await;
    let theirs_too = bench.sign_in(&reader).await;
    let passed_on = bench.send("GET", &to, &[HTML, ("cookie", theirs_too.as_str())], None).await;
    assert!(!text(&passed_on).contains("left us"));
    let shut_out = bench.send("GET", "/keys", &[HTML, ("cookie", theirs.as_str())], None).await;
    assert_eq!(shut_out.status, 303);
}

#[tokio::test(start_paused = true)]
async fn a_form_of_another_site_changes_nothing() {
    let bench = Bench::open().await;
    let admin = bench.key(&["admin"], None).await;
    let other = bench.key(&["read"], None).await;
    let cookie = bench.sign_in(&admin).await;
    let path = format!("/keys/{}/revoke", id_of(&other));
    let send = async |headers: &[(&str, &str)], body: &str| {
        let request = bench.request("POST", &path, headers).body(axum::body::Body::from(body.to_owned()));
        bench.raw(request.unwrap()).await.unwrap().status
    };
    let with_cookie = ("cookie", cookie.as_str());
    assert_eq!(send(&[with_cookie], "reason=r").await, 403);
    assert_eq!(send(&[with_cookie], "reason=r&csrf=00").await, 403);
    let foreign = [with_cookie, ("origin", "https://evil.example"), ("host", "pinrail.example")];
    assert_eq!(bench.send_form(&path, &foreign, &[("reason", "r")]).await.status, 403);
    let cross = [with_cookie, ("sec-fetch-site", "cross-site")];
    assert_eq!(bench.send_form(&path, &cross, &[("reason", "r")]).await.status, 403);
    // The open server's forms are bound to it, too.
    let open = Bench::open().await;
    let request = open.request("POST", "/theme", &[]).body(axum::body::Body::from("theme=dark")).unwrap();
    assert_eq!(open.raw(request).await.unwrap().status, 403);
    assert!(bench.as_key(&admin).get("/api/v1/keys").await.ok()["items"].as_array().unwrap().len() == 2);
}

#[tokio::test(start_paused = true)]
async fn a_page_has_a_twin_strict_headers_and_problems_are_pages() {
    let bench = Bench::open().await;
    assert_eq!(bench.get("/keys.json").await.ok(), json!({ "items": [], "open": true }));
    assert_eq!(bench.get("/index.json").await.ok()["totals"]["runs_per_minute"].to_string(), "0.0");
    let page = bench.send("GET", "/keys", &[HTML], None).await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let missing = bench.send("GET", "/nowhere", &[HTML], None).await;
    assert_eq!((missing.status, missing.header("content-type").unwrap()), (404, "text/html; charset=utf-8"));
    bench.get("/nowhere").await.problem("no_route");
    bench.get("/keys/0123456789ab/revoke.json").await.problem("not_found");
    let file = bench.get("/assets/pinrail.css").await;
    assert_eq!((file.status, file.header("content-type")), (200, Some("text/css; charset=utf-8")));
    assert!(file.header("cache-control").unwrap().contains("immutable"));
    assert_eq!(bench.get("/assets/nothing.js").await.status, 404);
    assert_eq!(bench.send("PUT", "/keys", &[HTML], None).await.status, 405);
}

#[tokio::test(start_paused = true)]
async fn a_deed_needs_a_reason() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    for reason in ["", " "] {
        let sent = bench.send_form("/deployments/1/rollback", &[], &[("reason", reason)]).await;
        assert_eq!(sent.status, 400, "{}", text(&sent));
    }
    assert_eq!(bench.get("/api/v1/deployments/1").await.ok()["state"], "active");
}

#[tokio::test(start_paused = true)]
async fn colours_are_kept_in_a_cookie() {
    let bench = Bench::open().await;
    let set = bench.send_form("/theme", &[], &[("theme", "dark"), ("next", "/keys")]).await;
    assert_eq!((set.status, set.header("location")), (303, Some("/keys")));
    let cookie = set.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let page = bench.send("GET", "/keys", &[HTML, ("cookie", cookie.as_str())], None).await;
    assert!(text(&page).contains("data-theme=\"dark\""));
}
