//! Writes answers and streams of Anthropic's messages.
//!
//! Conditions: blocks come one behind the other ([`InTurn`]). `message_start` counts no tokens where the provider tells them at its end:
//! `message_delta` then has all of them. A refusal of OpenAI's kind is a text, and the stop reason `refusal` explains itself with it.
//! The arguments of a whole call must be a JSON object; those of a stream are passed on as they come.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::ids as call_ids;
use super::super::losses::Lossy;
use super::super::thinking::{Seal, Thought};
use super::in_turn::InTurn;
use super::parts::{Answer, Block, Called, Citation, Head, Opening, Piece, Stop, Text, Usage};
use super::{About, GATHERED_BYTES_MAX, Unconvertible, ids, leave_out, sse, too_long};
use crate::dialect::Dialect;
use crate::json::check_depth;

/// Writes one stream.
#[derive(Debug)]
pub(super) struct ToMessages {
    ours: String,
    model: String,
    lossy: Lossy,
    in_turn: InTurn,
    /// What the current block is.
    open: Option<Opening>,
    /// Its beginning was written: a thought's is when its first piece says what kind of block it is.
    begun: bool,
    /// Blocks that are over.
    blocks: usize,
    refusal: Option<String>,
    stop: Stop,
}

#[derive(Serialize)]
struct ToolUse<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    name: &'a str,
    input: &'a RawValue,
}

/// Stands before the place of a citation in the text, where messages keep a search engine's index.
const RANGE: &str = "pinrail-range-v1.";

