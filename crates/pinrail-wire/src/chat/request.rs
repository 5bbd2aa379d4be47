//! Reads a chat completions request into its top-level fields, values untouched.
//!
//! Conditions: what decides routing or what [`ChatRequest::rewrite`] has to touch is checked here and refused
//! by name (`model`, `messages` and their roles, `stream`, `stream_options`, `user`, `metadata`); everything
//! else is the provider's to judge. A key that is there twice at the top, in `metadata`, in `stream_options` or
//! as a message's `role` is refused, since we and the provider might disagree on which of the two counts.
//! A `null` is the same as an absent field.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, Fields, Str};
use crate::request::{RequestError, fields, flag, metadata, missing, object, string, wrong};
use crate::text::Text;

/// One request, borrowed from its body.
#[derive(Clone, Debug)]
pub struct ChatRequest<'a> {
    pub(super) fields: Vec<(Cow<'a, str>, &'a RawValue)>,
    pub(super) body_bytes: usize,
    pub(super) metadata: Option<Fields<'a>>,
    pub(super) stream_options: Option<Fields<'a>>,
    model: Cow<'a, str>,
    user: Option<Cow<'a, str>>,
    messages: Vec<Message<'a>>,
    stream: bool,
    include_usage: bool,
}

/// One message as it stood in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub role: Cow<'a, str>,
    /// The message's JSON text.
    pub raw: &'a str,
}

impl<'a> ChatRequest<'a> {
    /// Reads a body; call [`json::check_depth`] on it before.
    ///
    /// # Errors
    /// [`RequestError`], which names the field and what was expected.
    pub fn parse(body: &'a [u8]) -> Result<ChatRequest<'a>, RequestError> {
        let fields = fields(body)?;
        let get = |name: &str| fields.get(name).filter(|value| value.get() != "null");

        let model = match get("model") {
            Some(value) => string("model", value)?,
            None => return Err(missing("model", "a string")),
        };
        let messages = match get("messages") {
            Some(value) => messages(value)?,
            None => return Err(missing("messages", "an array of messages")),
        };
        let user = get("user").map(|value| string("user", value)).transpose()?;
        let stream = get("stream").map(|value| flag("stream", value)).transpose()?.unwrap_or(false);
        let stream_options =
            get("stream_options").map(|value| object("stream_options", value)).transpose()?;
        let include_usage = stream_options
            .as_ref()
            .and_then(|options| options.get("include_usage"))
            .filter(|value| value.get() != "null")
            .map(|value| flag("stream_options.include_usage", value))
            .transpose()?
            .unwrap_or(false);
        let metadata = get("metadata").map(metadata).transpose()?;
        let fields = fields.list;
        let body_bytes = body.len();
        Ok(ChatRequest {
            fields,
            body_bytes,
            metadata,
            stream_options,
            model,
            user,
            messages,
            stream,
            include_usage,
        })
    }

    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    #[must_use]
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// Says whether the client asked for the chunk with the usage at the end of a stream.
    #[must_use]
    pub fn include_usage(&self) -> bool {
        self.include_usage
    }

    /// Gives a value of the `metadata` object, when it is a string.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<Cow<'a, str>> {
        let value = self.metadata.as_ref()?.get(key)?;
        serde_json::from_str(value.get()).ok().map(|Str(text)| text)
    }

    #[must_use]
    pub fn messages(&self) -> &[Message<'a>] {
        &self.messages
    }

    /// Gives the client's tools as they stood in the body.
    #[must_use]
    pub fn tools(&self) -> Option<&'a RawValue> {
        self.param("tools")
    }

    /// Gives any top-level field as it stood in the body.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&'a RawValue> {
        let value = self.fields.iter().find(|(key, _)| key == name)?.1;
        (value.get() != "null").then_some(value)
    }

    /// Lists the top-level fields in their order.
    #[must_use]
    pub fn fields(&self) -> &[(Cow<'a, str>, &'a RawValue)] {
        &self.fields
    }

    /// Gives the text of the leading system and developer messages, joined by line feeds.
    ///
    /// A message whose content is an array gives its text parts, joined in the same way.
    ///
    /// # Errors
    /// [`RequestError::Wrong`] for a content that is neither a string nor an array of text parts.
    pub fn system_text(&self) -> Result<Option<Cow<'a, str>>, RequestError> {
        let mut text: Option<Cow<'a, str>> = None;
        for (at, message) in self.messages.iter().take_while(|message| message.is_system()).enumerate() {
            let content = content(message.raw).ok_or_else(|| RequestError::Wrong {
                field: format!("messages[{at}].content"),
                expected: "a string or an array of text parts",
            })?;
            text = Some(match text {
                None => content,
                Some(before) => Cow::Owned(format!("{before}\n{content}")),
            });
        }
        Ok(text)
    }
}

impl Message<'_> {
    /// Says whether the message instructs the model on the application's behalf.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.role == "system" || self.role == "developer"
    }
}

fn messages(value: &RawValue) -> Result<Vec<Message<'_>>, RequestError> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        role: Str<'a>,
    }
    if !value.get().starts_with('[') {
        return Err(wrong("messages", "an array of messages"));
    }
    let read = |(at, raw): (usize, _)| {
        // A struct also reads from an array, hence the look at the first byte.
        let head = Some(raw)
            .filter(|raw: &&str| raw.starts_with('{'))
            .and_then(|raw| serde_json::from_str::<Head<'_>>(raw).ok());
        let Some(Head { role: Str(role) }) = head else {
            return Err(wrong(&format!("messages[{at}]"), "an object with one `role`, a string"));
        };
        Ok(Message { role, raw })
    };
    json::items(value.get()).enumerate().map(read).collect()
}

fn content(message: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        content: Text<'a>,
    }
    let Body { content } = serde_json::from_str(message).ok()?;
    content.whole.then_some(content.text)
}

#[cfg(test)]
mod tests;
