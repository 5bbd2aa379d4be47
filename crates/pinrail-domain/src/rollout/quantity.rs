//! Quantities as people write them in a rollout's settings: shares, spans of time, money, margins.
//!
//! Each reads a number or a text with its unit, and is written as the text, so that a file and the ledger agree.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::share::Share;

/// A share of traffic: `5`, `0.5` or `"5%"`, always a percentage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub Share);

/// A length of time: `"90s"`, `"15m"`, `"24h"`, `"7d"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub ms: u64,
}

/// An amount in US dollars: `2`, `0.5` or `"2.50"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd {
    pub nano: u64,
}

/// How much worse is tolerable: `0.01` or `"1%"`.
///
/// Of a rate or a score it is an absolute difference (`"1%"` is one percentage point), of a quantile a relative
/// one (`"20%"` is a fifth more).
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Margin(pub f64);

/// A text or number that is no such quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct Unreadable(pub &'static str);

const SPAN: &str = "a length of time such as \"90s\", \"15m\", \"24h\" or \"7d\", at most a year";
const USD: &str = "an amount in US dollars such as 2 or \"2.50\"";
const MARGIN: &str = "a margin such as 0.01 or \"1%\", more than 0 and at most 10";
const PERCENT: &str = "a percentage such as 5, 0.5 or \"5%\", with at most two decimals";

/// A rollout that takes longer is no rollout.
const SPAN_MS_MAX: u64 = 366 * 86_400_000;
/// More than any experiment's budget; keeps sums far from overflow.
const USD_MAX: f64 = 1_000_000.0;
/// Ten times as slow, or ten times as dear, is a margin that nobody means.
const MARGIN_MAX: f64 = 10.0;

impl Span {
    #[must_use]
    pub const fn hours(hours: u64) -> Span {
        Span { ms: hours * 3_600_000 }
    }

    #[must_use]
    pub const fn minutes(minutes: u64) -> Span {
        Span { ms: minutes * 60_000 }
    }
}

impl FromStr for Span {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Span, Unreadable> {
        let text = text.trim();
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or(Unreadable(SPAN))?;
        let (number, unit) = text.split_at(unit_at);
        let unit_ms = match unit.trim() {
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(Unreadable(SPAN)),
        };
        let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
        ms.filter(|ms| *ms <= SPAN_MS_MAX).map(|ms| Span { ms }).ok_or(Unreadable(SPAN))
    }
}

impl fmt::Display for Span {
    /// The largest unit that says it without a remainder.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.ms / 1_000;
        let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
        let whole = units.into_iter().find(|(size, _)| seconds > 0 && seconds.is_multiple_of(*size));
        let (size, unit) = whole.unwrap_or((1, "s"));
        write!(f, "{}{unit}", seconds / size)
    }
}

impl Usd {
    fn of(dollars: f64) -> Result<Usd, Unreadable> {
        if !(0.0..=USD_MAX).contains(&dollars) {
            return Err(Unreadable(USD));
        }
        // Within the bound this is exact to the nano-dollar, and neither negative nor too large.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded just above")]
        let nano = (dollars * 1e9).round() as u64;
        Ok(Usd { nano })
    }
}

impl FromStr for Usd {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Usd, Unreadable> {
        let number = text.trim().trim_start_matches('$').trim_end_matches("USD").trim();
        number.parse().map_err(|_| Unreadable(USD)).and_then(Usd::of)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, nano) = (self.nano / 1_000_000_000, self.nano % 1_000_000_000);
        let decimals = format!("{nano:09}");
        let kept = decimals.trim_end_matches('0').len().max(2);
        write!(f, "{whole}.{}", &decimals[..kept])
    }
}

impl Margin {
    fn of(number: f64) -> Result<Margin, Unreadable> {
        if number > 0.0 && number <= MARGIN_MAX { Ok(Margin(number)) } else { Err(Unreadable(MARGIN)) }
    }
}

impl FromStr for Margin {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Margin, Unreadable> {
        let text = text.trim();
        let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number.trim(), 100.0));
        let number: f64 = number.parse().map_err(|_| Unreadable(MARGIN))?;
        Margin::of(number / scale)
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Four decimals of a percent are finer than any margin that can be proven.
        let text = format!("{:.4}", self.0 * 100.0);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl FromStr for Percent {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Percent, Unreadable> {
        text.parse().map(Percent).map_err(|_| Unreadable(PERCENT))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number or a text, as TOML and JSON give them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written<'a> {
    Number(f64),
    #[serde(borrow)]
    Text(Cow<'a, str>),
}

impl Written<'_> {
    fn read<T: FromStr<Err = Unreadable>, E: serde::de::Error>(
        &self,
        number: impl Fn(f64) -> Result<T, Unreadable>,
    ) -> Result<T, E> {
        let read = match self {
            Written::Number(value) => number(*value),
            Written::Text(text) => text.parse(),
        };
        read.map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Percent, D::Error> {
        Written::deserialize(deserializer)?.read(|number| number.to_string().parse())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        Written::deserialize(deserializer)?.read(|_| Err(Unreadable(SPAN)))
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Usd, D::Error> {
        Written::deserialize(deserializer)?.read(Usd::of)
    }
}

impl<'de> Deserialize<'de> for Margin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Margin, D::Error> {
        Written::deserialize(deserializer)?.read(Margin::of)
    }
}

macro_rules! written_as_text {
    ($($quantity:ty),*) => {$(
        impl Serialize for $quantity {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

written_as_text!(Percent, Span, Usd, Margin);

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn check<T: DeserializeOwned + Serialize + PartialEq + Debug>(written: Value, expected: Option<&str>) {
        let read = serde_json::from_value::<T>(written.clone()).ok();
        let text = read.as_ref().map(|read| serde_json::to_value(read).unwrap());
        assert_eq!(text, expected.map(|text| json!(text)), "{written}");
        if let Some(text) = text {
            assert_eq!(serde_json::from_value::<T>(text).ok(), read, "{written} there and back");
        }
    }

    #[test]
    fn quantities_read_as_people_write_them() {
        check::<Percent>(json!(5), Some("5%"));
        check::<Percent>(json!(0.25), Some("0.25%"));
        check::<Percent>(json!("50 %"), Some("50%"));
        check::<Percent>(json!(101), None);
        check::<Percent>(json!(-1), None);
        check::<Span>(json!("90s"), Some("90s"));
        check::<Span>(json!("120s"), Some("2m"));
        check::<Span>(json!("48h"), Some("2d"));
        check::<Span>(json!("0s"), Some("0s"));
        check::<Span>(json!(90), None);
        check::<Span>(json!("h"), None);
        check::<Span>(json!("1 fortnight"), None);
        check::<Span>(json!("9999999d"), None);
        check::<Usd>(json!(2), Some("2.00"));
        check::<Usd>(json!("$0.125"), Some("0.125"));
        check::<Usd>(json!("3 USD"), Some("3.00"));
        check::<Usd>(json!(-1), None);
        check::<Margin>(json!(0.01), Some("1%"));
        check::<Margin>(json!("0.5%"), Some("0.5%"));
        check::<Margin>(json!("20%"), Some("20%"));
        check::<Margin>(json!(0), None);
        check::<Margin>(json!("nan"), None);
    }
}
