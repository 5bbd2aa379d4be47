//! Which of a checkpoint's rules fit a request, in the script's order.
//!
//! A rule fits when the last user message, the system prompt and a tool's result hold the words that it looks for, and
//! its luck says so. The luck is drawn once for each answer, so that what calls a tool and what replies see the same.

use crate::draw::Draw;
use crate::request::{Message, Request, Role};
use crate::script::{Checkpoint, Scripted};

/// Gives the rules that fit.
pub fn fitting<'a>(
    request: &Request,
    checkpoint: &'a Checkpoint,
    draw: &Draw,
) -> impl Iterator<Item = &'a Scripted> {
    let draw = *draw;
    let user = request.user_text().to_lowercase();
    let system = request.system_text().to_lowercase();
    let results: Vec<String> =
        last_results(request).iter().map(|result| result.text.to_lowercase()).collect();
    checkpoint.scripted.iter().enumerate().filter_map(move |(at, rule)| {
        let fits = user.contains(&rule.contains)
            && rule.system_contains.as_ref().is_none_or(|words| system.contains(words))
            && rule
                .result_contains
                .as_ref()
                .is_none_or(|words| results.iter().any(|one| one.contains(words)))
            && draw.happens(&format!("rule {at}"), rule.rate);
        fits.then_some(rule)
    })
}

/// Gives the tool messages at the conversation's end, oldest first.
pub fn last_results(request: &Request) -> Vec<&Message> {
    let count = request.messages.iter().rev().take_while(|message| message.role == Role::Tool).count();
    request.messages[request.messages.len() - count..].iter().collect()
}
