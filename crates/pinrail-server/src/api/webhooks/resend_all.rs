//! `POST /api/v1/webhooks/{webhook}/dead-letters/retry`: sends all again, oldest first, each once.

use pinrail_api::problem::Problem;
use pinrail_api::webhooks::Resent;
use pinrail_domain::id::WebhookName;

use super::{not_resent, resent};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn resend(call: Call) -> Answer {
    reply::json(&value(&call).await?)
}

/// Sends the dead letters of the webhook that the path names.
pub async fn value(call: &Call) -> Result<Resent, Problem> {
    let webhook: WebhookName = call.param("webhook")?;
    let all =
        call.control().dead_letters_resend(&webhook, &*call.state.outbound).await.map_err(not_resent)?;
    Ok(resent(webhook, all.letters, all.left))
}
