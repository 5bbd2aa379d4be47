//! The task families that the simulator can solve, so that quality is a number and not an opinion.
//!
//! | message (anywhere in it, whatever the case) | right answer |
//! |---|---|
//! | `What is 17 + 25?` (also `Calculate`, `Compute`, `How much is`; `+ - *`) | `42` |
//! | `Classify: TEXT -> one of a\|b\|c` | the only label that TEXT contains, otherwise a label chosen by a hash of TEXT |
//! | `Extract KEY from: k=v, k=v` | the value of KEY |
//! | `Repeat: TEXT` | TEXT, to the end of its line |
//!
//! The first family that matches, in the order of the table, is the task. Right answers depend on nothing but the
//! message, so an eval suite can be written, or generated with this type, without asking a model.

use xxhash_rust::xxh3::xxh3_64;

use crate::draw::Draw;

/// A question with exactly one right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    Arithmetic { left: i64, operator: char, right: i64 },
    Classify { text: String, labels: Vec<String> },
    Extract { key: String, pairs: Vec<(String, String)> },
    Repeat { text: String },
}

impl Task {
    /// Finds the task in a message.
    pub fn find(message: &str) -> Option<Self> {
        arithmetic(message)
            .or_else(|| classify(message))
            .or_else(|| extract(message))
            .or_else(|| repeat(message))
    }

    /// Gives the right answer.
    pub fn right(&self) -> String {
        match self {
            Self::Arithmetic { left, operator, right } => calculate(*left, *operator, *right).to_string(),
            Self::Classify { text, labels } => labels[right_label(text, labels)].clone(),
            Self::Extract { key, pairs } => pairs
                .iter()
                .find(|(name, _)| name == key)
                .map_or_else(String::new, |(_, value)| value.clone()),
            Self::Repeat { text } => text.clone(),
        }
    }

    /// Gives a plausible answer that is not the right one.
    pub(crate) fn wrong(&self, draw: &Draw) -> String {
        match self {
            Self::Arithmetic { left, operator, right } => {
                let offsets = [-10, -2, -1, 1, 2, 10];
                let slip = offsets[draw.below("slip", offsets.len())];
                (calculate(*left, *operator, *right) + slip).to_string()
            }
            Self::Classify { text, labels } => {
                let step = 1 + draw.below("slip", labels.len() - 1);
                labels[(right_label(text, labels) + step) % labels.len()].clone()
            }
            Self::Extract { pairs, .. } => {
                let right = self.right();
                let others: Vec<&String> =
                    pairs.iter().map(|(_, value)| value).filter(|v| **v != right).collect();
                if others.is_empty() {
                    format!("{right}?")
                } else {
                    others[draw.below("slip", others.len())].clone()
                }
            }
            Self::Repeat { text } => {
                let words: Vec<&str> = text.split_whitespace().collect();
                let dropped = draw.below("slip", words.len());
                let kept: Vec<&str> = words
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| *at != dropped)
                    .map(|(_, word)| *word)
                    .collect();
                if kept.is_empty() { format!("{text} {text}") } else { kept.join(" ") }
            }
        }
    }

    /// Puts an answer into a sentence that contains it word for word.
    pub(crate) fn sentence(&self, answer: &str) -> String {
        match self {
            Self::Arithmetic { left, operator, right } => format!("{left} {operator} {right} is {answer}."),
            Self::Classify { .. } => format!("I would call this: {answer}"),
            Self::Extract { key, .. } => format!("The {key} is: {answer}"),
            Self::Repeat { .. } => answer.to_owned(),
        }
    }
}

fn calculate(left: i64, operator: char, right: i64) -> i128 {
    let (left, right) = (i128::from(left), i128::from(right));
    match operator {
        '+' => left + right,
        '-' => left - right,
        _ => left * right,
    }
}

/// Labels are told apart without regard to case; `find` guarantees two of them.
fn right_label(text: &str, labels: &[String]) -> usize {
    let lower = text.to_lowercase();
    let mut named = labels.iter().enumerate().filter(|(_, label)| lower.contains(&label.to_lowercase()));
    match (named.next(), named.next()) {
        (Some((at, _)), None) => at,
        (Some(_) | None, _) => (xxh3_64(text.as_bytes()) % labels.len() as u64) as usize,
    }
}

fn arithmetic(message: &str) -> Option<Task> {
    let starts = ["what is ", "what's ", "calculate ", "compute ", "how much is "];
    let asked = starts.iter().filter_map(|start| after(message, start)).find_map(expression);
    asked.or_else(|| expression(message.trim()))
}

/// Reads `17 + 25` and refuses when the expression goes on, since half an expression has another answer.
fn expression(text: &str) -> Option<Task> {
    let (left, rest) = integer(text.trim_start())?;
    let mut chars = rest.trim_start().chars();
    let operator = match chars.next()? {
        '+' => '+',
        '-' | '−' => '-',
        '*' | '×' => '*',
        _ => return None,
    };
    let (right, rest) = integer(chars.as_str().trim_start())?;
    let goes_on = rest.trim_start().starts_with(['+', '-', '−', '*', '×', '/', '^', '%']);
    let decimal = rest.starts_with(['.', ',']) && rest[1..].starts_with(|char: char| char.is_ascii_digit());
    (!goes_on && !decimal).then_some(Task::Arithmetic { left, operator, right })
}

fn integer(text: &str) -> Option<(i64, &str)> {
    let sign = usize::from(text.starts_with('-'));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(sign + digits);
    number.parse().ok().map(|number| (number, rest))
}

fn classify(message: &str) -> Option<Task> {
    let rest = after(message, "classify:")?;
    let (text, labels) = ["-> one of ", "→ one of "].iter().find_map(|arrow| rest.split_once(arrow))?;
    let labels = labels.lines().next().unwrap_or("");
    let mut distinct: Vec<String> = Vec::new();
    for label in labels.split('|').map(|label| label.trim().trim_end_matches(['.', '?', '!'])) {
        if !label.is_empty() && !distinct.iter().any(|known| known.eq_ignore_ascii_case(label)) {
            distinct.push(label.to_owned());
        }
    }
    (distinct.len() >= 2).then(|| Task::Classify { text: text.trim().to_owned(), labels: distinct })
}

fn extract(message: &str) -> Option<Task> {
    let (key, list) = after(message, "extract ")?.split_once(" from:")?;
    let pairs: Vec<(String, String)> = list
        .lines()
        .next()?
        .split([',', ';'])
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let key = key.trim().trim_start_matches("the ").to_owned();
    pairs
        .iter()
        .any(|(name, value)| *name == key && !value.is_empty())
        .then_some(Task::Extract { key, pairs })
}

fn repeat(message: &str) -> Option<Task> {
    let text = after(message, "repeat:")?.lines().next()?.trim();
    (!text.is_empty()).then(|| Task::Repeat { text: text.to_owned() })
}

/// Finds ASCII words whatever their case, and gives what follows them.
fn after<'a>(message: &'a str, words: &str) -> Option<&'a str> {
    let at =
        message.as_bytes().windows(words.len()).position(|w| w.eq_ignore_ascii_case(words.as_bytes()))?;
    message.get(at + words.len()..)
}
