use serde_json::json;

use super::*;

/// A candidate at its second step, as the API tells of it.
fn deployed(state: &str) -> Deployed {
    let release = format!("sha256:{}", "ab".repeat(32));
    let deployment = json!({
        "deployment": 7, "kind": "release", "state": state, "releases": { "support": release }, "segment": "default",
        "reason": "<script>alert(1)</script>", "opened_at": 1_799_000_000_000_u64, "weight": 500, "replaced": { "support": 1 },
        "drain": { "open": { "queued": 0, "running": 2, "paused": 0, "parked": 0 }, "drained": false, "blocking": [], "more": 2 },
    });
    let point = |n: u64| {
        json!({ "at": 1_799_000_000_000_u64 + n * 1_000, "verdict": "undecided", "candidate": 0.02, "incumbent": 0.01, "harm": 0.01,
            "harm_low": -0.5 / n as f64, "harm_high": 0.9 / n as f64, "samples": { "candidate": n, "incumbent": 9 * n }, "log_e": 0.1 })
    };
    let points: Vec<_> = (1..=200).map(point).collect();
    let guardrail = json!({
        "agent": "support", "name": "error_rate", "metric": "error_rate", "direction": "lower", "margin": "2%", "alpha": 0.05,
        "on_breach": "rollback", "min_samples": 0, "proves": "at most 4.00 points worse", "says": "undecided",
        "words": "error_rate: 2.00% against 1.00%",
    });
    let rollout = json!({
        "deployment": 7, "state": state, "releases": {}, "segment": "default", "sentence": "Step 2 of 2, canary 5%.", "generation": 1,
        "step": 2, "steps": [
            { "step": 1, "what": "shadow 10%", "standing": "done", "since": 1_799_000_000_000_u64, "until": 1_799_000_060_000_u64, "seq": 12,
              "plan": { "step": "shadow", "percent": "10%", "min_runs": 5, "deadline": "1h" } },
            { "step": 2, "what": "canary 5%", "standing": "now", "since": 1_799_000_060_000_u64,
              "plan": { "step": "canary", "percent": "5%", "min_runs": 5, "deadline": "1h", "slack": 2.0 } },
        ],
        "weights": { "everywhere": 500 }, "shadow": 0, "opened_at": 1_799_000_000_000_u64, "waits": ["39 more runs"], "complete": true,
        "guardrails": [guardrail], "runs": { "candidate": 1, "incumbent": 2 }, "units": { "candidate": 1, "incumbent": 2 },
        "pairs": { "compared": 3, "failed": 0, "dropped": 0, "divergence": 0.25, "cost": "0.01" },
    });
    let history = json!({
        "deployment": 7, "complete": true, "source": "observed", "guardrails": [{ "guardrail": "error_rate", "agent": "support",
            "metric": "error_rate", "unit": "share", "direction": "lower", "margin": "2%", "harm": "difference", "slack": 2.0, "points": points }],
    });
    Deployed {
        deployment: serde_json::from_value(deployment).unwrap(),
        agents: Vec::new(),
        rollout: Some(serde_json::from_value(rollout).unwrap()),
        history: Some(serde_json::from_value(history).unwrap()),
        report: None,
        holds: Vec::new(),
        timeline: Paged { items: Vec::new(), next: None },
    }
}

#[test]
fn a_candidates_page_says_where_it_stands_and_offers_what_can_be_done() {
    let html = deployed("candidate").main(&Shell::of("/deployments/7")).into_string();
    let check = |needle: &str| assert!(html.contains(needle), "{needle}\n{html}");
    check("Step 2 of 2, canary 5%.");
    check("aria-current=\"step\"");
    check("/deployments/7/promote");
    check("/deployments/7/freeze");
    check("/deployments/7/rollback");
    check("3 answers compared, 0.250 apart on average");
    check("and 2 more");
    check("&lt;script&gt;");
    assert!(!html.contains("<script>") && !html.contains(" style="), "{html}");
    let back = deployed("rolled back").main(&Shell::of("/deployments/7")).into_string();
    assert!(!back.contains("/deployments/7/promote"), "{back}");
}

#[test]
fn whoever_may_only_read_is_offered_nothing() {
    let who = crate::Who::Key {
        name: "eyes".to_owned(),
        scopes: vec![pinrail_domain::key::Scope::Read],
        tenants: pinrail_domain::key::Tenants::All,
    };
    let shell = Shell { who, ..Shell::of("/deployments/7") };
    let html = deployed("candidate").main(&shell).into_string();
    assert!(!html.contains("/rollback") && !html.contains("/promote"), "{html}");
}

#[test]
fn a_chart_closes_in_on_the_margin_and_its_numbers_stand_below() {
    let deployed = deployed("candidate");
    let course = &deployed.history.as_ref().unwrap().guardrails[0];
    let chart: serde_json::Value = serde_json::from_str(&chart::of(course).unwrap()).unwrap();
    let values = |place: usize| -> Vec<f64> {
        chart["series"][place]["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_f64().unwrap())
            .collect()
    };
    let (low, high, tolerated, incumbent) = (values(0), values(1), values(2), values(3));
    assert_eq!(chart["x"].as_array().unwrap().len(), 120);
    assert_eq!((tolerated[0], incumbent[0]), (5.0, 1.0), "percent: 1 and two margins of 2 points more");
    let widths: Vec<f64> = high.iter().zip(&low).map(|(high, low)| high - low).collect();
    assert!(widths.is_sorted_by(|a, b| a >= b), "{widths:?}");
    assert!(low.iter().all(|low| *low >= 0.0), "a share is never below none");
    let html = deployed.main(&Shell::of("/deployments/7")).into_string();
    assert_eq!(html.matches("<td class=\"nowrap\">").count(), ROWS_MAX);
}

#[test]
fn another_state_is_another_page_and_parts_are_in_their_places() {
    let shell = Shell::of("/deployments/7");
    let (before, after) = (deployed("candidate"), deployed("active"));
    let ids = |of: &Deployed| -> Vec<String> { of.parts(&shell).into_iter().map(|part| part.id).collect() };
    assert_ne!(ids(&before), ids(&after));
    assert!(before.is_live() && !after.is_live(), "what serves is watched on the rail");
    let html = before.main(&shell).into_string();
    for part in before.parts(&shell) {
        assert!(html.contains(part.html.as_str()), "{}", part.id);
        assert!(part.html.as_str().contains(&format!("id=\"{}\"", part.id)));
    }
}
