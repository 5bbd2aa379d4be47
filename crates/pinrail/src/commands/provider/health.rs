//! A provider's health, and what is made of its failures, in words.

use pinrail_api::provider_health::{BreakerState, ModelHealth, ProviderHealth};
use pinrail_domain::id::ProviderName;
use pinrail_domain::provider::{Breaker, ProviderSpec};
use pinrail_domain::time::Timestamp;

use crate::output::table::{or_dash, table};
use crate::output::time;

const NOT_CALLED: &str = "not called yet";

/// In a word or two.
pub fn short(health: Option<&ProviderHealth>) -> String {
    let Some(health) = health else { return NOT_CALLED.to_owned() };
    let amiss = health.models.iter().filter(|model| model.breaker != BreakerState::Closed).count();
    match amiss {
        0 => "answers".to_owned(),
        amiss => format!("{} for {amiss} of {} models", health.breaker.word(), health.models.len()),
    }
}

/// What is amiss with each model from which calls are kept away.
pub fn troubles(health: Option<&ProviderHealth>, now: Timestamp) -> Vec<String> {
    let models = health.iter().flat_map(|health| &health.models);
    let amiss = models.filter(|model| model.breaker != BreakerState::Closed);
    amiss
        .map(|model| {
            let why = model.last_failure.as_ref().map(|last| format!(": {}", last.why)).unwrap_or_default();
            let since = time::relative(now, model.since);
            format!(
                "calls of {} are kept away from it, {} since {since}{why}",
                model.snapshot,
                model.breaker.word()
            )
        })
        .collect()
}

pub fn retries(spec: &ProviderSpec) -> String {
    let budget = spec.retry_budget;
    match spec.retries_max {
        0 => "none".to_owned(),
        most => format!(
            "{most} per call at most; over all calls {} of them, and {} per second",
            budget.share, budget.per_second
        ),
    }
}

pub fn breaker(breaker: &Breaker) -> String {
    if !breaker.is_on() {
        return "off".to_owned();
    }
    let mut rules = Vec::new();
    if breaker.failures > 0 {
        rules.push(format!("after {} failures in a row", breaker.failures));
    }
    if breaker.share.bps() > 0 {
        rules.push(format!(
            "at {} of at least {} calls within {}",
            breaker.share,
            breaker.calls_min,
            time::span(breaker.window_ms)
        ));
    }
    format!(
        "opens {}; for {} ms, then longer up to {}",
        rules.join(" or "),
        breaker.open_ms,
        time::span(breaker.open_ms_max)
    )
}

pub fn names(names: &[ProviderName]) -> String {
    names.iter().map(ProviderName::as_str).collect::<Vec<_>>().join(", then ")
}

/// The models, one line each, and what failed last.
pub fn shown(health: Option<&ProviderHealth>, now: Timestamp) -> String {
    let Some(health) = health else { return format!("health        {NOT_CALLED}\n") };
    let header =
        ["model", "breaker", "since", "window", "calls", "failed", "first byte p50 / p99", "last failure"];
    let rows = health.models.iter().map(|model| row(model, now)).collect();
    let retries =
        format!("retries made {}, refused by the budget {}\n", health.retries, health.retries_refused);
    format!("{retries}{}", table(&header, rows, "no models"))
}

fn row(model: &ModelHealth, now: Timestamp) -> Vec<String> {
    let breaker = match (model.next_in_ms, model.rests_ms) {
        (Some(ms), _) => format!("{}, next in {}", model.breaker.word(), time::span(ms)),
        (None, Some(ms)) => format!("{}, rests {}", model.breaker.word(), time::span(ms)),
        (None, None) => model.breaker.word().to_owned(),
    };
    let waits = model
        .first_byte
        .map(|waits| format!("{} / {}", time::millis(waits.p50_us), time::millis(waits.p99_us)));
    let last = model.last_failure.as_ref();
    vec![
        model.snapshot.clone(),
        breaker,
        time::relative(now, model.since),
        format!("{} well, {} failed", model.window.well, model.window.failed),
        model.calls.to_string(),
        model.failed.to_string(),
        or_dash(waits),
        or_dash(last.map(|last| format!("{}: {}", time::relative(now, last.at), last.why))),
    ]
}
