//! `pinrail deployment summary`: a rollout as Markdown.

use std::fmt::Write as _;

use pinrail_api::deployments::rollout::{Happened, Rollout};

use super::rollout::{self, GUARDRAIL_HEADER, standing_word};
use crate::cli::Context;
use crate::output::{clean, one_line, time};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail deployment summary 3
  pinrail deployment summary 3 >> \"$GITHUB_STEP_SUMMARY\"
  pinrail deployment wait 3; pinrail deployment summary 3 >> \"$GITHUB_STEP_SUMMARY\"

A verdict, the guardrails with their numbers, the steps, and the timeline. --json prints the rollout's JSON.")]
pub struct Args {
    id: u64,
}

/// A reason may be long; the timeline is a table.
const CELL_CHARS: usize = 200;

pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let reply = rollout::get(args.id, context)?;
    let happened = match context.out.is_json() {
        true => Vec::new(),
        false => context.client.all(&format!("/api/v1/deployments/{}/timeline", args.id), "after")?,
    };
    context.out.reply(&reply, |rollout| markdown(rollout, &happened))?;
    Ok(())
}

fn markdown(rollout: &Rollout, happened: &[Happened]) -> String {
    let verdict = match (&rollout.ended, &rollout.stopped) {
        (Some(ended), _) => ended.how.clone(),
        (None, Some(_)) => "stopped, and asks a person".to_owned(),
        (None, None) => format!("step {} of {}", rollout.step, rollout.steps.len()),
    };
    let releases: Vec<String> =
        rollout.releases.iter().map(|(agent, release)| format!("`{agent}={}`", release.short())).collect();
    let mut text = format!(
        "## Pinrail deployment {}: {verdict}\n\n{} in segment `{}`. {}\n",
        rollout.deployment,
        releases.join(" "),
        rollout.segment,
        cell(&rollout.sentence, usize::MAX)
    );
    if rollout::has_numbers(rollout) {
        text.push_str("\n### Guardrails\n\n");
        row(&mut text, &GUARDRAIL_HEADER);
        row(&mut text, &["---"; 7]);
        for watched in &rollout.guardrails {
            row(&mut text, &rollout::guardrail(watched));
        }
    }
    text.push_str("\n### Steps\n\n");
    row(&mut text, &["step", "what", "is", "since", "until"]);
    row(&mut text, &["---"; 5]);
    let at = |at: Option<_>| at.map_or_else(|| "-".to_owned(), time::absolute);
    for step in &rollout.steps {
        let standing = standing_word(step.standing).to_owned();
        row(&mut text, &[step.step.to_string(), step.what.clone(), standing, at(step.since), at(step.until)]);
    }
    if !happened.is_empty() {
        text.push_str("\n### Timeline\n\n");
        row(&mut text, &["when", "entry", "what", "why", "who"]);
        row(&mut text, &["---"; 5]);
    }
    for Happened { at, seq, actor, what, reason, evidence: _ } in happened {
        let why = if what.contains(reason.as_str()) { "" } else { reason };
        let cells = [time::absolute(*at), seq.to_string(), what.clone(), why.to_owned(), actor.to_string()];
        row(&mut text, &cells);
    }
    clean(&text)
}

fn row(text: &mut String, cells: &[impl AsRef<str>]) {
    let cells: Vec<String> = cells.iter().map(|text| cell(text.as_ref(), CELL_CHARS)).collect();
    // Writing to a string can't fail.
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

/// A text that stays in its cell and is no markup: reasons are written by people and programs.
fn cell(text: &str, chars_max: usize) -> String {
    one_line(text, chars_max).replace('&', "&amp;").replace('<', "&lt;").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use pinrail_domain::time::Timestamp;
    use serde_json::json;

    use super::super::rollout::tests::standing;
    use super::*;

    #[test]
    fn a_summary_is_markdown_that_stays_in_its_cells() {
        let happened: Happened = serde_json::from_value(json!({
            "at": 1_795_176_000_000_u64, "seq": 12, "actor": { "kind": "open" }, "what": "opened; step 1 of 3: canary 5%",
            "reason": "a | b <script>\nand more"
        }))
        .unwrap();
        let text = markdown(&standing(json!({})), &[happened]);
        assert!(text.starts_with(
            "## Pinrail deployment 3: step 2 of 3\n\n`support=1743b50f2728` in segment `default`. Step 2"
        ));
        assert!(text.contains("| error_rate | undecided | 0.00% | 1.10% | "), "{text}");
        assert!(text.contains("| 2 | canary 25% | now | 2026-11-20 "), "{text}");
        assert!(text.contains("| a \\| b &lt;script> and more | anyone (no keys) |"), "{text}");
        let over = standing(
            json!({ "ended": { "at": Timestamp(1), "seq": 19, "how": "rolled back", "why": "worse" } }),
        );
        assert!(markdown(&over, &[]).starts_with("## Pinrail deployment 3: rolled back\n"));
    }
}
