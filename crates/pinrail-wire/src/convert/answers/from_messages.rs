//! Reads answers and streams of Anthropic's messages.
//!
//! Conditions: blocks come one behind the other and say themselves when they are over. A search of the web and its results are
//! left out: what it found is cited in the text. Usage counts up: a number of `message_delta` replaces that of `message_start`.

use serde_json::Value;
use serde_json::value::RawValue;

use super::super::ids as call_ids;
use super::super::losses::{Lossy, MALFORMED};
use super::super::thinking::{Seal, Thought};
use super::error::Problem;
use super::parts::{Called, Citation, Head, Opening, Piece, Stop, Usage, count_of, list_of, said, str_of};
use super::{Unconvertible, ids, leave_out, unconvertible};

/// Reads one answer.
#[derive(Debug)]
pub(super) struct FromMessages {
    ours: String,
    stem: Option<String>,
    blocks: usize,
    open: Option<Open>,
    calls: usize,
    usage: Option<Counted>,
    stopped: bool,
    ended: bool,
}

/// The block that isn't over.
#[derive(Debug)]
struct Open {
    /// None for a block that is left out, and for a thought of which nothing has come yet.
    block: Option<usize>,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thought,
    /// With the input that the block began with, until something else of it comes.
    Call {
        begun_with: Option<String>,
    },
    LeftOut,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    input: u64,
    cached: u64,
    cache_written: u64,
    output: u64,
    reasoning: u64,
}

impl FromMessages {
    pub fn new(ours: &str) -> FromMessages {
        FromMessages {
            ours: ours.to_owned(),
            stem: None,
            blocks: 0,
            open: None,
            calls: 0,
            usage: None,
            stopped: false,
            ended: false,
        }
    }

    /// Reads a whole answer, whose text is `text`: the input of its calls stays as the model wrote it.
    pub fn whole(
        mut self,
        body: &Value,
        text: &[u8],
        lossy: &Lossy,
        out: &mut Vec<Piece>,
    ) -> Result<(), Unconvertible> {
        if body.get("content").is_none_or(|content| !content.is_array()) {
            return Err(unconvertible("content", MALFORMED, "must be a list of blocks"));
        }
        let inputs = inputs(text);
        self.start(body, out);
        for (at, block) in list_of(body, "content").iter().enumerate() {
            let input = inputs.get(at).cloned().flatten();
            self.block_start(at as u64, block, input, lossy, out)?;
            self.block_stop(out);
        }
        self.count(body);
        self.stop(body, lossy, out)?;
        self.end(out);
        Ok(())
    }

