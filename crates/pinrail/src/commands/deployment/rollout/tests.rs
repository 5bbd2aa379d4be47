use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp(1_795_190_400_000);

/// A rollout at its second step, with some fields changed.
pub fn standing(changes: Value) -> Rollout {
    let step = |percent: &str| json!({ "step": "canary", "percent": percent, "min_runs": 100, "deadline": "3d", "slack": 2.0 });
    let guardrails = json!([
        { "agent": "support", "name": "error_rate", "metric": "error_rate", "direction": "lower", "margin": "2%",
          "alpha": 0.025, "on_breach": "rollback", "min_samples": 0, "proves": "at most 4.00 points worse",
          "says": "undecided", "words": "error_rate: 0.00% against 1.10%",
          "finding": { "guardrail": "error_rate", "agent": "support", "metric": "error_rate", "verdict": "undecided",
                       "candidate": 0.0, "incumbent": 0.011, "harm": -0.011, "harm_low": -0.041, "harm_high": 0.046,
                       "samples": { "candidate": 131, "incumbent": 1420 }, "log_e": -1.0 } },
        { "agent": "support", "name": "latency", "metric": "latency", "direction": "lower", "quantile": 0.5,
          "margin": "30%", "alpha": 0.025, "on_breach": "freeze", "min_samples": 0, "proves": "at most 60.0% worse",
          "says": "too_few_samples", "words": "latency: nothing was observed yet" }
    ]);
    let steps = json!([
        { "step": 1, "what": "canary 5%", "standing": "done", "plan": step("5%"), "since": 1_795_170_000_000_u64,
          "until": 1_795_180_000_000_u64, "seq": 15 },
        { "step": 2, "what": "canary 25%", "standing": "now", "plan": step("25%"), "since": 1_795_180_000_000_u64 },
        { "step": 3, "what": "canary 50%", "standing": "to_come", "plan": step("50%") }
    ]);
    let mut rollout = json!({
        "deployment": 3, "state": "candidate", "segment": "default",
        "releases": { "support": "sha256:1743b50f2728eed52d5ec8466b80991f1ede7ca20721ce5dad91303b6ba6aa68" },
        "sentence": "Step 2 of 3, canary 25%: 88 runs of the candidate and 262 of the incumbent ended in it. Waits for more. Then: \
                     canary 50%.",
        "generation": 1, "step": 2, "opened_at": 1_795_170_000_000_u64,
        "steps": steps, "guardrails": guardrails, "weights": { "everywhere": 2_500 }, "shadow": 0, "complete": true,
        "waits": ["more"], "next": "canary 50%",
        "runs": { "candidate": 88, "incumbent": 262 }, "units": { "candidate": 131, "incumbent": 1420 },
        "pairs": { "compared": 0, "failed": 0, "dropped": 0, "cost": "0.00" }
    });
    let fields = changes.as_object().unwrap().clone();
    rollout.as_object_mut().unwrap().extend(fields);
    serde_json::from_value(rollout).unwrap()
}

fn shown(changes: Value) -> String {
    let text = show(&standing(changes), NOW);
    // The table pads its last column.
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn a_rollout_under_way_reads_like_a_sentence_with_its_numbers() {
    let expected = "\
Step 2 of 3, canary 25%: 88 runs of the candidate and 262 of the incumbent ended in it. Waits for more. Then: canary 50%.

STEP  WHAT        IS       SINCE   UNTIL   ENTRY
1     canary 5%   done     5h ago  2h ago  15
2     canary 25%  now      2h ago  -       -
3     canary 50%  to come  -       -       -

GUARDRAIL   SAYS             CANDIDATE  INCUMBENT  WORSE BY                     TO PROVE                   UNITS
error_rate  undecided        0.00%      1.10%      -4.10 points to 4.60 points  at most 4.00 points worse  131 and 1420
latency     too few samples  -          -          -                            at most 60.0% worse        0 and 0

";
    assert_eq!(shown(json!({})), expected);
}

#[test]
fn what_went_wrong_and_what_was_compared_in_the_shadow_is_told() {
    let text = shown(json!({
        "refused": "the store is full",
        "pairs": { "compared": 40, "failed": 2, "dropped": 1, "divergence": 0.125, "cost": "1.50" }
    }));
    assert!(
        text.contains("\nWhat comes next could not be done, and is tried again: the store is full\n"),
        "{text}"
    );
    assert!(
        text.contains(
            "\nshadow: 40 answers compared, 2 failed, 1 dropped; divergence 0.125 on average; cost $1.50\n"
        ),
        "{text}"
    );
}
