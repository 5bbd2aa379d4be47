//! What a request is compared with, for agents that send prompt and tools themselves, and how differences are told.

use std::fmt;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::json;

/// What a request must carry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pin<'p> {
    pub system: Option<&'p str>,
    pub tools: Option<&'p PinnedTools>,
    pub params: &'p [(String, Box<RawValue>)],
}

/// A release's tools, prepared once so that each request is compared cheaply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedTools {
    sorted: Vec<Tool>,
}

/// One difference between a request and its pin, fit to be shown to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The field, such as `messages`, `temperature` or `tools[search]`.
    pub field: String,
    pub expected: String,
    pub got: String,
}

/// Says that a text is not a list of tools.
#[derive(Debug, thiserror::Error)]
pub enum ToolsError {
    #[error("the tools are not JSON")]
    NotJson { source: serde_json::Error },
    #[error("the tools must be an array")]
    NotAnArray,
}

/// A tool in the one spelling that all equal tools have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tool {
    text: String,
    name: String,
}

/// Most differences that one answer lists: enough to see what is going on, small enough for an error body.
pub(crate) const MISMATCHES_MAX: usize = 16;

/// Characters shown of a value, and of a name.
const EXCERPT_CHARS: usize = 60;

pub(crate) const ABSENT: &str = "absent";

impl fmt::Display for Mismatch {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "`{}` must be {}, but is {}", self.field, self.expected, self.got)
    }
}

impl PinnedTools {
    /// Prepares tools for comparison.
    ///
    /// # Errors
    /// [`ToolsError`] when they are no array.
    pub fn new(tools: &RawValue) -> Result<PinnedTools, ToolsError> {
        let value = serde_json::from_str(tools.get()).map_err(|source| ToolsError::NotJson { source })?;
        let Value::Array(list) = value else { return Err(ToolsError::NotAnArray) };
        let mut sorted: Vec<Tool> = list.iter().map(Tool::new).collect();
        sorted.sort_unstable();
        Ok(PinnedTools { sorted })
    }
}

/// Compares a system text.
pub(crate) fn compare_system(field: &str, pinned: &str, sent: &str, found: &mut Vec<Mismatch>) {
    if sent != pinned {
        let (expected, got) = differing(pinned, sent);
        let expected = format!("the pinned system text {expected}");
        found.push(Mismatch { field: field.to_owned(), expected, got });
    }
}

/// Compares a parameter where it is sent.
pub(crate) fn compare_param(name: &str, pinned: &RawValue, sent: &RawValue, found: &mut Vec<Mismatch>) {
    if !same(sent, pinned) {
        let (expected, got) = (excerpt(pinned.get(), 0), excerpt(sent.get(), 0));
        found.push(Mismatch { field: name.to_owned(), expected, got });
    }
}

/// Compares tools; none sent are as an empty array.
pub(crate) fn compare_tools(pinned: &PinnedTools, sent: Option<&RawValue>, found: &mut Vec<Mismatch>) {
    let sent = match sent.map(PinnedTools::new).transpose() {
        Ok(sent) => sent.map(|tools| tools.sorted).unwrap_or_default(),
        Err(error) => {
            let got = error.to_string();
            return found.push(Mismatch {
                field: "tools".to_owned(),
                expected: "an array of tools".to_owned(),
                got,
            });
        }
    };
    let (missing, mut extra) = without_common(&pinned.sorted, &sent);
    for tool in missing {
        let field = format!("tools[{}]", tool.name);
        let same_name = extra.iter().position(|other| other.name == tool.name);
        let (expected, got) = match same_name.map(|at| extra.remove(at)) {
            Some(other) => differing(&tool.text, &other.text),
            None => ("as released".to_owned(), ABSENT.to_owned()),
        };
        found.push(Mismatch { field, expected, got });
    }
    for tool in extra {
        let got = excerpt(&tool.text, 0);
        found.push(Mismatch { field: format!("tools[{}]", tool.name), expected: ABSENT.to_owned(), got });
    }
}

impl Tool {
    fn new(tool: &Value) -> Tool {
        let name = tool.pointer("/function/name").or_else(|| tool.get("name")).and_then(Value::as_str);
        let name = name.unwrap_or("unnamed").chars().take(EXCERPT_CHARS).collect();
        Tool { text: json::comparable(tool), name }
    }
}

/// Gives what is only in the first and only in the second of two sorted lists.
fn without_common<'t>(left: &'t [Tool], right: &'t [Tool]) -> (Vec<&'t Tool>, Vec<&'t Tool>) {
    let (mut only_left, mut only_right) = (Vec::new(), Vec::new());
    let (mut l, mut r) = (left.iter().peekable(), right.iter().peekable());
    loop {
        match (l.peek(), r.peek()) {
            (Some(a), Some(b)) if a == b => {
                l.next();
                r.next();
            }
            (Some(a), Some(b)) if a < b => only_left.extend(l.next()),
            (Some(_), None) => only_left.extend(l.next()),
            (_, Some(_)) => only_right.extend(r.next()),
            (None, None) => return (only_left, only_right),
        }
    }
}

fn same(a: &RawValue, b: &RawValue) -> bool {
    let read = |raw: &RawValue| serde_json::from_str(raw.get()).ok().map(|value| json::comparable(&value));
    a.get() == b.get() || read(a).is_some_and(|a| Some(a) == read(b))
}

/// Shows both texts from a little before the place where they part.
fn differing(expected: &str, got: &str) -> (String, String) {
    let same_chars = expected.chars().zip(got.chars()).take_while(|(a, b)| a == b).count();
    let from = same_chars.saturating_sub(EXCERPT_CHARS / 4);
    let show = |text: &str| {
        if text.is_empty() { ABSENT.to_owned() } else { excerpt(text, from) }
    };
    (show(expected), show(got))
}

/// Quotes a few characters of a text and says how long it is when that isn't all.
pub(crate) fn excerpt(text: &str, from_char: usize) -> String {
    let shown: String = text.chars().skip(from_char).take(EXCERPT_CHARS).collect();
    let before = if from_char > 0 { "…" } else { "" };
    let chars = text.chars().count();
    if chars > from_char + EXCERPT_CHARS {
        format!("`{before}{shown}…` ({chars} characters)")
    } else if from_char > 0 {
        format!("`{before}{shown}` ({chars} characters)")
    } else {
        format!("`{shown}`")
    }
}
