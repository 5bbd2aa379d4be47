//! Calls outside of runs, which end as a test says.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use pinrail_domain::provider::ProviderSpec;
use serde_json::{Value, json};

use crate::warm::{Answered, DirectCalls, NotAnswered};

/// Answers as the model that is asked for, but where a test says otherwise.
#[derive(Default)]
pub struct Direct {
    asked: Mutex<Vec<Value>>,
    says: Mutex<BTreeMap<String, (u16, String)>>,
}

impl Direct {
    /// Has a model answer like this from now on.
    pub fn says(&self, snapshot: &str, status: u16, body: &str) {
        self.says.lock().unwrap().insert(snapshot.to_owned(), (status, body.to_owned()));
    }

    /// What was asked, oldest first.
    pub fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl DirectCalls for Direct {
    async fn chat(&self, _: &ProviderSpec, body: Vec<u8>) -> Result<Answered, NotAnswered> {
        let body: Value = serde_json::from_slice(&body).unwrap();
        let model = body["model"].as_str().unwrap().to_owned();
        self.asked.lock().unwrap().push(body);
        if let Some((status, body)) = self.says.lock().unwrap().get(&model).cloned() {
            return Ok(Answered { status, body: body.into_bytes() });
        }
        let message = json!({ "role": "assistant", "content": "1" });
        let body = json!({ "model": model, "choices": [{ "index": 0, "message": message, "finish_reason": "length" }] });
        Ok(Answered { status: 200, body: body.to_string().into_bytes() })
    }
}