/// What stands around a free text to make it an input.
const FREE_TEXT: (&str, &str) = (r#"{"input":""#, r#""}"#);

/// Deepest arguments that are made part of an answer.
const ARGUMENTS_DEPTH_MAX: usize = 100;

/// Writes a whole answer.
pub(super) fn whole(answer: &Answer, about: &About<'_>, lossy: &Lossy) -> Result<Vec<u8>, Unconvertible> {
    let mut content: Vec<Box<RawValue>> = Vec::new();
    for (at, block) in answer.blocks.iter().enumerate() {
        let written = match block {
            Block::Text(text) => {
                check_logprobs(!text.logprobs.is_empty(), lossy)?;
                raw(&text_block(text))
            }
            Block::Refusal(text) => raw(&json!({ "type": "text", "text": text })),
            Block::Thought(thought) => raw(&thought.block()),
            Block::Call { called: Called { id, name, free_text }, arguments } => {
                check_free_text(*free_text, name, lossy)?;
                let input = if *free_text {
                    raw(&json!({ "input": arguments }))
                } else {
                    input(arguments, at, lossy)?
                };
                raw(&ToolUse { kind: "tool_use", id: &call_ids::to_messages(id), name, input: &input })
            }
        };
        content.push(written);
    }
    let refusal = answer.blocks.iter().find_map(|block| match block {
        Block::Refusal(text) => Some(text.as_str()),
        Block::Text(_) | Block::Thought(_) | Block::Call { .. } => None,
    });
    let mut body = message(&answer.head, about.id, about.model);
    let stopped = stopped(&answer.stop, refusal);
    for (key, value) in stopped.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body["usage"] = usage(answer.usage.unwrap_or_default());
    body["content"] = Value::Null;
    let fields = body.as_object().expect("a message is an object");
    let fields = fields.iter().map(|(key, value)| {
        let value = if key == "content" { raw(&content) } else { raw(value) };
        (key.as_str(), value)
    });
    Ok(crate::json::to_vec(&fields.collect::<std::collections::BTreeMap<_, _>>()))
}

/// Reads the place of a citation out of where [`RANGE`] put it.
pub(super) fn range(index: &str) -> Option<(u64, u64)> {
    let (start, end) = index.strip_prefix(RANGE)?.split_once('.')?;
    start.parse().ok().zip(end.parse().ok())
}

impl ToMessages {
    pub fn new(about: &About<'_>, lossy: &Lossy) -> ToMessages {
        ToMessages {
            ours: about.id.to_owned(),
            model: about.model.to_owned(),
            lossy: lossy.clone(),
            in_turn: InTurn::default(),
            open: None,
            begun: false,
            blocks: 0,
            refusal: None,
            stop: Stop::End,
        }
    }

    /// Writes the events of one piece and of those whose turn has come with it.
    pub fn write(&mut self, piece: Piece, out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        let mut pieces = Vec::new();
        self.in_turn.take(piece, &mut pieces)?;
        pieces.into_iter().try_for_each(|piece| self.write_next(piece, out))
    }

    fn write_next(&mut self, piece: Piece, out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        match piece {
            Piece::Head(head) => {
                let mut message = message(&head, &self.ours, &self.model);
                message["usage"] = usage(Usage::default());
                sse::typed(out, &json!({ "type": "message_start", "message": message }));
            }
            Piece::Open { block: _, opening } => self.begin(opening, out)?,
            Piece::Delta { block: _, text, logprobs } => {
                check_logprobs(!logprobs.is_empty(), &self.lossy)?;
                self.text(&text, out)?;
            }
            Piece::Cite { block: _, citation } => {
                self.delta(&json!({ "type": "citations_delta", "citation": cited(&citation) }), out);
            }
            Piece::Seal { block: _, seal } => self.seal(&seal, out),
            Piece::Close { .. } => self.close(out),
            Piece::Stop(stop) => self.stop = stop,
            Piece::End(used) => {
                let delta = stopped(&self.stop, self.refusal.as_deref());
                let usage = usage(used.unwrap_or_default());
                sse::typed(out, &json!({ "type": "message_delta", "delta": delta, "usage": usage }));
                sse::typed(out, &json!({ "type": "message_stop" }));
            }
            Piece::Failed(problem) => sse::typed(out, &problem.anthropic().1),
            Piece::Pulse => sse::typed(out, &json!({ "type": "ping" })),
        }
        Ok(())
    }

    fn begin(&mut self, opening: Opening, out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        let block = match &opening {
            Opening::Text | Opening::Refusal => Some(json!({ "type": "text", "text": "" })),
            Opening::Thought => None,
            Opening::Call(Called { id, name, .. }) => {
                let id = call_ids::to_messages(id);
                Some(json!({ "type": "tool_use", "id": id, "name": name, "input": {} }))
            }
        };
        if let Some(block) = block {
            self.start(&block, out);
        }
        if let Opening::Call(Called { name, free_text: true, .. }) = &opening {
            check_free_text(true, name, &self.lossy)?;
            self.delta(&json!({ "type": "input_json_delta", "partial_json": FREE_TEXT.0 }), out);
        }
        self.open = Some(opening);
        Ok(())
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        let delta = match &self.open {
            None => return Ok(()),
            Some(Opening::Text) => json!({ "type": "text_delta", "text": text }),
            Some(Opening::Refusal) => {
                let refusal = self.refusal.get_or_insert_default();
                refusal.push_str(text);
                if refusal.len() > GATHERED_BYTES_MAX {
                    return Err(too_long(GATHERED_BYTES_MAX));
                }
                json!({ "type": "text_delta", "text": text })
            }
            Some(Opening::Thought) => {
                self.start_thought(out);
                json!({ "type": "thinking_delta", "thinking": text })
            }
            Some(Opening::Call(called)) if called.free_text => {
                let quoted = json!(text).to_string();
                json!({ "type": "input_json_delta", "partial_json": quoted[1..quoted.len() - 1] })
            }
            Some(Opening::Call(_)) => json!({ "type": "input_json_delta", "partial_json": text }),
        };
        self.delta(&delta, out);
        Ok(())
    }

    fn seal(&mut self, seal: &Seal, out: &mut Vec<u8>) {
        if let (false, Seal::Redacted(_)) = (self.begun, seal) {
            let thought = Thought { text: String::new(), seal: Some(seal.clone()) };
            self.start(&thought.block(), out);
            return;
        }
        self.start_thought(out);
        self.delta(&json!({ "type": "signature_delta", "signature": seal.signature() }), out);
    }

    fn start_thought(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.start(&Thought::default().block(), out);
        }
    }

    fn start(&mut self, block: &Value, out: &mut Vec<u8>) {
        self.begun = true;
        let start = json!({ "type": "content_block_start", "index": self.blocks, "content_block": block });
        sse::typed(out, &start);
    }

    fn delta(&self, delta: &Value, out: &mut Vec<u8>) {
        sse::typed(out, &json!({ "type": "content_block_delta", "index": self.blocks, "delta": delta }));
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if let Some(Opening::Call(Called { free_text: true, .. })) = self.open.take() {
            self.delta(&json!({ "type": "input_json_delta", "partial_json": FREE_TEXT.1 }), out);
        }
        if std::mem::take(&mut self.begun) {
            sse::typed(out, &json!({ "type": "content_block_stop", "index": self.blocks }));
            self.blocks += 1;
        }
    }
}

