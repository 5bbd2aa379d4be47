//! Compares a request with the pinned release, for agents that send prompt and tools themselves.
//!
//! Conditions: the leading system text must be the pinned one, character by character, and no system or
//! developer message may come later, since it would steer the agent as much as the prompt does. Tools must be
//! the pinned ones as JSON values; neither their order nor that of object keys counts. A parameter must be equal
//! where it is sent. What the pin leaves out (`None`, an unnamed parameter) is not compared.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;
use serde_json::value::RawValue;

use super::request::ChatRequest;
use super::rewrite::{PARAMS_RESERVED, twin};
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
const MISMATCHES_MAX: usize = 16;

/// Characters shown of a value, and of a name.
const EXCERPT_CHARS: usize = 60;

const ABSENT: &str = "absent";

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

impl ChatRequest<'_> {
    /// Lists how the request differs from the pin; nothing means that it may go.
    #[must_use]
    pub fn verify(&self, pin: &Pin<'_>) -> Vec<Mismatch> {
        let mut found = Vec::new();
        if let Some(system) = pin.system {
            self.verify_system(system, &mut found);
        }
        if let Some(tools) = pin.tools {
            self.verify_tools(tools, &mut found);
        }
        for (name, value) in pin.params.iter().filter(|(name, _)| !PARAMS_RESERVED.contains(&name.as_str())) {
            for sent_as in [Some(name.as_str()), twin(name)].into_iter().flatten() {
                if let Some(sent) = self.param(sent_as).filter(|sent| !same(sent, value)) {
                    let (expected, got) = (excerpt(value.get(), 0), excerpt(sent.get(), 0));
                    found.push(Mismatch { field: sent_as.to_owned(), expected, got });
                }
            }
        }
        found.truncate(MISMATCHES_MAX);
        found
    }

    fn verify_system(&self, pinned: &str, found: &mut Vec<Mismatch>) {
        let field = || "messages".to_owned();
        match self.system_text() {
            Ok(sent) => {
                let text = sent.unwrap_or(Cow::Borrowed(""));
                if text != pinned {
                    let (expected, got) = differing(pinned, &text);
                    let expected = format!("the pinned system text {expected}");
                    found.push(Mismatch { field: field(), expected, got });
                }
            }
            Err(error) => found.push(Mismatch {
                field: error.param().map_or_else(field, str::to_owned),
                expected: "the pinned system text".to_owned(),
                got: error.to_string(),
            }),
        }
        let messages = self.messages().iter().enumerate();
        for (at, message) in messages.skip_while(|(_, m)| m.is_system()).filter(|(_, m)| m.is_system()) {
            found.push(Mismatch {
                field: format!("messages[{at}].role"),
                expected: "`user`, `assistant` or `tool` once the conversation has begun".to_owned(),
                got: format!("`{}`", message.role),
            });
        }
    }

    fn verify_tools(&self, pinned: &PinnedTools, found: &mut Vec<Mismatch>) {
        if let Some(functions) = self.param("functions") {
            let got = excerpt(functions.get(), 0);
            found.push(Mismatch { field: "functions".to_owned(), expected: ABSENT.to_owned(), got });
        }
        let sent = match self.tools().map(PinnedTools::new).transpose() {
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
fn excerpt(text: &str, from_char: usize) -> String {
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

#[cfg(test)]
mod tests;
