//! What assertions need of models: a judge's word, and embeddings.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use serde_json::json;

use super::Job;
use super::patience::Patience;
use crate::ask::{Arm, Models};
use crate::score::{Aides, CannotScore};

/// The aides of one answer's scoring.
pub(super) struct GateAides<'a> {
    pub job: &'a Job,
    pub models: &'a dyn Models,
    pub python: Option<&'a str>,
    pub patience: Patience<'a>,
    /// What they cost, whatever became of the scoring.
    pub spent_nano_usd: AtomicU64,
}

#[async_trait]
impl Aides for GateAides<'_> {
    async fn judge(&self, prompt: &str) -> Result<(String, u64), CannotScore> {
        let Some(judge) = &self.job.settings.judge else {
            let why = "`llm-rubric` and `factuality` need a judge: set gate.judge in the agent's agent.toml to an agent \
                 that is active, and run `pinrail apply`";
            return Err(CannotScore::Script(why.to_owned()));
        };
        let arm = Arm { gate: self.job.gate, agent: judge.agent.clone(), release: judge.release };
        let run = self.patience.begin(|| self.models.begin(arm.clone())).await?;
        let body = json!({ "messages": [{ "role": "user", "content": prompt }] });
        let reply = self.patience.call(|| self.models.ask(run, body.clone())).await;
        self.models.end(run, reply.is_ok()).await;
        let reply = reply?;
        let cost = reply.cost_nano_usd.unwrap_or(0);
        self.spent_nano_usd.fetch_add(cost, Ordering::Relaxed);
        if !reply.is_pin {
            let served = reply.served.unwrap_or_default();
            return Err(CannotScore::Script(format!("`{served}` answered instead of the judge's pin")));
        }
        Ok((reply.text, cost))
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, CannotScore> {
        Ok(self.patience.call(|| self.models.embed(texts)).await?)
    }

    fn python(&self) -> Option<&str> {
        self.python
    }
}
