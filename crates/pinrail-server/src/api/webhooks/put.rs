//! `PUT /api/v1/webhooks/{webhook}?reason=`: the body is the webhook's settings.

use pinrail_api::agents::Changed;
use pinrail_domain::id::WebhookName;
use pinrail_domain::webhook::WebhookSpec;

use super::refused;
use crate::api::agents::{Reason, word};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn put(call: Call) -> Answer {
    let webhook: WebhookName = call.param("webhook")?;
    let Reason { reason } = call.query()?;
    let spec: WebhookSpec = call.json()?;
    let done = call.control().webhook_put(call.by(reason)?, &webhook, &spec).await.map_err(refused)?;
    reply::changed(done.replayed, &Changed::of(word(done.value)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn settings_that_leak_or_never_fire_are_refused() {
        let bench = Bench::open().await;
        let refused = async |settings: serde_json::Value, part: &str| {
            let problem = bench.put("/api/v1/webhooks/chat", settings).await.problem("bad_webhook");
            assert!(problem["detail"].as_str().unwrap().contains(part), "{problem}");
            problem.to_string()
        };
        let url = "https://hooks.example/x";
        refused(json!({ "url": "http://hooks.example/x" }), "https://HOST").await;
        refused(json!({ "url": url, "events": ["rolled_back"] }), "matches no kind").await;
        refused(json!({ "url": url, "agents": ["planer"] }), "no agent `planer`").await;
        // I15: a secret in the wrong place is refused and not repeated.
        let pasted = refused(json!({ "url": url, "secret_env": "whsec_planted" }), "never hold").await;
        assert!(!pasted.contains("planted"), "{pasted}");
        bench.put("/api/v1/webhooks/chat", json!({ "uri": url })).await.problem("bad_request");
        let put = bench.put("/api/v1/webhooks/chat", json!({ "url": url, "events": ["deployment_*"] })).await;
        assert_eq!(put.ok()["change"], "created");
        let same =
            bench.put("/api/v1/webhooks/chat", json!({ "url": url, "events": ["deployment_*"] })).await;
        assert_eq!(same.ok()["change"], "unchanged");
    }
}