/// A message that holds nothing yet.
fn message(head: &Head, ours: &str, model: &str) -> Value {
    let stem = ids::stem(head.id.as_deref(), ours);
    json!({
        "id": ids::answer(&stem, Dialect::Messages),
        "type": "message",
        "role": "assistant",
        "model": head.model.as_deref().unwrap_or(model),
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
    })
}

/// Why it stopped, as a message and a `message_delta` say it.
fn stopped(stop: &Stop, refusal: Option<&str>) -> Value {
    let (reason, sequence, why) = match (stop, refusal) {
        (Stop::Filter(why), refusal) => ("refusal", None, Some(why.as_deref().or(refusal))),
        (Stop::End, Some(refusal)) => ("refusal", None, Some(Some(refusal))),
        (Stop::End, None) => ("end_turn", None, None),
        (Stop::Length, _) => ("max_tokens", None, None),
        (Stop::ContextFull, _) => ("model_context_window_exceeded", None, None),
        (Stop::Sequence(sequence), _) => ("stop_sequence", sequence.as_deref(), None),
        (Stop::Calls, _) => ("tool_use", None, None),
    };
    let mut stopped = json!({ "stop_reason": reason, "stop_sequence": sequence });
    if let Some(why) = why {
        stopped["stop_details"] = json!({ "type": "refusal", "category": null, "explanation": why });
    }
    stopped
}

fn text_block(text: &Text) -> Value {
    let mut block = json!({ "type": "text", "text": text.text });
    if !text.citations.is_empty() {
        block["citations"] = text.citations.iter().map(cited).collect();
    }
    block
}

fn cited(citation: &Citation) -> Value {
    let index = citation.range.map(|(start, end)| format!("{RANGE}{start}.{end}"));
    json!({
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title,
        "cited_text": "",
        "encrypted_index": index.unwrap_or_default(),
    })
}

/// Reads the arguments of a call as the object that messages want.
fn input(arguments: &str, at: usize, lossy: &Lossy) -> Result<Box<RawValue>, Unconvertible> {
    if arguments.trim().is_empty() {
        return Ok(raw(&json!({})));
    }
    let read: Option<&RawValue> = serde_json::from_str(arguments).ok();
    let flat = check_depth(arguments.as_bytes(), ARGUMENTS_DEPTH_MAX).is_ok();
    if let Some(object) = read.filter(|read| flat && read.get().starts_with('{')) {
        return Ok(object.to_owned());
    }
    let why = "are no JSON object, which the other format wants";
    leave_out(lossy, &format!("the arguments of block {at}"), "tool_arguments", why)?;
    Ok(raw(&json!({ "arguments": arguments })))
}

fn check_logprobs(has: bool, lossy: &Lossy) -> Result<(), Unconvertible> {
    if !has {
        return Ok(());
    }
    leave_out(lossy, "logprobs", "logprobs", "have no place in the other format")
}

fn check_free_text(is: bool, name: &str, lossy: &Lossy) -> Result<(), Unconvertible> {
    if !is {
        return Ok(());
    }
    let why = "takes free text, which the other format has no tools for";
    leave_out(lossy, &format!("the call of {name}"), "custom_tools", why)
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("plain data with string keys serialises")
}

fn usage(usage: Usage) -> Value {
    let from_cache = usage.cached.saturating_add(usage.cache_written);
    json!({
        "input_tokens": usage.input.saturating_sub(from_cache),
        "cache_read_input_tokens": usage.cached,
        "cache_creation_input_tokens": usage.cache_written,
        "output_tokens": usage.output,
        "output_tokens_details": { "thinking_tokens": usage.reasoning },
    })
}
