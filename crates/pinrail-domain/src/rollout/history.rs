//! How a rollout's guardrails moved: what each showed at moment after moment, in few enough points to be drawn.
//!
//! Points come in the order in which they were seen. When there are more than [`POINTS_MAX`], the interval between two of them
//! is doubled (or set to what half of them leaves over the whole time, if that is longer) and what lies closer is dropped. The first and the newest are always kept: a chart
//! begins where the evidence began and ends with what is known now. A point whose time lies before the one in front of it (a
//! clock was set back) takes that one's time.

use serde::{Deserialize, Serialize};

use super::facts::{Evidence, Finding};
use super::plan::{Guardrail, Plan};
use crate::stats::Judged;
use crate::time::Timestamp;

/// Enough for a curve on a wide screen; 30 kB per guardrail.
pub const POINTS_MAX: usize = 240;

/// What a guardrail showed at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub at: Timestamp,
    #[serde(flatten)]
    pub judged: Judged,
}

/// What one guardrail showed, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    points: Vec<Point>,
    /// How far apart points are at least, but for the newest.
    interval_ms: u64,
}

/// What all guardrails of a rollout showed.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// In the plan's order.
    courses: Vec<(Guardrail, Course)>,
}

impl History {
    /// The history of a plan's guardrails, empty.
    #[must_use]
    pub fn new(plan: &Plan) -> History {
        let courses = plan.guardrails.iter().map(|guardrail| (guardrail.clone(), Course::default()));
        History { courses: courses.collect() }
    }

    /// The history of which the ledger's entries kept the evidence, oldest first.
    #[must_use]
    pub fn of_evidence<'e>(
        plan: &Plan,
        kept: impl IntoIterator<Item = (Timestamp, &'e Evidence)>,
    ) -> History {
        let mut history = History::new(plan);
        for (at, evidence) in kept {
            history.saw(at, &evidence.findings);
        }
        history
    }

    /// Takes in what the guardrails show at a moment.
    pub fn saw(&mut self, at: Timestamp, findings: &[Finding]) {
        for (guardrail, course) in &mut self.courses {
            let is_its =
                |finding: &&Finding| finding.guardrail == guardrail.name && finding.agent == guardrail.agent;
            // A source that gives nothing says nothing about the arms, nor do arms without units.
            let says = |finding: &&Finding| {
                let Judged { candidate, incumbent, .. } = finding.judged;
                finding.trouble.is_none() && (candidate.is_some() || incumbent.is_some())
            };
            if let Some(finding) = findings.iter().find(is_its).filter(says) {
                course.saw(Point { at, judged: finding.judged });
            }
        }
    }

    /// The guardrails in the plan's order, each with what it showed.
    pub fn courses(&self) -> impl Iterator<Item = (&Guardrail, &[Point])> {
        self.courses.iter().map(|(guardrail, course)| (guardrail, course.points()))
    }

    /// Whether nothing was seen yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.courses.iter().all(|(_, course)| course.points.is_empty())
    }
}

impl Course {
    /// Takes in the newest point, unless it shows what the one before it does.
    pub fn saw(&mut self, point: Point) {
        let last = self.points.last().copied();
        if last.is_some_and(|last| last.judged == point.judged) {
            return;
        }
        let at = last.map_or(point.at, |last| point.at.max(last.at));
        let point = Point { at, ..point };
        match &mut self.points[..] {
            // The newest one only stands in for the next that is far enough away.
            [.., before, newest] if newest.at.ms_since(before.at) < self.interval_ms => *newest = point,
            _ => self.points.push(point),
        }
        if self.points.len() > POINTS_MAX {
            self.thin();
        }
    }

    /// What it showed, oldest first; at most [`POINTS_MAX`].
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    fn thin(&mut self) {
        let (Some(first), Some(newest)) = (self.points.first().copied(), self.points.last().copied()) else {
            return;
        };
        let span_ms = newest.at.ms_since(first.at);
        self.interval_ms = (self.interval_ms * 2).max(span_ms / (POINTS_MAX as u64 / 2)).max(1);
        let (mut kept, interval_ms) = (first.at, self.interval_ms);
        let mut is_first = true;
        self.points.pop();
        self.points.retain(|point| {
            let keeps = is_first || point.at.ms_since(kept) >= interval_ms;
            if keeps {
                kept = point.at;
            }
            is_first = false;
            keeps
        });
        self.points.push(newest);
    }
}

#[cfg(test)]
mod tests;
