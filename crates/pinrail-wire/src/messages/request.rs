//! Reads a messages request into its top-level fields, values untouched.
//!
//! Conditions: what decides routing or what [`MessagesRequest::rewrite`] has to touch is checked here and refused by
//! name (`model`, `messages` and their roles, `system`, `stream`, `metadata`); everything else is the provider's to
//! judge, `max_tokens` too, since a release may set it and a request that only counts tokens has none. A key that is
//! there twice at the top, in `metadata` or as a message's `role` is refused, since we and the provider might disagree
//! on which of the two counts. A `null` is the same as an absent field.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, Fields, Str};
use crate::request::{RequestError, fields, flag, metadata, missing, string, wrong};
use crate::text::Text;

/// One request, borrowed from its body.
#[derive(Clone, Debug)]
pub struct MessagesRequest<'a> {
    pub(super) fields: Vec<(Cow<'a, str>, &'a RawValue)>,
    pub(super) body_bytes: usize,
    pub(super) metadata: Option<Fields<'a>>,
    model: Cow<'a, str>,
    messages: Vec<Message<'a>>,
    stream: bool,
}

/// One message as it stood in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub role: Cow<'a, str>,
    /// The message's JSON text.
    pub raw: &'a str,
}

impl<'a> MessagesRequest<'a> {
    /// Reads a body; call [`json::check_depth`] on it before.
    ///
    /// # Errors
    /// [`RequestError`], which names the field and what was expected.
    pub fn parse(body: &'a [u8]) -> Result<MessagesRequest<'a>, RequestError> {
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
        if get("system").is_some_and(|value| !value.get().starts_with(['"', '['])) {
            return Err(wrong("system", SYSTEM_FORM));
        }
        let stream = get("stream").map(|value| flag("stream", value)).transpose()?.unwrap_or(false);
        let metadata = get("metadata").map(metadata).transpose()?;
        let fields = fields.list;
        Ok(MessagesRequest { fields, body_bytes: body.len(), metadata, model, messages, stream })
    }

    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    #[must_use]
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// Gives a value of the `metadata` object, when it is a string; Anthropic's own key is `user_id`.
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

    /// Gives the text of `system`, whose blocks are joined by line feeds.
    ///
    /// # Errors
    /// [`RequestError::Wrong`] for anything but a string or an array of text blocks.
    pub fn system_text(&self) -> Result<Option<Cow<'a, str>>, RequestError> {
        let Some(system) = self.param("system") else { return Ok(None) };
        match serde_json::from_str::<Text<'a>>(system.get()) {
            Ok(Text { text, whole: true }) => Ok(Some(text)),
            Ok(_) | Err(_) => Err(wrong("system", SYSTEM_FORM)),
        }
    }
}

impl Message<'_> {
    /// Says whether the message instructs the model on the application's behalf, in the midst of a conversation.
    #[must_use]
    pub fn is_system(&self) -> bool {
        // Some that speak this format also know OpenAI's newer word for it.
        self.role == "system" || self.role == "developer"
    }
}

const SYSTEM_FORM: &str = "a string or an array of text blocks";

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

#[cfg(test)]
mod tests;
