//! A rollout's timeline in words.

use std::fmt::Write as _;

use pinrail_api::deployments::rollout::Happened;
use serde::Deserialize as _;
use serde_json::Value;

/// The rollout of a deployment entry by entry, with samples and bounds. Times are since its opening.
pub fn timeline(name: &str, deployment: u64, page: &Value) -> anyhow::Result<String> {
    let mut text = format!("\nthe {name} candidate, deployment {deployment}:\n");
    let mut opened_at = None;
    for happened in page["items"].as_array().into_iter().flatten() {
        let Happened { at, what, evidence, .. } = Happened::deserialize(happened)?;
        let since = *opened_at.get_or_insert(at);
        #[allow(clippy::cast_precision_loss, reason = "milliseconds of minutes")]
        let seconds = at.ms_since(since) as f64 / 1_000.0;
        writeln!(text, "  {seconds:7.1} s  {what}")?;
        let Some(evidence) = evidence else { continue };
        let (runs, units) = (evidence.runs, evidence.units);
        writeln!(
            text,
            "             {} and {} runs in the step, {} and {} sessions in all",
            runs.candidate, runs.incumbent, units.candidate, units.incumbent
        )?;
        for finding in &evidence.findings {
            writeln!(text, "             {}", finding.sentence())?;
        }
    }
    Ok(text)
}
