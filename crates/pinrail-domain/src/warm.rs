//! Whether releases that a rollback could return to can be called: what a probe came to, and what follows.
//!
//! A probe is one cheap call of a model with a release's own parameters and none of its prompt or tools. Releases that
//! would ask the same share one ([`key`]). Conditions, first that holds wins:
//! 1. the provider answers that it has no such model ([`Fault::Gone`]): after [`GONE_IN_A_ROW`] of these in a row that is a
//!    finding, as the model is what is wrong;
//! 2. it refuses the call for another reason ([`Fault::Refused`]): the key, the parameters, the account;
//! 3. it doesn't answer, has no room or fails ([`Fault::Outage`]): an alarm, and no finding, as it passes.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::canonical::{self, NotCanonical};
use crate::digest::Digest;
use crate::release::ModelPin;
use crate::time::Timestamp;

/// What one probe came to. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    pub at: Timestamp,
    /// From the request's first byte to the answer's last; none where no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// The model that the provider says answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<String>,
    /// None where it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failed>,
}

/// Why a probe failed. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    pub fault: Fault,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What the provider said, redacted and cut (I15).
    pub why: String,
}

/// Whose fault it is. Stored: never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The provider has no such model.
    Gone,
    /// The provider refuses this call.
    Refused,
    /// The provider can't be reached, has no room, or fails.
    Outage,
}

/// The newest probe, and for how long it has been like that. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probed {
    pub last: Probe,
    /// How many probes in a row ended like the last.
    pub in_a_row: u32,
    /// When the first of these was.
    pub since: Timestamp,
}

/// Whether a release can be called, as far as anybody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Callable {
    /// The newest probe was answered.
    Yes,
    /// It wasn't probed yet.
    Unknown,
    /// The newest probe failed with something that may pass.
    Failing,
    /// The provider refuses it, or nothing here may call it.
    Refused,
    /// The provider has the model no more.
    Gone,
}

/// Probes in a row that must say that a model is gone before it is a finding: one may be a deploy at the provider; the
/// next comes [`RETRY_MS`] later.
pub const GONE_IN_A_ROW: u32 = 2;
/// How soon a failed probe is repeated, where the schedule is slower: an outage shorter than this needs nobody.
pub const RETRY_MS: u64 = 5 * 60_000;
/// Bytes of a provider's words that are kept: a sentence.
pub const WHY_BYTES_MAX: usize = 300;
/// Error codes with which providers say that they have no such model, whatever the status.
const GONE_CODES: [&str; 5] =
    ["model_not_found", "not_found_error", "model_deprecated", "model_not_available", "unknown_model"];

impl Probed {
    /// Adds a probe.
    #[must_use]
    pub fn then(before: Option<&Probed>, probe: Probe) -> Probed {
        let fault = |probe: &Probe| probe.failed.as_ref().map(|failed| failed.fault);
        match before.filter(|before| fault(&before.last) == fault(&probe)) {
            Some(before) => {
                Probed { last: probe, in_a_row: before.in_a_row.saturating_add(1), since: before.since }
            }
            None => Probed { since: probe.at, last: probe, in_a_row: 1 },
        }
    }

    /// What the newest probe says.
    #[must_use]
    pub fn callable(&self) -> Callable {
        match self.last.failed.as_ref().map(|failed| failed.fault) {
            None => Callable::Yes,
            Some(Fault::Gone) => Callable::Gone,
            Some(Fault::Refused) => Callable::Refused,
            Some(Fault::Outage) => Callable::Failing,
        }
    }

    /// Whether the model is gone for sure, and what the provider said.
    #[must_use]
    pub fn is_gone(&self) -> Option<&str> {
        let failed = self.last.failed.as_ref().filter(|failed| failed.fault == Fault::Gone)?;
        (self.in_a_row >= GONE_IN_A_ROW).then_some(&*failed.why)
    }
}

/// What releases share that would be probed alike: provider, snapshot and parameters.
pub fn key(model: &ModelPin) -> Result<Digest, NotCanonical> {
    let ModelPin { provider, snapshot, params, weights: _, fallbacks: _, lossy: _ } = model;
    canonical::digest(&json!({ "provider": provider, "snapshot": snapshot, "params": params }))
}

/// When the next probe is due. The first ones come spread over [`RETRY_MS`] from the start, the others `every_ms` after
/// the one before, up to a tenth earlier: so that many never go at once, nor keep going together.
#[must_use]
pub fn due(key: &Digest, every_ms: u64, probed: Option<&Probed>, started: Timestamp) -> Timestamp {
    let bytes = key.as_bytes();
    let part = u64::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    let spread = |ms: u64| ms * part / u64::from(u16::MAX);
    let Some(probed) = probed else { return started.plus_ms(spread(RETRY_MS.min(every_ms))) };
    let wait = if probed.last.failed.is_some() { RETRY_MS.min(every_ms) } else { every_ms };
    probed.last.at.plus_ms(wait - spread(wait / 10))
}

