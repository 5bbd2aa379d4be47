//! The responses that are kept in memory, so that a later request can go on from one or point to an item of it.
//!
//! The oldest go when there are too many or they grow too large together. A stream's response is kept from its start on.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use crate::limits::{RESPONSES_BYTES_MAX, RESPONSES_MAX};
use crate::request::Message;

/// One kept response.
pub struct Kept {
    /// The response as it was answered.
    pub response: Value,
    /// The conversation up to and with it, without instructions.
    pub context: Vec<Message>,
}

/// All kept responses.
#[derive(Default)]
pub struct Store {
    kept: HashMap<String, (Kept, usize)>,
    /// Ids from the oldest to the newest; those that were deleted may still be here.
    order: VecDeque<String>,
    /// Which response an output item belongs to.
    items: HashMap<String, String>,
    bytes: usize,
}

impl Store {
    /// Keeps a response under its id, in place of one with the same id.
    pub fn keep(&mut self, kept: Kept) {
        let id = text(&kept.response, "id");
        self.delete(&id);
        let bytes = kept.response.to_string().len() + kept.context.iter().map(size).sum::<usize>();
        for item in items(&kept.response) {
            self.items.insert(text(item, "id"), id.clone());
        }
        self.bytes += bytes;
        self.kept.insert(id.clone(), (kept, bytes));
        self.order.push_back(id);
        while self.kept.len() > RESPONSES_MAX || (self.bytes > RESPONSES_BYTES_MAX && self.kept.len() > 1) {
            let Some(oldest) = self.order.pop_front() else { break };
            self.delete(&oldest);
        }
    }

    /// Finds a response.
    pub fn get(&self, id: &str) -> Option<&Kept> {
        self.kept.get(id).map(|(kept, _)| kept)
    }

    /// Finds an output item of a kept response.
    pub fn item(&self, id: &str) -> Option<Value> {
        let kept = self.get(self.items.get(id)?)?;
        items(&kept.response).iter().find(|item| text(item, "id") == id).cloned()
    }

    /// Forgets a response; says whether it was there.
    pub fn delete(&mut self, id: &str) -> bool {
        let Some((kept, bytes)) = self.kept.remove(id) else { return false };
        self.bytes -= bytes;
        self.order.retain(|known| known != id);
        for item in items(&kept.response) {
            self.items.remove(&text(item, "id"));
        }
        true
    }
}

fn items(response: &Value) -> &[Value] {
    response.get("output").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or("").to_owned()
}

fn size(message: &Message) -> usize {
    let calls: usize = message.calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
    size_of::<Message>() + message.text.len() + calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Role;
    use serde_json::json;

    fn response(number: usize, text: &str) -> Kept {
        let response = json!({"id": format!("resp_{number}"), "output": [{"id": format!("msg_{number}"), "type": "message"}]});
        Kept { response, context: vec![Message::text(Role::User, text)] }
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_too_large() {
        let mut store = Store::default();
        (0..=RESPONSES_MAX).for_each(|number| store.keep(response(number, "hi")));
        assert!(store.get("resp_0").is_none() && store.item("msg_0").is_none());
        assert!(store.get("resp_1").is_some() && store.item("msg_1").is_some());
        assert!(store.delete("resp_1") && !store.delete("resp_1"));
        let large = "x".repeat(RESPONSES_BYTES_MAX / 2);
        (10_000..10_003).for_each(|number| store.keep(response(number, &large)));
        assert!(store.get("resp_10001").is_none() && store.get("resp_10002").is_some());
        assert_eq!((store.kept.len(), store.order.len(), store.items.len()), (1, 1, 1));
    }
}
