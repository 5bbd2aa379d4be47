//! `POST /api/v1/webhooks/{webhook}/test`: sends an event now, and says what the receiver said.

use pinrail_api::problem::Problem;
use pinrail_api::webhooks::WebhookTest;
use pinrail_domain::id::WebhookName;

use super::no_webhook;
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn test(call: Call) -> Answer {
    reply::json(&value(&call).await?)
}

/// Sends a test event to the webhook that the path names.
pub async fn value(call: &Call) -> Result<WebhookTest, Problem> {
    let webhook: WebhookName = call.param("webhook")?;
    let tested = call.control().webhook_test(&webhook, &call.caller().actor, &*call.state.outbound).await;
    let tested = tested.ok_or_else(|| no_webhook(&webhook))?;
    let (delivered, answer, why) = match tested.result {
        Ok(receipt) => (true, Some(receipt), None),
        Err(error) => (false, error.answer, Some(error.what)),
    };
    let (status, said) = answer.map_or((None, String::new()), |answer| (Some(answer.status), answer.said));
    Ok(WebhookTest { webhook, id: tested.id, delivered, status, said, why, took_us: tested.took_us })
}
