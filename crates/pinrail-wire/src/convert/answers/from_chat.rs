//! Reads answers and streams of chat completions.
//!
//! Conditions: text, a refusal or a thought goes on until something else begins. Calls may overlap: one is over when its arguments
//! are a whole object and another block has begun, and every block is over at the finish reason. A piece of a call belongs to the
//! call of its index, unless it brings another id and a name: some providers give every call index 0. Without an index, a new id
//! begins a call. `reasoning_details` outweigh `reasoning_content` and `reasoning` of the same delta, which repeat their text.
//! A stream is over at `[DONE]`, or when it stops behind its finish reason.

use serde_json::Value;

use super::super::losses::{Lossy, MALFORMED};
use super::super::thinking::Thought;
use super::balance::Balance;
use super::error::Problem;
use super::parts::{
    Called, Citation, Head, Opening, Piece, Stop, Usage, chars, count_of, list_of, said, str_of,
};
use super::{Unconvertible, ids, leave_out, unconvertible};

/// Reads one answer.
#[derive(Debug)]
pub(super) struct FromChat {
    /// Names calls that come without an id.
    ours: String,
    stem: Option<String>,
    blocks: usize,
    open: Option<Open>,
    calls: Vec<Call>,
    /// Characters of all texts so far.
    text_chars: u64,
    usage: Option<Usage>,
    stopped: bool,
    ended: bool,
}

/// The block that goes on until something else begins.
#[derive(Debug)]
struct Open {
    block: usize,
    kind: Kind,
    /// Characters of all texts before it.
    chars_before: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    /// With the index of its entry in `reasoning_details`, and whether its seal has come.
    Thought {
        detail: Option<u64>,
        sealed: bool,
    },
}

#[derive(Debug, Default)]
struct Call {
    index: u64,
    id: String,
    name: String,
    free_text: bool,
    /// Arguments that came before the name.
    early: String,
    block: Option<usize>,
    balance: Balance,
    closed: bool,
}

impl FromChat {
    pub fn new(ours: &str) -> FromChat {
        FromChat {
            ours: ours.to_owned(),
            stem: None,
            blocks: 0,
            open: None,
            calls: Vec::new(),
            text_chars: 0,
            usage: None,
            stopped: false,
            ended: false,
        }
    }

    /// Reads a whole answer.
    pub fn whole(mut self, body: &Value, lossy: &Lossy, out: &mut Vec<Piece>) -> Result<(), Unconvertible> {
        if list_of(body, "choices").is_empty() {
            return Err(unconvertible("choices", MALFORMED, "must hold an answer"));
        }
        self.chunk(body, lossy, out)?;
        if !self.stopped {
            self.stop(Stop::End, out);
        }
        self.end(out);
        Ok(())
    }

    /// Reads the data of one event.
    pub fn event(&mut self, data: &Value, lossy: &Lossy, out: &mut Vec<Piece>) -> Result<(), Unconvertible> {
        if self.ended {
            return Ok(());
        }
        let failed = data.get("error").is_some_and(|error| !error.is_null()) || data.get("choices").is_none();
        if failed && let Some(problem) = Problem::read(data) {
            self.ended = true;
            out.push(Piece::Failed(problem));
            return Ok(());
        }
        self.chunk(data, lossy, out)
    }

    /// Reads the stream's `[DONE]`.
    pub fn done(&mut self, out: &mut Vec<Piece>) {
        if self.stopped {
            self.end(out);
        }
    }

    /// Ends a stream that stopped without a `[DONE]`.
    pub fn finish(&mut self, out: &mut Vec<Piece>) {
        self.done(out);
    }

    fn end(&mut self, out: &mut Vec<Piece>) {
        if !self.ended {
            self.ended = true;
            out.push(Piece::End(self.usage));
        }
    }

    fn chunk(&mut self, data: &Value, lossy: &Lossy, out: &mut Vec<Piece>) -> Result<(), Unconvertible> {
        if let Some(usage) = data.get("usage").filter(|usage| usage.is_object()) {
            self.usage = Some(read_usage(usage));
        }
        for choice in list_of(data, "choices") {
            if self.stem.is_none() {
                self.head(data, out);
            }
            let index = count_of(choice, "index").unwrap_or(0);
            if index != 0 {
                leave_out(lossy, &format!("choices[{index}]"), "n", "is one answer too many")?;
                continue;
            }
            let logprobs = logprobs(choice, lossy)?;
            for (key, whole) in [("delta", false), ("message", true)] {
                if let Some(said) = choice.get(key).filter(|said| said.is_object()) {
                    let path = format!("choices[0].{key}");
                    self.said(&Said { value: said, path, whole, lossy }, &logprobs, out)?;
                }
            }
            self.close_whole_calls(out);
            if let Some(reason) = said(choice, "finish_reason").filter(|_| !self.stopped) {
                let stop = self.read_stop(reason, lossy)?;
                self.stop(stop, out);
            }
        }
        Ok(())
    }

