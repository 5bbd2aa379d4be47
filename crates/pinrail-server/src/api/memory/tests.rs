use serde_json::{Value, json};

use crate::testing::{Answered, Bench};

const HERE: &str = "/api/v1/memory/support/s";

fn turns(of: &[(&str, &str)]) -> Value {
    of.iter().map(|(role, content)| json!({ "role": role, "content": content })).collect()
}

async fn remember(bench: &Bench, run: &str, of: &[(&str, &str)]) -> Value {
    bench.post(HERE, json!({ "run": run, "turns": turns(of) })).await.ok()
}

fn contents(memory: &Value) -> Vec<&str> {
    memory["turns"].as_array().unwrap().iter().map(|turn| turn["content"].as_str().unwrap()).collect()
}

async fn check(bench: &Bench, query: &str, expected: &[&str]) -> Value {
    let memory = bench.get(&format!("{HERE}?{query}")).await.ok();
    assert_eq!(contents(&memory), expected, "{query}");
    memory
}

/// I4, I5: a canary's turns are its own, promotion shows them to all, a rollback takes them back; the user's stay.
#[tokio::test(start_paused = true)]
async fn a_session_goes_on_without_the_bad_turns() {
    let (bench, two, good, bad) = Bench::with_canary(json!({})).await;
    let acme = bench.for_tenant("acme");
    remember(&bench, &good, &[("user", "hello"), ("assistant", "hi")]).await;
    let wrote = remember(&bench, &bad, &[("user", "refund?"), ("assistant", "all of it!")]).await;
    assert_eq!(wrote["deployment"], two);
    let (all, without) = (["hello", "hi", "refund?", "all of it!"], ["hello", "hi", "refund?"]);
    check(&acme, &format!("run={good}"), &without).await; // I4
    check(&acme, &format!("run={bad}"), &all).await;
    check(&acme, &format!("deployment={two}"), &all).await;
    let memory = check(&acme, "", &without).await;
    let shown = &memory["turns"][2];
    assert_eq!(
        (&shown["origin"], &shown["deployment"], &shown["role"]),
        (&json!("external"), &json!(0), &json!("user"))
    );
    assert_eq!((&memory["count"], &memory["more"]), (&json!(3), &json!(false)));

    bench.post(&format!("/api/v1/deployments/{two}/promote"), json!({})).await.ok();
    let promoted = check(&acme, "", &all).await["moment"].as_str().unwrap().to_owned();
    bench.roll_back(two).await.ok();
    check(&acme, "", &without).await; // I5
    check(&acme, &format!("as_of={promoted}"), &all).await;
    check(&acme, &format!("as_of={}", memory["moment"].as_str().unwrap()), &without).await;
    check(&acme, "as_of=state:1", &["hello"]).await;
    check(&acme, &format!("run={bad}"), &all).await;

    let history = check(&acme, "history=true", &all).await;
    assert_eq!(history["turns"][3]["hidden"], json!({ "why": "retracted", "deployment": two }));
    assert_eq!((&history["turns"][2]["hidden"], &history["turns"][2]["op"]), (&Value::Null, &json!("put")));
    let replay = bench.for_tenant("acme").get(&format!("{HERE}/replay")).await.ok();
    assert_eq!(contents(&replay), ["hello", "refund?"]);
}

