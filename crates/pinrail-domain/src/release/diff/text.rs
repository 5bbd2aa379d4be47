//! How two prompts differ, word by word.
//!
//! Joining the `equal` and `delete` runs gives the first text back exactly, `equal` and `insert` the second:
//! spaces and line ends belong to runs like words do. Long texts are compared by lines and enormous ones as a
//! whole, after the lines they begin and end with alike, so that time and memory stay in proportion.

use serde::{Deserialize, Serialize};
use similar::{Algorithm, DiffTag, DiffableStr, capture_diff_slices};

/// A text's change as runs in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextDiff {
    pub grain: Grain,
    pub runs: Vec<Run>,
}

/// What was compared as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    Word,
    Line,
    /// All lines between the common first and last ones.
    Whole,
}

/// A stretch of text on one side or both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub op: Op,
    pub text: String,
    /// Far from any change: a reader may skip it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub folded: bool,
}

/// Which side a run is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    Equal,
    Insert,
    Delete,
}

/// Words on both sides together, spaces and punctuation counted, up to which texts are compared by words.
/// That is some 150 KiB a side of *changed* text; two unrelated texts of this size take a quarter of a second.
pub const WORDS_MAX: usize = 100_000;
/// Lines on both sides together up to which texts are compared by lines: the search is the same.
pub const LINES_MAX: usize = 100_000;
/// Words, spaces counted, that stay visible on each side of a change: about a sentence.
pub const CONTEXT_WORDS: usize = 24;
/// Lines that stay visible on each side of a change, as in unified diffs.
pub const CONTEXT_LINES: usize = 3;

impl TextDiff {
    /// Compares two texts.
    #[must_use]
    pub fn between(a: &str, b: &str) -> TextDiff {
        let (head, tail) = common_lines(a, b);
        let (old, new) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
        let (grain, old, new) = cut(old, new);
        let mut script = Script { grain, runs: Vec::new(), deleted: String::new(), inserted: String::new() };
        script.equal(&a[..head]);
        script.compare(&old, &new);
        script.equal(&a[a.len() - tail..]);
        script.flush();
        TextDiff { grain, runs: fold(script.runs, grain) }
    }
}

/// Runs as they come, neighbours of one kind joined, deletions before insertions.
struct Script {
    grain: Grain,
    runs: Vec<Run>,
    deleted: String,
    inserted: String,
}

impl Script {
    fn compare(&mut self, old: &[&str], new: &[&str]) {
        let ops = match self.grain {
            // Patience anchors on words that come once, so the many spaces and commas don't tear a sentence up.
            Grain::Word | Grain::Line => capture_diff_slices(Algorithm::Patience, old, new),
            Grain::Whole => {
                self.deleted.push_str(&old.concat());
                self.inserted.push_str(&new.concat());
                return;
            }
        };
        for (index, op) in ops.iter().enumerate() {
            let (tag, before, after) = op.as_tag_tuple();
            let (before, after) = (old[before].concat(), new[after].concat());
            match tag {
                DiffTag::Equal => {
                    let next_replaces = ops.get(index + 1).is_some_and(|next| next.tag() == DiffTag::Replace);
                    if next_replaces && self.is_gap(&before) {
                        self.deleted.push_str(&before);
                        self.inserted.push_str(&after);
                    } else {
                        self.equal(&before);
                    }
                }
                DiffTag::Delete | DiffTag::Insert | DiffTag::Replace => {
                    self.deleted.push_str(&before);
                    self.inserted.push_str(&after);
                }
            }
        }
    }

    /// Whether `text` only keeps two replacements apart: "a b" → "c d" reads better than two changes.
    fn is_gap(&self, text: &str) -> bool {
        let replacing = !self.deleted.is_empty() && !self.inserted.is_empty();
        replacing && self.grain == Grain::Word && text.chars().all(|c| c.is_whitespace() && c != '\n')
    }

    fn equal(&mut self, text: &str) {
        if !text.is_empty() {
            self.flush();
            self.push(Op::Equal, text.to_owned());
        }
    }

    fn flush(&mut self) {
        let (deleted, inserted) = (std::mem::take(&mut self.deleted), std::mem::take(&mut self.inserted));
        self.push(Op::Delete, deleted);
        self.push(Op::Insert, inserted);
    }

    fn push(&mut self, op: Op, text: String) {
        match self.runs.last_mut() {
            _ if text.is_empty() => {}
            Some(last) if last.op == op => last.text.push_str(&text),
            Some(_) | None => self.runs.push(Run { op, text, folded: false }),
        }
    }
}

/// The bytes of the lines that both texts begin with, and of those that both end with.
fn common_lines(a: &str, b: &str) -> (usize, usize) {
    let same = |(x, y): &(&str, &str)| x == y;
    let lines = |text| str::split_inclusive(text, '\n');
    let head: usize = lines(a).zip(lines(b)).take_while(same).map(|(x, _)| x.len()).sum();
    let (a, b) = (&a[head..], &b[head..]);
    let tail = lines(a).rev().zip(lines(b).rev()).take_while(same).map(|(x, _)| x.len()).sum();
    (head, tail)
}

/// Cuts both texts at the finest grain that stays within the limits.
fn cut<'t>(a: &'t str, b: &'t str) -> (Grain, Vec<&'t str>, Vec<&'t str>) {
    for (grain, max) in [(Grain::Word, WORDS_MAX), (Grain::Line, LINES_MAX)] {
        let (a, b) = (pieces(a, grain), pieces(b, grain));
        if a.len() + b.len() <= max {
            return (grain, a, b);
        }
    }
    (Grain::Whole, vec![a], vec![b])
}

fn pieces(text: &str, grain: Grain) -> Vec<&str> {
    match grain {
        Grain::Word => text.tokenize_unicode_words(),
        Grain::Line | Grain::Whole => text.split_inclusive('\n').collect(),
    }
}

/// Sets what is far from any change apart from its context.
fn fold(runs: Vec<Run>, grain: Grain) -> Vec<Run> {
    let context = match grain {
        Grain::Word => CONTEXT_WORDS,
        Grain::Line | Grain::Whole => CONTEXT_LINES,
    };
    let last = runs.len().saturating_sub(1);
    let mut folded = Vec::with_capacity(runs.len());
    for (index, run) in runs.into_iter().enumerate() {
        let before = if index == 0 { 0 } else { context };
        let after = if index == last { 0 } else { context };
        let pieces = if run.op == Op::Equal { pieces(&run.text, grain) } else { Vec::new() };
        // Folding less than what stays would cost more attention than it saves.
        if pieces.len() <= before + after + context {
            folded.push(run);
            continue;
        }
        let middle = before..pieces.len() - after;
        let part = |pieces: &[&str], folded| Run { op: Op::Equal, text: pieces.concat(), folded };
        let parts = [
            part(&pieces[..middle.start], false),
            part(&pieces[middle.clone()], true),
            part(&pieces[middle.end..], false),
        ];
        folded.extend(parts.into_iter().filter(|run| !run.text.is_empty()));
    }
    folded
}
