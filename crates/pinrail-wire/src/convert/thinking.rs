//! How a model's thinking is carried by each dialect, so that a client who sends the assistant's turn back keeps it.
//!
//! A [`Thought`] is what the model may be shown again: its text, and a [`Seal`] by which its vendor knows it for its own.
//!
//! | seal | messages | responses | chat (one entry of `reasoning_details`) |
//! |---|---|---|---|
//! | none | `thinking` block, `signature` empty | `reasoning` item without `encrypted_content` | `reasoning.text` |
//! | signature | `thinking` block, `signature` | `encrypted_content` = [`SIGNATURE`] + it | `reasoning.text` with `signature` |
//! | redacted | `redacted_thinking` block, `data` | `encrypted_content` = [`REDACTED`] + it | `reasoning.encrypted` with `data` |
//! | encrypted | `thinking` block, `signature` = [`ENCRYPTED`] + id + `.` + it | `encrypted_content` and `id` | `reasoning.encrypted` with `data` = as the signature |
//!
//! The text stands in `thinking`, in the item's `summary`, and in the entry's `text`. Chat messages carry all texts, joined, in
//! `reasoning_content` too, which is what most clients and providers of that dialect know; a reader who finds `reasoning_details`
//! leaves `reasoning_content` alone. The prefixes are no vendor's: who meets one knows that the rest is another vendor's.

use serde_json::{Map, Value, json};

/// Stands before a signature of messages where a responses item carries it.
pub(super) const SIGNATURE: &str = "pinrail-signature-v1.";

/// Stands before the data of a redacted thought of messages where a responses item carries it.
pub(super) const REDACTED: &str = "pinrail-redacted-v1.";

/// Stands before the id and encrypted content of a responses item where a signature or entry carries them.
pub(super) const ENCRYPTED: &str = "pinrail-reasoning-v1.";

/// One thought of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Thought {
    pub text: String,
    pub seal: Option<Seal>,
}

/// What its vendor knows a thought by; opaque to everybody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seal {
    /// Of messages: signs the text.
    Signature(String),
    /// Of messages: stands for a text that isn't shown.
    Redacted(String),
    /// Of responses: the item's id, and what it holds encrypted.
    Encrypted { id: String, content: String },
}

impl Thought {
    /// Says whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.seal.is_none()
    }

    /// Writes a block of messages.
    pub fn block(&self) -> Value {
        match &self.seal {
            Some(Seal::Redacted(data)) if self.text.is_empty() => {
                json!({ "type": "redacted_thinking", "data": data })
            }
            seal => json!({
                "type": "thinking",
                "thinking": self.text,
                "signature": seal.as_ref().map(Seal::signature).unwrap_or_default(),
            }),
        }
    }

    /// Reads a block of messages; none when it is no thinking.
    pub fn of_block(block: &Map<String, Value>) -> Option<Thought> {
        let text = |key: &str| block.get(key).and_then(Value::as_str).unwrap_or_default();
        match text("type") {
            "thinking" => Some(Thought {
                text: text("thinking").to_owned(),
                seal: Seal::of_signature(text("signature")),
            }),
            "redacted_thinking" => {
                Some(Thought { text: String::new(), seal: Some(Seal::Redacted(text("data").to_owned())) })
            }
            _ => None,
        }
    }

    /// Writes an item of responses; `id` names it where it doesn't come with one.
    pub fn item(&self, id: &str) -> Value {
        let summary = match self.text.as_str() {
            "" => json!([]),
            text => json!([{ "type": "summary_text", "text": text }]),
        };
        let mut item = json!({ "type": "reasoning", "id": id, "summary": summary });
        if let Some(seal) = &self.seal {
            let (own, content) = seal.encrypted();
            item["encrypted_content"] = content.into();
            if let Some(own) = own.filter(|own| !own.is_empty()) {
                item["id"] = own.into();
            }
        }
        item
    }

    /// Reads an item of responses; none when it is no reasoning.
    ///
    /// The text is the item's summaries, with an empty line between two, where it has any, else its raw `content`.
    pub fn of_item(item: &Map<String, Value>) -> Option<Thought> {
        let text = |key: &str| item.get(key).and_then(Value::as_str);
        if text("type") != Some("reasoning") {
            return None;
        }
        let parts = |key: &str| -> Vec<&str> {
            let list = item.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(|part| part.get("text")?.as_str()).collect()
        };
        let summaries = parts("summary");
        let said = if summaries.is_empty() { parts("content").join("") } else { summaries.join("\n\n") };
        let seal = text("encrypted_content").and_then(|content| Seal::of_encrypted(text("id"), content));
        Some(Thought { text: said, seal })
    }

    /// Writes an entry of chat's `reasoning_details`.
    pub fn detail(&self, index: usize) -> Value {
        let mut detail = json!({ "type": "reasoning.text", "index": index });
        if !self.text.is_empty() || self.seal.is_none() {
            detail["text"] = self.text.as_str().into();
        }
        if let Some(seal) = &self.seal {
            let (kind, key, value) = seal.detail();
            detail["type"] = kind.into();
            detail[key] = value.into();
        }
        detail
    }

    /// Reads an entry of chat's `reasoning_details`; none when it holds nothing that we know.
    pub fn of_detail(detail: &Map<String, Value>) -> Option<Thought> {
        let text = |key: &str| detail.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let said = text("text").or_else(|| text("summary")).unwrap_or_default().to_owned();
        let seal = match (text("data"), text("signature")) {
            (Some(data), _) => Some(Seal::of_data(data)),
            (None, Some(signature)) => Seal::of_signature(signature),
            (None, None) => None,
        };
        (seal.is_some() || !said.is_empty()).then_some(Thought { text: said, seal })
    }
}

