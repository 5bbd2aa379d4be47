use super::*;
use crate::agent::AgentSpec;
use crate::id::{DeploymentId, SegmentName};
use crate::rollout::spec::Metric;

const DAY_MS: u64 = 86_400_000;

fn agent() -> AgentName {
    "support".parse().unwrap()
}

fn plan(toml: &str) -> Plan {
    let spec: AgentSpec = toml::from_str(toml).unwrap();
    spec.check().unwrap();
    Plan::of(&agent(), &spec, &SegmentName::default_segment())
}

fn flow(segment: &str, runs: u64, units: u64) -> Flow {
    Flow { agent: agent(), segment: segment.parse().unwrap(), span_ms: DAY_MS, runs, units, own: None }
}

/// A thousand sessions of two runs each a day, one in a hundred of them with an error.
fn busy() -> Recent {
    let base = Base::Rate { bad: 5, units: 549 };
    Recent {
        flows: vec![flow("default", 2_000, 1_000)],
        measured: [((agent(), Metric::ErrorRate), base)].into(),
        keys: Keys::Named(["ana".to_owned()].into()),
    }
}

fn canary() -> Plan {
    plan(
        r#"
        [rollout]
        steps = [
          { canary = { percent = 10, min_runs = 100, slack = 5 } },
          { canary = { percent = 50, min_runs = 100 } },
        ]
        [[rollout.guardrails]]
        metric = "error_rate"
        margin = "2%"
        "#,
    )
}

#[test]
fn a_step_says_what_it_needs_and_how_long_that_takes() {
    let outline = outline(&canary(), &busy());
    assert_eq!(outline.traffic, "2 000 runs of 1 000 sessions in the last 24 h");
    let [first, second] = &outline.steps[..] else { panic!("{outline:?}") };
    assert_eq!((first.step, &*first.what), (1, "canary 10%"));
    assert_eq!(first.needs, ["100 runs of the candidate", "error_rate: proof of at most 10.00 points worse"]);
    let (wide, narrow) = (&first.guardrails[0], &second.guardrails[0]);
    assert_eq!(wide.from, "0.91% of 549 recent units");
    let (units_wide, units_narrow) = (wide.units.unwrap(), narrow.units.unwrap());
    assert!(units_wide < 150 && units_narrow > 3 * units_wide, "{units_wide} {units_narrow}");
    // 100 of 1000 units a day are the candidate's at 10 %.
    let days = wide.expected_ms.unwrap() as f64 / DAY_MS as f64;
    assert!((days - units_wide as f64 / 100.0).abs() < 0.01, "{days}");
    // What the first step brought counts in the second.
    let brought = (first.expected_ms.unwrap() as f64 / DAY_MS as f64 * 100.0) as u64;
    assert_eq!(narrow.more, Some(units_narrow - brought));
    assert_eq!(outline.expected_ms, Some(first.expected_ms.unwrap() + second.expected_ms.unwrap()));
    assert_eq!(first.deadline_ms, Some(3 * DAY_MS));
}

#[test]
fn where_little_was_measured_an_assumption_is_named() {
    let check = |metric: &str, base: Option<Base>, expected: &str| {
        let plan = plan(&format!("[[rollout.guardrails]]\nmetric = '{metric}'"));
        let key = (agent(), metric.parse().unwrap());
        let recent = Recent { measured: base.map(|base| (key, base)).into_iter().collect(), ..busy() };
        let outlined = outline(&plan, &recent);
        let need = &outlined.steps[0].guardrails[0];
        assert_eq!((&*need.from, need.units.is_some()), (expected, true), "{metric}");
    };
    check("error_rate", None, "assumed: 1%");
    check("error_rate", Some(Base::Rate { bad: 1, units: 29 }), "assumed: 1%");
    check("error_rate", Some(Base::Rate { bad: 0, units: 30 }), "0.00% of 30 recent units");
    check("score:good", None, "assumed: mean 0.8, deviation 0.2");
    let mean = Base::Mean { mean: 0.7, sd: 0.1, units: 400 };
    check("score:good", Some(mean), "mean 0.700, deviation 0.100 in 400 recent units");
    check("latency", None, "assumed: half of all within 0.74 and 1.36 times the median");
    let values = (1..=200).map(f64::from).collect();
    check("latency", Some(Base::Values(values)), "the spread of 200 recent values");
}

