//! How much rigour an agent needs, and what each tier demands: one table, [`Tier::demands`].
//!
//! Nothing else in the code looks at a tier by its name. docs/tiers.md shows the table as [`table()`] writes it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::drift::DriftAction;
use crate::gate::SuiteKind;
use crate::model::Identity;
use crate::rollout::quantity::Span;
use crate::rollout::spec::Metric;

mod table;

pub use table::{kinds, table};

/// How much rigour an agent needs. Stored: never rename.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    Throwaway,
    #[default]
    Standard,
    Critical,
}

/// What a tier demands of an agent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demands {
    pub floating_models: Allowed,
    pub unknown_models: Allowed,
    /// When a run's stamp must be on disk.
    pub stamp: StampDurability,
    /// The kinds of suites that a promotion needs a passing gate of (I14).
    pub gate: &'static [SuiteKind],
    /// How long a verdict counts.
    pub gate_max_age: Span,
    /// Whether only two keys together may do without a gate, and a gate counts only where the provider says what answered.
    pub override_needs_second: bool,
    /// How many releases before the active one are kept callable, and probed.
    pub warm: u32,
    /// How candidates are proven where the agent's settings say nothing.
    pub rollout: Proof,
    /// What is watched of a candidate where the settings say nothing.
    pub guardrails: &'static [Watched],
    /// What happens when something that is pinned has drifted, where the settings say nothing.
    pub on_drift: DriftAction,
}

/// The steps of a tier's own rollout, in their order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proof {
    /// Whether it begins with the gate.
    pub gate: bool,
    /// The share of live requests that the candidate answers copies of first, in basis points, and for how many runs.
    pub shadow: Option<(u64, u64)>,
    /// Whether the segment `internal`, where the agent has one, gets the candidate before the others.
    pub internal: bool,
    pub canaries: &'static [Canary],
    /// Whether a person has the last word.
    pub approve: bool,
}

/// A canary step of a tier's own rollout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Canary {
    /// The candidate's share, in basis points.
    pub bps: u64,
    /// Runs that it lasts at least.
    pub min_runs: u64,
    /// How much wider than their margins the guardrails' bounds may be.
    pub slack: f64,
}

/// A guardrail of a tier's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    pub metric: Metric,
    pub quantile: Option<f64>,
    /// How much worse than the incumbent is tolerable.
    pub margin: f64,
}

/// Whether something is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    Yes,
    /// Only with an explicit override that the ledger records.
    WithOverride,
    No,
}

/// When a run's stamp reaches the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampDurability {
    /// Before the provider is called.
    BeforeCall,
    /// Within a bounded delay, while the call is under way.
    Soon,
}

/// The shares that `standard` and `critical` go through.
const WIDENING: [Canary; 3] = [canary(500, 100, 5.0), canary(2_500, 200, 2.0), canary(5_000, 400, 1.0)];

const fn canary(bps: u64, min_runs: u64, slack: f64) -> Canary {
    Canary { bps, min_runs, slack }
}

const fn rate(metric: Metric, margin: f64) -> Watched {
    Watched { metric, quantile: None, margin }
}

/// The median of the time until an answer is whole.
const LATENCY: Watched = Watched { metric: Metric::Latency, quantile: Some(0.5), margin: 0.3 };

/// The rates that are watched, each with this margin.
const fn rates(margin: f64) -> [Watched; 7] {
    [
        rate(Metric::ErrorRate, margin),
        rate(Metric::RefusalRate, margin),
        rate(Metric::EmptyRate, margin),
        rate(Metric::ToolErrorRate, margin),
        rate(Metric::UnknownToolRate, margin),
        rate(Metric::DriftRate, margin),
        LATENCY,
    ]
}

/// Why a tier refuses a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct ModelRefused {
    pub tier: Tier,
    pub snapshot: String,
    pub identity: Identity,
    /// Whether an override would let it through.
    pub can_override: bool,
}

impl Tier {
    pub const ALL: [Tier; 3] = [Tier::Throwaway, Tier::Standard, Tier::Critical];

