//! What every dialect says of an answer, in one form: pieces as they come, and the answer that they make up.
//!
//! Conditions: `Head` comes first and once. Every piece of a block lies between its `Open` and its `Close`; blocks may
//! overlap until [`InTurn`](super::in_turn::InTurn) has put them one behind the other. A thought is opened only when there is
//! text or a seal of it. `Stop` comes behind the last `Close`, `End` behind `Stop`; behind `End` or `Failed` comes nothing.

use serde_json::Value;

use super::super::thinking::{Seal, Thought};
use super::error::Problem;
use super::{Unconvertible, too_long};

/// What an answer says of itself at its beginning.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Head {
    pub id: Option<String>,
    /// Unix seconds.
    pub created: Option<u64>,
    pub model: Option<String>,
    pub service_tier: Option<String>,
}

/// The tokens that the provider counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// All of the prompt, whether cached or not.
    pub input: u64,
    /// Part of `input`: read from a cache.
    pub cached: u64,
    /// Part of `input`: written to a cache.
    pub cache_written: u64,
    pub output: u64,
    /// Part of `output`.
    pub reasoning: u64,
}

/// Why the model stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Stop {
    #[default]
    End,
    /// As many tokens as allowed.
    Length,
    /// The model's context is full.
    ContextFull,
    /// A stop sequence, where the provider says which.
    Sequence(Option<String>),
    Calls,
    /// The provider's filter, with its explanation where it gives one.
    Filter(Option<String>),
}

/// What a block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Text,
    Refusal,
    Thought,
    Call(Called),
}

/// A tool that is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Called {
    pub id: String,
    pub name: String,
    /// It takes any text, and no JSON.
    pub free_text: bool,
}

/// A page that a text refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Citation {
    pub url: String,
    pub title: String,
    /// First and one behind the last character within the block; none when it is the whole block.
    pub range: Option<(u64, u64)>,
}

/// One step of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Head(Head),
    Open {
        block: usize,
        opening: Opening,
    },
    /// Text of any block; of a call it is its arguments.
    Delta {
        block: usize,
        text: String,
        logprobs: Vec<Value>,
    },
    Cite {
        block: usize,
        citation: Citation,
    },
    Seal {
        block: usize,
        seal: Seal,
    },
    Close {
        block: usize,
    },
    Stop(Stop),
    End(Option<Usage>),
    Failed(Problem),
    /// The provider shows that it is alive.
    Pulse,
}

/// One block of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Block {
    Text(Text),
    Refusal(String),
    Thought(Thought),
    Call { called: Called, arguments: String },
}

/// A text and what belongs to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Text {
    pub text: String,
    pub citations: Vec<Citation>,
    /// As chat and responses spell them.
    pub logprobs: Vec<Value>,
}

/// An answer, whole or as far as it has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answer {
    pub head: Head,
    pub blocks: Vec<Block>,
    pub stop: Stop,
    pub usage: Option<Usage>,
    /// Bytes of text in the blocks.
    bytes: usize,
}

impl Piece {
    /// Text without probabilities.
    pub fn text(block: usize, text: &str) -> Piece {
        Piece::Delta { block, text: text.to_owned(), logprobs: Vec::new() }
    }
}

impl Stop {
    /// Whether the answer was cut, and is no whole one.
    pub fn is_cut(&self) -> bool {
        match self {
            Stop::Length | Stop::ContextFull | Stop::Filter(_) => true,
            Stop::End | Stop::Sequence(_) | Stop::Calls => false,
        }
    }
}

impl Block {
    fn new(opening: Opening) -> Block {
        match opening {
            Opening::Text => Block::Text(Text::default()),
            Opening::Refusal => Block::Refusal(String::new()),
            Opening::Thought => Block::Thought(Thought::default()),
            Opening::Call(called) => Block::Call { called, arguments: String::new() },
        }
    }

    fn body(&mut self) -> &mut String {
        match self {
            Block::Text(text) => &mut text.text,
            Block::Refusal(text) => text,
            Block::Thought(thought) => &mut thought.text,
            Block::Call { arguments, .. } => arguments,
        }
    }
}

impl Answer {
    /// Puts pieces together whose blocks come one behind the other.
    pub fn of(pieces: Vec<Piece>) -> Result<Answer, Unconvertible> {
        let mut answer = Answer::default();
        for piece in pieces {
            answer.add(piece, usize::MAX)?;
        }
        Ok(answer)
    }

    /// Adds a piece of the last block or of the answer; all blocks together keep up to `bytes_max` bytes.
    pub fn add(&mut self, piece: Piece, bytes_max: usize) -> Result<(), Unconvertible> {
        match piece {
            Piece::Head(head) => self.head = head,
            Piece::Open { block: _, opening } => self.blocks.push(Block::new(opening)),
            Piece::Delta { block: _, text, logprobs } => {
                // A probability takes more room than its token.
                self.bytes += text.len() + logprobs.len() * LOGPROB_BYTES;
                if self.bytes > bytes_max {
                    return Err(too_long(bytes_max));
                }
                let last = self.last();
                last.body().push_str(&text);
                if let Block::Text(text) = last {
                    text.logprobs.extend(logprobs);
                }
            }
            Piece::Cite { block: _, citation } => {
                self.bytes += citation.url.len() + citation.title.len();
                if let Block::Text(text) = self.last() {
                    text.citations.push(citation);
                }
            }
            Piece::Seal { block: _, seal } => {
                if let Block::Thought(thought) = self.last() {
                    thought.seal = Some(seal);
                }
            }
            Piece::Stop(stop) => self.stop = stop,
            Piece::End(usage) => self.usage = usage,
            Piece::Close { .. } | Piece::Failed(_) | Piece::Pulse => {}
        }
        Ok(())
    }

    fn last(&mut self) -> &mut Block {
        self.blocks.last_mut().expect("a block is opened before its pieces come")
    }
}

/// Room that one token's probabilities are counted as.
const LOGPROB_BYTES: usize = 256;

/// A field that is a string.
pub(super) fn str_of<'v>(of: &'v Value, key: &str) -> Option<&'v str> {
    of.get(key)?.as_str()
}

/// A field that is a string and says something.
pub(super) fn said<'v>(of: &'v Value, key: &str) -> Option<&'v str> {
    str_of(of, key).filter(|text| !text.is_empty())
}

/// A field that is a number; some providers write `12.0`.
pub(super) fn count_of(of: &Value, key: &str) -> Option<u64> {
    let number = of.get(key)?;
    // The cast saturates; what is counted is neither negative nor a fraction.
    number.as_u64().or_else(|| number.as_f64().map(|float| float as u64))
}

/// A field that is a list; none and null are empty ones.
pub(super) fn list_of<'v>(of: &'v Value, key: &str) -> &'v [Value] {
    of.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Characters as the vendors count them in ranges of text.
pub(super) fn chars(text: &str) -> u64 {
    text.chars().count() as u64
}
