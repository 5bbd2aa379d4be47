//! Whether an attempt is made again, and after how long.
//!
//! Only while no byte has reached the client, and at most as often as the provider's settings say. Made again:
//! what found no connection, what ended or stood still before its answer was whole or its stream had begun, and
//! the statuses 408, 409 (the provider's lock was taken), 429 and 5xx other than 501. `x-should-retry`, where the
//! provider sends it, overrides the status. A quota that is used up doesn't refill by asking.
//!
//! The wait is what `retry-after-ms` or `retry-after` says, in seconds or as a date. Longer than the limit, it isn't
//! waited out: the error goes to the client, who may plan with it. Without the header the wait doubles from
//! [`BACKOFF_FIRST`], less up to a half that is derived from the run's id, so that the runs of a crowd spread and each
//! can be replayed. Over all calls, a provider's retries are bounded by its budget (`budget`).
//!
//! [`elsewhere_may_help`] says whether another endpoint may do better with the same request: it may with whatever was
//! the endpoint's trouble, its quota and its key; never where the request itself was refused.

use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};
use pinrail_domain::id::RunId;
use pinrail_domain::time::Timestamp;
use pinrail_wire::ProviderError;

use crate::failure::SHOULD_RETRY;

/// The wait after the first attempt, before jitter.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// The longest wait that we choose ourselves.
pub const BACKOFF_MAX: Duration = Duration::from_secs(4);

/// Whether an error answer is worth another attempt.
pub fn may_help(status: StatusCode, headers: &HeaderMap, error: Option<&ProviderError>) -> bool {
    match headers.get(SHOULD_RETRY).map(|value| value.as_bytes()) {
        Some(b"true") => return true,
        Some(b"false") => return false,
        Some(_) | None => {}
    }
    let used_up = error.is_some_and(|error| {
        [&error.code, &error.kind].into_iter().flatten().any(|text| text == "insufficient_quota")
    });
    match status.as_u16() {
        408 | 409 => true,
        429 => !used_up,
        501 => false,
        code => code >= 500,
    }
}

/// Whether another endpoint may answer what this one answered with an error.
pub fn elsewhere_may_help(status: StatusCode) -> bool {
    match status.as_u16() {
        // The key, or what it may spend.
        401..=403 => true,
        408 | 409 | 429 => true,
        501 => false,
        code => code >= 500,
    }
}

/// Whether a status says that the endpoint is in trouble, which is more than that it refuses or has enough to do.
pub fn is_trouble(status: StatusCode) -> bool {
    status.as_u16() >= 500 && status != StatusCode::NOT_IMPLEMENTED
}

/// How long to wait before attempt `attempt + 1`; none when the provider asks for longer than `longest`.
pub fn wait(
    asked: Option<Duration>,
    run: RunId,
    call: u32,
    attempt: u32,
    longest: Duration,
) -> Option<Duration> {
    match asked {
        Some(asked) => (asked <= longest).then_some(asked),
        None => Some(backoff(run, call, attempt)),
    }
}

/// How long an answer asks to be left alone.
pub fn asked(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim());
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    let ms = number("retry-after-ms").map(|ms| ms / 1_000.0);
    let seconds = ms.or_else(|| number(RETRY_AFTER.as_str()));
    if let Some(seconds) = seconds {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(text(RETRY_AFTER.as_str())?).ok()?;
    let at = date.duration_since(UNIX_EPOCH).ok()?;
    // A date that has passed asks for nothing more.
    Some(at.saturating_sub(Duration::from_millis(now.0)))
}

fn backoff(run: RunId, call: u32, attempt: u32) -> Duration {
    let whole = BACKOFF_FIRST.saturating_mul(1 << (attempt - 1).min(16)).min(BACKOFF_MAX);
    let seed = (run.0 ^ (run.0 >> 64)) as u64 ^ (u64::from(call) << 32) ^ u64::from(attempt);
    let share = u32::try_from(mix(seed) >> 54).expect("10 bits");
    whole - whole / 2 * share / 1_024
}

/// The finaliser of SplitMix64: every bit of the seed moves every bit of the result.
pub fn mix(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn some_errors_pass_and_some_stay() {
        let check = |status: u16, list: &[(&'static str, &'static str)], code: Option<&str>, want: bool| {
            let error = code.map(|code| ProviderError {
                message: String::new(),
                kind: None,
                code: Some(code.into()),
            });
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(may_help(status, &headers(list), error.as_ref()), want, "{status} {list:?} {code:?}");
        };
        for status in [408, 409, 429, 500, 502, 503, 504, 529] {
            check(status, &[], None, true);
        }
        for status in [400, 401, 403, 404, 413, 422, 501] {
            check(status, &[], None, false);
        }
        check(429, &[], Some("insufficient_quota"), false);
        check(503, &[("x-should-retry", "false")], None, false);
        check(400, &[("x-should-retry", "true")], None, true);
    }

    #[test]
    fn waits_follow_the_provider_or_grow() {
        let run = RunId::from_parts(1, 7);
        let longest = Duration::from_secs(5);
        let check = |list: &[(&'static str, &'static str)], want: Option<u64>| {
            // 2015-10-21T07:28:00Z
            let now = Timestamp(1_445_412_480_000);
            let got = wait(asked(&headers(list), now), run, 1, 1, longest);
            assert_eq!(got, want.map(Duration::from_millis), "{list:?}");
        };
        check(&[("retry-after", "2")], Some(2_000));
        check(&[("retry-after", "5")], Some(5_000));
        check(&[("retry-after", "6")], None);
        check(&[("retry-after", "2"), ("retry-after-ms", "20")], Some(20));
        check(&[("retry-after", "Wed, 21 Oct 2015 07:28:03 GMT")], Some(3_000));
        check(&[("retry-after", "Wed, 21 Oct 2015 07:20:00 GMT")], Some(0));
        check(&[("retry-after", "Wed, 21 Oct 2015 08:28:03 GMT")], None);
        for attempt in 1..=40 {
            let got = wait(None, run, 1, attempt, longest).unwrap();
            let whole = BACKOFF_FIRST.saturating_mul(1 << (attempt - 1).min(16)).min(BACKOFF_MAX);
            assert!(whole / 2 < got && got <= whole, "{attempt} {got:?}");
            let soon = asked(&headers(&[("retry-after", "soon")]), Timestamp(0));
            assert_eq!(Some(got), wait(soon, run, 1, attempt, longest));
        }
        assert_ne!(backoff(run, 1, 3), backoff(RunId::from_parts(1, 8), 1, 3));
    }
}
