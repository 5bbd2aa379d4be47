//! A guardrail's course as a chart: both arms, and what the candidate may really be, closing in on what is tolerated.
//!
//! Bounds are of the *harm*: how much worse the candidate is than the incumbent. Drawn around the incumbent's value they are
//! what the candidate may be, in the metric's own unit, and the margin is a line beside the incumbent's. Once all of the band
//! lies on the near side of that line the candidate is proven not worse. Early bounds are wide; they are cut at some margins,
//! so that the lines stay apart.

use pinrail_api::deployments::history::Course;
use pinrail_domain::rollout::history::Point;
use pinrail_domain::stats::Better;
use serde_json::{Value, json};

/// Bounds are drawn up to so many margins from the incumbent, or from the candidate where that is further.
const MARGINS_SHOWN: f64 = 4.0;
/// Points of a chart on a page; the page's JSON has all of them.
const POINTS_MAX: usize = 120;

/// The chart's description as `pinrail.js` reads it; none below two points.
pub fn of(course: &Course) -> Option<String> {
    let points = spread(&course.points);
    if points.len() < 2 {
        return None;
    }
    let (scale, unit) = match course.unit.as_str() {
        "share" => (100.0, "%"),
        "ms" => (1.0, "ms"),
        "tokens" => (1.0, "tokens"),
        "usd" => (1.0, "$"),
        _ => (1.0, ""),
    };
    let place = |point: &Point, harm: Option<f64>| moved(course, point, harm).map(|value| value * scale);
    let proves = course.margin.0 * course.slack;
    let line = |of: &dyn Fn(&Point) -> Option<f64>| -> Vec<Value> {
        points.iter().map(|point| of(point).map_or(Value::Null, rounded)).collect()
    };
    let bound = |point: &Point, harm: Option<f64>| {
        let most = proves * MARGINS_SHOWN + point.judged.harm.unwrap_or(0.0).abs();
        place(point, Some(harm?.clamp(-most, most)))
    };
    let chart = json!({
        "unit": unit,
        "height": 200,
        "x": points.iter().map(|point| json!(point.at.0)).collect::<Vec<_>>(),
        "series": [
            { "label": "may be at least", "color": "--line", "width": 1, "values": line(&|point| bound(point, point.judged.harm_low)) },
            { "label": "may be at most", "color": "--line", "width": 1, "values": line(&|point| bound(point, point.judged.harm_high)) },
            { "label": "tolerated", "color": "--bad", "dash": [6, 4], "values": line(&|point| place(point, Some(proves))) },
            { "label": "incumbent", "color": "--incumbent", "values": line(&|point| point.judged.incumbent.map(|value| value * scale)) },
            { "label": "candidate", "color": "--candidate", "width": 2, "values": line(&|point| point.judged.candidate.map(|value| value * scale)) },
        ],
        "bands": [{ "series": if is_upward(course) { [2, 1] } else { [1, 2] }, "color": "--band" }],
    });
    Some(chart.to_string())
}

/// The value of a candidate that is worse than the incumbent by so much.
fn moved(course: &Course, point: &Point, harm: Option<f64>) -> Option<f64> {
    let (incumbent, harm) = (point.judged.incumbent?, harm?);
    let harm = if is_upward(course) { harm } else { -harm };
    let value = if course.harm == "ratio" { incumbent * (1.0 + harm) } else { incumbent + harm };
    let most = if matches!(course.unit.as_str(), "share" | "score") { 1.0 } else { f64::INFINITY };
    Some(value.clamp(0.0, most))
}

/// Whether more is worse.
fn is_upward(course: &Course) -> bool {
    match course.direction {
        Better::Lower => true,
        Better::Higher => false,
    }
}

/// Four digits: more aren't seen.
fn rounded(value: f64) -> Value {
    if value == 0.0 || !value.is_finite() {
        return json!(0);
    }
    let digits = 10_f64.powf(3.0 - value.abs().log10().floor());
    json!((value * digits).round() / digits)
}

fn spread(points: &[Point]) -> Vec<&Point> {
    let shown = points.len().min(POINTS_MAX);
    let last = points.len().saturating_sub(1);
    (0..shown).map(|place| &points[place * last / shown.saturating_sub(1).max(1)]).collect()
}