#[tokio::test(start_paused = true)]
async fn turns_keep_what_they_said_and_come_page_by_page() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let run = bench.run("default").await;
    let call = json!([{ "id": "c1", "type": "function", "function": { "name": "look", "arguments": "{}" } }]);
    let turns = json!([
        { "role": "user", "content": "one", "key": "first" },
        { "role": "assistant", "content": null, "tool_calls": call },
        { "role": "tool", "content": "found", "tool_call_id": "c1" },
        { "role": "tool", "content": "told", "external": true },
    ]);
    let wrote = bench.post(HERE, json!({ "run": run, "turns": turns })).await.ok();
    assert_eq!((&wrote["turns"][0]["key"], &wrote["turns"][3]["seq"]), (&json!("first"), &json!(4)));
    let turns = json!([{ "role": "user", "content": "mine", "external": false, "parents": [1] }]);
    let wrote = bench.post(HERE, json!({ "run": run, "turns": turns })).await.ok();
    let memory = bench.get(HERE).await.ok();
    assert_eq!(memory["moment"], wrote["moment"]);
    let origins: Vec<_> = memory["turns"].as_array().unwrap().iter().map(|turn| &turn["origin"]).collect();
    assert_eq!(origins, ["external", "run", "run", "external", "run"]);
    assert_eq!((&memory["turns"][1]["tool_calls"], &memory["turns"][1]["content"]), (&call, &Value::Null));
    assert_eq!((&memory["turns"][4]["parents"], &memory["turns"][4]["run"]), (&json!([1]), &json!(run)));

    let last = bench.get(&format!("{HERE}?limit=2")).await.ok();
    assert_eq!(
        (contents(&last), &last["more"], &last["next"]),
        (vec!["told", "mine"], &json!(true), &json!(4))
    );
    let earlier = bench.get(&format!("{HERE}?limit=3&before=4")).await.ok();
    assert_eq!((&earlier["turns"][0]["seq"], &earlier["more"]), (&json!(1), &json!(false)));
    let page = bench.get(&format!("{HERE}?history=true&limit=4&after=0")).await.ok();
    assert_eq!((&page["more"], &page["next"]), (&json!(true), &json!(4)));
    let rest = bench.get(&format!("{HERE}?history=true&limit=4&after=4")).await.ok();
    assert_eq!((contents(&rest), &rest["next"]), (vec!["mine"], &Value::Null));
    let replay = bench.get(&format!("{HERE}/replay?limit=1")).await.ok();
    assert_eq!((contents(&replay), &replay["next"]), (vec!["one"], &json!(1)));
    let replay = bench.get(&format!("{HERE}/replay?after=1")).await.ok();
    assert_eq!((contents(&replay), &replay["more"]), (vec!["told"], &json!(false)));
    for bad in ["limit=0", "after=1", "history=true&before=2", "colour=red", "as_of=soon", "run=x"] {
        bench.get(&format!("{HERE}?{bad}")).await.problem("bad_request");
    }
    bench.get(&format!("{HERE}?run={run}&deployment=1")).await.problem("bad_request");
    bench.get(&format!("{HERE}?deployment=9")).await.problem("not_found");
    let future = bench.get(&format!("{HERE}?as_of=state:9")).await.problem("future_moment");
    assert!(future["newest"].as_str().unwrap().starts_with("5."), "{future}");
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_replaced_and_forgotten_by_its_key() {
    let (bench, two, good, bad) = Bench::with_canary(json!({})).await;
    let acme = bench.for_tenant("acme");
    let put = async |run: &str, content: &str| {
        let turn = json!({ "role": "assistant", "content": content, "key": "plan" });
        bench.post(HERE, json!({ "run": run, "turns": [turn] })).await.ok()
    };
    put(&good, "first").await;
    put(&bad, "second").await;
    check(&acme, &format!("run={bad}"), &["second"]).await;
    check(&acme, "", &["first"]).await;
    let forgot = bench.delete(&format!("{HERE}/plan?run={bad}")).await.ok();
    assert_eq!((&forgot["seq"], &forgot["deployment"]), (&json!(3), &json!(two)));
    bench.delete(&format!("{HERE}/plan?run={bad}")).await.problem("not_found");
    check(&acme, &format!("run={bad}"), &[]).await;
    bench.post(&format!("/api/v1/deployments/{two}/promote"), json!({})).await.ok();
    check(&acme, "", &[]).await;
    bench.roll_back(two).await.ok();
    check(&acme, "", &["first"]).await;
    let history = acme.get(&format!("{HERE}?history=true")).await.ok();
    let why: Vec<_> =
        history["turns"].as_array().unwrap().iter().map(|turn| &turn["hidden"]["why"]).collect();
    assert_eq!(why, [&Value::Null, &json!("retracted"), &json!("retracted")]);
    let headers = [("x-pinrail-run", &*good)];
    bench.send("DELETE", &format!("{HERE}/plan"), &headers, None).await.ok();
    check(&acme, "", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn data_jobs_and_operators_write_memory_too() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let job = bench.control.open_ingest(pinrail_control::By::system("load"), &"docs".parse().unwrap()).await;
    let job = job.unwrap().value.deployment.0;
    let said = turns(&[("assistant", "loaded")]);
    let wrote = bench.post(HERE, json!({ "deployment": job, "turns": said })).await.ok();
    assert_eq!(wrote["deployment"], job);
    check(&bench, "", &[]).await; // I4
    let fact =
        bench.post(HERE, json!({ "external": true, "turns": turns(&[("system", "a fact")]) })).await.ok();
    assert_eq!(fact["deployment"], 0);
    check(&bench, "", &["a fact"]).await;
    bench.post(&format!("/api/v1/deployments/{job}/commit"), json!({})).await.ok();
    check(&bench, "", &["loaded", "a fact"]).await;
    bench.post(HERE, json!({ "deployment": job, "turns": said })).await.problem("deployment_closed");
    bench.post(HERE, json!({ "deployment": 1, "turns": said })).await.problem("not_an_ingest");
    bench.post(HERE, json!({ "deployment": 99, "turns": said })).await.problem("not_found");
    bench
        .post(HERE, json!({ "deployment": job, "external": true, "turns": said }))
        .await
        .problem("bad_request");
    bench.post(HERE, json!({ "turns": said })).await.problem("bad_request");
    // What an operator may, a key for runs may not.
    bench.key(&["admin"], None).await;
    let runner = bench.as_key(&bench.key(&["run"], None).await);
    runner.post(HERE, json!({ "external": true, "turns": said })).await.problem("forbidden");
    runner.delete(&format!("{HERE}/x?external=true")).await.problem("forbidden");
}

#[tokio::test(start_paused = true)]
async fn turns_that_break_the_rules_are_refused_whole() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let run = bench.run("default").await;
    let check = async |turns: Value, code: &str| {
        bench.post(HERE, json!({ "run": run, "turns": turns })).await.problem(code)
    };
    let turn = |more: Value| {
        let mut turn = json!({ "role": "user", "content": "x" });
        turn.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([{ "role": "assistant", "content": "before" }, turn])
    };
    assert_eq!(check(turn(json!({ "seq": 1 })), "bad_turns").await["index"], 1);
    check(turn(json!({ "role": "" })), "bad_turns").await;
    check(turn(json!({ "role": "x".repeat(65) })), "bad_turns").await;
    check(turn(json!({ "key": "" })), "bad_request").await;
    check(turn(json!({ "parents": [99] })), "bad_parents").await;
    check(turn(json!({ "parents": vec![1; 65] })), "bad_parents").await;
    assert_eq!(check(turn(json!({ "content": "x".repeat(256 * 1024) })), "too_large").await["index"], 1);
    check(json!([]), "bad_turns").await;
    check(vec![json!({ "role": "user" }); 1001].into(), "bad_turns").await;
    check(json!([{ "role": "a", "key": "k" }, { "role": "b", "key": "k" }]), "bad_turns").await;
    check(json!([{ "content": "x" }]), "bad_request").await;
    let unknown = json!({ "run": run, "turns": turns(&[("user", "x")]), "colour": "red" });
    bench.post(HERE, unknown).await.problem("bad_request");
    let wish = json!({ "run": run, "turns": turns(&[("user", "x")]) });
    bench.post("/api/v1/memory/nobody/s", wish).await.problem("not_found");
    assert_eq!(bench.get(HERE).await.ok()["count"], 0);
}

