//! `/webhooks`: who is told of what, tests, dead letters.

use http::Uri;
use pinrail_api::problem::Problem;
use pinrail_dashboard::Html;
use pinrail_dashboard::confirm::Confirm;
use pinrail_dashboard::page::Nav;
use pinrail_dashboard::webhooks::{WebhookPage, Webhooks};
use pinrail_domain::id::{LedgerSeq, WebhookName};

use super::form::{Because, query};
use super::{done, serve, typed};
use crate::api::agents::After;
use crate::api::webhooks::{self, dead_letters};
use crate::call::Call;
use crate::reply::Answer;

/// Dead letters of a page where nobody says how many.
const SHOWN: usize = 50;

pub async fn list(call: Call) -> Result<Webhooks, Problem> {
    // There are at most fifty.
    let all = After { after: None, limit: Some(call.state.limits.page_max) };
    Ok(Webhooks { items: webhooks::list::value(&call, all).await?.items })
}

pub async fn show(call: Call) -> Result<WebhookPage, Problem> {
    let webhook = webhooks::get::value(&call).await?;
    let wish: dead_letters::Query = query(&call)?;
    let wish = dead_letters::Query { limit: Some(wish.limit.unwrap_or(SHOWN)), ..wish };
    let letters = dead_letters::value(&call, wish).await?;
    Ok(WebhookPage {
        webhook,
        next: letters.next.and_then(|next| next.parse().ok()).map(LedgerSeq),
        letters: letters.items,
        tested: None,
        resent: None,
    })
}

/// Sends a test, and shows what the receiver said.
pub async fn test(call: Call) -> Answer {
    let tested = webhooks::test::value(&call).await?;
    let gather = move |call: Call| {
        let tested = tested.clone();
        async move { Ok(WebhookPage { tested: Some(tested), ..show(call).await? }) }
    };
    serve::show(at_home(call)?, gather).await
}

/// Sends one dead letter again, and shows what became of it.
pub async fn resend(call: Call) -> Answer {
    let resent = webhooks::resend::value(&call).await?;
    shown_with(call, resent).await
}

/// Sends all of them again.
pub async fn resend_all(call: Call) -> Answer {
    let resent = webhooks::resend_all::value(&call).await?;
    shown_with(call, resent).await
}

async fn shown_with(call: Call, resent: pinrail_api::webhooks::Resent) -> Answer {
    let gather = move |call: Call| {
        let resent = resent.clone();
        async move { Ok(WebhookPage { resent: Some(resent), ..show(call).await? }) }
    };
    serve::show(at_home(call)?, gather).await
}

/// The call as if it were for the webhook's own page: what its links and its twin name.
fn at_home(mut call: Call) -> Result<Call, Problem> {
    let name: WebhookName = call.param("webhook")?;
    call.head.uri = Uri::try_from(format!("/webhooks/{name}")).expect("a webhook's name is a part of a path");
    Ok(call)
}

pub async fn confirm_remove(call: Call) -> Result<Confirm, Problem> {
    let webhook = webhooks::get::value(&call).await?;
    let name = webhook.webhook;
    let letters = webhook.dead_letters;
    Ok(Confirm {
        nav: Nav::Webhooks,
        title: format!("Remove the webhook {name}"),
        says: vec![format!(
            "{} is told of nothing any more. Its place in the ledger and its dead letters ({letters}) are forgotten; added again under its name, it is a new one.",
            webhook.spec.url
        )],
        preview: Html::default(),
        fields: Vec::new(),
        action: format!("/webhooks/{name}/remove"),
        button: format!("Remove {name}"),
        destructive: true,
        reason_needed: true,
        back: format!("/webhooks/{name}"),
    })
}

pub async fn remove(call: Call) -> Answer {
    let Because { reason } = typed(&call)?;
    let removed = webhooks::delete::run(&call, reason).await?;
    done("/webhooks", removed.seq)
}

#[cfg(test)]
mod tests;