/// Whose fault an error answer is.
#[must_use]
pub fn fault(status: u16, code: Option<&str>, message: &str) -> Fault {
    let says = |words: &str| message.to_ascii_lowercase().contains(words);
    let names_it = says("model")
        && ["not found", "does not exist", "retired", "deprecated", "no longer"]
            .iter()
            .any(|words| says(words));
    let client = (400..500).contains(&status);
    let coded = code.is_some_and(|code| GONE_CODES.contains(&code));
    match status {
        410 => Fault::Gone,
        // A wrong address answers 404, too: only what speaks of the model says that it is gone.
        404 if coded || says("model") => Fault::Gone,
        408 | 409 | 425 | 429 => Fault::Outage,
        _ if client && (coded || names_it) => Fault::Gone,
        _ if client => Fault::Refused,
        _ => Fault::Outage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(at: u64, fault: Option<Fault>) -> Probe {
        let failed = fault.map(|fault| Failed { fault, status: None, why: "no".to_owned() });
        Probe { at: Timestamp(at), latency_ms: None, served: None, failed }
    }

    #[test]
    fn a_model_is_gone_when_it_was_said_twice_in_a_row() {
        let mut probed = Probed::then(None, probe(1, None));
        let check = |probed: &mut Probed, next: Option<Fault>, callable, gone: bool| {
            *probed = Probed::then(Some(probed), probe(probed.last.at.0 + 1, next));
            assert_eq!((probed.callable(), probed.is_gone().is_some()), (callable, gone), "{probed:?}");
        };
        assert_eq!(probed.callable(), Callable::Yes);
        check(&mut probed, Some(Fault::Gone), Callable::Gone, false);
        check(&mut probed, Some(Fault::Outage), Callable::Failing, false);
        check(&mut probed, Some(Fault::Gone), Callable::Gone, false);
        check(&mut probed, Some(Fault::Gone), Callable::Gone, true);
        assert_eq!((probed.in_a_row, probed.since), (2, Timestamp(4)));
        check(&mut probed, Some(Fault::Refused), Callable::Refused, false);
        check(&mut probed, None, Callable::Yes, false);
    }

    #[test]
    fn an_error_says_whose_fault_it_is() {
        let check = |status, code: Option<&str>, message: &str, expected| {
            assert_eq!(fault(status, code, message), expected, "{status} {code:?} {message}");
        };
        check(404, None, "models/m is not found for API version v1beta", Fault::Gone);
        check(404, Some("not_found_error"), "", Fault::Gone);
        check(404, None, "404 page not found", Fault::Refused);
        check(410, None, "", Fault::Gone);
        check(400, Some("model_not_found"), "", Fault::Gone);
        check(403, Some("model_not_found"), "Project has no access to model `m`", Fault::Gone);
        check(400, None, "The model `m` does not exist", Fault::Gone);
        check(400, None, "The model m has been deprecated", Fault::Gone);
        check(400, Some("unsupported_parameter"), "max_tokens", Fault::Refused);
        check(401, Some("invalid_api_key"), "Incorrect API key", Fault::Refused);
        check(403, None, "", Fault::Refused);
        check(429, Some("insufficient_quota"), "", Fault::Outage);
        check(408, None, "", Fault::Outage);
        check(500, None, "The model does not exist", Fault::Outage);
        check(529, Some("overloaded_error"), "", Fault::Outage);
    }

    #[test]
    fn probes_are_spread_and_failures_are_looked_at_again_soon() {
        let hour = 3_600_000;
        let mut firsts = Vec::new();
        for n in 0..50u8 {
            let key = Digest::of(&[n]);
            let first = due(&key, hour, None, Timestamp(1_000));
            assert!((1_000..=1_000 + RETRY_MS).contains(&first.0), "{first:?}");
            firsts.push(first);
            let good = Probed::then(None, probe(0, None));
            let next = due(&key, hour, Some(&good), Timestamp(0)).0;
            assert!((hour - hour / 10..=hour).contains(&next), "{next}");
            let bad = Probed::then(None, probe(0, Some(Fault::Outage)));
            assert!(due(&key, hour, Some(&bad), Timestamp(0)).0 <= RETRY_MS);
            assert!(due(&key, 1_000, Some(&bad), Timestamp(0)).0 <= 1_000, "never slower than the schedule");
        }
        firsts.sort_unstable();
        firsts.dedup();
        assert!(firsts.len() > 45, "{firsts:?}");
    }

    #[test]
    fn releases_that_would_ask_the_same_share_a_key() {
        let pin = |snapshot: &str, params: serde_json::Value| ModelPin {
            provider: "p".parse().unwrap(),
            snapshot: snapshot.to_owned(),
            params: serde_json::from_value(params).unwrap(),
            weights: None,
            fallbacks: Vec::new(),
            lossy: std::collections::BTreeSet::new(),
        };
        let one = pin("m", json!({ "temperature": 0.2 }));
        assert_eq!(key(&one).unwrap(), key(&one.clone()).unwrap());
        assert_ne!(key(&one).unwrap(), key(&pin("m", json!({}))).unwrap());
        assert_ne!(key(&one).unwrap(), key(&pin("n", json!({ "temperature": 0.2 }))).unwrap());
    }
}