    /// The one table of what each tier demands.
    #[must_use]
    pub fn demands(self) -> Demands {
        use Allowed::{No, WithOverride, Yes};
        match self {
            Tier::Throwaway => Demands {
                floating_models: Yes,
                unknown_models: Yes,
                stamp: StampDurability::Soon,
                gate: &[],
                gate_max_age: Span::hours(30 * 24),
                override_needs_second: false,
                warm: 1,
                rollout: Proof {
                    gate: false,
                    shadow: None,
                    internal: false,
                    canaries: const { &[canary(5_000, 20, 10.0)] },
                    approve: false,
                },
                guardrails: const { &[rate(Metric::ErrorRate, 0.05)] },
                on_drift: DriftAction::Alert,
            },
            Tier::Standard => Demands {
                floating_models: No,
                unknown_models: Yes,
                stamp: StampDurability::Soon,
                gate: &[],
                gate_max_age: Span::hours(30 * 24),
                override_needs_second: false,
                warm: 2,
                rollout: Proof {
                    gate: false,
                    shadow: None,
                    internal: true,
                    canaries: &WIDENING,
                    approve: false,
                },
                guardrails: const { &rates(0.02) },
                on_drift: DriftAction::Alert,
            },
            Tier::Critical => Demands {
                floating_models: No,
                unknown_models: WithOverride,
                stamp: StampDurability::BeforeCall,
                gate: &SuiteKind::ALL,
                gate_max_age: Span::hours(7 * 24),
                override_needs_second: true,
                warm: 3,
                rollout: Proof {
                    gate: true,
                    shadow: Some((1_000, 100)),
                    internal: true,
                    canaries: const { &[canary(100, 50, 10.0), WIDENING[0], WIDENING[1], WIDENING[2]] },
                    approve: true,
                },
                guardrails: const { &rates(0.01) },
                on_drift: DriftAction::Freeze,
            },
        }
    }

    /// Lets a model in, or says why not. `overridden` is the caller's explicit override.
    pub fn admit(self, snapshot: &str, identity: &Identity, overridden: bool) -> Result<(), ModelRefused> {
        let demands = self.demands();
        let allowed = match identity {
            Identity::Pinned { .. } => Allowed::Yes,
            Identity::Floating { .. } => demands.floating_models,
            Identity::Unknown { .. } => demands.unknown_models,
        };
        let can_override = match allowed {
            Allowed::Yes => return Ok(()),
            Allowed::WithOverride if overridden => return Ok(()),
            Allowed::WithOverride => true,
            Allowed::No => false,
        };
        Err(ModelRefused {
            tier: self,
            snapshot: snapshot.to_owned(),
            identity: identity.clone(),
            can_override,
        })
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tier::Throwaway => "throwaway",
            Tier::Standard => "standard",
            Tier::Critical => "critical",
        })
    }
}

impl ModelRefused {
    fn describe(&self) -> String {
        let (answer, why, pins) = match &self.identity {
            Identity::Pinned { why } => ("pinned", why, &[][..]),
            Identity::Floating { why, pins } => ("floating", why, &pins[..]),
            Identity::Unknown { why, pins } => ("unknown", why, &pins[..]),
        };
        let mut text = format!("tier {} refuses model `{}`: {answer}, {why}", self.tier, self.snapshot);
        if !pins.is_empty() {
            text.push_str("; pinned ids you may have meant: ");
            text.push_str(&pins.join(", "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_refuse_what_the_table_says() {
        let pinned = Identity::Pinned { why: "dated".into() };
        let floating = Identity::Floating { why: "an alias".into(), pins: vec!["m-2026-01-01".into()] };
        let unknown = Identity::Unknown { why: "no dated sibling".into(), pins: vec![] };
        let check = |tier: Tier, identity: &Identity, overridden, expected: bool| {
            assert_eq!(
                tier.admit("m", identity, overridden).is_ok(),
                expected,
                "{tier} {identity:?} {overridden}"
            );
        };
        for tier in [Tier::Throwaway, Tier::Standard, Tier::Critical] {
            check(tier, &pinned, false, true);
        }
        check(Tier::Throwaway, &floating, false, true);
        check(Tier::Throwaway, &unknown, false, true);
        check(Tier::Standard, &floating, false, false);
        check(Tier::Standard, &floating, true, false);
        check(Tier::Standard, &unknown, false, true);
        check(Tier::Critical, &floating, true, false);
        check(Tier::Critical, &unknown, false, false);
        check(Tier::Critical, &unknown, true, true);

        let refusal = Tier::Standard.admit("m", &floating, false).unwrap_err().to_string();
        assert_eq!(
            refusal,
            "tier standard refuses model `m`: floating, an alias; pinned ids you may have meant: m-2026-01-01"
        );
    }
}
