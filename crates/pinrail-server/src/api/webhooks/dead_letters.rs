//! `GET /api/v1/webhooks/{webhook}/dead-letters?after=&limit=`.

use pinrail_api::Page;
use pinrail_api::problem::Problem;
use pinrail_api::webhooks::DeadLetter;
use pinrail_domain::id::{LedgerSeq, WebhookName};
use pinrail_store::deliveries;
use serde::Deserialize;

use super::no_webhook;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

/// Which of them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    #[serde(default)]
    pub after: u64,
    pub limit: Option<usize>,
}

pub async fn list(call: Call) -> Answer {
    let wish = call.query()?;
    reply::json(&value(&call, wish).await?)
}

/// Dead letters of the webhook that the path names, oldest first.
pub async fn value(call: &Call, wish: Query) -> Result<Page<DeadLetter>, Problem> {
    let webhook: WebhookName = call.param("webhook")?;
    let Query { after, limit } = wish;
    let limit = call.page(limit)?;
    let letters = call.control().dead_letters(&webhook, LedgerSeq(after), limit + 1).await;
    let letters = letters.map_err(|error| problem::store(&error))?.ok_or_else(|| no_webhook(&webhook))?;
    let shown = letters.into_iter().map(|letter| {
        let deliveries::DeadLetter { seq, attempts, why, at } = letter;
        DeadLetter { seq, attempts, why, at }
    });
    Ok(Page::cut(shown.collect(), limit, |letter: &DeadLetter| letter.seq.to_string()))
}
