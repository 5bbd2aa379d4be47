//! `POST /api/v1/webhooks/{webhook}/dead-letters/{seq}/retry`: sends one again now, once.

use pinrail_api::problem::Problem;
use pinrail_api::webhooks::Resent;
use pinrail_domain::id::{LedgerSeq, WebhookName};

use super::{no_webhook, not_resent, resent};
use crate::call::{Call, bad_name};
use crate::problem;
use crate::reply::{self, Answer};

pub async fn resend(call: Call) -> Answer {
    reply::json(&value(&call).await?)
}

/// Sends the dead letter that the path names.
pub async fn value(call: &Call) -> Result<Resent, Problem> {
    let webhook: WebhookName = call.param("webhook")?;
    let seq = call.text("seq").parse().map_err(|_| bad_name("seq in the path: not a number".to_owned()))?;
    let letter = call.control().dead_letter_resend(&webhook, LedgerSeq(seq), &*call.state.outbound).await;
    let letter = letter.map_err(not_resent)?;
    let status = call.control().webhook(&webhook).await.map_err(|error| problem::store(&error))?;
    let left = status.ok_or_else(|| no_webhook(&webhook))?.dead_letters;
    Ok(resent(webhook, vec![letter], left))
}
