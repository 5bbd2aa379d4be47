//! What an answer was, in whatever dialect it came.

use bytes::Bytes;

use crate::error::ProviderError;

/// What one answer was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The provider's id of the answer.
    pub id: Option<String>,
    /// The model that the provider says it served.
    pub served_model: Option<String>,
    pub fingerprint: Option<String>,
    pub usage: Option<Usage>,
    pub finish_reason: Option<String>,
    /// A choice carried a refusal, or was ended by the provider's content filter.
    pub refusal: bool,
    pub tool_calls: Vec<ToolCall>,
    /// More tool calls or longer arguments came than are kept here.
    pub tool_calls_cut: bool,
    /// Characters (Unicode scalar values) of text.
    pub text_chars: u64,
    /// How many choices there were.
    pub choices: u32,
    /// It carried something that is neither text nor a call, such as a picture, or is still made in the background.
    pub beyond_text: bool,
}

/// The tokens that the provider counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub total_tokens: u64,
    /// Part of `prompt_tokens`.
    pub cached_prompt_tokens: u64,
    /// Part of `completion_tokens`.
    pub reasoning_tokens: u64,
}

/// One call that the model wants made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    pub index: u32,
    pub id: String,
    pub name: String,
    /// JSON text as the model wrote it, valid or not.
    pub arguments: String,
}

/// Says why a body is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    #[error("the provider's answer can't be read")]
    Unreadable { source: serde_json::Error },
    #[error("the provider answered with an error: {}", .0.message)]
    Provider(ProviderError),
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Done,
    /// It stopped in the middle of the answer.
    Cut,
    /// The provider reported this error in the stream.
    ErrorEvent(String),
}

/// The bounds of an observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest event, in bytes.
    pub event_bytes_max: usize,
    /// Bytes of choice 0's text to gather; 0 gathers nothing.
    pub text_bytes_max: usize,
}

/// Text gathered up to a bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    pub text: String,
    /// There was more.
    pub cut: bool,
}

/// What is known when the stream is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Bytes that were held back and are still to be passed on; usually none.
    pub forward: Bytes,
    pub observed: Observed,
    pub ending: Ending,
    pub text: Gathered,
    /// What the client got ends inside an event, so an error event must first close that.
    pub mid_event: bool,
    /// Events whose data was not JSON of the known form.
    pub unreadable_events: u64,
}

/// Tool calls kept of one answer; OpenAI allows 128 tools.
pub(crate) const TOOL_CALLS_MAX: usize = 128;

/// Bytes of ids, names and arguments kept of one answer.
pub(crate) const TOOL_CALL_BYTES_MAX: usize = 1 << 20;

impl Gathered {
    /// Adds a text, up to `bytes_max` in all.
    pub(crate) fn add(&mut self, text: &str, bytes_max: usize) {
        let room = bytes_max - self.text.len();
        let kept = if self.cut { "" } else { &text[..text.floor_char_boundary(room)] };
        self.cut |= kept.len() < text.len();
        self.text.push_str(kept);
    }
}

impl Observed {
    /// The finish reason in chat completions' words, whatever dialect it came in; others as they came.
    #[must_use]
    pub fn finish(&self) -> Option<&str> {
        let reason = self.finish_reason.as_deref()?;
        Some(match reason {
            "completed" if self.tool_calls.is_empty() => "stop",
            "completed" | "tool_use" | "function_call" => "tool_calls",
            "end_turn" | "stop_sequence" => "stop",
            "max_tokens" | "max_output_tokens" | "model_context_window_exceeded" => "length",
            "refusal" => "content_filter",
            other => other,
        })
    }

    /// Adds to the call at `at`: id and name count the first time they say something, arguments are appended. `bytes` is
    /// what ids, names and arguments of this answer take so far.
    pub(crate) fn grow_call(&mut self, at: usize, bytes: &mut usize, id: &str, name: &str, arguments: &str) {
        let call = &mut self.tool_calls[at];
        for (kept, text) in [(&mut call.id, id), (&mut call.name, name)] {
            if !kept.is_empty() {
                continue;
            }
            if *bytes + text.len() > TOOL_CALL_BYTES_MAX {
                self.tool_calls_cut = true;
            } else {
                *bytes += text.len();
                kept.push_str(text);
            }
        }
        let room = TOOL_CALL_BYTES_MAX - *bytes;
        let kept = &arguments[..arguments.floor_char_boundary(room)];
        self.tool_calls_cut |= kept.len() < arguments.len();
        *bytes += kept.len();
        call.arguments.push_str(kept);
    }

    /// Begins a call; none when there is no room for one more.
    pub(crate) fn begin_call(&mut self, index: Option<u32>) -> Option<usize> {
        if self.tool_calls.len() == TOOL_CALLS_MAX {
            self.tool_calls_cut = true;
            return None;
        }
        let next = u32::try_from(self.tool_calls.len()).expect("fewer than TOOL_CALLS_MAX calls");
        self.tool_calls.push(ToolCall { index: index.unwrap_or(next), ..ToolCall::default() });
        Some(self.tool_calls.len() - 1)
    }

    /// Keeps the first text that says something.
    pub(crate) fn note(kept: &mut Option<String>, new: Option<&str>) {
        if let (None, Some(text)) = (&kept, new)
            && !text.is_empty()
        {
            *kept = Some(text.to_owned());
        }
    }
}
