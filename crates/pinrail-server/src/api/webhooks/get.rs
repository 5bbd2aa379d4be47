//! `GET /api/v1/webhooks/{webhook}`.

use pinrail_api::problem::Problem;
use pinrail_api::webhooks::Webhook;
use pinrail_domain::id::WebhookName;

use super::{no_webhook, shown};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    reply::json(&value(&call).await?)
}

/// The webhook that the path names.
pub async fn value(call: &Call) -> Result<Webhook, Problem> {
    let webhook: WebhookName = call.param("webhook")?;
    let status = call.control().webhook(&webhook).await.map_err(|error| problem::store(&error))?;
    Ok(shown(status.ok_or_else(|| no_webhook(&webhook))?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_webhook_is_shown_with_its_place() {
        let bench = Bench::open().await;
        let spec = json!({ "url": "https://hooks.example/x", "secret_env": "HOOK_SECRET" });
        bench.put("/api/v1/webhooks/chat", spec.clone()).await.ok();
        bench.provider("sim").await;
        let shown = bench.get("/api/v1/webhooks/chat").await.ok();
        assert_eq!(shown["spec"], spec);
        // Nothing delivers here: what came after it waits.
        assert_eq!((&shown["since"], &shown["cursor"], &shown["lag"]), (&json!(1), &json!(1), &json!(1)));
        assert_eq!(shown["dead_letters"], 0);
        bench.get("/api/v1/webhooks/other").await.problem("not_found");
    }
}
