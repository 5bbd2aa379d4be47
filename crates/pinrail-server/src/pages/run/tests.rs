use serde_json::{Value, json};

use crate::testing::{Answered, Bench};

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml");
const HOSTILE: &str = "<script>alert(1)</script></pre>\"'\u{202e}\u{1b}[31m";

fn text(answered: &Answered) -> String {
    String::from_utf8(answered.body.to_vec()).unwrap()
}

async fn open(bench: &Bench, path: &str) -> String {
    let answered = bench.send("GET", path, &[HTML], None).await;
    assert_eq!(answered.status, 200, "{path}: {}", text(&answered));
    text(&answered)
}

/// Two runs of acme, the first with hostile texts, and one of umbrella.
async fn played() -> (Bench, [String; 3]) {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let runs = [bench.run("acme").await, bench.run("acme").await, bench.run("umbrella").await];
    for (run, said) in runs.iter().zip([HOSTILE, "hello there", "hello there"]) {
        let events = json!({ "events": [
            { "type": "tool_call", "name": "look_up", "id": "c1", "arguments": { "order": said } },
            { "type": "tool_result", "name": "look_up", "id": "c1", "result": said },
            { "type": "note", "name": "said", "data": said },
        ] });
        bench.post(&format!("/api/v1/runs/{run}/events"), events).await.ok();
        let score = json!({ "scores": [{ "name": "helpful", "value": 0.5, "comment": said }] });
        bench.post(&format!("/api/v1/runs/{run}/scores"), score).await.ok();
    }
    (bench, runs)
}

#[tokio::test(start_paused = true)]
async fn runs_are_listed_shown_and_compared() {
    let (bench, [a, b, c]) = played().await;
    let list = open(&bench, "/runs").await;
    assert!(
        [&a, &b, &c].iter().all(|run| list.contains(run.as_str())) && list.contains("helpful 0.50"),
        "{list}"
    );
    assert!(list.contains("/runs.live?seen="), "{list}");
    let found = open(&bench, "/runs?text=Hello+THERE&tenant=acme&outcome=&since=2h").await;
    assert!(
        found.contains(b.as_str()) && !found.contains(a.as_str()) && !found.contains(c.as_str()),
        "{found}"
    );
    assert!(found.contains("Looked through 2 runs"), "{found}");
    let page = open(&bench, &format!("/runs/{a}")).await;
    assert!(page.contains("tool look_up answered") && page.contains("score helpful: 0.50"), "{page}");
    assert!(!page.contains("<script>alert") && page.contains("U+202E") && page.contains("U+001B"), "{page}");
    let both = open(&bench, &format!("/runs/{a}/compare/{b}")).await;
    assert!(both.contains("hello") && !both.contains("<script>alert"), "{both}");
    let ticked = bench.send("GET", &format!("/runs/compare?run={a}&run={b}"), &[HTML], None).await;
    assert_eq!(
        (ticked.status, ticked.header("location").unwrap()),
        (303, format!("/runs/{a}/compare/{b}").as_str())
    );
    let one = bench.send("GET", &format!("/runs/compare?run={a}"), &[HTML], None).await;
    assert_eq!(one.status, 400);
    for bad in [
        "since=yesterday",
        "status=done",
        "outcome=fine",
        "kind=odd",
        "deployment=x",
        "text=%20",
        "colour=red",
    ] {
        assert_eq!(bench.send("GET", &format!("/runs?{bad}"), &[HTML], None).await.status, 400, "{bad}");
    }
    let twin = bench.get(&format!("/runs/{a}.json")).await.ok();
    assert_eq!((&twin["run"], twin["events"].as_array().unwrap().len()), (&json!(a), 5));
    assert_eq!(twin["deployment_state"], "active");
    let twin = bench.get("/runs.json?limit=").await.ok();
    assert_eq!(twin["items"][0]["scores"]["helpful"], 0.5);
}

#[tokio::test(start_paused = true)]
async fn long_journals_come_in_pages() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let run = bench.run("acme").await;
    let notes: Vec<Value> = (0..150).map(|n| json!({ "type": "note", "name": format!("n{n}") })).collect();
    bench.post(&format!("/api/v1/runs/{run}/events"), json!({ "events": notes })).await.ok();
    let first = open(&bench, &format!("/runs/{run}")).await;
    assert!(first.contains("note n98<") && !first.contains("note n99<"), "{first}");
    assert!(first.contains(&format!("/runs/{run}?from=100")) && !first.contains(".live?"), "{first}");
    let second = open(&bench, &format!("/runs/{run}?from=100")).await;
    assert!(second.contains("note n99<") && second.contains("note n149<"), "{second}");
    assert!(second.contains(".live?from=100"), "the last page of an open run is followed: {second}");
}