    fn head(&mut self, data: &Value, out: &mut Vec<Piece>) {
        self.stem = Some(ids::stem(str_of(data, "id"), &self.ours));
        out.push(Piece::Head(Head {
            id: said(data, "id").map(str::to_owned),
            created: count_of(data, "created"),
            model: said(data, "model").map(str::to_owned),
            service_tier: said(data, "service_tier").map(str::to_owned),
        }));
    }

    fn said(
        &mut self,
        said: &Said<'_>,
        logprobs: &[Value],
        out: &mut Vec<Piece>,
    ) -> Result<(), Unconvertible> {
        said.refuse_others()?;
        let before = self.blocks;
        self.thoughts(said, out);
        self.content(said, logprobs, out)?;
        self.cite(said, out)?;
        if let Some(refusal) = self::said(said.value, "refusal") {
            let block = self.begin(Kind::Refusal, Opening::Refusal, out);
            out.push(Piece::text(block, refusal));
        }
        for (place, piece) in list_of(said.value, "tool_calls").iter().enumerate() {
            self.call(said, place, piece, out)?;
        }
        if self.stopped && self.blocks != before {
            return Err(unconvertible(&said.path, MALFORMED, "goes on behind the finish reason"));
        }
        Ok(())
    }

    fn thoughts(&mut self, said: &Said<'_>, out: &mut Vec<Piece>) {
        let details = list_of(said.value, "reasoning_details");
        let thoughts: Vec<(Option<u64>, Thought)> = details
            .iter()
            .filter_map(|detail| Some((count_of(detail, "index"), Thought::of_detail(detail.as_object()?)?)))
            .collect();
        if thoughts.iter().all(|(_, thought)| thought.text.is_empty()) {
            let text = ["reasoning_content", "reasoning"].iter().find_map(|key| self::said(said.value, key));
            if let Some(text) = text {
                self.think(None, text, out);
            }
        }
        for (index, thought) in thoughts {
            if !thought.text.is_empty() {
                self.think(index, &thought.text, out);
            }
            let Some(seal) = thought.seal else { continue };
            let block = match &mut self.open {
                Some(Open { block, kind: Kind::Thought { detail, sealed: sealed @ false }, .. })
                    if detail.is_none() || *detail == index =>
                {
                    *sealed = true;
                    *block
                }
                Some(_) | None => {
                    self.begin(Kind::Thought { detail: index, sealed: true }, Opening::Thought, out)
                }
            };
            out.push(Piece::Seal { block, seal });
        }
    }

    fn think(&mut self, index: Option<u64>, text: &str, out: &mut Vec<Piece>) {
        let block = match self.open {
            Some(Open { block, kind: Kind::Thought { detail, sealed: false }, .. })
                if index.is_none() || detail == index =>
            {
                block
            }
            Some(_) | None => {
                self.begin(Kind::Thought { detail: index, sealed: false }, Opening::Thought, out)
            }
        };
        out.push(Piece::text(block, text));
    }

    /// Reads content that is a text or, as some providers have it, a list of parts.
    fn content(
        &mut self,
        said: &Said<'_>,
        logprobs: &[Value],
        out: &mut Vec<Piece>,
    ) -> Result<(), Unconvertible> {
        let text = str_of(said.value, "content").unwrap_or_default();
        if !text.is_empty() || !logprobs.is_empty() {
            let block = self.begin(Kind::Text, Opening::Text, out);
            self.text_chars += chars(text);
            out.push(Piece::Delta { block, text: text.to_owned(), logprobs: logprobs.to_vec() });
        }
        for (at, part) in list_of(said.value, "content").iter().enumerate() {
            match str_of(part, "type") {
                Some("text") => {
                    let text = str_of(part, "text").unwrap_or_default();
                    let block = self.begin(Kind::Text, Opening::Text, out);
                    self.text_chars += chars(text);
                    out.push(Piece::text(block, text));
                }
                Some("thinking") => {
                    for text in list_of(part, "thinking").iter().filter_map(|part| self::said(part, "text")) {
                        self.think(None, text, out);
                    }
                }
                kind => {
                    let feature = match kind {
                        Some(kind) if kind.contains("image") => "images",
                        Some(kind) if kind.contains("audio") => "audio",
                        Some("reference") => "citations",
                        Some(_) | None => "unknown_fields",
                    };
                    said.leave_out(&format!("content[{at}]"), feature)?;
                }
            }
        }
        Ok(())
    }

