use pinrail_domain::id::DeploymentId;
use pinrail_domain::journal::{Ending, Event, Outcome};
use pinrail_domain::time::Timestamp;
use pinrail_gateway::telemetry::Attempted;

use super::*;
use crate::testing::{Call, SESSION, TENANT, tried};

fn current(ids: &[u64]) -> Current {
    ids.iter().copied().map(DeploymentId).collect()
}

fn text(counts: &Counts, ids: &[u64], format: Format) -> String {
    let mut page = Page::default();
    counts.gather(&mut page, &current(ids));
    page.text(format)
}

/// The value of one series; none where it isn't there.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// The sum over all series of a metric.
fn sum(text: &str, name: &str) -> f64 {
    let of = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    of.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

#[test]
fn a_call_is_in_every_number_it_belongs_to() {
    let counts = Counts::default();
    counts.ended(&Call::of("support", 3).ended());
    counts.attempted(&tried("openai", Attempted::Ok));
    let text = text(&counts, &[3], Format::Prometheus);
    let check = |series: &str, expected: f64| {
        let got = value(&text, series).unwrap_or_else(|| panic!("no {series} in\n{text}"));
        assert!((got - expected).abs() < 1e-9, "{series}: {got}");
    };
    let labels = r#"agent="support",segment="default",deployment="3""#;
    check(&format!("pinrail_calls_total{{{labels},outcome=\"ok\"}}"), 1.0);
    check(&format!("pinrail_calls_total{{{labels},outcome=\"cut\"}}"), 0.0);
    check(&format!("pinrail_call_duration_seconds_sum{{{labels}}}"), 0.04);
    check(&format!("pinrail_call_duration_seconds_bucket{{le=\"0.025\",{labels}}}"), 0.0);
    check(&format!("pinrail_call_duration_seconds_bucket{{le=\"0.05\",{labels}}}"), 1.0);
    check(&format!("pinrail_call_duration_seconds_bucket{{le=\"+Inf\",{labels}}}"), 1.0);
    check(&format!("pinrail_call_first_byte_seconds_sum{{{labels}}}"), 0.03);
    check(&format!("pinrail_call_tokens_total{{{labels},kind=\"input\"}}"), 10.0);
    check(&format!("pinrail_call_tokens_total{{{labels},kind=\"cached_input\"}}"), 4.0);
    check(&format!("pinrail_call_tokens_total{{{labels},kind=\"output\"}}"), 5.0);
    check(&format!("pinrail_call_cost_usd_total{{{labels}}}"), 0.0025);
    check(&format!("pinrail_call_retries_total{{{labels}}}"), 1.0);
    check("pinrail_gateway_overhead_seconds_sum{dialect=\"chat\"}", 0.000_12);
    check("pinrail_provider_attempts_total{provider=\"openai\",outcome=\"ok\"}", 1.0);
    check("pinrail_provider_first_byte_seconds_sum{provider=\"openai\"}", 0.029);
    check("pinrail_metrics_label_sets", 1.0);
}

#[test]
fn how_a_call_ended_is_one_word() {
    let check = |change: fn(&mut Call), expected: How| {
        let mut call = Call::of("support", 3);
        change(&mut call);
        assert_eq!(How::of(&call.ended()), expected);
    };
    fn answer(call: &mut Call, ending: Ending, status: u16) {
        for (_, event) in &mut call.events {
            if let Event::ModelResponse(answer) = event {
                (answer.ending, answer.status) = (ending, status);
            }
        }
    }
    fn failed(call: &mut Call, fault: FaultOf, code: &str) {
        let (code, why) = (code.to_owned(), String::new());
        call.events = vec![(Timestamp(0), Event::ModelFailed { call: 1, fault, code, why })];
        call.outcome = Outcome::Error;
    }
    check(|_| {}, How::Ok);
    check(|call| answer(call, Ending::Cut, 200), How::Cut);
    check(|call| answer(call, Ending::Cancelled, 200), How::Cancelled);
    check(|call| answer(call, Ending::Error, 400), How::ClientError);
    check(|call| answer(call, Ending::Error, 429), How::ProviderError);
    check(|call| answer(call, Ending::Error, 200), How::ProviderError);
    check(|call| failed(call, FaultOf::Client, "cancelled"), How::Cancelled);
    check(|call| failed(call, FaultOf::Client, "missing_variable"), How::ClientError);
    check(|call| failed(call, FaultOf::Pinrail, "release_unusable"), How::PinrailError);
    check(|call| failed(call, FaultOf::Provider, "provider_closed"), How::ProviderError);
}

#[test]
fn whatever_is_called_there_are_only_so_many_series() {
    let counts = Counts::default();
    for n in 0..1_000 {
        counts.ended(&Call::of(&format!("agent-{n}"), n).ended());
        counts.attempted(&tried(&format!("provider-{n}"), Attempted::Ok));
    }
    let all: Vec<u64> = (0..1_000).collect();
    let full = text(&counts, &all, Format::Prometheus);
    assert!(full.lines().count() < 40_000, "{}", full.lines().count());
    assert_eq!(value(&full, "pinrail_metrics_label_sets"), Some(500.0));
    assert_eq!(value(&full, "pinrail_metrics_folded_calls_total"), Some(500.0));
    // Nothing is lost: what has no series of its own is in `other`.
    assert!((sum(&full, "pinrail_calls_total") - 1_000.0).abs() < 1e-9);
    assert!((sum(&full, "pinrail_provider_attempts_total") - 1_000.0).abs() < 1e-9);
    let other = r#"pinrail_calls_total{agent="other",segment="other",deployment="other",outcome="ok"}"#;
    assert_eq!(value(&full, other), Some(500.0));
}

#[test]
fn deployments_that_no_pointer_names_are_one_and_sums_never_go_back() {
    let counts = Counts::default();
    let (mut before, mut called) = (0.0, 0.0);
    for id in 1..=1_000 {
        counts.ended(&Call::of("support", id).ended());
        called += 1.0;
        // A pointer and its candidate, as a thousand rollouts one after the other have it.
        let text = text(&counts, &[id - 1, id], Format::Prometheus);
        let all = sum(&text, "pinrail_calls_total");
        assert!((all - called).abs() < 1e-9, "{id}: {all} of {called}");
        let other =
            r#"pinrail_calls_total{agent="support",segment="default",deployment="other",outcome="ok"}"#;
        let other = value(&text, other).unwrap_or_default();
        assert!(other >= before, "{id}: {other} after {before}");
        before = other;
        assert!(value(&text, "pinrail_metrics_label_sets").unwrap() <= 3.0, "{text}");
    }
    assert!((before - 998.0).abs() < 1e-9, "{before}");
}

#[test]
fn what_serves_nobody_is_no_call() {
    let counts = Counts::default();
    let mut copy = Call::of("support", 3);
    let stamp = std::sync::Arc::make_mut(&mut copy.begun.stamp);
    stamp.shadow = Some(stamp.run);
    counts.ended(&copy.ended());
    assert!(sum(&text(&counts, &[3], Format::Prometheus), "pinrail_calls_total") < 0.5);
}

#[test]
fn nobodys_tenant_or_session_is_on_the_page() {
    let counts = Counts::default();
    let call = Call::of("support", 3);
    counts.ended(&call.ended());
    let text = text(&counts, &[3], Format::OpenMetrics);
    for private in [TENANT, SESSION, &call.begun.stamp.run.to_string()] {
        assert!(!text.contains(private), "{private}"); // I11, I15
    }
}

#[test]
fn both_formats_say_the_same_in_their_own_way() {
    let counts = Counts::default();
    counts.ended(&Call::of("support", 3).ended());
    let (open, classic) = (text(&counts, &[3], Format::OpenMetrics), text(&counts, &[3], Format::Prometheus));
    assert!(open.ends_with("# EOF\n") && !classic.contains("# EOF"), "{classic}");
    assert!(open.contains("# TYPE pinrail_calls counter\n"), "{open}");
    assert!(classic.contains("# TYPE pinrail_calls_total counter\n"), "{classic}");
    assert!(classic.contains("# HELP pinrail_calls_total Model calls that ended"), "{classic}");
    let values = |text: &str| {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(values(&open), values(&classic));
    for def in table::ALL {
        let line = format!("# TYPE {} {}\n", def.shown(), def.kind.word());
        assert!(classic.contains(&line), "{line}");
    }
}