#[tokio::test(start_paused = true)]
async fn a_run_shows_the_state_that_it_touched_and_what_misled_it() {
    let (bench, two, good, bad) = Bench::with_canary(json!({})).await;
    let session = bench.get(&format!("/api/v1/runs/{good}")).await.ok()["stamp"]["session"].clone();
    let memory = format!("/api/v1/memory/support/{}", session.as_str().unwrap());
    let turns = json!([{ "role": "assistant", "content": "poison" }]);
    bench.post(&memory, json!({ "run": bad, "turns": turns })).await.ok();
    bench.post(&format!("/api/v1/deployments/{two}/promote"), json!({})).await.ok();
    bench.get(&format!("{memory}?run={good}")).await.ok();
    let page = open(&bench, &format!("/runs/{good}")).await;
    assert!(page.contains("all that was visible") && !page.contains("It may be misled"), "{page}");
    bench.roll_back(two).await.ok();
    let page = open(&bench, &format!("/runs/{good}")).await;
    assert!(page.contains("It may be misled") && page.contains("of rolled back deployment 2"), "{page}");
    let page = open(&bench, &format!("/runs/{bad}")).await;
    assert!(page.contains("Its deployment was rolled back") && !page.contains("It may be misled"), "{page}");
    let twin = bench.get(&format!("/runs/{bad}.json")).await.ok();
    assert_eq!(
        (&twin["state"]["writes"][0]["deployment"], &twin["state"]["cut"]),
        (&json!(two), &json!(false))
    );
    let twin = bench.get(&format!("/runs/{good}.json")).await.ok();
    assert_eq!(twin["state"]["reads"][0]["tainted"], json!([two]));
}

#[tokio::test(start_paused = true)]
async fn a_tenants_key_sees_its_runs_and_no_other() {
    let (bench, [a, _, c]) = played().await;
    let admin = bench.key(&["admin"], None).await;
    let key = bench.key(&["read"], Some(&["acme"])).await;
    let _ = admin;
    let cookie = bench.sign_in(&key).await;
    let ask = async |path: &str| bench.send("GET", path, &[HTML, ("cookie", cookie.as_str())], None).await;
    // I11
    let list = text(&ask("/runs").await);
    assert!(list.contains(a.as_str()) && !list.contains(c.as_str()), "{list}");
    let found = text(&ask("/runs?text=hello").await);
    assert!(!found.contains(c.as_str()) && found.contains("Looked through 2 runs"), "{found}");
    assert_eq!(ask(&format!("/runs/{c}")).await.status, 404);
    assert_eq!(ask(&format!("/runs/{a}/compare/{c}")).await.status, 404);
    let page = text(&ask(&format!("/runs/{a}")).await);
    assert!(!page.contains("/deployments/") && !page.contains("/releases/"), "{page}");
    // The box finds neither what it may not open nor others' runs.
    for q in ["1", "support", &c] {
        let found = ask(&format!("/search?q={q}")).await;
        assert_eq!(found.status, 200, "{q}");
    }
    assert!(!text(&ask("/search?q=hello").await).contains(c.as_str()));
}

#[tokio::test(start_paused = true)]
async fn the_box_leads_to_what_it_names() {
    let (bench, [a, b, _]) = played().await;
    let release =
        bench.get("/api/v1/releases").await.ok()["items"][0]["release"].as_str().unwrap().to_owned();
    let digits = release.strip_prefix("sha256:").unwrap();
    let check = async |q: &str, expected: Option<&str>| {
        let answered = bench.send("GET", &format!("/search?q={q}"), &[HTML], None).await;
        assert_eq!(answered.header("location"), expected, "{q}: {}", text(&answered));
        text(&answered)
    };
    check(&a, Some(&format!("/runs/{a}"))).await;
    check("1", Some("/deployments/1")).await;
    check("%231", Some("/deployments/1")).await;
    check("ledger+2", Some("/ledger/2")).await;
    check("support", Some("/?q=support")).await;
    check(&digits[..9], Some(&format!("/releases/{release}"))).await;
    check("ledger+2000", None).await;
    check("77", None).await;
    let found = check("uppor", None).await;
    assert!(found.contains("/runs?agent=support"), "{found}");
    let found = check("hello+there", None).await;
    assert!(found.contains(b.as_str()) && !found.contains(a.as_str()), "{found}");
    let found = check("%3Cscript%3E", None).await;
    assert!(found.contains(a.as_str()) && !found.contains("<script>alert"), "{found}");
    check("", None).await;
    let twin = bench.get(&format!("/search.json?q={a}")).await.ok();
    assert_eq!(twin["exact"][0]["address"], json!(format!("/runs/{a}")));
}
