//! Writes answers and streams of OpenAI's responses.
//!
//! Conditions: items come one behind the other ([`InTurn`]); texts and refusals that follow each other are parts of one message. The last
//! event repeats the whole answer, so all of it is gathered, up to [`GATHERED_BYTES_MAX`]. What a response repeats of its request is what
//! the client sent, with OpenAI's defaults for what it left out. The answer is stored nowhere: `store` is false.

use serde_json::{Map, Value, json};

use super::in_turn::InTurn;
use super::parts::{Answer, Block, Called, Citation, Head, Opening, Piece, Stop, Text, Usage, chars};
use super::{About, GATHERED_BYTES_MAX, Unconvertible, ids, sse};
use crate::dialect::Dialect;

/// Writes one stream.
#[derive(Debug)]
pub(super) struct ToResponses {
    frame: Frame,
    in_turn: InTurn,
    /// What has come so far.
    answer: Answer,
    sequence: u64,
    /// Items that are over.
    items: Vec<Value>,
    /// Where in the answer's blocks the open message begins.
    message: Option<usize>,
    /// What the open block is.
    open: Option<Opening>,
}

/// What every response of one answer has in common.
#[derive(Clone, Debug)]
struct Frame {
    ours: String,
    created: u64,
    model: String,
    /// What is repeated of the request.
    echo: Map<String, Value>,
}

/// What a response repeats of its request, and what stands there where the request doesn't say.
const ECHOED: &[(&str, &str)] = &[
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
];

/// Writes a whole answer.
pub(super) fn whole(answer: &Answer, about: &About<'_>) -> Vec<u8> {
    let frame = Frame::new(about);
    let stem = frame.stem(&answer.head);
    let mut items: Vec<Value> = Vec::new();
    let mut rest = answer.blocks.as_slice();
    while let Some(first) = rest.first() {
        let count =
            if in_message(first) { rest.iter().take_while(|block| in_message(block)).count() } else { 1 };
        let (now, later) = rest.split_at(count);
        rest = later;
        let explained = later.is_empty().then(|| explanation(&answer.stop)).flatten();
        let cut = later.is_empty() && answer.stop.is_cut();
        if let (Some(why), false) = (explained, in_message(first)) {
            items.push(item(now, &stem, items.len(), false));
            items.push(message(&[], Some(why), &stem, items.len(), cut));
        } else if in_message(first) {
            items.push(message(now, explained, &stem, items.len(), cut));
        } else {
            items.push(item(now, &stem, items.len(), false));
        }
    }
    if let (true, Some(why)) = (answer.blocks.is_empty(), explanation(&answer.stop)) {
        items.push(message(&[], Some(why), &stem, 0, true));
    }
    frame.over(answer, items).to_string().into_bytes()
}

impl ToResponses {
    pub fn new(about: &About<'_>) -> ToResponses {
        ToResponses {
            frame: Frame::new(about),
            in_turn: InTurn::default(),
            answer: Answer::default(),
            sequence: 0,
            items: Vec::new(),
            message: None,
            open: None,
        }
    }

    /// Writes the events of one piece and of those whose turn has come with it.
    pub fn write(&mut self, piece: Piece, out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        let mut pieces = Vec::new();
        self.in_turn.take(piece, &mut pieces)?;
        for piece in pieces {
            self.answer.add(piece.clone(), GATHERED_BYTES_MAX)?;
            self.write_next(piece, out);
        }
        Ok(())
    }

    fn write_next(&mut self, piece: Piece, out: &mut Vec<u8>) {
        match piece {
            Piece::Head(_) => {
                let response = self.frame.response(&self.answer.head, "in_progress", Vec::new());
                self.event("response.created", json!({ "response": response }), out);
                self.event("response.in_progress", json!({ "response": response }), out);
            }
            Piece::Open { block: _, opening } => self.begin(opening, out),
            Piece::Delta { block: _, text, logprobs } => self.text(&text, logprobs, out),
            Piece::Cite { .. } | Piece::Seal { .. } => {}
            Piece::Close { .. } => self.close(out),
            Piece::Stop(stop) => self.stop(&stop, out),
            Piece::End(_) => {
                let items = std::mem::take(&mut self.items);
                let response = self.frame.over(&self.answer, items);
                let kind =
                    if self.answer.stop.is_cut() { "response.incomplete" } else { "response.completed" };
                self.event(kind, json!({ "response": response }), out);
            }
            Piece::Failed(problem) => {
                let code = problem.openai_code().unwrap_or("server_error");
                let message = problem.message.as_str();
                self.event("error", json!({ "code": code, "message": message, "param": null }), out);
                let items = std::mem::take(&mut self.items);
                let mut response = self.frame.response(&self.answer.head, "failed", items);
                response["error"] = json!({ "code": code, "message": message });
                self.event("response.failed", json!({ "response": response }), out);
            }
            Piece::Pulse => sse::comment(out),
        }
    }

