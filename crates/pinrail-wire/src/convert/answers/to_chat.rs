//! Writes answers and streams of chat completions.
//!
//! Conditions: the first chunk names the role, and each piece is a chunk at once but for citations, whose places are known when their
//! block is over: they come in one chunk when what follows is no text. Texts follow each other without anything between them; thoughts
//! have an empty line between them in `reasoning_content`, and an entry each in `reasoning_details`.

use serde_json::{Value, json};

use super::super::thinking::{Seal, Thought};
use super::parts::{Answer, Block, Called, Citation, Head, Opening, Piece, Stop, Usage, chars};
use super::{About, ids, sse};
use crate::dialect::Dialect;

/// Writes one stream.
#[derive(Debug)]
pub(super) struct ToChat {
    ours: String,
    created: u64,
    model: String,
    include_usage: bool,
    /// What every chunk begins with.
    base: Value,
    thoughts: usize,
    calls: usize,
    /// Characters of all texts so far, and before the open one.
    text_chars: u64,
    block_chars: u64,
    /// Some thought's text was written, and the open thought's follows it.
    thought_told: bool,
    gap_due: bool,
    /// Citations of blocks that are over, and how many were written before.
    citations: Vec<Value>,
    cited: usize,
    /// Citations of the open block.
    held: Vec<Citation>,
    /// The blocks that aren't over.
    blocks: Vec<Known>,
}

/// What a block was opened as.
#[derive(Debug)]
struct Known {
    block: usize,
    place: usize,
    kind: Opening,
}

/// Writes a whole answer.
pub(super) fn whole(answer: &Answer, about: &About<'_>) -> Vec<u8> {
    let mut body = base(&answer.head, about.id, about.created, about.model, "chat.completion");
    let mut content: Option<String> = None;
    let (mut refusal, mut thinking): (Option<String>, Option<String>) = (None, None);
    let (mut calls, mut details, mut annotations) = (Vec::new(), Vec::new(), Vec::new());
    let mut logprobs: Vec<Value> = Vec::new();
    for block in &answer.blocks {
        match block {
            Block::Text(text) => {
                let content = content.get_or_insert_default();
                let before = chars(content);
                content.push_str(&text.text);
                let end = before + chars(&text.text);
                annotations.extend(text.citations.iter().map(|cited| annotation(cited, before, end)));
                logprobs.extend(text.logprobs.iter().cloned());
            }
            Block::Refusal(text) => refusal.get_or_insert_default().push_str(text),
            Block::Thought(thought) => {
                if !thought.text.is_empty() {
                    let thinking = thinking.get_or_insert_default();
                    thinking.push_str(if thinking.is_empty() { "" } else { "\n\n" });
                    thinking.push_str(&thought.text);
                }
                details.push(thought.detail(details.len()));
            }
            Block::Call { called, arguments } => calls.push(call(called, arguments)),
        }
    }
    if let Stop::Filter(Some(why)) = &answer.stop {
        refusal.get_or_insert_default().push_str(why);
    }
    let mut message = json!({ "role": "assistant", "content": content, "refusal": refusal });
    let lists = [("annotations", annotations), ("tool_calls", calls), ("reasoning_details", details)];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        message[key] = list.into();
    }
    if let Some(thinking) = thinking {
        message["reasoning_content"] = thinking.into();
    }
    let logprobs = (!logprobs.is_empty()).then(|| json!({ "content": logprobs, "refusal": null }));
    body["choices"] = json!([{
        "index": 0,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": finish_reason(&answer.stop),
    }]);
    body["usage"] = answer.usage.map_or(Value::Null, usage);
    body.to_string().into_bytes()
}

impl ToChat {
    pub fn new(about: &About<'_>) -> ToChat {
        ToChat {
            ours: about.id.to_owned(),
            created: about.created,
            model: about.model.to_owned(),
            include_usage: about.include_usage,
            base: Value::Null,
            thoughts: 0,
            calls: 0,
            text_chars: 0,
            block_chars: 0,
            thought_told: false,
            gap_due: false,
            citations: Vec::new(),
            cited: 0,
            held: Vec::new(),
            blocks: Vec::new(),
        }
    }

    /// Writes the events of one piece.
    pub fn write(&mut self, piece: Piece, out: &mut Vec<u8>) {
        match piece {
            Piece::Head(head) => {
                self.base = base(&head, &self.ours, self.created, &self.model, "chat.completion.chunk");
                self.delta(json!({ "role": "assistant", "content": "" }), out);
            }
            Piece::Open { block, opening } => self.begin(block, opening, out),
            Piece::Delta { block, text, logprobs } => self.text(block, &text, logprobs, out),
            Piece::Cite { citation, .. } => self.held.push(citation),
            Piece::Seal { block, seal } => self.seal(block, &seal, out),
            Piece::Close { block } => self.close(block),
            Piece::Stop(stop) => self.stop(&stop, out),
            Piece::End(usage) => self.end(usage, out),
            Piece::Failed(problem) => sse::data(out, &problem.openai().1),
            Piece::Pulse => sse::comment(out),
        }
    }

