//! What tokens cost, in whole billionths of a dollar: money is never a float.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// The dearest price that a file may state, in USD per million tokens: past it, a slip of units is sure.
const USD_PER_MILLION_MAX: f64 = 1_000_000.0;

/// Billionths of a US dollar. Stored: never change the unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(pub u64);

/// How many tokens a call used. `input` is all of them that went in, the cached ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    pub input: u64,
    /// How many of `input` the provider read from its cache; more than `input` counts as `input`.
    pub cached_input: u64,
    pub output: u64,
}

/// What a model's tokens cost, in millionths of a dollar per million tokens (10⁻¹² USD per token).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    input: u64,
    cached_input: u64,
    output: u64,
}

impl NanoUsd {
    /// The sum; at the end of the range it stays there.
    #[must_use]
    pub fn saturating_add(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.saturating_add(other.0))
    }
}

impl std::fmt::Display for NanoUsd {
    /// Dollars with as many decimals as needed, at least two: `$0.000123`, `$1.50`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nanos = format!("{:09}", self.0 % 1_000_000_000);
        let decimals = nanos.trim_end_matches('0').len().max(2);
        write!(f, "${}.{}", self.0 / 1_000_000_000, &nanos[..decimals])
    }
}

impl Price {
    /// A price in USD per token; none where it is finer than a millionth of a dollar per million tokens, or no price at all.
    pub(super) fn per_token(input: f64, cached_input: Option<f64>, output: f64) -> Option<Price> {
        // Lists write such prices as decimals: per million tokens they are whole again but for the last binary digits.
        let per_million = |usd: f64| micros("", (usd * 1e12).round() / 1e6).ok();
        Some(Price {
            input: per_million(input)?,
            cached_input: per_million(cached_input.unwrap_or(input))?,
            output: per_million(output)?,
        })
    }

    /// As the catalogue's file has it.
    pub(super) fn to_toml(self) -> String {
        let usd = |micros: u64| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        let Price { input, cached_input, output } = self;
        format!(
            "{{ input = {}, cached_input = {}, output = {} }}",
            usd(input),
            usd(cached_input),
            usd(output)
        )
    }

    /// What `tokens` cost, rounded to the nearest billionth of a dollar, halves up; saturates.
    #[must_use]
    pub fn cost(&self, tokens: Tokens) -> NanoUsd {
        let cached = tokens.cached_input.min(tokens.input);
        let part = |count: u64, price: u64| u128::from(count) * u128::from(price);
        let pico = part(tokens.input - cached, self.input)
            .saturating_add(part(cached, self.cached_input))
            .saturating_add(part(tokens.output, self.output));
        NanoUsd(u64::try_from(pico.saturating_add(500) / 1_000).unwrap_or(u64::MAX))
    }
}

impl std::fmt::Display for Price {
    /// In USD per million tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let usd = |micros: u64| NanoUsd(micros.saturating_mul(1_000));
        let Price { input, cached_input, output } = self;
        write!(f, "{} in, {} from cache, {} out", usd(*input), usd(*cached_input), usd(*output))
    }
}

impl<'de> Deserialize<'de> for Price {
    /// Reads `{ input, cached_input, output }` in USD per million tokens; without `cached_input`, cached
    /// tokens cost as much as others.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            input: f64,
            cached_input: Option<f64>,
            output: f64,
        }
        let raw = Raw::deserialize(deserializer)?;
        let read = |key, usd| micros(key, usd).map_err(D::Error::custom);
        Ok(Price {
            input: read("input", raw.input)?,
            cached_input: read("cached_input", raw.cached_input.unwrap_or(raw.input))?,
            output: read("output", raw.output)?,
        })
    }
}

/// Millionths of a dollar, exactly.
fn micros(key: &str, usd: f64) -> Result<u64, String> {
    if !(0.0..=USD_PER_MILLION_MAX).contains(&usd) {
        return Err(format!("price `{key}` is {usd}; it must lie between 0 and {USD_PER_MILLION_MAX} USD"));
    }
    let scaled = (usd * 1e6).round();
    if (scaled - usd * 1e6).abs() > 1e-3 {
        return Err(format!("price `{key}` is {usd}, finer than a millionth of a dollar"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: whole, 0 to 10¹²")]
    Ok(scaled as u64)
}
