//! What is said in words: after a tool's result, by a rule, or by the policy.

use super::rules::{fitting, last_results};
use super::task::Task;
use crate::border::Next;
use crate::draw::Draw;
use crate::limits::QUOTE_CHARS_MAX;
use crate::request::{Message, Request, Role};
use crate::script::{Checkpoint, Policy, Rates, Verbosity};

/// Decides the text of an answer that calls no tool.
pub fn text(
    request: &Request,
    checkpoint: &Checkpoint,
    rates: &Rates,
    draw: &Draw,
    next: Option<&Next>,
) -> String {
    let reply = fitting(request, checkpoint, draw).find_map(|rule| rule.reply.as_deref());
    let results = last_results(request);
    if !results.is_empty() {
        return after_tools(reply, &results, checkpoint);
    }
    match (reply, &checkpoint.policy) {
        (Some(reply), _) => reply.to_owned(),
        (None, Policy::Task) => {
            next.map_or_else(|| by_task(request, checkpoint, rates, draw), |next| next.said.clone())
        }
        (None, Policy::Echo) => request.user_text().to_owned(),
        (None, Policy::Fixed(text)) => text.clone(),
    }
}

fn after_tools(reply: Option<&str>, results: &[&Message], checkpoint: &Checkpoint) -> String {
    let room = (QUOTE_CHARS_MAX / results.len()).max(1);
    let quotes: Vec<String> = results.iter().map(|result| quote(&result.text, room)).collect();
    let (tool, its) = if results.len() == 1 { ("tool", "It") } else { ("tools", "They") };
    let found = match checkpoint.verbosity {
        Verbosity::Terse => quotes.join(" and "),
        Verbosity::Normal => format!("The {tool} answered: {}", quotes.join(" and ")),
        Verbosity::Chatty => {
            format!(
                "I asked the {tool} for you. {its} answered: {}. Is there more I can do?",
                quotes.join(" and ")
            )
        }
    };
    styled(checkpoint, reply.map_or(found.clone(), |reply| format!("{reply} {found}")))
}

fn quote(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("\"{}…\"", &text[..end]),
        None => format!("\"{text}\""),
    }
}

fn by_task(request: &Request, checkpoint: &Checkpoint, rates: &Rates, draw: &Draw) -> String {
    let Some(task) = Task::find(request.user_text()) else { return friendly(request, checkpoint) };
    let answer = if draw.happens("accuracy", rates.accuracy) { task.right() } else { task.wrong(draw) };
    if checkpoint.verbosity == Verbosity::Terse || wants_bare_answer(request) {
        return answer;
    }
    let sentence = task.sentence(&answer);
    match checkpoint.verbosity {
        Verbosity::Terse | Verbosity::Normal => styled(checkpoint, sentence),
        Verbosity::Chatty => styled(checkpoint, format!("Let me see. {sentence} Ask me another one!")),
    }
}

/// A system prompt or message with one of these phrases gets the bare answer: prompts matter here too.
fn wants_bare_answer(request: &Request) -> bool {
    const PHRASES: [&str; 5] = ["answer only", "only the ", "number only", "label only", "nothing else"];
    let asked = format!("{}\n{}", request.system_text(), request.user_text()).to_lowercase();
    PHRASES.iter().any(|phrase| asked.contains(phrase))
}

/// A friendly answer of a fixed form, which shows the system prompt's first words so that a changed prompt is seen.
fn friendly(request: &Request, checkpoint: &Checkpoint) -> String {
    let words = request.user_text().split_whitespace().count();
    let turn = request.messages.iter().filter(|message| message.role == Role::User).count();
    let plural = if words == 1 { "word" } else { "words" };
    let heard = format!("Thanks for your message of {words} {plural} (turn {turn}).");
    if checkpoint.verbosity == Verbosity::Terse {
        return styled(checkpoint, heard);
    }
    let system = request.system_text();
    let first: Vec<&str> = system.split_whitespace().take(8).collect();
    let told = if first.is_empty() {
        "I have no instructions.".to_owned()
    } else {
        format!("My instructions begin with \"{}\".", first.join(" "))
    };
    let chat = match checkpoint.verbosity {
        Verbosity::Terse | Verbosity::Normal => "",
        Verbosity::Chatty => " It is a pleasure to talk to you, simulated as I am.",
    };
    styled(checkpoint, format!("{heard} {told} I am a simulated model: ask me \"What is 12 + 30?\".{chat}"))
}

fn styled(checkpoint: &Checkpoint, text: String) -> String {
    match &checkpoint.style {
        Some(style) => format!("{style} {text}"),
        None => text,
    }
}
