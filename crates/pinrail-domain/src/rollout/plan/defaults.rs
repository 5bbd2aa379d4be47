//! What a tier's agents go through where their settings say nothing: the tier's own table, as steps and guardrails.

use super::super::quantity::{Margin, Percent, Span};
use super::super::spec::{GuardrailSpec, OnBreach};
use super::{INTERNAL, Step};
use crate::agent::AgentSpec;
use crate::id::SegmentName;
use crate::share::Share;
use crate::tier::{Canary, Proof, Tier, Watched};

/// Long enough for a weekend.
const DEADLINE: Span = Span::hours(72);

pub(super) fn steps(spec: &AgentSpec, segment: &SegmentName) -> Vec<Step> {
    let Proof { gate, shadow, internal, canaries, approve } = spec.tier.demands().rollout;
    let canary = |Canary { bps, min_runs, slack }: Canary, segments| Step::Canary {
        percent: percent(bps),
        min_runs,
        segments,
        deadline: DEADLINE,
        slack,
    };
    let shadow = shadow.map(|(bps, min_runs)| Step::Shadow {
        percent: percent(bps),
        min_runs,
        max_divergence: None,
        budget: None,
        deadline: DEADLINE,
    });
    let own = spec.segments.iter().find(|known| internal && known.name.as_str() == INTERNAL);
    // Another segment's deployment has no say over the internal one's traffic.
    let own = own.filter(|_| segment.as_str() == SegmentName::DEFAULT);
    let own = own.map(|known| canary(INTERNAL_FIRST, vec![known.name.clone()]));
    gate.then_some(Step::Gate)
        .into_iter()
        .chain(shadow)
        .chain(own)
        .chain(canaries.iter().map(|step| canary(*step, Vec::new())))
        .chain(approve.then(|| Step::Approve { by: Vec::new() }))
        .collect()
}

/// Half of the internal traffic: those are the people who say so when it is worse.
const INTERNAL_FIRST: Canary = Canary { bps: 5_000, min_runs: 50, slack: 10.0 };

pub(super) fn guardrails(tier: Tier) -> Vec<GuardrailSpec> {
    let guardrail = |Watched { metric, quantile, margin }: &Watched| GuardrailSpec {
        metric: metric.clone(),
        name: None,
        direction: None,
        quantile: *quantile,
        margin: Some(Margin(*margin)),
        alpha: None,
        on_breach: OnBreach::Rollback,
        min_samples: None,
        prometheus: None,
    };
    tier.demands().guardrails.iter().map(guardrail).collect()
}

fn percent(bps: u64) -> Percent {
    Percent(Share::from_bps(bps).expect("the table's shares are all within 100 %"))
}
