//! Webhooks: who is told of what the ledger says, and how that goes. Secrets are named here, never held (I15).

use pinrail_api::problem::{Code, Problem};
use pinrail_api::webhooks::{Delivered, LastError, Resent, ResentLetter, Webhook};
use pinrail_control::CommitError;
use pinrail_control::webhooks::letters::{self, ResendError};
use pinrail_control::webhooks::{Status, Trouble, WebhookRefused};
use pinrail_domain::id::WebhookName;

use crate::problem;

pub mod dead_letters;
pub mod delete;
pub mod get;
pub mod list;
pub mod put;
pub mod resend;
pub mod resend_all;
pub mod test;
#[cfg(test)]
mod tests;

pub fn no_webhook(webhook: &WebhookName) -> Problem {
    problem::not_found(
        format!("webhook `{webhook}`"),
        &format!("add it: `pinrail webhook put {webhook} --url URL` (PUT /api/v1/webhooks/{webhook})"),
    )
}

/// A webhook as its callers see it.
fn shown(status: Status) -> Webhook {
    let Status { name, webhook, cursor, lag, delivered, trouble, dead_letters } = status;
    Webhook {
        webhook: name,
        spec: webhook.spec.clone(),
        since: webhook.since,
        cursor,
        lag,
        delivered: delivered.map(|delivered| Delivered { seq: delivered.seq, at: delivered.at }),
        last_error: trouble.map(|trouble| {
            let Trouble { seq, attempts, what, at, next_at } = trouble;
            LastError { seq, attempts, what, at, next_at }
        }),
        dead_letters,
    }
}

/// What became of dead letters, as their callers see it.
fn resent(webhook: WebhookName, letters: Vec<letters::Resent>, left: u64) -> Resent {
    let failed = letters.iter().filter(|letter| letter.why.is_some()).count() as u64;
    let delivered = letters.len() as u64 - failed;
    let letters = letters.into_iter().map(|letters::Resent { seq, why }| ResentLetter {
        seq,
        delivered: why.is_none(),
        why,
    });
    Resent { webhook, delivered, failed, left, letters: letters.collect() }
}

/// Why a webhook stays as it is.
fn refused(error: CommitError<WebhookRefused>) -> Problem {
    problem::commit(error, |refused| {
        let detail = problem::chain(&refused);
        match refused {
            WebhookRefused::Bad(_) => Problem::new(Code::BadWebhook, detail).next_step(
                "correct [webhooks.…] in pinrail.toml and run `pinrail apply`, or send the settings again: \
                 `pinrail webhook put` (PUT /api/v1/webhooks/NAME)",
            ),
            WebhookRefused::NoAgent(agent) => Problem::new(Code::BadWebhook, detail)
                .next_step("name agents that there are: `pinrail agent list` (GET /api/v1/agents) lists them")
                .fact("agent", agent.as_str()),
            WebhookRefused::NoWebhook(webhook) => no_webhook(&webhook),
            WebhookRefused::TooMany => Problem::new(Code::LimitReached, detail).next_step(
                "remove one that nobody needs: `pinrail webhook list`, `pinrail webhook remove NAME` \
                 (DELETE /api/v1/webhooks/NAME)",
            ),
        }
    })
}

/// Why nothing was sent again.
fn not_resent(error: ResendError) -> Problem {
    let detail = problem::chain(&error);
    match error {
        ResendError::NoWebhook(webhook) => no_webhook(&webhook),
        ResendError::NoLetter { webhook, seq: _ } => Problem::new(Code::NotFound, detail).next_step(format!(
            "list them: `pinrail webhook dead-letters {webhook}` (GET /api/v1/webhooks/{webhook}/dead-letters)"
        )),
        ResendError::Store(error) => problem::store(&error),
    }
}
