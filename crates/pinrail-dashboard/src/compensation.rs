//! Reporting the calls that a rollback can't take back: what would be sent, and what became of it.

use askama::Template;
use pinrail_api::deployments::blast::{CallReport, Compensated};
use serde::Serialize;

use crate::page::{Nav, Page};
use crate::shell::Shell;
use crate::space::short_run;
use crate::ui::{self, Html, Tone};

/// What became of the reports.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Compensation {
    pub done: Compensated,
}

#[derive(Template)]
#[template(path = "state/compensation.html")]
struct Main<'a> {
    done: &'a Compensated,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "state/reports.html")]
struct Reports<'a> {
    done: &'a Compensated,
    shell: &'a Shell,
}

/// Reports that a page lists; the rest is in its JSON.
const SHOWN_MAX: usize = 200;

impl Page for Compensation {
    fn nav(&self) -> Nav {
        Nav::Deployments
    }

    fn title(&self) -> String {
        format!("Calls of deployment {}, reported", self.done.deployment)
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { done: &self.done, shell })
    }
}

/// The reports as a table.
#[must_use]
pub fn table(done: &Compensated, shell: &Shell) -> Html {
    ui::written(&Reports { done, shell })
}

impl Main<'_> {
    fn table(&self) -> Html {
        table(self.done, self.shell)
    }
}

impl<'a> Reports<'a> {
    fn shown(&self) -> &'a [CallReport] {
        &self.done.reports[..self.done.reports.len().min(SHOWN_MAX)]
    }

    fn left_out(&self) -> u64 {
        self.done.reports.len().saturating_sub(SHOWN_MAX) as u64
    }

    fn outcome(&self, report: &CallReport) -> Html {
        match report.outcome.as_str() {
            "delivered" => ui::badge(Tone::Good, "delivered"),
            "would_send" => ui::badge(Tone::Live, "will be sent"),
            "skipped" => ui::badge(Tone::Plain, "delivered before"),
            "no_address" => ui::badge(Tone::Warn, "no address"),
            other => ui::badge(Tone::Bad, other),
        }
    }

    fn attempts(&self, attempts: &u32) -> String {
        ui::count(u64::from(*attempts), "attempt", "attempts")
    }

    fn run_href(&self, report: &CallReport) -> String {
        format!("/runs/{}", report.run)
    }

    fn short(&self, report: &CallReport) -> String {
        short_run(report.run)
    }
}

#[cfg(test)]
mod tests {
    use pinrail_domain::id::{DeploymentId, EventSeq};
    use pinrail_domain::time::Timestamp;

    use super::*;

    #[test]
    fn a_report_says_what_became_of_it() {
        let report = |outcome: &str| CallReport {
            id: "compensate-2-run-4".to_owned(),
            run: "run_00000000000000000000000001".parse().unwrap(),
            event: EventSeq(4),
            agent: "support".parse().unwrap(),
            tool: "<script>\u{202e}".to_owned(),
            at: Timestamp(1_799_999_000_000),
            outcome: outcome.to_owned(),
            attempts: Some(4),
            why: Some("the receiver said <b>".to_owned()),
            delivered_at: None,
        };
        let done = Compensated {
            deployment: DeploymentId(2),
            delivered: 1,
            would_send: 0,
            skipped: 0,
            no_address: 0,
            failed: 1,
            unreported: 2,
            reports: vec![report("delivered"), report("failed")],
            cut: Vec::new(),
        };
        let html = Compensation { done }.main(&Shell::of("/deployments/2/compensate")).into_string();
        assert!(
            !html.contains("<script>") && !html.contains("<b>the") && !html.contains("said <b>"),
            "{html}"
        );
        assert!(
            html.contains("1 report delivered") && html.contains("1 failed") && html.contains("2 calls"),
            "{html}"
        );
    }
}
