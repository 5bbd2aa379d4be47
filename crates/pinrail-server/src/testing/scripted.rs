//! Models for gates, which answer as a test says.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use pinrail_domain::id::{ReleaseId, RunId};
use pinrail_gate::ask::{Arm, AskFailed, Models, Reply};
use serde_json::{Value, json};

/// Answers `good`, but where a test says otherwise.
#[derive(Default)]
pub struct Scripted {
    runs: Mutex<BTreeMap<RunId, ReleaseId>>,
    asked: Mutex<Vec<(ReleaseId, Value)>>,
    says: Mutex<BTreeMap<ReleaseId, Result<String, AskFailed>>>,
    /// Taken by every call: a test that holds it keeps all of them waiting.
    pub gate: tokio::sync::Mutex<()>,
}

impl Scripted {
    /// Has a release say this from now on.
    pub fn says(&self, release: &str, what: Result<&str, AskFailed>) {
        self.says.lock().unwrap().insert(ReleaseId(release.parse().unwrap()), what.map(str::to_owned));
    }

    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[async_trait]
impl Models for Scripted {
    async fn begin(&self, of: Arm) -> Result<RunId, AskFailed> {
        let mut runs = self.runs.lock().unwrap();
        let run = RunId::from_parts(1, runs.len() as u128);
        runs.insert(run, of.release);
        Ok(run)
    }

    async fn ask(&self, run: RunId, body: Value) -> Result<Reply, AskFailed> {
        let _gate = self.gate.lock().await;
        let release = self.runs.lock().unwrap()[&run];
        self.asked.lock().unwrap().push((release, body));
        let said = self.says.lock().unwrap().get(&release).cloned();
        let text = said.unwrap_or(Ok("good".to_owned()))?;
        let message = json!({ "role": "assistant", "content": text });
        let (served, cost_nano_usd) = (Some("m-1".to_owned()), Some(1_000));
        Ok(Reply { message, text, is_pin: true, served, cost_nano_usd, ..Reply::default() })
    }

    async fn end(&self, _run: RunId, _ok: bool) {}

    async fn embed(&self, _texts: &[String]) -> Result<Vec<Vec<f32>>, AskFailed> {
        Err(AskFailed::Lasting("no embedder".to_owned()))
    }
}
