use std::collections::BTreeSet;
use std::sync::Arc;

use pinrail_gateway::{Gateway, ModelHealth, ProviderHealth, Standing};
use pinrail_telemetry::metrics::table;
use serde_json::json;

use crate::testing::{Answered, Bench, NoSecrets};

fn text(answered: &Answered) -> String {
    assert_eq!(answered.status, 200, "{}", String::from_utf8_lossy(&answered.body));
    String::from_utf8(answered.body.to_vec()).unwrap()
}

/// The value of one series.
#[track_caller]
fn value(text: &str, series: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_scrape_says_how_the_control_plane_is() {
    let bench = Bench::open().await;
    let deployment = bench.deploy_now().await;
    let healths = ProviderHealth {
        provider: "sim".parse().unwrap(),
        retries: 4,
        retries_refused: 2,
        models: vec![ModelHealth {
            snapshot: "sim-1-2026-06-01".to_owned(),
            standing: Standing::Open,
            since: pinrail_domain::time::Timestamp(1),
            next_in_ms: None,
            failed_in_a_row: 5,
            window: pinrail_gateway::Counts::default(),
            window_ms: 0,
            calls: 9,
            failed: 9,
            last_call: pinrail_domain::time::Timestamp(1),
            last_failure: None,
            rests_ms: None,
            first_byte_us: None,
        }],
    };
    bench.healths.lock().unwrap().push(healths);
    let page = text(&bench.get("/metrics").await);
    let check = |series: &str, expected: f64| {
        let got = value(&page, series);
        assert!((got - expected).abs() < 1e-9, "{series}: {got}");
    };
    check("pinrail_build_info{version=\"0.0.0-test\"}", 1.0);
    check("pinrail_ready", 1.0);
    check("pinrail_provider_models{provider=\"sim\",breaker=\"open\"}", 1.0);
    check("pinrail_provider_models{provider=\"sim\",breaker=\"closed\"}", 0.0);
    check("pinrail_provider_retries_total{provider=\"sim\"}", 4.0);
    check("pinrail_gateway_calls_open", 3.0);
    check("pinrail_gateway_streams_open", 2.0);
    check("pinrail_shadow_copies_open", 1.0);
    check("pinrail_journal_trouble", 0.0);
    check("pinrail_deployments_open", 0.0);
    check("pinrail_rollbacks_total", 0.0);
    check("pinrail_members{state=\"fresh\"}", 1.0);
    check("pinrail_approvals_waiting", 0.0);
    check("pinrail_replica_stale_seconds", 0.0);
    check("pinrail_replica_leads", 1.0);
    check("pinrail_store_connected", 1.0);
    check("pinrail_journal_spooled_writes", 0.0);
    let head = value(&page, "pinrail_ledger_head_seq");

    bench.roll_back(deployment).await.ok();
    let page = text(&bench.get("/metrics").await);
    assert!((value(&page, "pinrail_rollbacks_total") - 1.0).abs() < 1e-9);
    assert!((value(&page, "pinrail_rollback_flip_seconds_count") - 1.0).abs() < 1e-9);
    assert!((value(&page, "pinrail_holds") - 1.0).abs() < 1e-9);
    assert!(value(&page, "pinrail_ledger_head_seq") > head);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_seen_by_the_next_scrape() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let gateway = Gateway::new(pinrail_gateway::Options {
        runs: Arc::new(crate::Port { control: bench.control.clone(), notices: None }),
        secrets: Arc::new(NoSecrets),
        clock: Arc::clone(&bench.clock) as _,
        catalogue: bench.control.catalogue_handle(),
        // Nobody listens there.
        sim_base: Some("http://127.0.0.1:1/v1".parse().unwrap()),
        limits: pinrail_gateway::Limits::default(),
        telemetry: Arc::new(bench.telemetry.clone()),
    });
    for model in ["support", "nobody"] {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "hello" }] });
        let request = http::Request::post("/v1/chat/completions").header("content-type", "application/json");
        let request = request.body(http_body_util::Full::new(bytes::Bytes::from(body.to_string()))).unwrap();
        let _answer = gateway.handle(request, &pinrail_domain::key::Tenants::All).await;
    }
    gateway.drained().await;
    let page = text(&bench.get("/metrics").await);
    let of = |outcome: &str| {
        format!(
            "pinrail_calls_total{{agent=\"support\",segment=\"default\",deployment=\"1\",outcome=\"{outcome}\"}}"
        )
    };
    assert!((value(&page, &of("provider_error")) - 1.0).abs() < 1e-9, "{page}");
    assert!((value(&page, &of("ok"))).abs() < 1e-9);
    let refused = "pinrail_gateway_refused_total{dialect=\"chat\",fault=\"client\"}";
    assert!((value(&page, refused) - 1.0).abs() < 1e-9);
    assert!(value(&page, "pinrail_provider_attempts_total{provider=\"sim\",outcome=\"unreachable\"}") > 0.5);
    assert!(value(&page, "pinrail_journal_batches_total{outcome=\"ok\"}") > 0.5);
}

