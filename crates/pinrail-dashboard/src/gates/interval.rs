//! A difference with its interval, its margin and zero, as a small picture with the words that say the same.

use std::fmt::Write as _;

use pinrail_domain::stats::Verdict;
use pinrail_domain::stats::paired::{Paired, Scale};

use crate::ui::{self, Html};

/// What is drawn.
pub struct Interval<'a> {
    pub of: &'a Paired,
    pub margin: f64,
    pub scale: Scale,
}

const WIDTH: f64 = 320.0;
/// Where the axis begins and ends.
const EDGE: f64 = 12.0;
const MIDDLE: f64 = 24.0;

impl Interval<'_> {
    /// The picture; nothing where nothing was compared.
    #[must_use]
    pub fn drawn(&self) -> Html {
        let Some(harm) = self.of.harm else { return Html::default() };
        let (low, high) = (self.of.harm_low.unwrap_or(harm), self.of.harm_high.unwrap_or(harm));
        let bounded = |value: f64| if value.is_finite() { value } else { value.signum() * 10.0 };
        let (low, high, harm) = (bounded(low), bounded(high), bounded(harm));
        let reach = [low, high, harm, self.margin].into_iter().map(f64::abs).fold(0.01, f64::max) * 1.12;
        // Worse is on the right.
        let x = |value: f64| EDGE + (value / reach + 1.0) / 2.0 * (WIDTH - 2.0 * EDGE);
        let tone = match self.of.verdict {
            Verdict::NotWorse => "good",
            Verdict::Worse => "bad",
            Verdict::Undecided => "warn",
        };
        let words = ui::plain(self.words());
        let (zero, margin) = (x(0.0), x(self.margin));
        let mut svg = format!(
            "<svg class=\"interval\" viewBox=\"0 0 320 62\" role=\"img\" aria-label=\"{words}\"><title>{words}</title>"
        );
        let _ = write!(
            svg,
            "<rect class=\"beyond\" x=\"{margin:.1}\" y=\"8\" width=\"{:.1}\" height=\"32\"/>",
            (WIDTH - EDGE - margin).max(0.0)
        );
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{EDGE}\" y1=\"{MIDDLE}\" x2=\"{:.1}\" y2=\"{MIDDLE}\"/>",
            WIDTH - EDGE
        );
        let _ = write!(svg, "<line class=\"zero\" x1=\"{zero:.1}\" y1=\"8\" x2=\"{zero:.1}\" y2=\"40\"/>");
        let _ =
            write!(svg, "<line class=\"margin\" x1=\"{margin:.1}\" y1=\"4\" x2=\"{margin:.1}\" y2=\"44\"/>");
        let _ = write!(
            svg,
            "<line class=\"range {tone}\" x1=\"{:.1}\" y1=\"{MIDDLE}\" x2=\"{:.1}\" y2=\"{MIDDLE}\"/>",
            x(low),
            x(high).max(x(low) + 1.0)
        );
        let _ = write!(svg, "<circle class=\"dot {tone}\" cx=\"{:.1}\" cy=\"{MIDDLE}\" r=\"5\"/>", x(harm));
        svg.push_str("<text x=\"12\" y=\"58\">← better</text>");
        let _ = write!(svg, "<text x=\"{:.1}\" y=\"58\" text-anchor=\"end\">worse →</text>", WIDTH - EDGE);
        if (margin - zero).abs() > 1.0 {
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"58\" text-anchor=\"middle\">margin</text>",
                margin.clamp(90.0, 230.0)
            );
        }
        svg.push_str("</svg>");
        Html::from_trusted(svg)
    }

    /// The same in words.
    #[must_use]
    pub fn words(&self) -> String {
        let Some(harm) = self.of.harm else { return "nothing was compared".to_owned() };
        let bounds = match (self.of.harm_low, self.of.harm_high) {
            (Some(low), Some(high)) => format!(", between {} and {}", self.side(low), self.side(high)),
            (None, Some(high)) => format!(", at most {}", self.side(high)),
            (Some(low), None) => format!(", at least {}", self.side(low)),
            (None, None) => String::new(),
        };
        let margin =
            if self.margin == 0.0 { String::new() } else { format!("; margin {}", self.amount(self.margin)) };
        format!("{}{bounds}{margin}", self.side(harm))
    }

    fn side(&self, harm: f64) -> String {
        if harm.abs() < 0.000_5 {
            return "no difference".to_owned();
        }
        format!("{} {}", self.amount(harm.abs()), if harm > 0.0 { "worse" } else { "better" })
    }

    fn amount(&self, part: f64) -> String {
        match self.scale {
            Scale::Unit => super::points(part),
            Scale::Amount => format!("{:.1} %", part * 100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use pinrail_domain::stats::paired::{Method, Repeats};

    use super::*;

    fn paired(harm: f64, low: f64, high: f64, verdict: Verdict) -> Paired {
        Paired {
            verdict,
            method: Method::Exact,
            cases: 100,
            repeats: Repeats { least: 3, most: 3 },
            candidate: Some(0.9 - harm),
            incumbent: Some(0.9),
            harm: Some(harm),
            harm_low: Some(low),
            harm_high: Some(high),
            p_not_worse: None,
            p_worse: None,
            discordant: None,
            needed: None,
        }
    }

    #[test]
    fn a_picture_says_what_it_shows() {
        let check = |harm, low, high, verdict, scale, expected: &str| {
            let of = paired(harm, low, high, verdict);
            let interval = Interval { of: &of, margin: 0.05, scale };
            assert_eq!(interval.words(), expected);
            let svg = interval.drawn().into_string();
            assert!(svg.contains(expected) && !svg.contains("NaN") && !svg.contains("style"), "{svg}");
        };
        let worse = "8.2 points worse, between 6.9 points worse and 9.4 points worse; margin 5 points";
        check(0.082, 0.069, 0.094, Verdict::Worse, Scale::Unit, worse);
        let better = "1 point better, between 2.1 points better and no difference; margin 5 points";
        check(-0.01, -0.021, 0.0, Verdict::NotWorse, Scale::Unit, better);
        let slower = "12.0 % worse, between 1.0 % better and 25.0 % worse; margin 5.0 %";
        check(0.12, -0.01, 0.25, Verdict::Undecided, Scale::Amount, slower);
    }

    #[test]
    fn what_has_no_end_is_drawn_to_the_edge() {
        let of = paired(0.5, f64::NEG_INFINITY, f64::INFINITY, Verdict::Undecided);
        let svg = Interval { of: &of, margin: 0.0, scale: Scale::Amount }.drawn().into_string();
        assert!(svg.contains("class=\"range warn\"") && !svg.contains("=\"inf"), "{svg}");
        let none = Paired { harm: None, ..of };
        assert_eq!(Interval { of: &none, margin: 0.0, scale: Scale::Unit }.drawn(), Html::default());
    }
}