    /// Reads the data of one event.
    pub fn event(&mut self, data: &Value, lossy: &Lossy, out: &mut Vec<Piece>) -> Result<(), Unconvertible> {
        if self.ended {
            return Ok(());
        }
        let index = count_of(data, "index").unwrap_or(0);
        match str_of(data, "type").unwrap_or_default() {
            "message_start" => self.start(data.get("message").unwrap_or(&Value::Null), out),
            "content_block_start" => {
                let block = data.get("content_block").unwrap_or(&Value::Null);
                let input = block.get("input").filter(|input| input.is_object()).map(Value::to_string);
                self.block_start(index, block, input, lossy, out)?;
            }
            "content_block_delta" => {
                self.delta(index, data.get("delta").unwrap_or(&Value::Null), lossy, out)?;
            }
            "content_block_stop" => self.block_stop(out),
            "message_delta" => {
                self.count(data);
                self.stop(data.get("delta").unwrap_or(&Value::Null), lossy, out)?;
            }
            "message_stop" => self.end(out),
            "ping" => out.push(Piece::Pulse),
            "error" => {
                self.ended = true;
                out.push(Piece::Failed(Problem::read(data).unwrap_or_else(Problem::unsaid)));
            }
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, message: &Value, out: &mut Vec<Piece>) {
        if self.stem.is_some() {
            return;
        }
        self.stem = Some(ids::stem(str_of(message, "id"), &self.ours));
        out.push(Piece::Head(Head {
            id: said(message, "id").map(str::to_owned),
            created: None,
            model: said(message, "model").map(str::to_owned),
            service_tier: None,
        }));
        self.count(message);
    }

    fn block_start(
        &mut self,
        index: u64,
        block: &Value,
        input: Option<String>,
        lossy: &Lossy,
        out: &mut Vec<Piece>,
    ) -> Result<(), Unconvertible> {
        self.start(&Value::Null, out);
        self.block_stop(out);
        let kind = str_of(block, "type").unwrap_or_default();
        let name = str_of(block, "name").unwrap_or_default();
        match kind {
            "text" => {
                self.open = Some(Open { block: None, kind: Kind::Text });
                let opened = self.opened(Opening::Text, out);
                out.extend(said(block, "text").map(|text| Piece::text(opened, text)));
                for citation in list_of(block, "citations") {
                    self.cite(index, citation, lossy, out)?;
                }
            }
            "thinking" | "redacted_thinking" => {
                self.open = Some(Open { block: None, kind: Kind::Thought });
                let thought = block.as_object().and_then(Thought::of_block).unwrap_or_default();
                self.think(&thought.text, out);
                self.seal(thought.seal, out);
            }
            "tool_use" => {
                self.open = Some(Open { block: None, kind: Kind::Call { begun_with: input } });
                let stem = self.stem.as_deref().unwrap_or(&self.ours);
                let given = call_ids::of_messages(str_of(block, "id").unwrap_or_default().into());
                let id = ids::call(&given, stem, self.calls);
                self.calls += 1;
                let called = Called { id, name: name.to_owned(), free_text: false };
                self.opened(Opening::Call(called), out);
            }
            other => {
                self.open = Some(Open { block: None, kind: Kind::LeftOut });
                let is_search = other == "web_search_tool_result" || name == "web_search";
                let feature = match other {
                    _ if is_search => return Ok(()),
                    "container_upload" => "files",
                    "compaction" => "context_management",
                    _ if other.contains("tool") => "server_tools",
                    _ => "unknown_fields",
                };
                let why = format!("is of type `{other}`, which has no place in the other format");
                leave_out(lossy, &format!("content[{index}]"), feature, &why)?;
            }
        }
        Ok(())
    }

    fn delta(
        &mut self,
        index: u64,
        delta: &Value,
        lossy: &Lossy,
        out: &mut Vec<Piece>,
    ) -> Result<(), Unconvertible> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.kind == Kind::LeftOut {
            return Ok(());
        }
        let text = |key: &str| str_of(delta, key).unwrap_or_default();
        match (text("type"), open.block) {
            ("text_delta", Some(block)) => {
                out.extend(said(delta, "text").map(|text| Piece::text(block, text)));
            }
            ("input_json_delta", Some(block)) => {
                if let Some(json) = said(delta, "partial_json") {
                    open.kind = Kind::Call { begun_with: None };
                    out.push(Piece::text(block, json));
                }
            }
            ("thinking_delta", _) => self.think(text("thinking"), out),
            ("signature_delta", _) => self.seal(Seal::of_signature(text("signature")), out),
            ("citations_delta", _) => {
                self.cite(index, delta.get("citation").unwrap_or(&Value::Null), lossy, out)?;
            }
            (other, _) => {
                let why = format!("brings a `{other}`, which has no place in the other format");
                leave_out(lossy, &format!("content[{index}]"), "unknown_fields", &why)?;
            }
        }
        Ok(())
    }

    fn block_stop(&mut self, out: &mut Vec<Piece>) {
        let Some(Open { block, kind }) = self.open.take() else { return };
        let Some(block) = block else { return };
        if let Kind::Call { begun_with: Some(input) } = kind {
            out.push(Piece::text(block, &input));
        }
        out.push(Piece::Close { block });
    }

    fn think(&mut self, text: &str, out: &mut Vec<Piece>) {
        if !text.is_empty() {
            let block = self.opened(Opening::Thought, out);
            out.push(Piece::text(block, text));
        }
    }

    fn seal(&mut self, seal: Option<Seal>, out: &mut Vec<Piece>) {
        if let Some(seal) = seal {
            let block = self.opened(Opening::Thought, out);
            out.push(Piece::Seal { block, seal });
        }
    }