impl Seal {
    /// The signature by which messages carry it beside a text; a redacted thought without one has a block of its own.
    pub fn signature(&self) -> String {
        match self {
            Seal::Signature(signature) => signature.clone(),
            Seal::Redacted(data) => format!("{REDACTED}{data}"),
            Seal::Encrypted { id, content } => format!("{ENCRYPTED}{id}.{content}"),
        }
    }

    /// Reads the signature of a thinking block; none when it is empty.
    pub fn of_signature(signature: &str) -> Option<Seal> {
        if signature.is_empty() {
            return None;
        }
        if let Some(data) = signature.strip_prefix(REDACTED) {
            return Some(Seal::Redacted(data.to_owned()));
        }
        let foreign = signature.strip_prefix(ENCRYPTED).and_then(|rest| rest.split_once('.'));
        Some(match foreign {
            Some((id, content)) => Seal::Encrypted { id: id.to_owned(), content: content.to_owned() },
            None => Seal::Signature(signature.to_owned()),
        })
    }

    /// The item's own id, if it has one, and its `encrypted_content`.
    pub fn encrypted(&self) -> (Option<&str>, String) {
        match self {
            Seal::Signature(signature) => (None, format!("{SIGNATURE}{signature}")),
            Seal::Redacted(data) => (None, format!("{REDACTED}{data}")),
            Seal::Encrypted { id, content } => (Some(id), content.clone()),
        }
    }

    /// Reads the `encrypted_content` of an item of this id; none when it is empty.
    pub fn of_encrypted(id: Option<&str>, content: &str) -> Option<Seal> {
        if content.is_empty() {
            return None;
        }
        if let Some(signature) = content.strip_prefix(SIGNATURE) {
            return Seal::of_signature(signature);
        }
        Some(match content.strip_prefix(REDACTED) {
            Some(data) => Seal::Redacted(data.to_owned()),
            None => Seal::Encrypted { id: id.unwrap_or_default().to_owned(), content: content.to_owned() },
        })
    }

    /// The entry's type, and the key and value of the seal in it.
    pub fn detail(&self) -> (&'static str, &'static str, String) {
        match self {
            Seal::Signature(signature) => ("reasoning.text", "signature", signature.clone()),
            Seal::Redacted(data) => ("reasoning.encrypted", "data", data.clone()),
            Seal::Encrypted { .. } => ("reasoning.encrypted", "data", self.signature()),
        }
    }

    fn of_data(data: &str) -> Seal {
        match Seal::of_signature(data) {
            Some(seal @ Seal::Encrypted { .. }) => seal,
            Some(Seal::Signature(_) | Seal::Redacted(_)) | None => Seal::Redacted(data.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_thought() -> impl Strategy<Value = Thought> {
        let seal = prop_oneof![
            Just(None),
            "[A-Za-z0-9+/=]{1,20}".prop_map(|text| Some(Seal::Signature(text))),
            "[A-Za-z0-9+/=]{1,20}".prop_map(|text| Some(Seal::Redacted(text))),
            ("rs_[a-z0-9]{1,9}", "[A-Za-z0-9._-]{1,20}")
                .prop_map(|(id, content)| Some(Seal::Encrypted { id, content })),
        ];
        ("[a-z \n]{1,30}", seal).prop_map(|(text, seal)| {
            let hidden = matches!(seal, Some(Seal::Redacted(_)));
            Thought { text: if hidden { String::new() } else { text }, seal }
        })
    }

    proptest! {
        #[test]
        fn every_dialect_carries_a_thought(thought in any_thought()) {
            let read = |value: Value, of: fn(&Map<String, Value>) -> Option<Thought>| {
                of(value.as_object().unwrap()).unwrap()
            };
            prop_assert_eq!(&read(thought.block(), Thought::of_block), &thought);
            prop_assert_eq!(&read(thought.item("rs_made_up"), Thought::of_item), &thought);
            prop_assert_eq!(&read(thought.detail(3), Thought::of_detail), &thought);
        }
    }

    #[test]
    fn what_is_no_thought_is_none() {
        let map = |value: Value| value.as_object().unwrap().clone();
        assert_eq!(Thought::of_block(&map(json!({ "type": "text", "text": "a" }))), None);
        assert_eq!(Thought::of_item(&map(json!({ "type": "message" }))), None);
        assert_eq!(Thought::of_detail(&map(json!({ "type": "reasoning.other" }))), None);
    }
}
