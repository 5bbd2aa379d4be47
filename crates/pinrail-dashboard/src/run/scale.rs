//! Where events stand in time, and the bars that show it.
//!
//! Events carry milliseconds, calls of models microseconds from their request's arrival. A bar is drawn in thousandths of
//! the time that the page's events span, without words: the numbers stand beside it.

use std::fmt::Write as _;

use pinrail_domain::journal::{Event, Recorded};
use pinrail_domain::time::Timestamp;

use crate::ui::Html;

/// The time that a page's events span.
pub(super) struct Scale {
    start: Timestamp,
    whole_us: u64,
}

/// A stretch of a bar, in microseconds after an event.
pub(super) struct Stretch {
    pub class: &'static str,
    pub from_us: u64,
    pub until_us: u64,
}

/// A bar's width in its own units.
const WIDTH: u64 = 1_000;
/// What a moment is drawn as, to be seen.
const MARK: u64 = 4;

impl Scale {
    pub(super) fn of(events: &[Recorded]) -> Scale {
        let start = events.iter().map(|recorded| recorded.at).min().unwrap_or(Timestamp(0));
        let ends = events.iter().map(|recorded| {
            let at = (recorded.at.0 - start.0).saturating_mul(1_000);
            let call =
                if let Event::ModelRequest { call, .. } = &recorded.event { Some(*call) } else { None };
            at + call.and_then(|call| took(events, call)).unwrap_or(0)
        });
        Scale { start, whole_us: ends.max().unwrap_or(0).max(1) }
    }

    pub(super) fn whole_us(&self) -> u64 {
        self.whole_us
    }

    /// How long after the page's first event it was.
    fn offset_us(&self, at: Timestamp) -> u64 {
        at.0.saturating_sub(self.start.0).saturating_mul(1_000)
    }

    /// How long after the page's first event it was, in words.
    pub(super) fn offset(&self, at: Timestamp) -> String {
        format!("+{}", crate::runs::span(at.0.saturating_sub(self.start.0)))
    }

    /// The bar of an event; a mark where it took no time.
    pub(super) fn bar(&self, at: Timestamp, stretches: &[Stretch]) -> Html {
        let at = self.offset_us(at);
        let mut svg = String::from(
            "<svg class=\"lane\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
        );
        if stretches.is_empty() {
            let x = self.place(at).min(WIDTH - MARK);
            let _ = write!(svg, "<rect class=\"mark\" x=\"{x}\" y=\"0\" width=\"{MARK}\" height=\"10\"/>");
        }
        for Stretch { class, from_us, until_us } in stretches {
            let x = self.place(at.saturating_add(*from_us)).min(WIDTH - MARK);
            let width = self.place(at.saturating_add(*until_us)).saturating_sub(x).max(MARK);
            let _ =
                write!(svg, "<rect class=\"{class}\" x=\"{x}\" y=\"0\" width=\"{width}\" height=\"10\"/>");
        }
        svg.push_str("</svg>");
        Html::from_trusted(svg)
    }

    fn place(&self, us: u64) -> u64 {
        us.saturating_mul(WIDTH).checked_div(self.whole_us).unwrap_or(0).min(WIDTH)
    }
}

/// How long a call of a model took, where its answer is among these events.
fn took(events: &[Recorded], asked: u32) -> Option<u64> {
    events.iter().find_map(|recorded| {
        let Event::ModelResponse(answer) = &recorded.event else { return None };
        (answer.call == asked).then_some(answer.last_byte_us)
    })
}
