//! `DELETE /api/v1/webhooks/{webhook}?reason=`.

use pinrail_api::agents::Changed;
use pinrail_api::problem::Problem;
use pinrail_control::Committed;
use pinrail_control::agents::Change;
use pinrail_domain::id::WebhookName;

use super::refused;
use crate::api::agents::{Reason, word};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn remove(call: Call) -> Answer {
    let Reason { reason } = call.query()?;
    let done = run(&call, reason).await?;
    reply::changed(done.replayed, &Changed::of(word(done.value)))
}

/// Removes the webhook that the path names.
pub async fn run(call: &Call, reason: String) -> Result<Committed<Change>, Problem> {
    let webhook: WebhookName = call.param("webhook")?;
    call.control().webhook_remove(call.by(reason)?, &webhook).await.map_err(refused)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_webhook_goes_once() {
        let bench = Bench::open().await;
        bench.put("/api/v1/webhooks/chat", json!({ "url": "https://hooks.example/x" })).await.ok();
        let removed = bench.delete("/api/v1/webhooks/chat?reason=enough").await.ok();
        assert_eq!(removed["change"], "removed");
        bench.delete("/api/v1/webhooks/chat").await.problem("not_found");
        bench.get("/api/v1/webhooks/chat").await.problem("not_found");
    }
}
