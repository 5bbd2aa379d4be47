//! When a checkpoint calls tools, which ones, and how well.
//!
//! 1. `tool_choice = none`, or no tools: never. 2. A named or required tool: always, also after a tool's result.
//! 3. Otherwise the first fitting rule decides: it only replies, or its tools are called, those that are offered. After
//!    a tool's result only rules that look for words in a result may call. 4. Without such a rule, and only when the last
//!    message is the user's: every tool that the message names, in the order of naming; else, at `call_rate`, one.
//!
//! When `parallel_tool_calls` is false, the first call is the only one.
//!
//! Then each call may slip, drawn on its own: to another tool, to a name that wasn't offered, or to broken arguments.

use serde_json::Value;

use super::Call;
use super::arguments::Words;
use super::rules::fitting;
use crate::draw::Draw;
use crate::request::{Request, Role, Tool, ToolChoice};
use crate::script::{Checkpoint, ScriptedTool};

/// Decides the calls; none means that the answer is text.
pub fn calls(request: &Request, checkpoint: &Checkpoint, draw: &Draw) -> Vec<Call> {
    if request.tools.is_empty() || request.tool_choice == ToolChoice::None {
        return Vec::new();
    }
    let mut words = Words::of(request.user_text());
    let mut chosen: Vec<Chosen> = choose(request, checkpoint, draw);
    if !request.parallel_tool_calls {
        chosen.truncate(1);
    }
    chosen
        .into_iter()
        .enumerate()
        .map(|(at, chosen)| call(at, &chosen, request, checkpoint, draw, &mut words))
        .collect()
}

/// A tool to call, and the arguments when a rule dictates them.
struct Chosen<'a> {
    tool: &'a Tool,
    arguments: Option<Value>,
}

fn choose<'a>(request: &'a Request, checkpoint: &Checkpoint, draw: &Draw) -> Vec<Chosen<'a>> {
    let plain = |tool: &'a Tool| Chosen { tool, arguments: None };
    if let ToolChoice::Named(name) = &request.tool_choice {
        return request.tool(name).map(plain).into_iter().collect();
    }
    let required = request.tool_choice == ToolChoice::Required;
    let due = required || request.messages.last().is_some_and(|message| message.role == Role::User);
    match scripted(request, checkpoint, draw, due) {
        Some(calls) if !calls.is_empty() || !required => return calls,
        Some(_) | None => {}
    }
    if !due {
        return Vec::new();
    }
    let named = named(request);
    if !named.is_empty() {
        return named.into_iter().map(plain).collect();
    }
    if required || draw.happens("tool_call", checkpoint.tools.call_rate) {
        return vec![plain(&request.tools[draw.below("tool_choice", request.tools.len())])];
    }
    Vec::new()
}

/// Gives what the first rule that decides calls, nothing when it only replies; none when no rule decides.
fn scripted<'a>(
    request: &'a Request,
    checkpoint: &Checkpoint,
    draw: &Draw,
    due: bool,
) -> Option<Vec<Chosen<'a>>> {
    let offered = |wanted: &ScriptedTool| {
        let tool = request.tool(&wanted.name)?;
        Some(Chosen { tool, arguments: wanted.arguments.clone().map(Value::Object) })
    };
    fitting(request, checkpoint, draw).filter(|rule| due || rule.result_contains.is_some()).find_map(|rule| {
        let calls: Vec<Chosen<'a>> = rule.calls().filter_map(offered).collect();
        let only_replies = rule.calls().next().is_none();
        (only_replies || !calls.is_empty()).then_some(calls)
    })
}

/// Finds the tools that the message names, as `issue_refund` or `issue refund`, in the order of naming.
fn named(request: &Request) -> Vec<&Tool> {
    let text = request.user_text().to_lowercase();
    let mut found: Vec<(usize, &Tool)> = request
        .tools
        .iter()
        .filter_map(|tool| {
            let name = tool.name.to_lowercase();
            let spoken = name.replace(['_', '-'], " ");
            find_word(&text, &name).or_else(|| find_word(&text, &spoken)).map(|at| (at, tool))
        })
        .collect();
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, tool)| tool).collect()
}

fn find_word(text: &str, word: &str) -> Option<usize> {
    let part_of_word = |char: char| char.is_alphanumeric() || char == '_' || char == '-';
    text.match_indices(word).map(|(at, _)| at).find(|at| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

fn call(
    at: usize,
    chosen: &Chosen<'_>,
    request: &Request,
    checkpoint: &Checkpoint,
    draw: &Draw,
    words: &mut Words,
) -> Call {
    let habits = &checkpoint.tools;
    let slips = |kind: &str, rate| draw.happens(&format!("{kind} {at}"), rate);
    let others: Vec<&Tool> = request.tools.iter().filter(|tool| tool.name != chosen.tool.name).collect();
    let mut name = chosen.tool.name.clone();
    let mut schema = &chosen.tool.parameters;
    let mut dictated = chosen.arguments.clone();
    if slips("wrong_tool", habits.wrong_tool_rate) && !others.is_empty() {
        let other = others[draw.below(&format!("other_tool {at}"), others.len())];
        (name, schema, dictated) = (other.name.clone(), &other.parameters, None);
    }
    if slips("unknown_tool", habits.unknown_tool_rate) {
        while request.tool(&name).is_some() {
            name.push_str("_v2");
        }
    }
    words.begin_call();
    let mut arguments = dictated.unwrap_or_else(|| words.arguments(schema)).to_string();
    if slips("malformed", habits.malformed_rate) {
        // An object always ends with a brace; without it no parser takes it.
        arguments.pop();
    }
    Call { id: format!("call_{}", &draw.hex(&format!("call {at}"))[..24]), name, arguments }
}