    fn cite(
        &mut self,
        index: u64,
        citation: &Value,
        lossy: &Lossy,
        out: &mut Vec<Piece>,
    ) -> Result<(), Unconvertible> {
        if str_of(citation, "type") != Some("web_search_result_location") {
            let kind = str_of(citation, "type").unwrap_or_default();
            let why = format!("hold a `{kind}`, which has no place in the other format");
            return leave_out(lossy, &format!("content[{index}].citations"), "citations", &why);
        }
        if let Some(Open { block: Some(block), kind: Kind::Text }) = self.open {
            let text = |key: &str| str_of(citation, key).unwrap_or_default();
            let range = super::to_messages::range(text("encrypted_index"));
            let citation = Citation { url: text("url").to_owned(), title: text("title").to_owned(), range };
            out.push(Piece::Cite { block, citation });
        }
        Ok(())
    }

    /// The number of the open block, which is opened now if it wasn't.
    fn opened(&mut self, opening: Opening, out: &mut Vec<Piece>) -> usize {
        let next = self.blocks;
        let block = self.open.as_mut().map_or(next, |open| *open.block.get_or_insert(next));
        if block == next {
            self.blocks += 1;
            out.push(Piece::Open { block, opening });
        }
        block
    }

    /// Takes over the numbers that a message or an event gives.
    fn count(&mut self, of: &Value) {
        let Some(usage) = of.get("usage").filter(|usage| usage.is_object()) else { return };
        let counted = self.usage.get_or_insert_default();
        let details = usage.get("output_tokens_details").unwrap_or(&Value::Null);
        let fields = [
            (&mut counted.input, count_of(usage, "input_tokens")),
            (&mut counted.cached, count_of(usage, "cache_read_input_tokens")),
            (&mut counted.cache_written, count_of(usage, "cache_creation_input_tokens")),
            (&mut counted.output, count_of(usage, "output_tokens")),
            (&mut counted.reasoning, count_of(details, "thinking_tokens")),
        ];
        for (kept, new) in fields {
            *kept = new.unwrap_or(*kept);
        }
    }

    /// Reads the stop reason of a message or of a `message_delta`; none there is none here.
    fn stop(&mut self, of: &Value, lossy: &Lossy, out: &mut Vec<Piece>) -> Result<(), Unconvertible> {
        let Some(reason) = said(of, "stop_reason").filter(|_| !self.stopped) else { return Ok(()) };
        let stop = match reason {
            "end_turn" => Stop::End,
            "max_tokens" => Stop::Length,
            "stop_sequence" => Stop::Sequence(str_of(of, "stop_sequence").map(str::to_owned)),
            "tool_use" => Stop::Calls,
            "model_context_window_exceeded" => Stop::ContextFull,
            "refusal" => {
                let explained = of.get("stop_details").and_then(|details| said(details, "explanation"));
                Stop::Filter(explained.map(str::to_owned))
            }
            "pause_turn" => {
                let why =
                    "is `pause_turn`: the turn is to be sent back, which the other format has no word for";
                leave_out(lossy, "stop_reason", "server_tools", why)?;
                Stop::End
            }
            other => {
                let why = format!("is `{other}`, which the other format has no word for");
                leave_out(lossy, "stop_reason", "unknown_fields", &why)?;
                Stop::End
            }
        };
        self.block_stop(out);
        self.stopped = true;
        out.push(Piece::Stop(stop));
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<Piece>) {
        self.block_stop(out);
        if !self.stopped {
            out.push(Piece::Stop(Stop::End));
        }
        self.ended = true;
        out.push(Piece::End(self.usage.map(Counted::read)));
    }
}

impl Counted {
    fn read(self) -> Usage {
        let Counted { input, cached, cache_written, output, reasoning } = self;
        let input = input.saturating_add(cached).saturating_add(cache_written);
        Usage { input, cached, cache_written, output, reasoning }
    }
}

/// The input of each block of a whole answer as the model wrote it; none where a block has none.
fn inputs(text: &[u8]) -> Vec<Option<String>> {
    #[derive(serde::Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        content: Vec<Block<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Block<'a> {
        #[serde(borrow)]
        input: Option<&'a RawValue>,
    }
    let read = serde_json::from_slice::<Message<'_>>(text);
    let blocks = read.map(|message| message.content).unwrap_or_default();
    blocks.into_iter().map(|block| block.input.map(|input| input.get().to_owned())).collect()
}