#[test]
fn what_looks_wrong_is_said_with_by_how_much() {
    let check = |toml: &str, recent: &Recent, expected: &str| {
        let doubts = outline(&plan(toml), recent).doubts;
        assert!(doubts.iter().any(|doubt| doubt.contains(expected)), "{expected} is not in {doubts:#?}");
    };
    let quiet =
        |segment: &str| Recent { flows: vec![flow("default", 2_000, 1_000), flow(segment, 0, 0)], ..busy() };
    let canary = |fields: &str, guardrail: &str| {
        format!(
            "[rollout]\nsteps = [{{ canary = {{ {fields} }} }}]\n[[rollout.guardrails]]\nmetric = '{guardrail}'\n"
        )
    };
    let internal = "[[segments]]\nname = 'internal'\ntenants = ['us']\n";
    check(
        &canary("percent = 50", "error_rate"),
        &busy(),
        "step 1, canary 50%: error_rate: proving at most 1.00 points worse takes about 2 300 units of the candidate (0.91% of 549 ",
    );
    check(
        &canary("percent = 50", "error_rate"),
        &busy(),
        "min_runs is 100: the step will wait longer, about ",
    );
    check(
        &canary("percent = 1, deadline = '24h'", "error_rate"),
        &busy(),
        "and stops undecided at its deadline after 24 h",
    );
    check("", &Recent { flows: vec![flow("default", 0, 0)], ..busy() }, "there was no run in the last 24 h");
    let steps = "[rollout]\nsteps = [{ canary = { percent = 50, segments = ['internal'] } }]\n";
    check(
        &format!("{steps}{internal}"),
        &quiet("internal"),
        "there was no run in segment internal in the last 24 h",
    );
    let mut own = quiet("internal");
    own.flows[1].own = Some(DeploymentId(7));
    check(&format!("{steps}{internal}"), &own, "segment internal has deployment 7 of its own");
    check(&format!("{steps}{internal}"), &busy(), "the deployment doesn't serve segment internal");
    let approve = "[rollout]\nsteps = [{ approve = { by = ['ana', 'bo'] } }]";
    check(approve, &busy(), "no key is called `bo` and may deploy");
    check(
        approve,
        &Recent { keys: Keys::Open, ..busy() },
        "there are no keys, so nobody can approve as `ana`",
    );
    check(approve, &busy(), "no step is a canary");
    check("[rollout]\nguardrails = []", &busy(), "no guardrail watches");
    check(&canary("percent = 50", "score:good"), &busy(), "no score `good` was reported of recent runs");
    check(&canary("percent = 50", "cost"), &busy(), "has a known cost");
}

#[test]
fn a_new_agent_has_no_doubts_about_traffic() {
    let outlined = outline(&canary(), &Recent::default());
    assert_eq!(outlined.traffic, "nothing was served there yet");
    assert!(
        outlined.doubts.iter().all(|doubt| doubt.contains("no traffic to say how long")),
        "{outlined:#?}"
    );
    assert_eq!(outlined.expected_ms, None);
}

#[test]
fn numbers_are_told_as_people_tell_them() {
    let told = [0, 99, 100, 1_234, 98_765, 1_999_999].map(about);
    assert_eq!(told, ["0", "99", "about 100", "about 1 200", "about 99 000", "about 2 000 000"]);
    let told = [900, 80_000, 119_500, 7_200_000, 129_500_000, 259_200_000].map(duration_words);
    assert_eq!(told, ["a second", "80 s", "2 min", "2 h", "36 h", "3 d"]);
}
