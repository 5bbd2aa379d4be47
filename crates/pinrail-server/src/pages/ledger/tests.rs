use pinrail_domain::id::LedgerSeq;
use serde_json::{Value, json};

use crate::testing::Bench;

fn seqs(page: &Value) -> Vec<u64> {
    page["items"].as_array().unwrap().iter().map(|item| item["seq"].as_u64().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_newest_come_first_and_older_ones_by_cursor() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let head = bench.control.snapshot().world.head.seq.0;
    let all: Vec<u64> = (1..=head).rev().collect();
    assert_eq!(seqs(&bench.get("/ledger.json").await.ok()), all);
    let (mut paged, mut path) = (Vec::new(), "/ledger.json?limit=2".to_owned());
    loop {
        let page = bench.get(&path).await.ok();
        paged.extend(seqs(&page));
        let Some(next) = page["next"].as_u64() else { break };
        path = format!("/ledger.json?limit=2&before={next}");
    }
    assert_eq!(paged, all);
}

#[tokio::test(start_paused = true)]
async fn entries_are_found_by_what_they_say() {
    let bench = Bench::open().await;
    let deployment = bench.deploy_now().await;
    bench.put("/api/v1/agents/other", json!({})).await.ok();
    bench.roll_back(deployment).await.ok();
    let found = async |query: &str| bench.get(&format!("/ledger.json?{query}")).await.ok();
    let kind = found("kind=deployment_rolled_back&agent=&text=").await;
    assert_eq!(kind["items"][0]["what"], "Rolled back deployment 1 of support (default)");
    assert_eq!(seqs(&kind).len(), 1);
    assert_eq!(seqs(&found("agent=other").await).len(), 1);
    assert!(seqs(&found("agent=support").await).len() >= 4);
    assert_eq!(seqs(&found("text=WORSE").await), seqs(&kind));
    assert_eq!(seqs(&found("actor=nobody").await), Vec::<u64>::new());
    assert_eq!(seqs(&found("since=2100-01-01T00:00").await), Vec::<u64>::new());
    assert_eq!(
        seqs(&found("until=2100-01-01").await).len() as u64,
        bench.control.snapshot().world.head.seq.0
    );
    bench.get("/ledger.json?since=yesterday").await.problem("bad_request");
    bench.get("/ledger.json?agent=%3Cscript%3E").await.problem("bad_name");
}

#[tokio::test(start_paused = true)]
async fn the_chain_is_verified_from_the_page_and_damage_is_shown() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let head = bench.control.snapshot().world.head;
    let page = bench.get("/ledger.json?verify=true").await.ok();
    assert_eq!((&page["verified"]["whole"], &page["verified"]["head"]), (&json!(true), &json!(head.hash)));
    let entry = bench.get("/ledger/2.json").await.ok();
    assert_eq!((&entry["holds"]["holds"], &entry["newer"]), (&json!("yes"), &json!(3)));
    assert_eq!(bench.get(&format!("/ledger/{}.json", head.seq)).await.ok().get("newer"), None);
    bench.memory.damage_entry(LedgerSeq(1));
    let page = bench.get("/ledger.json?verify=true").await.ok();
    assert_eq!(page["verified"]["broken"]["seq"], 1);
    assert!(page["damage"].as_str().unwrap().contains("entry 1"), "{page}");
    assert_eq!(bench.get("/ledger/2.json").await.ok()["holds"]["holds"], "unknown");
    for none in ["/ledger/0.json", "/ledger/99.json"] {
        bench.get(none).await.problem("not_found");
    }
    bench.get("/ledger/x.json").await.problem("bad_name");
}

#[tokio::test(start_paused = true)]
async fn entries_lead_to_what_they_are_about() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let opened = bench.get("/ledger.json?kind=deployment_opened").await.ok()["items"][0]["seq"].clone();
    let entry = bench.get(&format!("/ledger/{opened}.json")).await.ok();
    let hrefs: Vec<_> = entry["concerns"].as_array().unwrap().iter().map(|link| &link["href"]).collect();
    assert_eq!(hrefs, ["/deployments/1", "/ledger?agent=support"]);
}
