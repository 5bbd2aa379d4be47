use std::collections::BTreeSet;

use super::super::progress::Stop;
use super::*;
use crate::dial::Position;

fn spec(toml: &str) -> AgentSpec {
    toml::from_str(toml).unwrap()
}

fn plan(toml: &str) -> Plan {
    let spec = spec(toml);
    spec.check().unwrap();
    Plan::of(&"support".parse().unwrap(), &spec, &SegmentName::default_segment())
}

fn words(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(super::super::outlook::step_words).collect()
}

#[test]
fn a_tier_has_a_plan_of_its_own() {
    assert_eq!(words(&plan("tier = 'throwaway'")), ["canary 50%"]);
    assert_eq!(words(&plan("")), ["canary 5%", "canary 25%", "canary 50%"]);
    let internal = "[[segments]]\nname = 'internal'\ntenants = ['us']";
    let expected = ["canary 50% in internal", "canary 5%", "canary 25%", "canary 50%"];
    assert_eq!(words(&plan(internal)), expected);
    let critical = plan(&format!("tier = 'critical'\n{internal}"));
    let expected = [
        "gate",
        "shadow 10%",
        "canary 50% in internal",
        "canary 1%",
        "canary 5%",
        "canary 25%",
        "canary 50%",
        "approval",
    ];
    assert_eq!(words(&critical), expected);
    let share: f64 = critical.guardrails.iter().map(|guardrail| guardrail.alpha).sum();
    assert!((share - 0.05).abs() < 1e-9, "the guardrails share one chance of a false alarm: {share}");
}

#[test]
fn settings_fill_a_plan() {
    let plan = plan(
        r#"
        [rollout]
        alpha = 0.04
        steps = [
          "gate",
          { shadow = { percent = 10, min_runs = 20, max_divergence = 0.3, budget = "2.50" } },
          { canary = { percent = 5, min_runs = 200, deadline = "24h" } },
          { pause = { for = "1h" } },
          { pause = {} },
          { approve = { by = ["ops"] } },
        ]
        [[rollout.guardrails]]
        metric = "error_rate"
        margin = "0.5%"
        on_breach = "freeze"
        [[rollout.guardrails]]
        metric = "score:helpful"
        alpha = 0.01
        [[rollout.guardrails]]
        metric = "latency"
        quantile = 0.95
        min_samples = 30
        "#,
    );
    let expected = ["gate", "shadow 10%", "canary 5%", "pause for 1h", "pause", "approval by ops"];
    assert_eq!(words(&plan), expected);
    let shown = |g: &Guardrail| (g.name.clone(), g.direction, g.margin.0, g.alpha, g.quantile, g.min_samples);
    let guardrails: Vec<_> = plan.guardrails.iter().map(shown).collect();
    assert_eq!(
        guardrails,
        [
            ("error_rate".to_owned(), Better::Lower, 0.005, 0.02, None, 0),
            ("score:helpful".to_owned(), Better::Higher, 0.03, 0.01, None, 0),
            ("latency".to_owned(), Better::Lower, 0.25, 0.02, Some(0.95), 30),
        ]
    );
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(serde_json::from_value::<Plan>(json).unwrap(), plan, "the ledger gives it back as it was");
}