    fn begin(&mut self, opening: Opening, out: &mut Vec<u8>) {
        let block = self.answer.blocks.len() - 1;
        if !matches!(opening, Opening::Text | Opening::Refusal) {
            self.end_message(None, false, out);
        }
        let (stem, place) = (self.frame.stem(&self.answer.head), self.items.len());
        match &opening {
            Opening::Text | Opening::Refusal => {
                if self.message.is_none() {
                    self.message = Some(block);
                    self.item_added(empty_message(&stem, place), out);
                }
                let part = match &self.answer.blocks[block] {
                    Block::Refusal(_) => json!({ "type": "refusal", "refusal": "" }),
                    Block::Text(_) | Block::Thought(_) | Block::Call { .. } => text_part(&Text::default()),
                };
                self.part_event("response.content_part.added", json!({ "part": part }), out);
            }
            Opening::Thought => {
                let item = json!({ "type": "reasoning", "id": reasoning_id(&stem, place), "summary": [] });
                self.item_added(item, out);
            }
            Opening::Call(called) => self.item_added(call(called, "", "in_progress"), out),
        }
        self.open = Some(opening);
    }

    fn text(&mut self, text: &str, logprobs: Vec<Value>, out: &mut Vec<u8>) {
        match &self.open {
            None => {}
            Some(Opening::Text) => {
                let delta = json!({ "delta": text, "logprobs": logprobs });
                self.part_event("response.output_text.delta", delta, out);
            }
            Some(Opening::Refusal) => {
                self.part_event("response.refusal.delta", json!({ "delta": text }), out);
            }
            Some(Opening::Call(called)) => {
                let delta = json!({ "item_id": call_item(called), "delta": text });
                let kind = if called.free_text {
                    "response.custom_tool_call_input.delta"
                } else {
                    "response.function_call_arguments.delta"
                };
                self.item_event(kind, delta, out);
            }
            Some(Opening::Thought) => {
                let begun = matches!(self.answer.blocks.last(), Some(Block::Thought(thought)) if thought.text.len() > text.len());
                if !begun {
                    let part = json!({ "part": { "type": "summary_text", "text": "" } });
                    self.summary_event("response.reasoning_summary_part.added", part, out);
                }
                let delta = json!({ "delta": text });
                self.summary_event("response.reasoning_summary_text.delta", delta, out);
            }
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.open = None;
        let Some(block) = self.answer.blocks.last().cloned() else { return };
        match &block {
            Block::Text(text) => {
                for (at, citation) in text.citations.iter().enumerate() {
                    let annotation = annotation(citation, &text.text);
                    let added = json!({ "annotation_index": at, "annotation": annotation });
                    self.part_event("response.output_text.annotation.added", added, out);
                }
                let done = json!({ "text": text.text, "logprobs": text.logprobs });
                self.part_event("response.output_text.done", done, out);
                self.part_event("response.content_part.done", json!({ "part": part(&block) }), out);
            }
            Block::Refusal(text) => {
                self.part_event("response.refusal.done", json!({ "refusal": text }), out);
                self.part_event("response.content_part.done", json!({ "part": part(&block) }), out);
            }
            Block::Thought(thought) => {
                if !thought.text.is_empty() {
                    let done = json!({ "text": thought.text });
                    self.summary_event("response.reasoning_summary_text.done", done, out);
                    let done = json!({ "part": { "type": "summary_text", "text": thought.text } });
                    self.summary_event("response.reasoning_summary_part.done", done, out);
                }
                self.block_done(out);
            }
            Block::Call { called, arguments } if called.free_text => {
                let done = json!({ "item_id": call_item(called), "input": arguments });
                self.item_event("response.custom_tool_call_input.done", done, out);
                self.block_done(out);
            }
            Block::Call { called, arguments } => {
                let (id, name) = (call_item(called), &called.name);
                let done = json!({ "item_id": id, "name": name, "arguments": arguments });
                self.item_event("response.function_call_arguments.done", done, out);
                self.block_done(out);
            }
        }
    }

    fn stop(&mut self, stop: &Stop, out: &mut Vec<u8>) {
        let why = explanation(stop);
        if let (Some(why), None) = (why, self.message) {
            self.message = Some(self.answer.blocks.len());
            let stem = self.frame.stem(&self.answer.head);
            self.item_added(empty_message(&stem, self.items.len()), out);
            self.explain(why, out);
        } else if let Some(why) = why {
            self.explain(why, out);
        }
        self.end_message(why, stop.is_cut(), out);
    }

    /// Writes the events of a refusal that stands in no block.
    fn explain(&mut self, why: &str, out: &mut Vec<u8>) {
        let begin = self.message.unwrap_or_default();
        let at = json!({ "content_index": self.answer.blocks.len() - begin });
        let events = [
            ("response.content_part.added", json!({ "part": { "type": "refusal", "refusal": "" } })),
            ("response.refusal.delta", json!({ "delta": why })),
            ("response.refusal.done", json!({ "refusal": why })),
            ("response.content_part.done", json!({ "part": { "type": "refusal", "refusal": why } })),
        ];
        for (kind, mut fields) in events {
            fields["content_index"] = at["content_index"].clone();
            self.part_event(kind, fields, out);
        }
    }

    fn end_message(&mut self, explained: Option<&str>, cut: bool, out: &mut Vec<u8>) {
        let Some(begin) = self.message.take() else { return };
        let blocks = &self.answer.blocks;
        // When another kind of block has begun, it is the last one and no part of the message.
        let end = blocks[begin..].iter().take_while(|block| in_message(block)).count() + begin;
        let stem = self.frame.stem(&self.answer.head);
        let item = message(&blocks[begin..end], explained, &stem, self.items.len(), cut);
        self.item_done(item, out);
    }

    fn block_done(&mut self, out: &mut Vec<u8>) {
        let stem = self.frame.stem(&self.answer.head);
        let last = self.answer.blocks.len() - 1;
        let item = item(&self.answer.blocks[last..], &stem, self.items.len(), false);
        self.item_done(item, out);
    }
}

/// Events.
impl ToResponses {
    fn item_added(&mut self, item: Value, out: &mut Vec<u8>) {
        self.item_event("response.output_item.added", json!({ "item": item }), out);
    }

