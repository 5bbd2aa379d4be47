//! How much rigour an agent needs, and what each tier demands: one table, [`Tier::demands`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::gate::SuiteKind;
use crate::model::Identity;
use crate::rollout::quantity::Span;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
            },
            Tier::Standard => Demands {
                floating_models: No,
                unknown_models: Yes,
                stamp: StampDurability::Soon,
                gate: &[],
                gate_max_age: Span::hours(30 * 24),
                override_needs_second: false,
                warm: 2,
            },
            Tier::Critical => Demands {
                floating_models: No,
                unknown_models: WithOverride,
                stamp: StampDurability::BeforeCall,
                gate: &SuiteKind::ALL,
                gate_max_age: Span::hours(7 * 24),
                override_needs_second: true,
                warm: 3,
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