/// What was sent twice under one key is remembered once.
#[tokio::test(start_paused = true)]
async fn turns_that_are_sent_again_are_remembered_once() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let run = bench.run("default").await;
    let wish = json!({ "run": run, "turns": turns(&[("user", "one"), ("assistant", "two")]) });
    let send = async |wish: &Value| -> Answered {
        bench.send("POST", HERE, &[("idempotency-key", "k")], Some(wish)).await
    };
    let (first, again) = (send(&wish).await, send(&wish).await);
    assert_eq!(first.ok()["turns"], again.ok()["turns"]);
    assert_eq!(
        (first.header("idempotency-replayed"), again.header("idempotency-replayed")),
        (None, Some("true"))
    );
    check(&bench, "", &["one", "two"]).await;
    let other = json!({ "run": run, "turns": turns(&[("user", "three")]) });
    send(&other).await.problem("idempotency_key_reused");
}

/// I11: neither a run's name nor a header opens another tenant's memory.
#[tokio::test(start_paused = true)]
async fn memory_belongs_to_its_tenant() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let (of_a, of_b) = (bench.run("a").await, bench.run("b").await);
    let wrote = remember(&bench, &of_a, &[("user", "secret")]).await;
    check(&bench.for_tenant("b"), "", &[]).await;
    check(&bench, &format!("run={of_b}"), &[]).await;
    check(&bench, &format!("run={of_a}"), &["secret"]).await;
    let stolen = json!([{ "role": "assistant", "content": "x", "parents": [wrote["turns"][0]["seq"]] }]);
    bench.post(HERE, json!({ "run": of_b, "turns": stolen })).await.problem("bad_parents");
    bench.key(&["admin"], None).await;
    let as_b = bench.as_key(&bench.key(&["run", "read"], Some(&["b"])).await);
    as_b.get(&format!("{HERE}?run={of_a}")).await.problem("not_found");
    as_b.for_tenant("a").get(HERE).await.problem("forbidden");
    as_b.post(HERE, json!({ "run": of_a, "turns": turns(&[("user", "x")]) })).await.problem("not_found");
    as_b.delete(&format!("{HERE}/x?run={of_a}")).await.problem("not_found");
    check(&as_b, "", &[]).await;
}

/// An application that only calls the gateway remembers with the run that the answer named, finished as it is.
#[tokio::test(start_paused = true)]
async fn a_gateway_call_may_be_remembered_when_it_is_over() {
    let bench = Bench::open().await;
    let run = bench.single_run().await;
    bench.finish_single(run).await;
    let run = run.to_string();
    let headers = [("x-pinrail-run", &*run)];
    let wish = json!({ "turns": turns(&[("user", "hello"), ("assistant", "hi")]) });
    let wrote = bench.send("POST", HERE, &headers, Some(&wish)).await.ok();
    assert_eq!(wrote["deployment"], 1);
    let memory = bench.send("GET", HERE, &headers, None).await.ok();
    assert_eq!((contents(&memory), &memory["turns"][1]["run"]), (vec!["hello", "hi"], &json!(run)));
}