    fn item_done(&mut self, item: Value, out: &mut Vec<u8>) {
        self.item_event("response.output_item.done", json!({ "item": item }), out);
        self.items.push(item);
    }

    /// An event of the open part of the open message, which is its last unless the event says otherwise.
    fn part_event(&mut self, kind: &str, mut fields: Value, out: &mut Vec<u8>) {
        let begin = self.message.unwrap_or_default();
        if fields.get("content_index").is_none() {
            fields["content_index"] = (self.answer.blocks.len() - 1 - begin).into();
        }
        let stem = self.frame.stem(&self.answer.head);
        fields["item_id"] = message_id(&stem, self.items.len()).into();
        self.item_event(kind, fields, out);
    }

    fn summary_event(&mut self, kind: &str, mut fields: Value, out: &mut Vec<u8>) {
        let stem = self.frame.stem(&self.answer.head);
        fields["item_id"] = reasoning_id(&stem, self.items.len()).into();
        fields["summary_index"] = 0.into();
        self.item_event(kind, fields, out);
    }

    fn item_event(&mut self, kind: &str, mut fields: Value, out: &mut Vec<u8>) {
        fields["output_index"] = self.items.len().into();
        self.event(kind, fields, out);
    }

    fn event(&mut self, kind: &str, mut fields: Value, out: &mut Vec<u8>) {
        fields["type"] = kind.into();
        fields["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        sse::typed(out, &fields);
    }
}

impl Frame {
    fn new(about: &About<'_>) -> Frame {
        let request: Map<String, Value> = serde_json::from_slice(about.request).unwrap_or_default();
        let echo = ECHOED.iter().map(|(key, default)| {
            let said = request.get(*key).filter(|value| !value.is_null()).cloned();
            let default = || serde_json::from_str(default).expect("a default is JSON");
            ((*key).to_owned(), said.unwrap_or_else(default))
        });
        let echo = echo.collect();
        Frame { ours: about.id.to_owned(), created: about.created, model: about.model.to_owned(), echo }
    }

    fn stem(&self, head: &Head) -> String {
        ids::stem(head.id.as_deref(), &self.ours)
    }