#[test]
fn what_a_breach_does_is_stored_as_it_is_written() {
    let check = |on_breach: OnBreach, stored: &str| {
        assert_eq!(serde_json::to_string(&on_breach).unwrap(), stored);
        assert_eq!(serde_json::from_str::<OnBreach>(stored).unwrap(), on_breach);
    };
    check(OnBreach::Rollback, r#""rollback""#);
    check(OnBreach::Freeze, r#""freeze""#);
    check(OnBreach::Dial(Position::ReadOnly), r#"{"dial":"read_only"}"#);
    let stop = Stop::Breach { guardrail: "latency".into(), dial: None };
    assert_eq!(serde_json::to_string(&stop).unwrap(), r#"{"why":"breach","guardrail":"latency"}"#);
}

#[test]
fn agents_that_move_together_share_steps_and_the_chance_of_an_alarm() {
    let (planner, executor) = ("planner".parse().unwrap(), "executor".parse().unwrap());
    let (strict, lax) = (spec("tier = 'critical'"), spec("tier = 'throwaway'"));
    let both =
        Plan::together([(&executor, &lax), (&planner, &strict)], &SegmentName::default_segment()).unwrap();
    assert_eq!(words(&both)[0], "gate");
    let agents: BTreeSet<&str> = both.guardrails.iter().map(|guardrail| guardrail.agent.as_str()).collect();
    assert_eq!(agents, ["executor", "planner"].into());
    let share: f64 = both.guardrails.iter().map(|guardrail| guardrail.alpha).sum();
    assert!((share - 0.05).abs() < 1e-9, "{share}");
    assert_eq!(Plan::together([], &SegmentName::default_segment()), None);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let check = |rollout: &str, expected: &str| {
        let text = format!("[rollout]\n{rollout}");
        let refusal = match toml::from_str::<AgentSpec>(&text) {
            Ok(spec) => spec.check().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(refusal.contains(expected), "{rollout}: {refusal}");
    };
    check("steps = []", "this one has 0");
    check(
        "guardrails = [{ metric = 'latency', on_breach = { dial = 'full' } }]",
        "on_breach.dial is full; it must be supervised, read_only, fallback, canned or off",
    );
    check("guardrails = [{ metric = 'latency', on_breach = { dial = 'lower' } }]", "unknown variant `lower`");
    check("steps = ['gates']", "unknown variant `gates`");
    check("steps = [{ canary = { percent = 0 } }]", "step 1: percent is 0%; it must be more than 0");
    check("steps = [{ canary = { percent = 100 } }]", "nothing is left to compare with");
    check("steps = [{ canary = { percent = 5, min_runs = 0 } }]", "min_runs is 0");
    check(
        "steps = [{ canary = { percent = 5, deadline = '5s' } }]",
        "deadline is 5s; it must be at least 1m",
    );
    check("steps = [{ canary = { percent = 5, slack = 0.5 } }]", "slack is 0.5");
    check("steps = [{ canary = { percent = 5, segments = ['gold'] } }]", "no segment `gold`");
    check("steps = [{ canary = { percent = 5 } }, { canary = { percent = 1 } }]", "step 2 takes 1% after 5%");
    check("steps = [{ shadow = { percent = 5, max_divergence = 2 } }]", "max_divergence is 2");
    check("steps = [{ canary = { percent = 5, min_run = 3 } }]", "unknown field `min_run`");
    check("alpha = 0", "alpha is 0");
    check("[[rollout.guardrails]]\nmetric = 'errors'", "no metric `errors`; they are error_rate,");
    check("[[rollout.guardrails]]\nmetric = 'score:'", "no metric `score:`");
    check("[[rollout.guardrails]]\nmetric = 'cost'\nquantile = 1", "quantile is 1; it must be 0.01 to 0.99");
    check("[[rollout.guardrails]]\nmetric = 'error_rate'\nquantile = 0.5", "this metric has no quantiles");
    check("[[rollout.guardrails]]\nmetric = 'cost'\nmargin = -1", "expected a margin");
    check(
        "[[rollout.guardrails]]\nmetric = 'cost'\n[[rollout.guardrails]]\nmetric = 'cost'",
        "two guardrails",
    );
    check("[[rollout.guardrails]]\nmetric = 'prometheus'", "go together");
    let prometheus = |rest: &str| {
        format!(
            "[[rollout.guardrails]]\nmetric = 'prometheus'\nprometheus = {{ bad = 'b', total = 't', {rest} }}"
        )
    };
    check(&prometheus("url = 'http://u:p@x'"), "http(s)://HOST without a user name");
    check(&prometheus("url = 'http://x', token_env = 'sk-123'"), "an environment variable's name");
}
