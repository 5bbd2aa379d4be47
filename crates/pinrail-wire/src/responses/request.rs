//! Reads a responses request into its top-level fields, values untouched.
//!
//! Conditions: what decides routing or what [`ResponsesRequest::rewrite`] has to touch is checked here and refused
//! by name (`model`, `input` and the types and roles of its items, `instructions`, `stream`, `user`, `metadata`,
//! `previous_response_id`, `conversation`); everything else is the provider's to judge. A key that is there twice at
//! the top, in `metadata`, in `conversation` or as an item's `type` or `role` is refused, since we and the provider
//! might disagree on which of the two counts. A `null` is the same as an absent field. `input` may be absent: a stored
//! prompt or a conversation can stand for it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, Fields, Str};
use crate::request::{RequestError, fields, flag, metadata, missing, object, string, wrong};
use crate::text::Text;

/// One request, borrowed from its body.
#[derive(Clone, Debug)]
pub struct ResponsesRequest<'a> {
    pub(super) fields: Vec<(Cow<'a, str>, &'a RawValue)>,
    pub(super) body_bytes: usize,
    pub(super) metadata: Option<Fields<'a>>,
    model: Cow<'a, str>,
    input: Input<'a>,
    instructions: Option<Cow<'a, str>>,
    user: Option<Cow<'a, str>>,
    previous_response_id: Option<Cow<'a, str>>,
    conversation: Option<Cow<'a, str>>,
    stream: bool,
}

/// What the model is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    Absent,
    /// What the user says.
    Text(Cow<'a, str>),
    Items(Vec<InputItem<'a>>),
}

/// One item of the input as it stood in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputItem<'a> {
    /// The item's `type`, which a message may leave out.
    pub kind: Option<Cow<'a, str>>,
    pub role: Option<Cow<'a, str>>,
    /// The item's JSON text.
    pub raw: &'a str,
}

impl<'a> ResponsesRequest<'a> {
    /// Reads a body; call [`json::check_depth`] on it before.
    ///
    /// # Errors
    /// [`RequestError`], which names the field and what was expected.
    pub fn parse(body: &'a [u8]) -> Result<ResponsesRequest<'a>, RequestError> {
        let fields = fields(body)?;
        let get = |name: &str| fields.get(name).filter(|value| value.get() != "null");
        let text = |name: &str| get(name).map(|value| string(name, value)).transpose();

        let model = text("model")?.ok_or_else(|| missing("model", "a string"))?;
        let input = get("input").map(input).transpose()?.unwrap_or(Input::Absent);
        let instructions = text("instructions")?;
        let user = text("user")?;
        let previous_response_id = text("previous_response_id")?;
        let conversation = get("conversation").map(conversation).transpose()?;
        let stream = get("stream").map(|value| flag("stream", value)).transpose()?.unwrap_or(false);
        let metadata = get("metadata").map(metadata).transpose()?;
        let fields = fields.list;
        let body_bytes = body.len();
        Ok(ResponsesRequest {
            fields,
            body_bytes,
            metadata,
            model,
            input,
            instructions,
            user,
            previous_response_id,
            conversation,
            stream,
        })
    }

    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    #[must_use]
    pub fn input(&self) -> &Input<'a> {
        &self.input
    }

    /// Gives what the client tells the model before all input.
    #[must_use]
    pub fn instructions(&self) -> Option<&str> {
        self.instructions.as_deref()
    }

    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Gives the id of the answer that this request goes on from.
    #[must_use]
    pub fn previous_response_id(&self) -> Option<&str> {
        self.previous_response_id.as_deref()
    }

    /// Gives the id of the conversation that the provider keeps, whether it was sent as a string or in an object.
    #[must_use]
    pub fn conversation(&self) -> Option<&str> {
        self.conversation.as_deref()
    }

    #[must_use]
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// Gives a value of the `metadata` object, when it is a string.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<Cow<'a, str>> {
        let value = self.metadata.as_ref()?.get(key)?;
        serde_json::from_str(value.get()).ok().map(|Str(text)| text)
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

    /// Gives the instructions and the text of the leading system and developer messages, joined by line feeds.
    ///
    /// A message whose content is an array gives its text parts, joined in the same way.
    ///
    /// # Errors
    /// [`RequestError::Wrong`] for a content that is neither a string nor an array of text parts.
    pub fn system_text(&self) -> Result<Option<Cow<'a, str>>, RequestError> {
        let mut text = self.instructions.clone();
        for (at, item) in self.input.items().iter().take_while(|item| item.is_system()).enumerate() {
            let content = content(item.raw).ok_or_else(|| RequestError::Wrong {
                field: format!("input[{at}].content"),
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

impl<'a> Input<'a> {
    /// Gives the items; none where the input is a text or absent.
    #[must_use]
    pub fn items(&self) -> &[InputItem<'a>] {
        match self {
            Input::Items(items) => items,
            Input::Absent | Input::Text(_) => &[],
        }
    }
}

impl InputItem<'_> {
    /// Says whether the item instructs the model on the application's behalf.
    #[must_use]
    pub fn is_system(&self) -> bool {
        matches!(self.role.as_deref(), Some("system" | "developer")) && !self.adds_tools()
    }

    /// Says whether the item gives the model further tools.
    #[must_use]
    pub fn adds_tools(&self) -> bool {
        self.kind.as_deref() == Some("additional_tools")
    }
}

fn input(value: &RawValue) -> Result<Input<'_>, RequestError> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<Str<'a>>,
        #[serde(borrow)]
        role: Option<Str<'a>>,
    }
    if value.get().starts_with('"') {
        return Ok(Input::Text(string("input", value)?));
    }
    if !value.get().starts_with('[') {
        return Err(wrong("input", "a string or an array of items"));
    }
    let read = |(at, raw): (usize, _)| {
        // A struct also reads from an array, hence the look at the first byte.
        let head = Some(raw)
            .filter(|raw: &&str| raw.starts_with('{'))
            .and_then(|raw| serde_json::from_str::<Head<'_>>(raw).ok());
        let Some(Head { kind, role }) = head else {
            let expected = "an object with at most one `type` and one `role`, both strings";
            return Err(wrong(&format!("input[{at}]"), expected));
        };
        Ok(InputItem { kind: kind.map(|Str(kind)| kind), role: role.map(|Str(role)| role), raw })
    };
    json::items(value.get()).enumerate().map(read).collect::<Result<_, _>>().map(Input::Items)
}

fn conversation(value: &RawValue) -> Result<Cow<'_, str>, RequestError> {
    if value.get().starts_with('"') {
        return string("conversation", value);
    }
    if !value.get().starts_with('{') {
        return Err(wrong("conversation", "a string or an object with an `id`"));
    }
    let fields = object("conversation", value)?;
    let id = fields.get("id").ok_or_else(|| missing("conversation.id", "a string"))?;
    string("conversation.id", id)
}

fn content(item: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        content: Text<'a>,
    }
    let Body { content } = serde_json::from_str(item).ok()?;
    content.whole.then_some(content.text)
}

#[cfg(test)]
mod tests;