    fn call(
        &mut self,
        said: &Said<'_>,
        place: usize,
        piece: &Value,
        out: &mut Vec<Piece>,
    ) -> Result<(), Unconvertible> {
        let free_text = piece.get("custom").is_some();
        let function = piece.get(if free_text { "custom" } else { "function" }).unwrap_or(&Value::Null);
        let at = self.call_for(said.whole.then_some(place), piece, function);
        let call = &mut self.calls[at];
        let fill = |kept: &mut String, new: Option<&str>| {
            if let (true, Some(new)) = (kept.is_empty(), new) {
                new.clone_into(kept);
            }
        };
        fill(&mut call.id, str_of(piece, "id"));
        fill(&mut call.name, str_of(function, "name"));
        call.free_text |= free_text;
        let arguments = match function.get(if free_text { "input" } else { "arguments" }) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(whole @ (Value::Object(_) | Value::Array(_) | Value::Bool(_) | Value::Number(_))) => {
                whole.to_string()
            }
        };
        if call.closed {
            if arguments.trim().is_empty() {
                return Ok(());
            }
            let path = format!("{}.tool_calls[{at}].function.arguments", said.path);
            return Err(unconvertible(&path, MALFORMED, "goes on behind its end"));
        }
        if !free_text {
            call.balance.feed(&arguments);
        }
        if call.name.is_empty() {
            call.early.push_str(&arguments);
            return Ok(());
        }
        let arguments = std::mem::take(&mut call.early) + &arguments;
        let block = match call.block {
            Some(block) => block,
            None => self.open_call(at, out),
        };
        if !arguments.is_empty() {
            out.push(Piece::text(block, &arguments));
        }
        Ok(())
    }

    fn open_call(&mut self, at: usize, out: &mut Vec<Piece>) -> usize {
        self.close_open(out);
        let block = self.new_block();
        let stem = self.stem.as_deref().unwrap_or(&self.ours);
        let call = &mut self.calls[at];
        call.block = Some(block);
        let id = ids::call(&call.id, stem, at);
        let called = Called { id, name: call.name.clone(), free_text: call.free_text };
        out.push(Piece::Open { block, opening: Opening::Call(called) });
        block
    }

    /// Finds the call that a piece belongs to, or begins it.
    fn call_for(&mut self, place: Option<usize>, piece: &Value, function: &Value) -> usize {
        let id = said(piece, "id");
        let is_other = |call: &Call| {
            id.is_some_and(|id| !call.id.is_empty() && call.id != id) && said(function, "name").is_some()
        };
        let found = match (place, count_of(piece, "index"), id) {
            (Some(_), ..) => None,
            (None, Some(index), _) => {
                self.calls.iter().rposition(|call| call.index == index && !is_other(call))
            }
            (None, None, Some(id)) => self.calls.iter().position(|call| call.id == id),
            (None, None, None) => self.calls.len().checked_sub(1),
        };
        found.unwrap_or_else(|| {
            let next = self.calls.len() as u64;
            self.calls.push(Call { index: count_of(piece, "index").unwrap_or(next), ..Call::default() });
            self.calls.len() - 1
        })
    }

    /// Closes the calls whose arguments are whole, where another block has begun behind them.
    fn close_whole_calls(&mut self, out: &mut Vec<Piece>) {
        for call in self.calls.iter_mut().filter(|call| !call.closed && call.balance.is_whole()) {
            if let Some(block) = call.block.filter(|block| block + 1 < self.blocks) {
                call.closed = true;
                out.push(Piece::Close { block });
            }
        }
    }

    fn cite(&mut self, said: &Said<'_>, out: &mut Vec<Piece>) -> Result<(), Unconvertible> {
        for (at, annotation) in list_of(said.value, "annotations").iter().enumerate() {
            let url = annotation.get("url_citation").filter(|url| url.is_object());
            let text = self.open.as_ref().filter(|open| open.kind == Kind::Text);
            let (Some(url), Some(open)) = (url, text) else {
                said.leave_out(&format!("annotations[{at}]"), "citations")?;
                continue;
            };
            let at = |key| count_of(url, key).map(|at| at.saturating_sub(open.chars_before));
            out.push(Piece::Cite {
                block: open.block,
                citation: Citation {
                    url: str_of(url, "url").unwrap_or_default().to_owned(),
                    title: str_of(url, "title").unwrap_or_default().to_owned(),
                    range: at("start_index").zip(at("end_index")),
                },
            });
        }
        Ok(())
    }

    /// Gives the open block where it is of this kind; else closes it and opens one.
    fn begin(&mut self, kind: Kind, opening: Opening, out: &mut Vec<Piece>) -> usize {
        if let Some(open) = &self.open
            && open.kind == kind
            && !matches!(kind, Kind::Thought { .. })
        {
            return open.block;
        }
        self.close_open(out);
        let block = self.new_block();
        self.open = Some(Open { block, kind, chars_before: self.text_chars });
        out.push(Piece::Open { block, opening });
        block
    }

    fn close_open(&mut self, out: &mut Vec<Piece>) {
        if let Some(Open { block, .. }) = self.open.take() {
            out.push(Piece::Close { block });
        }
    }

    fn new_block(&mut self) -> usize {
        self.blocks += 1;
        self.blocks - 1
    }

    fn read_stop(&self, reason: &str, lossy: &Lossy) -> Result<Stop, Unconvertible> {
        Ok(match reason {
            "stop" | "eos" | "end_turn" if self.calls.is_empty() => Stop::End,
            "stop" | "eos" | "end_turn" | "tool_calls" | "function_call" => Stop::Calls,
            "length" | "model_length" | "max_tokens" => Stop::Length,
            "content_filter" => Stop::Filter(None),
            other => {
                let why = format!("is `{other}`, which the other format has no word for");
                leave_out(lossy, "choices[0].finish_reason", "unknown_fields", &why)?;
                Stop::End
            }
        })
    }

    fn stop(&mut self, stop: Stop, out: &mut Vec<Piece>) {
        self.close_open(out);
        for call in self.calls.iter_mut().filter(|call| !call.closed) {
            call.closed = true;
            out.extend(call.block.map(|block| Piece::Close { block }));
        }
        self.stopped = true;
        out.push(Piece::Stop(stop));
    }
}

