use pinrail_api::drills::DrillStep;
use pinrail_api::provider_health::{LastFailure, ProviderHealth, Window};
use pinrail_api::warm::WarmRelease;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, Epoch, ReleaseId, SegmentName};

use super::*;
use crate::ledger::tests::{HOSTILE, is_tame};

fn ready() -> Ready {
    let indicator = |name: &str, met| Indicator {
        name: name.to_owned(),
        objective: "all of them".to_owned(),
        observed: "none".to_owned(),
        met,
        why: vec![HOSTILE.to_owned()],
        next_step: (met == Met::No).then(|| "`pinrail warm probe`".to_owned()),
    };
    let warm = WarmRelease {
        agent: "support".parse().unwrap(),
        segment: SegmentName::default_segment(),
        release: ReleaseId(Digest::of(b"r")),
        deployment: DeploymentId(3),
        steps_back: Some(1),
        provider: "sim".parse().unwrap(),
        snapshot: "sim-1-2026-06-01".to_owned(),
        state: Callable::Gone,
        why: Some(HOSTILE.to_owned()),
        latency_ms: Some(12),
        probed_at: Some(Timestamp(1_799_999_000_000)),
        since: None,
        served: None,
        retires: None,
    };
    let model = ModelHealth {
        snapshot: "sim-1-2026-06-01".to_owned(),
        breaker: BreakerState::Open,
        since: Timestamp(1),
        next_in_ms: Some(900),
        failed_in_a_row: 3,
        window: Window { ms: 30_000, well: 1, failed: 2 },
        calls: 3,
        failed: 2,
        last_call: Timestamp(1),
        last_failure: Some(LastFailure { at: Timestamp(1), why: HOSTILE.to_owned() }),
        rests_ms: None,
        first_byte: None,
    };
    let spec =
        serde_json::json!({ "base_url": "https://api.example/v1", "key_env": "SIM_KEY", "catalogue": "sim" });
    let provider = Provider {
        provider: "sim".parse().unwrap(),
        spec: serde_json::from_value(spec).unwrap(),
        health: Some(ProviderHealth {
            breaker: BreakerState::Open,
            retries: 1,
            retries_refused: 0,
            models: vec![model],
        }),
    };
    let drill = Drill {
        at: Timestamp(1_799_999_000_000),
        deployment: DeploymentId(9),
        went_well: false,
        steps: vec![DrillStep { name: "rolled back".to_owned(), took_us: 1_500 }],
        consistent_us: 12_000,
        records: 192,
        faults: vec![HOSTILE.to_owned()],
    };
    Ready {
        readiness: Readiness {
            ready: false,
            epoch: Epoch(3),
            indicators: vec![indicator("drain", Met::Yes), indicator("rollback target", Met::No)],
            warm: vec![warm],
        },
        drill: Some(drill),
        providers: vec![Asked { provider, missing: vec!["SIM_KEY".to_owned()] }],
        catalogue: Known { as_of: Timestamp(1), stale: true, source: Some(HOSTILE.to_owned()) },
    }
}

#[test]
fn what_is_missed_comes_first_and_says_what_to_do() {
    let (page, shell) = (ready(), Shell::of("/readiness"));
    let html = page.main(&shell).into_string();
    is_tame(&html);
    assert!(html.find("rollback target") < html.find("drain"), "{html}");
    assert!(
        html.contains("1 objective is missed") && html.contains("<code>pinrail warm probe</code>"),
        "{html}"
    );
    assert!(html.contains("1 rollback back") && html.contains(">gone<") && html.contains("12 ms"), "{html}");
    assert!(html.contains("<code>SIM_KEY</code> <span class=\"badge bad\">not set</span>"), "{html}");
    assert!(
        html.contains("breaker open") && html.contains("went wrong") && html.contains("12.0 ms"),
        "{html}"
    );
    assert!(html.contains("pinrail catalogue update"), "{html}");
    for part in page.parts(&shell) {
        assert!(html.contains(&format!("id=\"{}\"", part.id)));
    }
}

#[test]
fn an_empty_server_says_what_comes_first() {
    let empty = Ready {
        readiness: Readiness { ready: true, epoch: Epoch(0), indicators: Vec::new(), warm: Vec::new() },
        drill: None,
        providers: Vec::new(),
        catalogue: Known { as_of: Timestamp(1), stale: false, source: None },
    };
    let html = empty.main(&Shell::of("/readiness")).into_string();
    assert!(html.contains("pinrail readiness --drill") && html.contains("no objective is missed"), "{html}");
}
