//! One item of an answer's output, as far as it is looked at.
//!
//! Conditions: a *call* is an item that asks the client to do something: calls of functions and of custom tools by
//! their name, and those built-in tools that the client runs, by the type that their definition has (`shell`,
//! `local_shell`, `apply_patch`, `computer` or `computer_use_preview`, `tool_search`, and `mcp` for a request to approve a
//! call of a remote server). What the provider runs itself (searches, its code interpreter, shells in its own
//! containers) is none. Contents of unknown shapes are passed over.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::Str;

/// An item, borrowed from its text.
#[derive(Debug, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    action: Option<&'a RawValue>,
    #[serde(borrow)]
    actions: Option<&'a RawValue>,
    #[serde(borrow)]
    operation: Option<&'a RawValue>,
    #[serde(borrow)]
    environment: Option<&'a RawValue>,
    #[serde(borrow)]
    execution: Option<&'a RawValue>,
}

/// A call, as its item has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Call<'a> {
    pub id: Cow<'a, str>,
    /// Empty where it isn't known yet.
    pub name: Cow<'a, str>,
    /// What the model wrote, or the JSON of what is to be done.
    pub arguments: Cow<'a, str>,
}

/// A part of a message's content.
pub(super) enum Part<'a> {
    Text(Cow<'a, str>),
    Refusal,
}

impl<'a> Item<'a> {
    pub fn kind(&self) -> &str {
        self.kind.as_ref().map_or("", |Str(kind)| kind)
    }

    pub fn id(&self) -> Cow<'a, str> {
        said(self.id)
    }

    /// Says whether the item was cut short.
    pub fn is_incomplete(&self) -> bool {
        said(self.status) == "incomplete"
    }

    /// The call that the item is; none where it asks nothing of the client.
    pub fn call(&self) -> Option<Call<'a>> {
        let built_in = |name: &'static str, what| (Cow::Borrowed(name), what);
        let (name, arguments) = match self.kind() {
            "function_call" => (said(self.name), self.arguments),
            "custom_tool_call" => (said(self.name), self.input),
            "computer_call" if self.actions.is_some() => built_in("computer", self.actions),
            "computer_call" if self.action.is_some() => built_in("computer_use_preview", self.action),
            "computer_call" => built_in("", None),
            "local_shell_call" => built_in("local_shell", self.action),
            "shell_call" if !self.is_in_container() => built_in("shell", self.action),
            "apply_patch_call" => built_in("apply_patch", self.operation),
            "mcp_approval_request" => built_in("mcp", self.arguments),
            "tool_search_call" if said(self.execution) == "client" => built_in("tool_search", self.arguments),
            _ => return None,
        };
        let id = said(self.call_id.or(self.id));
        Some(Call { id, name, arguments: arguments.map(text).unwrap_or_default() })
    }

    /// Gives each part of a message's content.
    pub fn parts(&self, mut each: impl FnMut(Part<'a>)) {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow, rename = "type")]
            kind: Option<Str<'a>>,
            #[serde(borrow)]
            text: Option<&'a RawValue>,
            #[serde(borrow)]
            refusal: Option<&'a RawValue>,
        }
        let Some(content) = self.content.filter(|_| self.kind() == "message") else { return };
        if content.get().starts_with('"') {
            return each(Part::Text(text(content)));
        }
        let Ok(parts) = serde_json::from_str::<Vec<Wire<'a>>>(content.get()) else { return };
        for part in parts {
            match part.kind.as_ref().map(|Str(kind)| &**kind) {
                Some("output_text" | "text") => each(Part::Text(said(part.text))),
                Some("refusal") if !said(part.refusal).is_empty() => each(Part::Refusal),
                Some(_) | None => {}
            }
        }
    }

    /// Says whether it is the picture that was asked for.
    pub fn is_picture(&self) -> bool {
        self.kind() == "image_generation_call"
    }

    fn is_in_container(&self) -> bool {
        #[derive(Deserialize)]
        struct Environment<'a> {
            #[serde(borrow, rename = "type")]
            kind: Str<'a>,
        }
        let environment = self.environment.and_then(|raw| serde_json::from_str(raw.get()).ok());
        environment.is_some_and(|Environment { kind: Str(kind) }| kind == "container_reference")
    }
}

/// A string's text; of any other value its JSON, and nothing of `null`.
pub(super) fn text(raw: &RawValue) -> Cow<'_, str> {
    match serde_json::from_str::<Str<'_>>(raw.get()) {
        Ok(Str(text)) => text,
        Err(_) if raw.get() == "null" => Cow::Borrowed(""),
        Err(_) => Cow::Borrowed(raw.get()),
    }
}

/// A string's text; empty where there is none.
fn said(raw: Option<&RawValue>) -> Cow<'_, str> {
    raw.filter(|raw| raw.get().starts_with('"')).map(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_is_to_do_is_a_call() {
        let check = |json: &str, want: Option<(&str, &str, &str)>| {
            let item: Item<'_> = serde_json::from_str(json).unwrap();
            let call = item.call();
            let got = call.as_ref().map(|call| (&*call.id, &*call.name, &*call.arguments));
            assert_eq!(got, want, "{json}");
        };
        check(
            r#"{"type":"function_call","id":"fc_1","call_id":"c","name":"look","arguments":"{\"a\":1}"}"#,
            Some(("c", "look", r#"{"a":1}"#)),
        );
        check(
            r#"{"type":"function_call","call_id":"c","name":"look","arguments":{"a":1}}"#,
            Some(("c", "look", r#"{"a":1}"#)),
        );
        check(
            r#"{"type":"custom_tool_call","call_id":"c","name":"run","input":"ls -l"}"#,
            Some(("c", "run", "ls -l")),
        );
        check(
            r#"{"type":"computer_call","call_id":"c","action":{"type":"wait"}}"#,
            Some(("c", "computer_use_preview", r#"{"type":"wait"}"#)),
        );
        check(r#"{"type":"computer_call","call_id":"c","actions":[]}"#, Some(("c", "computer", "[]")));
        check(r#"{"type":"computer_call","call_id":"c"}"#, Some(("c", "", "")));
        check(r#"{"type":"local_shell_call","call_id":"c","action":{}}"#, Some(("c", "local_shell", "{}")));
        check(
            r#"{"type":"shell_call","call_id":"c","action":{},"environment":{"type":"local"}}"#,
            Some(("c", "shell", "{}")),
        );
        check(
            r#"{"type":"shell_call","call_id":"c","environment":{"type":"container_reference","container_id":"x"}}"#,
            None,
        );
        check(
            r#"{"type":"apply_patch_call","call_id":"c","operation":{}}"#,
            Some(("c", "apply_patch", "{}")),
        );
        check(
            r#"{"type":"mcp_approval_request","id":"m","name":"x","arguments":"{}"}"#,
            Some(("m", "mcp", "{}")),
        );
        check(
            r#"{"type":"tool_search_call","call_id":"c","execution":"client","arguments":{}}"#,
            Some(("c", "tool_search", "{}")),
        );
        for kind in
            ["message", "web_search_call", "mcp_call", "code_interpreter_call", "function_call_output"]
        {
            check(&format!(r#"{{"type":"{kind}","name":"x","action":{{}},"arguments":"{{}}"}}"#), None);
        }
        check(r#"{"name":"x"}"#, None);
    }
}
