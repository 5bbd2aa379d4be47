use std::collections::BTreeMap;

use pinrail_api::drift::{DriftPrompt, DriftSettings};
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::time::Timestamp;

use super::*;
use crate::ledger::tests::{HOSTILE, is_tame};

fn finding() -> DriftFinding {
    DriftFinding {
        finding: LedgerSeq(12),
        at: Timestamp(1_799_999_000_000),
        subject: Subject::Model { provider: "sim".parse().unwrap(), snapshot: "sim-1-2026-06-01".to_owned() },
        sign: Sign::Served { served: HOSTILE.to_owned() },
        what: HOSTILE.to_owned(),
        evidence: None,
        agents: vec!["support".parse().unwrap()],
    }
}

fn model() -> DriftModel {
    let day = |state: &str, shift| DriftDay {
        day: "2026-11-20".to_owned(),
        state: state.to_owned(),
        shift,
        sigma: Some(5.12),
        sigma_needed: None,
    };
    DriftModel {
        provider: "sim".parse().unwrap(),
        snapshot: "a/b".to_owned(),
        agents: Vec::new(),
        state: "drifted".to_owned(),
        sentence: HOSTILE.to_owned(),
        promise: "rarely wrong".to_owned(),
        mode: Some("sampled".to_owned()),
        prompts: 20,
        baseline_days: 7,
        smallest_shift: Some(0.12),
        noise: None,
        false_alarms_per_year: 0.01,
        tokens_today: 200,
        input_tokens_today: 3_000,
        calls_today: 200,
        failed_today: 1,
        last_look: None,
        paused_until: Some(Timestamp(1_800_000_900_000)),
        days: vec![day("quiet", None), day("drifted", Some(-0.3))],
        asked: vec![DriftPrompt {
            prompt: HOSTILE.to_owned(),
            asked: 10,
            failed: 0,
            answers: BTreeMap::from([("lemon".to_owned(), 0.4), ("peach".to_owned(), 0.6)]),
        }],
    }
}

fn drift(findings: Vec<DriftFinding>, models: Vec<DriftModel>) -> Drift {
    let settings = DriftSettings {
        enabled: true,
        tokens_per_day: 400,
        every_hours: 6,
        prompts: 20,
        samples: 10,
        calibration_days: 7,
        persistence: 3,
        shift_min: 0.1,
        false_alarms_per_year: 0.01,
    };
    Drift { drift: Watched { findings, models, settings } }
}

#[test]
fn findings_say_what_was_and_what_is() {
    let (page, shell) = (drift(vec![finding()], vec![model()]), Shell::of("/drift"));
    let html = page.main(&shell).into_string();
    is_tame(&html);
    assert!(html.contains("<del>sim-1-2026-06-01</del> → <ins>&lt;script&gt;"), "{html}");
    assert!(html.contains("/drift/12/clear") && html.contains("/drift/models/sim/a%2Fb"), "{html}");
    assert!(html.contains("2 days: 1 quiet, 1 drifted; the largest shift 30 %"), "{html}");
    assert!(html.contains("200 of 400") && html.contains("left alone"), "{html}");
    for part in page.parts(&shell) {
        assert!(
            html.contains(part.html.as_str()) && part.html.as_str().contains(&format!("id=\"{}\"", part.id))
        );
    }
    let html = drift(Vec::new(), Vec::new()).main(&shell).into_string();
    assert!(html.contains("pinrail deploy") && html.contains(">none<"), "{html}");
}

#[test]
fn every_sign_has_its_words() {
    let subject = finding().subject;
    let check = |sign: Sign, part: &str| {
        let html = self::sign(&subject, &sign).into_string();
        assert!(html.contains(part), "{html}");
    };
    check(Sign::Listed { was: "a".to_owned(), is: "b".to_owned() }, "<del>a</del> → <ins>b</ins>");
    check(Sign::Gone { said: "404".to_owned() }, "no such model: 404");
    check(
        Sign::Border { since_day: 20_777, days: 3, shift: 0.3, sigma: 5.12 },
        "moved by 30 % over 3 days since 2026-11-20, 5.1 standard deviations",
    );
    let tools = Sign::Tools {
        changed: vec!["refund".to_owned()],
        added: vec!["wipe".to_owned()],
        removed: Vec::new(),
        identity: Some("says it is 2.0".to_owned()),
    };
    check(tools, "changed refund; added wipe; says it is 2.0");
}

#[test]
fn a_finding_and_a_model_are_shown_whole() {
    let page = FindingPage { finding: finding(), seen: Some(HOSTILE.to_owned()) };
    let html = page.main(&Shell::of("/drift/12")).into_string();
    is_tame(&html);
    assert!(html.contains("/ledger/12") && html.contains("Evidence"), "{html}");
    let html = ModelPage { model: model() }.main(&Shell::of("/drift/models/sim/a")).into_string();
    is_tame(&html);
    assert!(html.contains("peach 60 %, lemon 40 %") && html.contains("5.1 σ"), "{html}");
}