/// A message or a delta.
struct Said<'v> {
    value: &'v Value,
    path: String,
    /// Every call in it is a whole one.
    whole: bool,
    lossy: &'v Lossy,
}

impl Said<'_> {
    /// Refuses what no other dialect has in an answer.
    fn refuse_others(&self) -> Result<(), Unconvertible> {
        for (key, feature) in [("audio", "audio"), ("function_call", "functions"), ("images", "images")] {
            let is = |value: &Value| match value {
                Value::Null => false,
                Value::Array(list) => !list.is_empty(),
                Value::Object(_) | Value::String(_) | Value::Bool(_) | Value::Number(_) => true,
            };
            if self.value.get(key).is_some_and(is) {
                self.leave_out(key, feature)?;
            }
        }
        Ok(())
    }

    fn leave_out(&self, field: &str, feature: &'static str) -> Result<(), Unconvertible> {
        leave_out(self.lossy, &format!("{}.{field}", self.path), feature, "has no place in the other format")
    }
}

fn logprobs(choice: &Value, lossy: &Lossy) -> Result<Vec<Value>, Unconvertible> {
    let Some(logprobs) = choice.get("logprobs") else { return Ok(Vec::new()) };
    if !list_of(logprobs, "refusal").is_empty() {
        leave_out(lossy, "choices[0].logprobs.refusal", "logprobs", "has no place in the other format")?;
    }
    Ok(list_of(logprobs, "content").to_vec())
}

fn read_usage(usage: &Value) -> Usage {
    let count = |of: Option<&Value>, key: &str| of.and_then(|of| count_of(of, key)).unwrap_or(0);
    let (prompt, completion) = (usage.get("prompt_tokens_details"), usage.get("completion_tokens_details"));
    Usage {
        input: count(Some(usage), "prompt_tokens"),
        cached: count(prompt, "cached_tokens"),
        cache_written: count(prompt, "cache_write_tokens"),
        output: count(Some(usage), "completion_tokens"),
        reasoning: count(completion, "reasoning_tokens"),
    }
}
