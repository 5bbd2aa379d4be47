//! What is done about a provider in trouble: when calls are kept away from it, how many retries it gets, and who
//! answers in its place.

use serde::{Deserialize, Serialize};

use crate::id::ProviderName;
use crate::share::Share;

/// When calls are kept away from a provider's model, and for how long. Stored: never rename a field.
///
/// Each attempt counts once, for the provider and the model it asks. It fails where no connection comes about, a wait
/// runs out, the status is 5xx (529 too; not 501), or a stream ends with an error, breaks or stands still. Other
/// statuses are answers, 429 as well: an endpoint that has enough to do is not broken. The breaker opens when either rule
/// says so; both at zero switch it off. It stays open for `open_ms`, twice as long each time that the probe after it
/// fails, up to `open_ms_max`, each time less up to a quarter so that replicas don't probe together. Then one call is let
/// through as the probe: an answer closes the breaker, a failure opens it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// Failures in a row that open it; zero: none do.
    pub failures: u32,
    /// The share of failures within the window that opens it; zero: none does.
    pub share: Share,
    /// The calls that the window must hold for their share to count: one failure of one call is no outage.
    pub calls_min: u32,
    pub window_ms: u64,
    /// How long it stays open the first time.
    pub open_ms: u64,
    pub open_ms_max: u64,
}

/// How many of a provider's attempts may be retries, over all calls: so that retries can't multiply an outage.
///
/// A bucket: each call puts `share` of a retry in, each second `per_second`, each retry takes one out. Ten seconds of
/// `per_second` are kept at most. Stored: never rename a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryBudget {
    /// Retries per call.
    pub share: Share,
    /// Retries that are always allowed, so that a provider with few calls gets them, too.
    pub per_second: u32,
}

/// Why the settings for trouble are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTrouble {
    #[error("failover names {0} providers; at most {FAILOVER_MAX} are allowed")]
    TooManyFailovers(usize),
    #[error("failover names `{0}` twice")]
    FailoverTwice(ProviderName),
    #[error("breaker.{field} must be {least} to {most}")]
    Breaker { field: &'static str, least: u64, most: u64 },
    #[error("retry_budget.per_second is {0}; at most {RETRIES_PER_SECOND_MAX} are allowed")]
    RetriesPerSecond(u32),
}

/// Endpoints that are asked one after the other: each that fails costs the caller its time.
pub const FAILOVER_MAX: usize = 4;
const RETRIES_PER_SECOND_MAX: u32 = 10_000;
const COUNT_MAX: u64 = 1_000_000;
const HOUR_MS: u64 = 3_600_000;

impl Default for Breaker {
    fn default() -> Breaker {
        Breaker {
            // A few callers that meet one overloaded moment are no outage; ten failures with no success between are.
            failures: 10,
            share: Share::HALF,
            calls_min: 20,
            window_ms: 30_000,
            open_ms: 1_000,
            open_ms_max: 60_000,
        }
    }
}

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget { share: Share::FIFTH, per_second: 10 }
    }
}

impl Breaker {
    /// Whether it can open at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.failures > 0 || self.share > Share::NONE
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Breaker::default()
    }

    pub(super) fn check(&self) -> Result<(), BadTrouble> {
        let fields = [
            ("failures", u64::from(self.failures), 0, COUNT_MAX),
            ("calls_min", u64::from(self.calls_min), 1, COUNT_MAX),
            ("window_ms", self.window_ms, 1_000, HOUR_MS),
            ("open_ms", self.open_ms, 1, HOUR_MS),
            ("open_ms_max", self.open_ms_max, self.open_ms, HOUR_MS),
        ];
        match fields.into_iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            Some((field, _, least, most)) => Err(BadTrouble::Breaker { field, least, most }),
            None => Ok(()),
        }
    }
}

impl RetryBudget {
    pub(super) fn is_default(&self) -> bool {
        *self == RetryBudget::default()
    }

    pub(super) fn check(&self) -> Result<(), BadTrouble> {
        match self.per_second > RETRIES_PER_SECOND_MAX {
            true => Err(BadTrouble::RetriesPerSecond(self.per_second)),
            false => Ok(()),
        }
    }
}

/// Checks what can be checked without the other providers.
pub(super) fn check_failover(failover: &[ProviderName]) -> Result<(), BadTrouble> {
    if failover.len() > FAILOVER_MAX {
        return Err(BadTrouble::TooManyFailovers(failover.len()));
    }
    let mut places = failover.iter().enumerate();
    match places.find(|(place, name)| failover[..*place].contains(name)) {
        Some((_, twice)) => Err(BadTrouble::FailoverTwice(twice.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BadProvider, ProviderSpec};
    use super::*;

    #[test]
    fn settings_for_trouble_are_left_out_where_they_say_nothing_new() {
        let plain = serde_json::to_value(ProviderSpec::simulated()).unwrap();
        for field in ["failover", "breaker", "retry_budget"] {
            assert!(plain.get(field).is_none(), "{field} would change the ledger of before: {plain}");
        }
        let spec: ProviderSpec = serde_json::from_str(
            r#"{"base_url": "sim:", "catalogue": "sim", "failover": ["b"], "breaker": {"failures": 3},
                "retry_budget": {"share": 0}}"#,
        )
        .unwrap();
        assert_eq!((spec.breaker.failures, spec.breaker.calls_min), (3, 20));
        assert_eq!((spec.retry_budget.share, spec.retry_budget.per_second), (Share::NONE, 10));
        let again = serde_json::to_value(&spec).unwrap();
        assert_eq!(serde_json::from_value::<ProviderSpec>(again).unwrap(), spec);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        let check = |patch: fn(&mut ProviderSpec), expected: &str| {
            let mut spec = ProviderSpec::simulated();
            patch(&mut spec);
            match spec.check() {
                Err(bad @ BadProvider::Trouble(_)) => assert!(bad.to_string().contains(expected), "{bad}"),
                other => panic!("{expected}: {other:?}"),
            }
        };
        check(|spec| spec.failover = ["a", "b", "a"].map(|name| name.parse().unwrap()).into(), "`a` twice");
        check(
            |spec| spec.failover = ["a", "b", "c", "d", "e"].map(|name| name.parse().unwrap()).into(),
            "failover names 5",
        );
        check(|spec| spec.breaker.calls_min = 0, "breaker.calls_min must be 1");
        check(|spec| spec.breaker.window_ms = 10, "breaker.window_ms");
        check(|spec| spec.breaker.open_ms = 0, "breaker.open_ms must be 1");
        check(|spec| spec.breaker.open_ms_max = 10, "breaker.open_ms_max must be 1000");
        check(|spec| spec.retry_budget.per_second = 1_000_000, "retry_budget.per_second");
        let off = Breaker { failures: 0, share: Share::NONE, ..Breaker::default() };
        assert!(off.check().is_ok() && !off.is_on() && Breaker::default().is_on());
    }
}