#[tokio::test(start_paused = true)]
async fn who_may_scrape() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    assert_eq!(bench.get("/metrics").await.status, 200);
    bench.key(&["admin"], None).await;
    let reader = bench.key(&["read"], None).await;
    let limited = bench.as_key(&bench.key(&["read"], Some(&["acme"])).await);
    let runner = bench.as_key(&bench.key(&["run"], None).await);
    assert_eq!(bench.get("/metrics").await.status, 401);
    assert_eq!(bench.as_key(&reader).get("/metrics").await.status, 200);
    // What all tenants came to together is for no one of them (I11).
    assert_eq!(limited.get("/metrics").await.status, 403);
    assert_eq!(runner.get("/metrics").await.status, 403);

    let open = Bench::with_open_metrics().await;
    let admin = open.key(&["admin"], None).await;
    assert_eq!(open.get("/metrics").await.status, 200);
    assert_eq!(open.get("/api/v1/status").await.status, 401);
    assert!(!text(&open.get("/metrics").await).contains(&admin)); // I15
}

#[tokio::test(start_paused = true)]
async fn a_scraper_gets_the_format_that_it_asks_for() {
    let bench = Bench::open().await;
    let check = async |accept: &str, content_type: &str, ends: bool| {
        let answered = bench.send("GET", "/metrics", &[("accept", accept)], None).await;
        assert_eq!(answered.header("content-type"), Some(content_type), "{accept}");
        assert_eq!(text(&answered).ends_with("# EOF\n"), ends, "{accept}");
    };
    check("*/*", "text/plain; version=0.0.4; charset=utf-8", false).await;
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    check("application/openmetrics-text;version=1.0.0", open, true).await;
}

/// A label's value that begins like a metric.
const OUTCOME: &str = "pinrail_error";

/// What a text names that looks like a metric of ours.
fn named(text: &str) -> BTreeSet<&str> {
    let parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    parts.filter(|part| part.starts_with("pinrail_") && *part != OUTCOME).collect()
}

/// A metric's name as queries of a histogram's parts have it.
fn plain(name: &str, known: &BTreeSet<String>) -> String {
    let part = ["_bucket", "_sum", "_count"].iter().find_map(|ending| name.strip_suffix(ending));
    part.filter(|part| known.contains(*part)).unwrap_or(name).to_owned()
}

#[test]
fn code_documentation_dashboard_and_alerts_know_the_same_metrics() {
    let docs = include_str!("../../../../docs/observability.md");
    let dashboard = include_str!("../../../../deploy/grafana/pinrail.json");
    let alerts = include_str!("../../../../deploy/prometheus/alerts.yaml");
    let known: BTreeSet<String> = table::ALL.iter().map(|def| def.shown()).collect();
    let row = |def: &table::Def| {
        let labels = def.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let labels = if labels.is_empty() { "–".to_owned() } else { labels };
        format!("| `{}` | {} | {labels} |", def.shown(), def.kind.word())
    };
    let missing: Vec<String> =
        table::ALL.iter().map(|def| row(def)).filter(|row| !docs.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "docs/observability.md lacks\n{}", missing.join("\n"));
    for (file, text) in [("docs", docs), ("dashboard", dashboard), ("alerts", alerts)] {
        let strange: Vec<_> =
            named(text).into_iter().filter(|name| !known.contains(&plain(name, &known))).collect();
        assert!(strange.is_empty(), "the {file} name {strange:?}, which no page has");
    }
    let shown: BTreeSet<String> = named(dashboard).into_iter().map(|name| plain(name, &known)).collect();
    let unseen: Vec<_> =
        known.difference(&shown).filter(|name| !UNCHARTED.contains(&name.as_str())).collect();
    assert!(unseen.is_empty(), "the dashboard shows nothing of {unseen:?}");
    serde_json::from_str::<serde_json::Value>(dashboard).unwrap();
}

/// Bounds that stand in the documentation and say nothing over time.
const UNCHARTED: [&str; 2] = ["pinrail_metrics_label_sets_limit", "pinrail_deployment_steps"];

#[test]
fn every_alert_has_its_page() {
    let alerts = include_str!("../../../../deploy/prometheus/alerts.yaml");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbooks");
    let mut pages: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(pages.remove("README.md"));
    let index = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let mut alerts = alerts.split("- alert: ").skip(1).peekable();
    assert!(alerts.peek().is_some());
    for alert in alerts {
        let name = alert.lines().next().unwrap().trim();
        let page = format!("{name}.md");
        assert!(pages.remove(&page), "docs/runbooks/{page} is missing");
        assert!(alert.contains(&format!("runbooks/{page}")), "{name} leads to another page");
        assert!(alert.contains("severity:") && alert.contains("summary:"), "{name}");
        assert!(index.contains(&format!("({page})")), "docs/runbooks/README.md lacks {page}");
        let text = std::fs::read_to_string(folder.join(&page)).unwrap();
        for heading in ["## What it means", "## What to look at", "## What to do"] {
            assert!(text.contains(heading), "{page} lacks `{heading}`");
        }
    }
    assert!(pages.is_empty(), "no alert leads to {pages:?}");
}
