//! What a rollout will take, for a person.

use pinrail_api::deployments::rollout::Outlined;
use pinrail_domain::rollout::outline::{Need, Outline, StepOutline, about, duration_words};

use crate::output::table::{or_dash, table};

pub fn show(outlined: &Outlined) -> String {
    let Outlined { releases, segment, traffic, outline } = outlined;
    let named: Vec<String> =
        releases.iter().map(|(agent, release)| format!("{agent}={}", release.short())).collect();
    let head = format!("nothing was opened; {} in segment {segment} could be", named.join(" "));
    match outline {
        Some(outline) => {
            format!("{head}. The rollout, worked out from {}:\n\n{}", outline.traffic, steps(outline))
        }
        None if traffic == "now" => format!("{head}, with all traffic at once\n"),
        None => format!("{head}, as a canary whose share is set by hand\n"),
    }
}

fn steps(outline: &Outline) -> String {
    let mut text: String = outline.steps.iter().map(step).collect();
    text.push_str(&match outline.expected_ms {
        Some(ms) => format!(
            "all steps together: about {}, where the candidate is as good as what is active\n",
            duration_words(ms)
        ),
        None => "all steps together: nobody can say how long\n".to_owned(),
    });
    for doubt in &outline.doubts {
        text.push_str(&format!("warning: {doubt}\n"));
    }
    text
}

fn step(step: &StepOutline) -> String {
    let expected = match step.expected_ms {
        Some(ms) => format!("about {}", duration_words(ms)),
        None => "nobody can say how long".to_owned(),
    };
    let deadline = step.deadline_ms.map(|ms| format!("; asks after {}", duration_words(ms)));
    let mut text =
        format!("step {}: {}  ({expected}{})\n", step.step, step.what, deadline.unwrap_or_default());
    if step.guardrails.is_empty() {
        step.needs.iter().for_each(|need| text.push_str(&format!("  {need}\n")));
        return text + "\n";
    }
    // The first need is the number of runs; the others are the guardrails' and told with their numbers.
    step.needs.iter().take(1).for_each(|need| text.push_str(&format!("  {need}\n")));
    let rows = step.guardrails.iter().map(|need| {
        let Need { guardrail, proves, units, more, expected_ms, from, .. } = need;
        let units = units.map_or_else(|| "out of reach".to_owned(), about);
        let more = more.filter(|more| *more > 0).map(about);
        vec![
            format!("  {guardrail}"),
            proves.clone(),
            units,
            or_dash(more),
            or_dash(expected_ms.filter(|ms| *ms > 0).map(duration_words)),
            from.clone(),
        ]
    });
    let header = ["  guardrail", "to prove", "candidate units", "more", "takes", "worked out from"];
    text + &table(&header, rows.collect(), "") + "\n\n"
}
