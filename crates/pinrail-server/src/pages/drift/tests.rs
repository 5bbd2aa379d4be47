use pinrail_domain::digest::Digest;
use pinrail_domain::drift::{Sign, Subject};

use crate::testing::Bench;

/// A finding with this evidence.
async fn found(bench: &Bench, evidence: Option<Digest>) -> u64 {
    let snapshot = "sim-large-2026-03-01".to_owned();
    let subject = Subject::Model { provider: "sim".parse().unwrap(), snapshot };
    let sign = Sign::Served { served: "<script>alert(1)</script>".to_owned() };
    let found = bench.control.find_drift(&subject, &sign, "another <b>answers", evidence).await.unwrap();
    found.value.unwrap().0
}

#[tokio::test(start_paused = true)]
async fn a_finding_is_looked_at_and_cleared_from_its_page() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let evidence = bench.control.artifact_put(b"{\"tools\":[\"<script>\"]}").await.unwrap();
    let seq = found(&bench, Some(evidence)).await;
    let shown = async |path: &str| {
        let answered = bench.send("GET", path, &[("accept", "text/html")], None).await;
        (answered.status, String::from_utf8(answered.body.to_vec()).unwrap())
    };
    let (status, html) = shown(&format!("/drift/{seq}")).await;
    assert!(status == 200 && html.contains("&quot;tools&quot;") && !html.contains("<script>alert"), "{html}");
    assert!(shown("/drift").await.1.contains("title=\"open findings\""));
    let (_, confirm) = shown(&format!("/drift/{seq}/clear")).await;
    assert!(confirm.contains("Clear the finding") && !confirm.contains("another <b>"), "{confirm}");
    let cleared = bench.send_form(&format!("/drift/{seq}/clear"), &[], &[("reason", "it was us")]).await;
    let to = cleared.header("location").unwrap().to_owned();
    let (_, html) = shown(&to).await;
    assert!(html.contains(&format!("Cleared drift finding {seq}")) && html.contains("it was us"), "{html}");
    assert_eq!(shown(&format!("/drift/{seq}")).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn models_are_looked_at_now_and_shown_with_their_days() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    assert_eq!(bench.send_form("/drift/look", &[], &[]).await.status, 303);
    let model = bench.get("/drift/models/sim/sim-large-2026-03-01.json").await.ok();
    assert_eq!((model["calls_today"].as_u64(), model["failed_today"].as_u64()), (Some(5), Some(5)));
    bench.get("/drift/models/sim/other.json").await.problem("not_found");
}
