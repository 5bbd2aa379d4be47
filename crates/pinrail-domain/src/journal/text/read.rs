//! The texts of an event, one after the other, until one will do.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::json::{Token, Tokens};
use crate::journal::{Body, Event, ModelResponse, Stamp};

/// Looks at one text and says whether it will do.
type Look<'a> = dyn FnMut(&str) -> bool + 'a;

/// How often a string may hold JSON whose strings hold JSON: arguments in an answer in a tool's result are three.
const NESTING_MAX: u8 = 4;

/// Members of bodies that hold no text of anybody: what kind of a part it is, who speaks, bytes of images, signatures.
const STRUCTURE: [&str; 13] = [
    "role",
    "type",
    "object",
    "model",
    "status",
    "detail",
    "finish_reason",
    "stop_reason",
    "media_type",
    "service_tier",
    "signature",
    "encrypted_content",
    "data",
];

/// Members of a request that hold definitions: they are the release's, and the same in each of its runs.
const DEFINITIONS: [&str; 4] = ["tools", "functions", "response_format", "text_format"];

/// Members of bodies that hold what a tool is called with: their names count as well.
const ARGUMENTS: [&str; 3] = ["input", "arguments", "args"];

pub(super) fn stamp(stamp: &Stamp, look: &mut Look<'_>) -> bool {
    stamp.session.as_ref().is_some_and(|session| look(session.as_str()))
        || stamp.attributes.iter().any(|(name, value)| look(&format!("{name}={value}")))
}

pub(super) fn event(event: &Event, look: &mut Look<'_>) -> bool {
    match event {
        Event::Plan { stamp: plan, queued: _ } => stamp(plan, look),
        Event::Started | Event::Resumed | Event::Compared(_) => false,
        Event::ModelRequest { body, .. } => body.as_ref().is_some_and(|kept| body_text(kept, look)),
        Event::ModelRetry { why, .. } | Event::Paused { why } | Event::Parked { why } => look(why),
        Event::ModelResponse(answer) => response(answer, look),
        Event::ModelFailed { code, why, .. } => look(code) || look(why),
        Event::Drift { pinned, served, .. } => look(pinned) || look(served),
        Event::ToolCall { name, id, arguments: said } | Event::ToolResult { name, id, result: said, .. } => {
            look(name) || id.as_ref().is_some_and(|id| look(id)) || value(said, NESTING_MAX, look)
        }
        Event::Dialled { place, withheld, .. } => look(place) || withheld.iter().any(|name| look(name)),
        Event::ToolRuled { name, why, .. } => look(name) || why.as_ref().is_some_and(|why| look(why)),
        Event::ApprovalDecided { name, reason, .. } => look(name) || look(reason),
        Event::Note { name, data } => look(name) || value(data, NESTING_MAX, look),
        Event::Score { name, comment, .. } => {
            look(name) || comment.as_ref().is_some_and(|comment| look(comment))
        }
        Event::Finished { why, .. } => why.as_ref().is_some_and(|why| look(why)),
        Event::Compensated { id, reason, .. } => look(id) || look(reason),
    }
}

fn response(answer: &ModelResponse, look: &mut Look<'_>) -> bool {
    answer.tool_calls.iter().any(|name| look(name))
        || answer.body.as_ref().is_some_and(|kept| body_text(kept, look))
}

/// The texts of a request or an answer as providers write it.
fn body_text(body: &Body, look: &mut Look<'_>) -> bool {
    let Body::Text { text, truncated: _ } = body else { return false };
    if !text.trim_ascii_start().starts_with(['{', '[']) {
        return look(text);
    }
    let mut name = String::new();
    let (mut depth, mut definitions, mut arguments) = (0_usize, None, None);
    for token in Tokens::of(text) {
        match token {
            Token::Object | Token::Array => {
                if depth == 1 && definitions.is_none() && DEFINITIONS.contains(&name.as_str()) {
                    definitions = Some(depth);
                }
                let given = token == Token::Object && ARGUMENTS.contains(&name.as_str());
                if given && arguments.is_none() {
                    arguments = Some(depth);
                }
                depth += 1;
            }
            Token::Close => {
                depth = depth.saturating_sub(1);
                definitions = definitions.filter(|began| *began < depth);
                arguments = arguments.filter(|began| *began < depth);
            }
            _ if definitions.is_some() => {}
            Token::Name(read) => {
                if arguments.is_some() && look(&read) {
                    return true;
                }
                read.as_ref().clone_into(&mut name);
            }
            Token::Text(read) => {
                let skipped = arguments.is_none() && STRUCTURE.contains(&name.as_str());
                if !skipped && string(&read, NESTING_MAX, look) {
                    return true;
                }
            }
            Token::Number(read) => {
                if arguments.is_some() && look(read) {
                    return true;
                }
            }
        }
    }
    false
}

/// Names, strings and numbers of a value.
fn value(said: &Value, nesting: u8, look: &mut Look<'_>) -> bool {
    match said {
        Value::Null | Value::Bool(_) => false,
        Value::Number(number) => look(&number.to_string()),
        Value::String(text) => string(text, nesting, look),
        Value::Array(items) => items.iter().any(|item| value(item, nesting, look)),
        Value::Object(members) => {
            members.iter().any(|(name, member)| look(name) || value(member, nesting, look))
        }
    }
}

/// A string as it is, and what stands in it where it is JSON itself. JSON with escapes isn't looked at as it is.
fn string(text: &str, nesting: u8, look: &mut Look<'_>) -> bool {
    if is_base64(text) {
        return false;
    }
    let nested = nesting > 0
        && text.trim_ascii_start().starts_with(['{', '['])
        && serde_json::from_str::<IgnoredAny>(text).is_ok();
    if (!nested || !text.contains('\\')) && look(text) {
        return true;
    }
    nested
        && Tokens::of(text).any(|token| match token {
            Token::Object | Token::Array | Token::Close => false,
            Token::Name(read) => look(&read),
            Token::Text(read) => string(&read, nesting - 1, look),
            Token::Number(read) => look(read),
        })
}

/// Whether it is a `data:` address with bytes in it.
fn is_base64(text: &str) -> bool {
    text.starts_with("data:") && text.split_once(',').is_some_and(|(kind, _)| kind.ends_with(";base64"))
}