    fn begin(&mut self, block: usize, opening: Opening, out: &mut Vec<u8>) {
        if opening != Opening::Text {
            self.cite(out);
        }
        let place = match &opening {
            Opening::Text => {
                self.block_chars = self.text_chars;
                0
            }
            Opening::Refusal => 0,
            Opening::Thought => {
                self.thoughts += 1;
                self.gap_due = self.thought_told;
                self.thoughts - 1
            }
            Opening::Call(called) => {
                let index = self.calls;
                self.calls += 1;
                let mut call = call(called, "");
                call["index"] = index.into();
                self.delta(json!({ "tool_calls": [call] }), out);
                index
            }
        };
        self.blocks.push(Known { block, place, kind: opening });
    }

    fn text(&mut self, block: usize, text: &str, logprobs: Vec<Value>, out: &mut Vec<u8>) {
        let Some(Known { place, kind, .. }) = self.blocks.iter().find(|known| known.block == block) else {
            return;
        };
        let delta = match kind {
            Opening::Text => {
                self.text_chars += chars(text);
                json!({ "content": text })
            }
            Opening::Refusal => json!({ "refusal": text }),
            Opening::Call(called) if called.free_text => {
                json!({ "tool_calls": [{ "index": place, "custom": { "input": text } }] })
            }
            Opening::Call(_) => {
                json!({ "tool_calls": [{ "index": place, "function": { "arguments": text } }] })
            }
            Opening::Thought => {
                let gap = if self.gap_due { "\n\n" } else { "" };
                (self.gap_due, self.thought_told) = (false, true);
                let detail = Thought { text: text.to_owned(), seal: None }.detail(*place);
                json!({ "reasoning_content": format!("{gap}{text}"), "reasoning_details": [detail] })
            }
        };
        if logprobs.is_empty() {
            self.delta(delta, out);
        } else {
            let logprobs = json!({ "content": logprobs, "refusal": null });
            self.chunk(delta, logprobs, Value::Null, out);
        }
    }

    fn seal(&mut self, block: usize, seal: &Seal, out: &mut Vec<u8>) {
        if let Some(Known { place, .. }) = self.blocks.iter().find(|known| known.block == block) {
            let detail = Thought { text: String::new(), seal: Some(seal.clone()) }.detail(*place);
            self.delta(json!({ "reasoning_details": [detail] }), out);
        }
    }

    fn close(&mut self, block: usize) {
        let (before, end) = (self.block_chars, self.text_chars);
        let cited = std::mem::take(&mut self.held);
        self.citations.extend(cited.iter().map(|cited| annotation(cited, before, end)));
        self.blocks.retain(|known| known.block != block);
    }

    fn cite(&mut self, out: &mut Vec<u8>) {
        let mut citations = std::mem::take(&mut self.citations);
        if citations.is_empty() {
            return;
        }
        if self.cited > 0 {
            // OpenAI's clients add entries to a list that they already have by their index alone.
            for (at, entry) in citations.iter_mut().enumerate() {
                entry["index"] = (self.cited + at).into();
            }
        }
        self.cited += citations.len();
        self.delta(json!({ "annotations": citations }), out);
    }

    fn stop(&mut self, stop: &Stop, out: &mut Vec<u8>) {
        self.cite(out);
        if let Stop::Filter(Some(why)) = stop {
            self.delta(json!({ "refusal": why }), out);
        }
        self.chunk(json!({}), Value::Null, finish_reason(stop).into(), out);
    }

    fn end(&mut self, used: Option<Usage>, out: &mut Vec<u8>) {
        if self.include_usage {
            let mut chunk = self.base.clone();
            chunk["choices"] = json!([]);
            chunk["usage"] = usage(used.unwrap_or_default());
            sse::data(out, &chunk);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn delta(&self, delta: Value, out: &mut Vec<u8>) {
        self.chunk(delta, Value::Null, Value::Null, out);
    }

    fn chunk(&self, delta: Value, logprobs: Value, finish: Value, out: &mut Vec<u8>) {
        let mut chunk = self.base.clone();
        chunk["choices"] =
            json!([{ "index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish }]);
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        sse::data(out, &chunk);
    }
}

fn base(head: &Head, ours: &str, created: u64, model: &str, object: &str) -> Value {
    let stem = ids::stem(head.id.as_deref(), ours);
    let mut base = json!({
        "id": ids::answer(&stem, Dialect::Chat),
        "object": object,
        "created": head.created.unwrap_or(created),
        "model": head.model.as_deref().unwrap_or(model),
    });
    if let Some(tier) = &head.service_tier {
        base["service_tier"] = tier.as_str().into();
    }
    base
}

fn call(called: &Called, arguments: &str) -> Value {
    let Called { id, name, free_text } = called;
    if *free_text {
        return json!({ "id": id, "type": "custom", "custom": { "name": name, "input": arguments } });
    }
    json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
}

fn annotation(cited: &Citation, before: u64, end: u64) -> Value {
    let (start, end) = cited.range.map_or((before, end), |(start, end)| (before + start, before + end));
    let url = json!({ "url": cited.url, "title": cited.title, "start_index": start, "end_index": end });
    json!({ "type": "url_citation", "url_citation": url })
}

fn finish_reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence(_) => "stop",
        Stop::Length | Stop::ContextFull => "length",
        Stop::Calls => "tool_calls",
        Stop::Filter(_) => "content_filter",
    }
}

fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input.saturating_add(usage.output),
        "prompt_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_written,
        },
        "completion_tokens_details": { "reasoning_tokens": usage.reasoning },
    })
}
