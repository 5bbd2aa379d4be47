//! The calls of a whole answer.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{CALL, END, mentions, told_of, with_field};
use crate::guard::{Called, Verdict};
use crate::json;
use crate::messages::observe::{Block, read_object};

/// A whole answer that calls tools.
pub struct Calls {
    body: String,
    /// With the place of each among the blocks.
    calls: Vec<(usize, Called)>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
}

impl Calls {
    /// The calls of an answer; none where it has none.
    #[must_use]
    pub fn of(body: &[u8]) -> Option<Calls> {
        if !mentions(body, CALL.as_bytes()) {
            return None;
        }
        let Answer { content } = read_object(body).ok()?;
        let body = std::str::from_utf8(body).ok()?.to_owned();
        let blocks = blocks(content).enumerate();
        let calls: Vec<(usize, Called)> = blocks.filter_map(|(at, block)| Some((at, call(block)?))).collect();
        (!calls.is_empty()).then_some(Calls { body, calls })
    }

    /// The calls, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Called> {
        self.calls.iter().map(|(_, called)| called)
    }

    /// The answer without the calls that don't pass, by a verdict for each; none when all pass.
    #[must_use]
    pub fn without(self, verdicts: &[Verdict]) -> Option<Vec<u8>> {
        let refused = self
            .calls
            .iter()
            .zip(verdicts)
            .filter_map(|((at, _), verdict)| Some((*at, verdict.as_ref().err()?.clone())));
        let (gone, told): (Vec<usize>, Vec<String>) = refused.unzip();
        if gone.is_empty() {
            return None;
        }
        let Answer { content } = read_object(self.body.as_bytes()).ok()?;
        let kept = blocks(content).enumerate().filter(|(at, _)| !gone.contains(at));
        let mut kept: Vec<String> = kept.map(|(_, block)| block.to_owned()).collect();
        if let Some(told) = told_of(&told) {
            kept.push(json!({ "type": "text", "text": told }).to_string());
        }
        let mut body = with_field(&self.body, "content", &format!("[{}]", kept.join(",")))?;
        if gone.len() == self.calls.len() {
            body = stopped_otherwise(&body).unwrap_or(body);
        }
        Some(body.into_bytes())
    }
}

/// Writes an object whose `stop_reason` says that tools are called as one that ended by itself; none where it says
/// something else.
pub(super) fn stopped_otherwise(object: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Stopped {
        stop_reason: String,
    }
    let Stopped { stop_reason } = read_object(object.as_bytes()).ok()?;
    (stop_reason == CALL).then(|| with_field(object, "stop_reason", &format!("\"{END}\"")))?
}

fn blocks(content: &RawValue) -> impl Iterator<Item = &str> {
    let text = if content.get().starts_with('[') { content.get() } else { "[]" };
    json::items(text)
}

fn call(block: &str) -> Option<Called> {
    let block: Block<'_> = read_object(block.as_bytes()).ok()?;
    (block.kind()? == CALL).then(|| {
        let called = block.called();
        Called { arguments: block.input().unwrap_or("{}").to_owned(), ..called }
    })
}
