//! What changed, as markup: texts word by word, JSON line by line. Long stretches that didn't change are folded.
//!
//! Everything here is bounded by size and never by time, so that a page looks the same wherever it is made.

use std::fmt::Write as _;

use pinrail_domain::release::diff::{Grain, Op, TextDiff};
use serde_json::Value;
use similar::{Algorithm, DiffTag, capture_diff_slices};

use super::{Html, grouped, push};

/// What is shown of one stretch of a text; the whole is in the page's JSON.
const RUN_CHARS_MAX: usize = 20_000;
/// What is shown of one text.
const TEXT_CHARS_MAX: usize = 200_000;
/// Lines of both sides together up to which JSON is compared: at worst the search takes the square of it, 16 million steps.
const LINES_MAX: usize = 4_000;
/// Lines that stay visible on each side of a change.
const CONTEXT_LINES: usize = 3;

/// A text's change, with its lines.
#[must_use]
pub fn words(diff: &TextDiff) -> Html {
    let mut html = String::from("<div class=\"prose\" dir=\"auto\" tabindex=\"0\">");
    let mut left = TEXT_CHARS_MAX;
    let mut dropped = 0;
    for run in &diff.runs {
        let chars = run.text.chars().count();
        let shown = chars.min(RUN_CHARS_MAX).min(left);
        left -= shown;
        dropped += chars - shown;
        if shown == 0 {
            continue;
        }
        let text = if shown < chars { &run.text[..bytes_of(&run.text, shown)] } else { &run.text };
        match (run.op, run.folded) {
            (Op::Insert, _) => wrapped(&mut html, "<ins>", text, "</ins>"),
            (Op::Delete, _) => wrapped(&mut html, "<del>", text, "</del>"),
            (Op::Equal, false) => push(&mut html, text, true),
            (Op::Equal, true) => {
                let _ = write!(
                    html,
                    "<details class=\"same\"><summary>{} unchanged characters</summary>",
                    grouped(chars as u64)
                );
                push(&mut html, text, true);
                html.push_str("</details>");
            }
        }
    }
    html.push_str("</div>");
    match diff.grain {
        Grain::Word => {}
        Grain::Line => html.push_str("<p class=\"hint\">Compared by lines, as the texts are long.</p>"),
        Grain::Whole => {
            html.push_str("<p class=\"hint\">Compared as a whole, as the texts are enormous.</p>")
        }
    }
    if dropped > 0 {
        let _ = write!(
            html,
            "<p class=\"hint\">{} more characters are in the page’s JSON.</p>",
            grouped(dropped as u64)
        );
    }
    Html(html)
}

/// How two values differ, by the lines of their JSON with its keys in order. Whoever has too many lines is shown as a whole.
#[must_use]
pub fn json(before: &Value, after: &Value) -> Html {
    let (before, after) = (pretty(before), pretty(after));
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let mut html = String::from("<div class=\"prose code\" tabindex=\"0\">");
    if old.len() + new.len() > LINES_MAX {
        lines(&mut html, &old[..old.len().min(LINES_MAX / 2)], "<del>- ", "</del>");
        lines(&mut html, &new[..new.len().min(LINES_MAX / 2)], "<ins>+ ", "</ins>");
        html.push_str(
            "</div><p class=\"hint\">Too long to compare by lines: shown one after the other, and cut.</p>",
        );
        return Html(html);
    }
    let ops = capture_diff_slices(Algorithm::Patience, &old, &new);
    let last = ops.len().saturating_sub(1);
    for (place, op) in ops.iter().enumerate() {
        let (tag, was, is) = op.as_tag_tuple();
        match tag {
            DiffTag::Equal => unchanged(&mut html, &old[was], place == 0, place == last),
            DiffTag::Delete | DiffTag::Insert | DiffTag::Replace => {
                lines(&mut html, &old[was], "<del>- ", "</del>");
                lines(&mut html, &new[is], "<ins>+ ", "</ins>");
            }
        }
    }
    html.push_str("</div>");
    Html(html)
}

/// A value's JSON with its keys in order.
#[must_use]
pub fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(&ordered(value)).expect("a value is JSON")
}

fn unchanged(html: &mut String, same: &[&str], is_first: bool, is_last: bool) {
    let before = if is_first { 0 } else { CONTEXT_LINES };
    let after = if is_last { 0 } else { CONTEXT_LINES };
    if same.len() <= before + after + CONTEXT_LINES {
        return lines(html, same, "  ", "");
    }
    let (middle, end) = (before, same.len() - after);
    lines(html, &same[..middle], "  ", "");
    let _ = write!(
        html,
        "<details class=\"same\"><summary>{} unchanged lines</summary>",
        grouped((end - middle) as u64)
    );
    lines(html, &same[middle..end], "  ", "");
    html.push_str("</details>");
    lines(html, &same[end..], "  ", "");
}

fn lines(html: &mut String, lines: &[&str], open: &str, close: &str) {
    for line in lines {
        wrapped(html, open, line, close);
        html.push('\n');
    }
}

fn wrapped(html: &mut String, open: &str, text: &str, close: &str) {
    html.push_str(open);
    push(html, text, true);
    html.push_str(close);
}

fn bytes_of(text: &str, chars: usize) -> usize {
    text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at)
}

/// The same value with every object's keys sorted.
fn ordered(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            keys.into_iter().map(|key| (key.clone(), ordered(&fields[key]))).collect()
        }
        Value::Array(items) => items.iter().map(ordered).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_that_changed_are_marked_and_hostile_ones_stay_text() {
        let diff = TextDiff::between("be kind to <b>all</b>", "be kind to <script>x</script>\u{202e}");
        let html = words(&diff).into_string();
        assert!(html.contains("<ins>") && html.contains("<del>"), "{html}");
        assert!(!html.contains("<script") && !html.contains("<b>") && html.contains("U+202E"), "{html}");
    }

    #[test]
    fn what_stays_is_folded_and_what_is_endless_is_cut() {
        let same = "the same words again and again. ".repeat(40);
        let html = words(&TextDiff::between(&format!("old {same}"), &format!("new {same}"))).into_string();
        assert!(html.contains("<details class=\"same\">") && html.contains("unchanged characters"), "{html}");
        let long = words(&TextDiff::between("", &"x".repeat(30_000))).into_string();
        assert!(long.contains("10\u{202f}000 more characters"));
    }

    #[test]
    fn json_is_compared_by_lines_whatever_the_order_of_keys() {
        let before = json!({ "name": "refund", "description": "</div><script>", "a": [1, 2] });
        let after = json!({ "a": [1, 3], "description": "</div><script>", "name": "refund" });
        let html = json(&before, &after).into_string();
        assert_eq!((html.matches("<del>").count(), html.matches("<ins>").count()), (1, 1), "{html}");
        assert!(!html.contains("<script"), "{html}");
        let long: Vec<u32> = (0..5_000).collect();
        assert!(json(&json!(long), &json!([])).into_string().contains("Too long to compare"));
    }
}
