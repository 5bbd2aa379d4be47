use serde_json::{Value, json};

use crate::testing::Bench;

const MEMBERS: &str = "/api/v1/members";

async fn register(bench: &Bench, name: &str) -> (String, u64) {
    let wish = json!({ "name": name, "kind": "worker", "lease_ms": 5_000 });
    let made = bench.post(MEMBERS, wish).await.ok();
    (made["member"].as_str().unwrap().to_owned(), made["epoch"].as_u64().unwrap())
}

async fn ack(bench: &Bench, member: &str, epoch: u64) -> crate::testing::Answered {
    bench.post(&format!("{MEMBERS}/{member}/ack"), json!({ "epoch": epoch })).await
}

async fn listed(bench: &Bench, name: &str) -> Value {
    let page = bench.get(MEMBERS).await.ok();
    page["items"].as_array().unwrap().iter().find(|member| member["name"] == name).unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_member_registers_follows_and_leaves() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let wish = json!({ "name": "pod-1", "kind": "gateway" });
    let headers = [("idempotency-key", "r1")];
    let made = bench.send("POST", MEMBERS, &headers, Some(&wish)).await.ok();
    assert_eq!(
        (&made["generation"], &made["lease_ms"], &made["ack_every_ms"]),
        (&json!(1), &json!(15_000), &json!(5_000))
    );
    assert_eq!(made["watch"], format!("/api/v1/watch?after={}", made["epoch"]));
    let again = bench.send("POST", MEMBERS, &headers, Some(&wish)).await;
    assert_eq!((again.header("idempotency-replayed"), again.ok()), (Some("true"), made.clone()));
    let other = json!({ "name": "pod-1", "kind": "worker" });
    bench.send("POST", MEMBERS, &headers, Some(&other)).await.problem("idempotency_key_reused");

    let epoch = bench.roll_back(1).await.ok()["epoch"].as_u64().unwrap();
    let behind = listed(&bench, "pod-1").await;
    assert_eq!(
        (&behind["state"], &behind["behind"], &behind["fenced"]),
        (&json!("behind"), &json!(1), &json!(false))
    );
    let report = bench.get(&format!("/api/v1/epochs/{epoch}")).await.ok();
    assert_eq!((&report["members"][0]["answer"], &report["settled"]), (&json!("missing"), &json!(false)));
    let member = made["member"].as_str().unwrap();
    assert_eq!(ack(&bench, member, epoch).await.ok()["epoch"], epoch);
    let report = bench.get(&format!("/api/v1/epochs/{epoch}")).await.ok();
    assert_eq!(
        (&report["acknowledged"], &report["settled"]),
        (&json!(2), &json!(true)),
        "its own gateway too"
    );
    assert_eq!(
        (&report["members"][1]["name"], &report["members"][1]["took_us"]),
        (&json!("self"), &json!(0))
    );
    assert!(report["took"]["p99_us"].as_u64().unwrap() > 0);
    assert_eq!(report["change"]["kind"], "deployment_rolled_back");
    assert_eq!(listed(&bench, "pod-1").await["state"], "fresh");

    ack(&bench, member, epoch + 1).await.problem("bad_request");
    assert_eq!(bench.delete(&format!("{MEMBERS}/{member}")).await.ok()["name"], "pod-1");
    bench.delete(&format!("{MEMBERS}/{member}")).await.problem("not_found");
    assert_eq!(ack(&bench, member, epoch).await.problem("fenced")["why"], "unknown");
    bench.get("/api/v1/epochs/99").await.problem("not_found");
    bench.get("/api/v1/epochs/x").await.problem("bad_name");
    bench.get(&format!("{MEMBERS}?limit=0")).await.problem("bad_request");
    for bad in [
        json!({ "name": "a b", "kind": "worker" }),
        json!({ "name": "a", "kind": "x" }),
        json!({ "name": "a", "kind": "worker", "lease_ms": 1 }),
    ] {
        bench.post(MEMBERS, bad).await.problem("bad_request");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_member_writes_is_refused_once_it_no_longer_counts() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let run = bench.run("acme").await;
    let (member, _) = register(&bench, "w").await;
    let note = json!({ "events": [{ "type": "note", "name": "n" }] });
    let events = format!("/api/v1/runs/{run}/events");
    let write = async |headers: &[(&str, &str)]| bench.send("POST", &events, headers, Some(&note)).await;
    let named = ("x-pinrail-member", member.as_str());
    write(&[named, ("x-pinrail-member-generation", "1")]).await.ok();
    write(&[named, ("x-pinrail-member-generation", "x")]).await.problem("bad_name");
    write(&[("x-pinrail-member", "w")]).await.problem("bad_name");
    let replaced = write(&[named, ("x-pinrail-member-generation", "2")]).await.problem("fenced");
    assert_eq!((&replaced["why"], &replaced["status"]), (&json!("replaced"), &json!(409)));

    // It goes on renewing its lease but doesn't follow.
    bench.roll_back(1).await.ok();
    let old = listed(&bench, "w").await["acknowledged"].as_u64().unwrap();
    for _ in 0..2 {
        bench.clock.pass(3_000);
        ack(&bench, &member, old).await.ok();
    }
    let behind = write(&[named]).await.problem("fenced");
    assert_eq!(
        (&behind["why"], &behind["acknowledged"], &behind["epoch"]),
        (&json!("behind"), &json!(old), &json!(old + 1))
    );
    ack(&bench, &member, old + 1).await.ok();
    write(&[named]).await.ok();

    bench.clock.pass(6_000);
    for (method, path, body) in [
        ("POST", "/api/v1/runs", json!({ "agent": "support" })),
        ("POST", &*events, note.clone()),
        ("POST", &*format!("/api/v1/runs/{run}/finish"), json!({ "outcome": "ok" })),
    ] {
        let problem = bench.send(method, path, &[named], Some(&body)).await.problem("fenced");
        assert_eq!(problem["why"], "lapsed");
        assert!(problem["next_step"].as_str().unwrap().contains("register again"), "{problem}");
    }
    assert_eq!(listed(&bench, "w").await["fenced"], true);
    // Reading, and what names no member, goes on; an operator's rollback can't be fenced (I7).
    bench.send("GET", &events, &[named], None).await.ok();
    write(&[]).await.ok();
    let because = json!({ "reason": "worse" });
    bench
        .send("POST", "/api/v1/deployments/1/rollback", &[named], Some(&because))
        .await
        .problem("already_rolled_back");
    let (again, _) = register(&bench, "w").await;
    assert_eq!(again, member);
    write(&[named, ("x-pinrail-member-generation", "2")]).await.ok();
}

/// I11: a key reaches its own members and no other's.
#[tokio::test(start_paused = true)]
async fn members_belong_to_the_key_that_registered_them() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let admin = bench.key(&["admin"], None).await;
    let (of_a, of_b) = (bench.key(&["run"], Some(&["a"])).await, bench.key(&["run"], Some(&["b"])).await);
    let (as_a, as_b) = (bench.as_key(&of_a), bench.as_key(&of_b));
    let (member, epoch) = register(&as_a, "w").await;
    let (other, _) = register(&as_b, "w").await;
    assert_ne!(member, other);
    ack(&as_b, &member, epoch).await.problem("fenced");
    as_b.delete(&format!("{MEMBERS}/{member}")).await.problem("not_found");
    let named = [("x-pinrail-member", member.as_str())];
    let wish = json!({ "agent": "support" });
    as_b.send("POST", "/api/v1/runs", &named, Some(&wish)).await.problem("fenced");
    as_a.send("POST", "/api/v1/runs", &named, Some(&wish)).await.ok();
    as_a.get(MEMBERS).await.problem("forbidden");
    bench.as_key(&admin).delete(&format!("{MEMBERS}/{member}")).await.ok();
}
