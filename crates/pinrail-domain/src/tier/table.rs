//! The table of what each tier demands, as docs/tiers.md shows it.

use super::{Allowed, Canary, Demands, Proof, StampDurability, Tier, Watched};
use crate::drift::DriftAction;
use crate::rollout::spec::Measure;

/// What a row says of a tier.
type Cell = fn(&Demands) -> String;

/// The rows, each with what it says.
const ROWS: [(&str, Cell); 12] = [
    ("a floating model", |demands| demands.floating_models.words().to_owned()),
    ("an unknown model", |demands| demands.unknown_models.words().to_owned()),
    ("a run's stamp is on disk", |demands| demands.stamp.words().to_owned()),
    ("while the store is away", |demands| demands.stamp.while_away().to_owned()),
    ("suites that a promotion must pass", |demands| kinds(demands)),
    ("a verdict counts", |demands| demands.gate_max_age.to_string()),
    ("an override of the gate takes", |demands| keys(demands).to_owned()),
    ("a rollout's steps, unless the agent has its own", |demands| demands.rollout.words()),
    ("rates that are watched, unless the agent has its own", rates),
    ("latency that is watched, unless the agent has its own", latency),
    ("releases before the active one that are kept callable", |demands| demands.warm.to_string()),
    ("when something drifted, unless the agent has its own", |demands| demands.on_drift.words()),
];

/// The table in Markdown.
#[must_use]
pub fn table() -> String {
    let names = Tier::ALL.map(|tier| format!("`{tier}`")).join(" | ");
    let mut text = format!("| what | {names} |\n|---|---|---|---|\n");
    for (what, cell) in ROWS {
        let cells = Tier::ALL.map(|tier| cell(&tier.demands())).join(" | ");
        text.push_str(&format!("| {what} | {cells} |\n"));
    }
    text
}

impl Allowed {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Allowed::Yes => "allowed",
            Allowed::WithOverride => "with a reason, which the ledger keeps",
            Allowed::No => "refused",
        }
    }
}

impl StampDurability {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            StampDurability::BeforeCall => "before the provider is called",
            StampDurability::Soon => "soon after",
        }
    }

    /// What becomes of new runs while the store can't be written.
    #[must_use]
    pub fn while_away(self) -> &'static str {
        match self {
            StampDurability::BeforeCall => "new runs are refused",
            StampDurability::Soon => "new runs are served; their stamps wait in the queue",
        }
    }
}

impl Proof {
    /// The steps in words, in their order.
    #[must_use]
    pub fn words(&self) -> String {
        let Proof { gate, shadow, internal, canaries, approve } = self;
        let mut steps = Vec::new();
        if *gate {
            steps.push("gate".to_owned());
        }
        steps.extend(shadow.map(|(bps, _)| format!("shadow {}", percent(bps))));
        if *internal {
            steps.push("half of `internal`".to_owned());
        }
        steps.extend(canaries.iter().map(|Canary { bps, .. }| percent(*bps)));
        if *approve {
            steps.push("a person's approval".to_owned());
        }
        steps.join(", ")
    }
}

impl DriftAction {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            DriftAction::Alert => "people are told".to_owned(),
            DriftAction::Freeze => "and its rollouts stop".to_owned(),
            DriftAction::Dial(position) => format!("and its dial is turned to {position}"),
        }
    }
}

/// The kinds of suites, in words.
#[must_use]
pub fn kinds(demands: &Demands) -> String {
    let kinds: Vec<&str> = demands.gate.iter().map(|kind| kind.as_str()).collect();
    if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
}

fn keys(demands: &Demands) -> &'static str {
    if demands.override_needs_second { "two keys" } else { "one key" }
}

fn rates(demands: &Demands) -> String {
    let rates = demands.guardrails.iter().filter(|watched| watched.metric.measure() == Measure::Rate);
    let written: Vec<String> =
        rates.map(|Watched { metric, margin, .. }| format!("{metric} +{}", share(*margin))).collect();
    written.join(", ")
}

fn latency(demands: &Demands) -> String {
    let others = demands.guardrails.iter().filter(|watched| watched.metric.measure() != Measure::Rate);
    let written: Vec<String> = others
        .map(|Watched { metric, quantile, margin }| {
            let quantile = quantile.map(|of| format!(" p{:.0}", of * 100.0)).unwrap_or_default();
            format!("{metric}{quantile} +{}", share(*margin))
        })
        .collect();
    if written.is_empty() { "none".to_owned() } else { written.join(", ") }
}

fn percent(bps: u64) -> String {
    let whole = bps / 100;
    if bps.is_multiple_of(100) { format!("{whole} %") } else { format!("{whole}.{:02} %", bps % 100) }
}

fn share(margin: f64) -> String {
    format!("{:.0} %", margin * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handbook_shows_the_table() {
        let page = include_str!("../../../../docs/tiers.md");
        assert!(page.contains(&table()), "docs/tiers.md must hold:\n{}", table());
    }
}
