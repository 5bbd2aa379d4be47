//! Reads answers and streams of OpenAI's responses.
//!
//! Conditions: blocks follow the events that open and close items and their parts. Text comes from the deltas; where a provider
//! sends none, from the event that says that the part is done. Of a reasoning item's summaries and raw text the kind that comes
//! first is the thought's. A search of the web is left out: what it found is cited in the text. Events that only tell of progress
//! are passed over, since the items they belong to have been judged when they were added.

use serde_json::Value;

use super::super::losses::{Lossy, MALFORMED};
use super::super::thinking::{Seal, Thought};
use super::error::Problem;
use super::parts::{Called, Citation, Head, Opening, Piece, Stop, Usage, count_of, list_of, said, str_of};
use super::{Unconvertible, ids, leave_out, unconvertible};

/// Reads one answer.
#[derive(Debug)]
pub(super) struct FromResponses {
    ours: String,
    stem: Option<String>,
    blocks: usize,
    open: Vec<Open>,
    calls: usize,
    ended: bool,
}

/// A part of an item that isn't over, or a whole item that has no parts.
#[derive(Debug)]
struct Open {
    /// The item's place, and the part's in it.
    at: (u64, u64),
    /// None for a thought of which nothing has come yet.
    block: Option<usize>,
    kind: Kind,
    /// Something of its text has come.
    told: bool,
    cited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Call,
    /// With what its text is taken from, once that is known.
    Thought(Option<ThoughtFrom>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ThoughtFrom {
    Summary,
    Raw,
}

impl FromResponses {
    pub fn new(ours: &str) -> FromResponses {
        FromResponses {
            ours: ours.to_owned(),
            stem: None,
            blocks: 0,
            open: Vec::new(),
            calls: 0,
            ended: false,
        }
    }

    /// Reads a whole answer.
    pub fn whole(mut self, body: &Value, lossy: &Lossy, out: &mut Vec<Piece>) -> Result<(), Unconvertible> {
        if body.get("output").is_none_or(|output| !output.is_array()) {
            return Err(unconvertible("output", MALFORMED, "must be a list of items"));
        }
        self.head(body, out);
        for (at, item) in list_of(body, "output").iter().enumerate() {
            let index = at as u64;
            self.item_added(index, item, lossy, out)?;
            for (part_at, part) in list_of(item, "content").iter().enumerate() {
                if str_of(item, "type") == Some("message") {
                    let path = format!("output[{at}].content[{part_at}]");
                    self.part_added((index, part_at as u64), part, &path, lossy, out)?;
                    self.part_done((index, part_at as u64), part, &path, lossy, out)?;
                }
            }
            self.item_done(index, item, out);
        }
        self.over(body, lossy, out)?;
        match out.last() {
            Some(Piece::Failed(problem)) => {
                let why = format!("says that the provider failed: {}", problem.message);
                Err(unconvertible("error", MALFORMED, &why))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Reads the data of one event.
    pub fn event(&mut self, data: &Value, lossy: &Lossy, out: &mut Vec<Piece>) -> Result<(), Unconvertible> {
        if self.ended {
            return Ok(());
        }
        let kind = str_of(data, "type").unwrap_or_default();
        let response = data.get("response").unwrap_or(&Value::Null);
        let item = data.get("item").unwrap_or(&Value::Null);
        let part = data.get("part").unwrap_or(&Value::Null);
        let index = count_of(data, "output_index").unwrap_or(0);
        let at = (index, count_of(data, "content_index").unwrap_or(0));
        let path = format!("output[{}].content[{}]", at.0, at.1);
        if kind.starts_with("response.") {
            self.head(response, out);
        }
        match kind {
            "response.output_item.added" => self.item_added(index, item, lossy, out)?,
            "response.output_item.done" => self.item_done(index, item, out),
            "response.content_part.added" => self.part_added(at, part, &path, lossy, out)?,
            "response.content_part.done" => self.part_done(at, part, &path, lossy, out)?,
            "response.output_text.delta" => self.text(at, Kind::Text, data, "delta", out),
            "response.refusal.delta" => self.text(at, Kind::Refusal, data, "delta", out),
            "response.output_text.done" => self.text_done(at, Kind::Text, data, "text", out),
            "response.refusal.done" => self.text_done(at, Kind::Refusal, data, "refusal", out),
            "response.output_text.annotation.added" => {
                let annotation = data.get("annotation").unwrap_or(&Value::Null);
                self.cite(at, annotation, &format!("{path}.annotations"), lossy, out)?;
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.text((index, 0), Kind::Call, data, "delta", out);
            }
            "response.function_call_arguments.done" => {
                self.text_done((index, 0), Kind::Call, data, "arguments", out);
            }
            "response.custom_tool_call_input.done" => {
                self.text_done((index, 0), Kind::Call, data, "input", out);
            }
            "response.reasoning_summary_part.added" if count_of(data, "summary_index") > Some(0) => {
                self.think(index, ThoughtFrom::Summary, "\n\n", out);
            }
            "response.reasoning_summary_text.delta" => {
                self.think(index, ThoughtFrom::Summary, str_of(data, "delta").unwrap_or_default(), out);
            }
            "response.reasoning_text.delta" => {
                self.think(index, ThoughtFrom::Raw, str_of(data, "delta").unwrap_or_default(), out);
            }
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                self.over(response, lossy, out)?;
            }
            "error" => self.failed(data, out),
            "keepalive" => out.push(Piece::Pulse),
            _ => {}
        }
        Ok(())
    }

    fn head(&mut self, response: &Value, out: &mut Vec<Piece>) {
        if self.stem.is_some() {
            return;
        }
        self.stem = Some(ids::stem(str_of(response, "id"), &self.ours));
        out.push(Piece::Head(Head {
            id: said(response, "id").map(str::to_owned),
            created: count_of(response, "created_at"),
            model: said(response, "model").map(str::to_owned),
            service_tier: said(response, "service_tier").map(str::to_owned),
        }));
    }

    fn item_added(
        &mut self,
        index: u64,
        item: &Value,
        lossy: &Lossy,
        out: &mut Vec<Piece>,
    ) -> Result<(), Unconvertible> {
        let kind = str_of(item, "type").unwrap_or_default();
        let opened = match kind {
            "message" | "web_search_call" => return Ok(()),
            "reasoning" => Kind::Thought(None),
            "function_call" | "custom_tool_call" => Kind::Call,
            other => {
                let feature = match other {
                    "image_generation_call" => "images",
                    "compaction" => "context_management",
                    _ if other.contains("call") || other.contains("mcp") => "server_tools",
                    _ => "unknown_fields",
                };
                let why = format!("is of type `{other}`, which has no place in the other format");
                return leave_out(lossy, &format!("output[{index}]"), feature, &why);
            }
        };
        self.open.push(Open { at: (index, 0), block: None, kind: opened, told: false, cited: false });
        if opened == Kind::Call {
            let given = str_of(item, "call_id").unwrap_or_default();
            let id = ids::call(given, self.stem.as_deref().unwrap_or(&self.ours), self.calls);
            self.calls += 1;
            let name = str_of(item, "name").unwrap_or_default().to_owned();
            let called = Called { id, name, free_text: kind == "custom_tool_call" };
            self.open_block((index, 0), Opening::Call(called), out);
        }
        Ok(())
    }

    fn part_added(
        &mut self,
        at: (u64, u64),
        part: &Value,
        path: &str,
        lossy: &Lossy,
        out: &mut Vec<Piece>,
    ) -> Result<(), Unconvertible> {
        let kind = match str_of(part, "type").unwrap_or_default() {
            "output_text" => Kind::Text,
            "refusal" => Kind::Refusal,
            "reasoning_text" => return Ok(()),
            other => {
                let why = format!("is of type `{other}`, which has no place in the other format");
                return leave_out(lossy, path, "unknown_fields", &why);
            }
        };
        self.open_part(at, kind, out);
        Ok(())
    }

    fn part_done(
        &mut self,
        at: (u64, u64),
        part: &Value,
        path: &str,
        lossy: &Lossy,
        out: &mut Vec<Piece>,
    ) -> Result<(), Unconvertible> {
        let Some(open) = self.part(at) else { return Ok(()) };
        let (kind, cited) = (open.kind, open.cited);
        let key = if kind == Kind::Refusal { "refusal" } else { "text" };
        self.text_done(at, kind, part, key, out);
        if !cited {
            for annotation in list_of(part, "annotations") {
                self.cite(at, annotation, &format!("{path}.annotations"), lossy, out)?;
            }
        }
        self.close(at, out);
        Ok(())
    }

    fn item_done(&mut self, index: u64, item: &Value, out: &mut Vec<Piece>) {
        if let Some(thought) = item.as_object().and_then(Thought::of_item) {
            let told = self.part((index, 0)).is_some_and(|open| open.told);
            if !told && !thought.text.is_empty() {
                self.think(index, ThoughtFrom::Summary, &thought.text, out);
            }
            if let Some(seal) = thought.seal {
                self.seal(index, seal, out);
            }
        } else {
            let key = if str_of(item, "type") == Some("custom_tool_call") { "input" } else { "arguments" };
            self.text_done((index, 0), Kind::Call, item, key, out);
        }
        while let Some(open) = self.open.iter().find(|open| open.at.0 == index) {
            let at = open.at;
            self.close(at, out);
        }
    }

    /// Reads the answer's end: whether it is whole, and what it took.
    fn over(&mut self, response: &Value, lossy: &Lossy, out: &mut Vec<Piece>) -> Result<(), Unconvertible> {
        while let Some(open) = self.open.first() {
            let at = open.at;
            self.close(at, out);
        }
        let reason = response.get("incomplete_details").and_then(|details| said(details, "reason"));
        let stop = match (str_of(response, "status").unwrap_or("completed"), reason) {
            ("failed", _) => {
                self.failed(response, out);
                return Ok(());
            }
            ("completed", _) if self.calls > 0 => Stop::Calls,
            ("completed", _) => Stop::End,
            ("incomplete", Some("max_output_tokens")) => Stop::Length,
            ("incomplete", Some("content_filter")) => Stop::Filter(None),
            ("queued" | "in_progress", _) => {
                let why = "says that the answer isn't there yet";
                return Err(unconvertible("status", "background", why));
            }
            (status, reason) => {
                let why = format!(
                    "is `{status}` ({}), which the other format has no word for",
                    reason.unwrap_or("-")
                );
                leave_out(lossy, "status", "unknown_fields", &why)?;
                Stop::End
            }
        };
        self.ended = true;
        out.push(Piece::Stop(stop));
        out.push(Piece::End(response.get("usage").filter(|usage| usage.is_object()).map(read_usage)));
        Ok(())
    }

    fn failed(&mut self, data: &Value, out: &mut Vec<Piece>) {
        self.ended = true;
        out.push(Piece::Failed(Problem::read(data).unwrap_or_else(Problem::unsaid)));
    }

    fn text(&mut self, at: (u64, u64), kind: Kind, data: &Value, key: &str, out: &mut Vec<Piece>) {
        let text = str_of(data, key).unwrap_or_default();
        let logprobs = list_of(data, "logprobs");
        if text.is_empty() && logprobs.is_empty() {
            return;
        }
        if kind == Kind::Call && self.part(at).is_none() {
            return;
        }
        let block = self.open_part(at, kind, out);
        if let Some(open) = self.part(at) {
            open.told = true;
        }
        out.push(Piece::Delta { block, text: text.to_owned(), logprobs: logprobs.to_vec() });
    }

    /// Takes a text from the event that says that it is done, where nothing of it came before.
    fn text_done(&mut self, at: (u64, u64), kind: Kind, data: &Value, key: &str, out: &mut Vec<Piece>) {
        if self.part(at).is_some_and(|open| !open.told && open.kind == kind) {
            self.text(at, kind, data, key, out);
        }
    }

    fn cite(
        &mut self,
        at: (u64, u64),
        annotation: &Value,
        path: &str,
        lossy: &Lossy,
        out: &mut Vec<Piece>,
    ) -> Result<(), Unconvertible> {
        if str_of(annotation, "type") != Some("url_citation") {
            let kind = str_of(annotation, "type").unwrap_or_default();
            let why = format!("hold a `{kind}`, which has no place in the other format");
            return leave_out(lossy, path, "citations", &why);
        }
        let block = self.open_part(at, Kind::Text, out);
        if let Some(open) = self.part(at) {
            open.cited = true;
        }
        out.push(Piece::Cite {
            block,
            citation: Citation {
                url: str_of(annotation, "url").unwrap_or_default().to_owned(),
                title: str_of(annotation, "title").unwrap_or_default().to_owned(),
                range: count_of(annotation, "start_index").zip(count_of(annotation, "end_index")),
            },
        });
        Ok(())
    }

    fn think(&mut self, index: u64, from: ThoughtFrom, text: &str, out: &mut Vec<Piece>) {
        let Some(open) = self.part((index, 0)) else { return };
        match open.kind {
            Kind::Thought(None) => open.kind = Kind::Thought(Some(from)),
            Kind::Thought(Some(known)) if known == from => {}
            Kind::Thought(Some(_)) | Kind::Text | Kind::Refusal | Kind::Call => return,
        }
        if text.is_empty() {
            return;
        }
        open.told = true;
        let block = self.open_thought(index, out);
        out.push(Piece::text(block, text));
    }

    fn seal(&mut self, index: u64, seal: Seal, out: &mut Vec<Piece>) {
        if self.part((index, 0)).is_some() {
            let block = self.open_thought(index, out);
            out.push(Piece::Seal { block, seal });
        }
    }

    fn open_thought(&mut self, index: u64, out: &mut Vec<Piece>) -> usize {
        self.open_block((index, 0), Opening::Thought, out)
    }
}

/// Blocks and parts.
impl FromResponses {
    fn part(&mut self, at: (u64, u64)) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.at == at)
    }

    /// Opens a part, or finds it open.
    fn open_part(&mut self, at: (u64, u64), kind: Kind, out: &mut Vec<Piece>) -> usize {
        if self.part(at).is_none() {
            self.open.push(Open { at, block: None, kind, told: false, cited: false });
        }
        let opening = if kind == Kind::Refusal { Opening::Refusal } else { Opening::Text };
        self.open_block(at, opening, out)
    }

    fn open_block(&mut self, at: (u64, u64), opening: Opening, out: &mut Vec<Piece>) -> usize {
        let next = self.blocks;
        let known = self.part(at).map(|open| *open.block.get_or_insert(next));
        let block = known.unwrap_or(next);
        if block == next {
            self.blocks += 1;
            out.push(Piece::Open { block, opening });
        }
        block
    }

    fn close(&mut self, at: (u64, u64), out: &mut Vec<Piece>) {
        if let Some(found) = self.open.iter().position(|open| open.at == at) {
            let open = self.open.remove(found);
            out.extend(open.block.map(|block| Piece::Close { block }));
        }
    }
}

fn read_usage(usage: &Value) -> Usage {
    let count = |of: Option<&Value>, key: &str| of.and_then(|of| count_of(of, key)).unwrap_or(0);
    let (input, output) = (usage.get("input_tokens_details"), usage.get("output_tokens_details"));
    Usage {
        input: count(Some(usage), "input_tokens"),
        cached: count(input, "cached_tokens"),
        cache_written: count(input, "cache_write_tokens"),
        output: count(Some(usage), "output_tokens"),
        reasoning: count(output, "reasoning_tokens"),
    }
}
