//! `POST /api/v1/webhooks/{webhook}/dead-letters/retry`: sends all again, oldest first, each once.

use pinrail_domain::id::WebhookName;

use super::{not_resent, resent};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn resend(call: Call) -> Answer {
    let webhook: WebhookName = call.param("webhook")?;
    let all =
        call.control().dead_letters_resend(&webhook, &*call.state.outbound).await.map_err(not_resent)?;
    reply::json(&resent(webhook, all.letters, all.left))
}