    fn response(&self, head: &Head, status: &str, items: Vec<Value>) -> Value {
        let mut response = Value::Object(self.echo.clone());
        let fields = json!({
            "id": ids::answer(&self.stem(head), Dialect::Responses),
            "object": "response",
            "created_at": head.created.unwrap_or(self.created),
            "status": status,
            "model": head.model.as_deref().unwrap_or(&self.model),
            "output": items,
            "error": null,
            "incomplete_details": null,
            "previous_response_id": null,
            "service_tier": head.service_tier,
            "store": false,
            "usage": null,
        });
        for (key, value) in fields.as_object().into_iter().flatten() {
            response[key] = value.clone();
        }
        response
    }

    /// The response when the answer is over.
    fn over(&self, answer: &Answer, items: Vec<Value>) -> Value {
        let reason = match &answer.stop {
            Stop::End | Stop::Sequence(_) | Stop::Calls => None,
            Stop::Length | Stop::ContextFull => Some("max_output_tokens"),
            Stop::Filter(_) => Some("content_filter"),
        };
        let status = if reason.is_some() { "incomplete" } else { "completed" };
        let mut response = self.response(&answer.head, status, items);
        if let Some(reason) = reason {
            response["incomplete_details"] = json!({ "reason": reason });
        }
        response["usage"] = usage(answer.usage.unwrap_or_default());
        response
    }
}

/// Whether a block is part of a message, and no item of its own.
fn in_message(block: &Block) -> bool {
    match block {
        Block::Text(_) | Block::Refusal(_) => true,
        Block::Thought(_) | Block::Call { .. } => false,
    }
}

fn explanation(stop: &Stop) -> Option<&str> {
    match stop {
        Stop::Filter(why) => why.as_deref(),
        Stop::End | Stop::Length | Stop::ContextFull | Stop::Sequence(_) | Stop::Calls => None,
    }
}

/// The item of a single block that is no part of a message.
fn item(block: &[Block], stem: &str, place: usize, cut: bool) -> Value {
    match block.first() {
        Some(Block::Thought(thought)) => {
            let id = reasoning_id(stem, place);
            let mut item = thought.item(&id);
            // The id by which the stream began the item.
            item["id"] = id.into();
            item
        }
        Some(Block::Call { called, arguments }) => call(called, arguments, "completed"),
        Some(Block::Text(_) | Block::Refusal(_)) | None => message(block, None, stem, place, cut),
    }
}

fn call(called: &Called, arguments: &str, status: &str) -> Value {
    let Called { id, name, free_text } = called;
    let mut item = json!({ "id": call_item(called), "call_id": id, "name": name, "status": status });
    let (kind, key) = if *free_text { ("custom_tool_call", "input") } else { ("function_call", "arguments") };
    item["type"] = kind.into();
    item[key] = arguments.into();
    item
}

fn call_item(called: &Called) -> String {
    ids::call_item(&called.id, called.free_text)
}

fn message(blocks: &[Block], explained: Option<&str>, stem: &str, place: usize, cut: bool) -> Value {
    let mut content: Vec<Value> = blocks.iter().map(part).collect();
    content.extend(explained.map(|why| json!({ "type": "refusal", "refusal": why })));
    let mut item = empty_message(stem, place);
    item["status"] = if cut { "incomplete" } else { "completed" }.into();
    item["content"] = content.into();
    item
}

fn empty_message(stem: &str, place: usize) -> Value {
    let id = message_id(stem, place);
    json!({ "type": "message", "id": id, "role": "assistant", "status": "in_progress", "content": [] })
}

fn part(block: &Block) -> Value {
    match block {
        Block::Text(text) => text_part(text),
        Block::Refusal(text) => json!({ "type": "refusal", "refusal": text }),
        Block::Thought(_) | Block::Call { .. } => unreachable!("only texts and refusals are parts"),
    }
}

fn text_part(text: &Text) -> Value {
    let annotations: Vec<Value> =
        text.citations.iter().map(|citation| annotation(citation, &text.text)).collect();
    json!({
        "type": "output_text",
        "text": text.text,
        "annotations": annotations,
        "logprobs": text.logprobs,
    })
}

fn annotation(citation: &Citation, text: &str) -> Value {
    let (start, end) = citation.range.unwrap_or_else(|| (0, chars(text)));
    json!({
        "type": "url_citation",
        "url": citation.url,
        "title": citation.title,
        "start_index": start,
        "end_index": end,
    })
}

fn message_id(stem: &str, place: usize) -> String {
    format!("msg_{stem}_{place}")
}

fn reasoning_id(stem: &str, place: usize) -> String {
    format!("rs_{stem}_{place}")
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_written,
        },
        "output_tokens": usage.output,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning },
        "total_tokens": usage.input.saturating_add(usage.output),
    })
}
