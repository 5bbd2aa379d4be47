//! A rollout as an agent's settings describe it: steps and guardrails, everything optional.
//!
//! What is left out is filled in by [`super::defaults`], so that a deployment's plan is whole and frozen when it is
//! opened: settings that change later never change a rollout under way.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::quantity::{Margin, Percent, Span, Usd};
use crate::dial::Position;
use crate::id::SegmentName;
use crate::stats::Better;

/// How an agent's candidates are proven. Stored: never rename a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutSpec {
    /// In order; none: the tier's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepSpec>>,
    /// None: the tier's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<Vec<GuardrailSpec>>,
    /// The chance of taking back a candidate that is no worse, over all guardrails and looks together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
}

/// One step. Stored: never rename.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepSpec {
    /// Waits for passing verdicts on its agents' suites.
    Gate,
    Shadow(ShadowSpec),
    Canary(CanarySpec),
    Pause(PauseSpec),
    Approve(ApproveSpec),
}

/// The candidate answers copies of live requests; nobody is served by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowSpec {
    pub percent: Percent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_runs: Option<u64>,
    /// How far answers may differ on average: 0 is the same, 1 has nothing in common. None: it is only measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_divergence: Option<f64>,
    /// What the candidate's answers may cost in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Usd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
}

/// The candidate serves a share of traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanarySpec {
    pub percent: Percent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_runs: Option<u64>,
    /// Only in these segments (which the deployment's own segment serves); none: everywhere it serves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<SegmentName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// How many times the guardrails' margins are proof enough to leave this step; small shares can't prove more, and
    /// harm little.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<f64>,
}

/// Waits: for a time, or until somebody resumes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseSpec {
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub length: Option<Span>,
}

/// Waits for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproveSpec {
    /// The names of keys whose holders may approve; each of them must. None: one approval of anybody who may deploy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
}

/// A metric that is watched, and what happens when it shows the candidate worse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardrailSpec {
    pub metric: Metric,
    /// To tell two guardrails on one metric apart; none: the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which way is good; none: what is usual for the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Better>,
    /// Of what has a distribution: which quantile is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// The chance of a false alarm of this guardrail over all looks; none: an even part of the rollout's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    #[serde(default)]
    pub on_breach: OnBreach,
    /// Units in each arm before it says anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_samples: Option<u64>,
    /// Where the metric `prometheus` comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,
}

/// Two queries that count, per arm: `$deployment`, `$release`, `$agent` and `$since` are filled in, the last with the
/// seconds since the current step was entered or resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prometheus {
    /// The server, such as `http://127.0.0.1:9090`.
    pub url: String,
    /// How many bad things happened since then.
    pub bad: String,
    /// Of how many in all.
    pub total: String,
    /// The environment variable with the bearer token; none: no token is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
}

/// What a breach does. Stored: never rename.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBreach {
    #[default]
    Rollback,
    /// Stop and ask.
    Freeze,
    /// The same, and turn the dial down to there wherever the candidate serves.
    Dial(Position),
}

/// What is watched. Stored as its name: never rename.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Runs that failed, other than by the client's doing.
    ErrorRate,
    RefusalRate,
    /// Answers with nothing in them, or cut at the token limit or by the provider.
    EmptyRate,
    /// Runs with a tool call that failed.
    ToolErrorRate,
    /// Runs in which the model called a tool that the release doesn't have.
    UnknownToolRate,
    /// Runs that something else answered than the pin.
    DriftRate,
    /// From a request's arrival to the answer's first byte.
    FirstByte,
    /// From a request's arrival to the answer's last byte.
    Latency,
    InputTokens,
    OutputTokens,
    Cost,
    /// A score that callers report, from 0 to 1.
    Score(String),
    Prometheus,
}

/// How a metric is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The share of units to which it happened.
    Rate,
    /// The mean of a value from 0 to 1.
    Mean,
    /// A quantile of a positive value.
    Quantile,
}

/// A text that names no metric.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no metric `{0}`; they are {list} and score:NAME", list = Metric::names())]
pub struct NoSuchMetric(pub String);

/// Names of scores are identifiers, not sentences.
pub const SCORE_NAME_BYTES_MAX: usize = 64;

impl Metric {
    /// Every metric with a fixed name.
    pub const NAMED: [(&'static str, Metric); 12] = [
        ("error_rate", Metric::ErrorRate),
        ("refusal_rate", Metric::RefusalRate),
        ("empty_rate", Metric::EmptyRate),
        ("tool_error_rate", Metric::ToolErrorRate),
        ("unknown_tool_rate", Metric::UnknownToolRate),
        ("drift_rate", Metric::DriftRate),
        ("first_byte", Metric::FirstByte),
        ("latency", Metric::Latency),
        ("input_tokens", Metric::InputTokens),
        ("output_tokens", Metric::OutputTokens),
        ("cost", Metric::Cost),
        ("prometheus", Metric::Prometheus),
    ];

    #[must_use]
    pub fn measure(&self) -> Measure {
        match self {
            Metric::ErrorRate
            | Metric::RefusalRate
            | Metric::EmptyRate
            | Metric::ToolErrorRate
            | Metric::UnknownToolRate
            | Metric::DriftRate
            | Metric::Prometheus => Measure::Rate,
            Metric::FirstByte
            | Metric::Latency
            | Metric::InputTokens
            | Metric::OutputTokens
            | Metric::Cost => Measure::Quantile,
            Metric::Score(_) => Measure::Mean,
        }
    }

    /// What its values are counted in, for people.
    #[must_use]
    pub fn unit(&self) -> Unit {
        match self {
            Metric::FirstByte | Metric::Latency => Unit::Milliseconds,
            Metric::InputTokens | Metric::OutputTokens => Unit::Tokens,
            Metric::Cost => Unit::Usd,
            Metric::Score(_) => Unit::Score,
            Metric::ErrorRate
            | Metric::RefusalRate
            | Metric::EmptyRate
            | Metric::ToolErrorRate
            | Metric::UnknownToolRate
            | Metric::DriftRate
            | Metric::Prometheus => Unit::Share,
        }
    }

    fn names() -> String {
        Metric::NAMED.map(|(name, _)| name).join(", ")
    }
}

/// What a metric's values are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Share,
    Score,
    Milliseconds,
    Tokens,
    Usd,
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Metric::Score(name) = self {
            return write!(f, "score:{name}");
        }
        let named = Metric::NAMED.iter().find(|(_, metric)| metric == self);
        f.write_str(named.expect("every metric but scores has a fixed name").0)
    }
}

impl FromStr for Metric {
    type Err = NoSuchMetric;

    fn from_str(text: &str) -> Result<Metric, NoSuchMetric> {
        if let Some(name) = text.strip_prefix("score:") {
            return if is_score_name(name) {
                Ok(Metric::Score(name.to_owned()))
            } else {
                Err(NoSuchMetric(text.to_owned()))
            };
        }
        let named = Metric::NAMED.into_iter().find(|(name, _)| *name == text);
        named.map(|(_, metric)| metric).ok_or_else(|| NoSuchMetric(text.to_owned()))
    }
}

/// Whether a score may be called so: letters, digits, `_`, `-` and `.`.
#[must_use]
pub fn is_score_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !name.is_empty() && name.len() <= SCORE_NAME_BYTES_MAX && name.bytes().all(fits)
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Metric, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
