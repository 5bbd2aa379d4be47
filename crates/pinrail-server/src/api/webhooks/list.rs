//! `GET /api/v1/webhooks?after=&limit=`.

use pinrail_api::Page;
use pinrail_api::problem::Problem;
use pinrail_api::webhooks::Webhook;
use pinrail_domain::id::WebhookName;

use super::shown;
use crate::api::agents::After;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn list(call: Call) -> Answer {
    let wish = call.query()?;
    reply::json(&value(&call, wish).await?)
}

/// The webhooks by name.
pub async fn value(call: &Call, wish: After) -> Result<Page<Webhook>, Problem> {
    let After { after, limit } = wish;
    let limit = call.page(limit)?;
    let snapshot = call.control().snapshot();
    let names = snapshot.world.webhooks.keys();
    let names = names.filter(|name| after.as_deref().is_none_or(|after| name.as_str() > after));
    let names: Vec<WebhookName> = names.take(limit + 1).cloned().collect();
    let mut webhooks = Vec::with_capacity(names.len());
    for name in &names {
        // One that was just removed is left out.
        let status = call.control().webhook(name).await.map_err(|error| problem::store(&error))?;
        webhooks.extend(status.map(shown));
    }
    Ok(Page::cut(webhooks, limit, |webhook: &Webhook| webhook.webhook.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn webhooks_are_listed_by_name() {
        let bench = Bench::open().await;
        for name in ["b", "a", "c"] {
            let spec = json!({ "url": "https://hooks.example/x" });
            bench.put(&format!("/api/v1/webhooks/{name}"), spec).await.ok();
        }
        let page = bench.get("/api/v1/webhooks?limit=2").await.ok();
        assert_eq!((&page["items"][0]["webhook"], &page["next"]), (&json!("a"), &json!("b")));
        let rest = bench.get("/api/v1/webhooks?after=b").await.ok();
        assert_eq!((&rest["items"][0]["webhook"], rest["items"].as_array().unwrap().len()), (&json!("c"), 1));
    }
}
