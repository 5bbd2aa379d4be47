//! What a tier's agents go through where their settings say nothing.

use super::super::quantity::{Margin, Percent, Span};
use super::super::spec::{GuardrailSpec, Measure, Metric, OnBreach};
use super::{INTERNAL, Step};
use crate::agent::AgentSpec;
use crate::id::SegmentName;
use crate::share::Share;
use crate::tier::Tier;

pub(super) fn steps(spec: &AgentSpec, segment: &SegmentName) -> Vec<Step> {
    let canary = |bps: u64, min_runs, slack| Step::Canary {
        percent: Percent(Share::from_bps(bps).expect("written below, all within 100 %")),
        min_runs,
        segments: Vec::new(),
        deadline: Span::hours(72),
        slack,
    };
    let internal = spec.segments.iter().find(|known| known.name.as_str() == INTERNAL);
    // Another segment's deployment has no say over the internal one's traffic.
    let internal = internal.filter(|_| segment.as_str() == SegmentName::DEFAULT).map(|known| Step::Canary {
        percent: Percent(Share::from_bps(5_000).expect("a half")),
        min_runs: 50,
        segments: vec![known.name.clone()],
        deadline: Span::hours(72),
        slack: 10.0,
    });
    let widening = || [canary(500, 100, 5.0), canary(2_500, 200, 2.0), canary(5_000, 400, 1.0)];
    match spec.tier {
        Tier::Throwaway => vec![canary(5_000, 20, 10.0)],
        Tier::Standard => internal.into_iter().chain(widening()).collect(),
        Tier::Critical => {
            let shadow = Step::Shadow {
                percent: Percent(Share::from_bps(1_000).expect("a tenth")),
                min_runs: 100,
                max_divergence: None,
                budget: None,
                deadline: Span::hours(72),
            };
            let first = [canary(100, 50, 10.0)];
            let before = [Step::Gate, shadow].into_iter().chain(internal).chain(first);
            before.chain(widening()).chain([Step::Approve { by: Vec::new() }]).collect()
        }
    }
}

pub(super) fn guardrails(tier: Tier) -> Vec<GuardrailSpec> {
    let guardrail = |metric, margin, quantile| GuardrailSpec {
        metric,
        name: None,
        direction: None,
        quantile,
        margin: Some(Margin(margin)),
        alpha: None,
        on_breach: OnBreach::Rollback,
        min_samples: None,
        prometheus: None,
    };
    let standard = || {
        vec![
            guardrail(Metric::ErrorRate, 0.02, None),
            guardrail(Metric::RefusalRate, 0.02, None),
            guardrail(Metric::EmptyRate, 0.02, None),
            guardrail(Metric::ToolErrorRate, 0.02, None),
            guardrail(Metric::UnknownToolRate, 0.02, None),
            guardrail(Metric::DriftRate, 0.02, None),
            guardrail(Metric::Latency, 0.3, Some(0.5)),
        ]
    };
    match tier {
        Tier::Throwaway => vec![guardrail(Metric::ErrorRate, 0.05, None)],
        Tier::Standard => standard(),
        Tier::Critical => {
            let mut all = standard();
            for guardrail in &mut all {
                if guardrail.metric.measure() == Measure::Rate {
                    guardrail.margin = Some(Margin(0.01));
                }
            }
            all
        }
    }
}
