//! Reports as people and CI read them: for a terminal, as Markdown for a pull request, as JUnit XML.
//!
//! What models, providers and suites say is strangers' text: nothing of it may move a cursor, open a tag, mention a person
//! or turn a line around (`escape.rs`). A report is bounded; all of a gate's answers are in its rows.

use pinrail_domain::deployment::GateVerdict;

use crate::statement::About;
use crate::verdict::{Report, SuiteReport};

mod escape;
mod junit;
mod lines;
mod markdown;
mod text;

#[cfg(test)]
mod tests;

pub use junit::junit;
pub use markdown::markdown;
pub use text::text;

/// What is rendered.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    pub report: &'a Report,
    pub about: &'a About,
    /// The id of the key that signed the statement; none: nobody did.
    pub signed_by: Option<&'a str>,
}

impl Page<'_> {
    fn title(&self) -> String {
        let Page { report, about, .. } = self;
        let against = match report.incumbent {
            Some(incumbent) => format!("against {}", incumbent.short()),
            None => "alone".to_owned(),
        };
        format!("{}={} {against}", about.agent, report.candidate.short())
    }

    fn signature(&self) -> String {
        match self.signed_by {
            Some(key) => format!("signed by {}", key.chars().take(16).collect::<String>()),
            None => "unsigned".to_owned(),
        }
    }

    fn served(&self) -> String {
        match self.report.served.as_slice() {
            [] => "not all answers say which model gave them".to_owned(),
            served => format!("served by {}", served.join(", ")),
        }
    }
}

fn verdict(verdict: GateVerdict) -> &'static str {
    verdict.as_str()
}

/// Lists of cases with their headings, in the order in which they are shown.
fn sections(suite: &SuiteReport) -> [(&'static str, u64, &[crate::verdict::Notable]); 4] {
    let (counts, notables) = (&suite.counts, &suite.notables);
    let worse = if suite.floor.is_some() { "Don't always pass" } else { "Got worse" };
    [
        ("Must pass, and failed", notables.must_pass.len() as u64, &notables.must_pass),
        (worse, counts.worse, &notables.worse),
        ("Got better", counts.better, &notables.better),
        ("Flip by themselves", counts.unstable, &notables.unstable),
    ]
}
