//! The server: is it there, is it ready, does its clock agree, do its releases' models live on.

use pinrail_api::agents::Provider;
use pinrail_api::releases::Release;
use pinrail_api::status::Status;

use super::Check;
use crate::cli::Context;
use crate::client::ClientError;
use crate::output::time;

/// What a server that answers has.
pub struct Seen {
    pub status: Status,
    pub providers: Vec<Provider>,
    pub releases: Vec<Release>,
}

/// Leases and retirement dates bear a minute; more says that one of the clocks is wrong.
const SKEW_MS: u64 = 60_000;

/// Asks the server; none when it can't tell.
pub fn look(context: &Context, checks: &mut Vec<Check>) -> Option<Seen> {
    let reply = match context.client.get::<Status>("/api/v1/status") {
        Ok(reply) => reply,
        Err(error) => {
            checks.push(trouble(&error));
            return None;
        }
    };
    let status = reply.value;
    let base = context.client.base();
    if status.ready {
        let open = if status.open { "; it is open: it has no keys" } else { "" };
        checks.push(Check::ok("server", format!("{base} is ready, version {}{open}", status.version)));
    }
    for trouble in &status.troubles {
        checks.push(Check::error("server", format!("{base}: {trouble}"), "see the server's log"));
    }
    if !status.ready && status.troubles.is_empty() {
        checks.push(Check::error("server", format!("{base} is not ready"), "see the server's log"));
    }
    if let Some(date) = reply.date.as_deref().and_then(time::parse_http_date) {
        let skew = date.ms_since(context.now).max(context.now.ms_since(date));
        if skew > SKEW_MS {
            let found = format!("the server's clock is {} away from this machine's", time::span(skew));
            checks.push(Check::warn("clock", found, "synchronise both clocks (NTP)"));
        }
    }
    let lists = context
        .client
        .all("/api/v1/providers", "after")
        .and_then(|providers| Ok((providers, context.client.all("/api/v1/releases", "before")?)));
    match lists {
        Ok((providers, releases)) => Some(Seen { status, providers, releases }),
        Err(error) => {
            checks.push(trouble(&error));
            None
        }
    }
}

fn trouble(error: &ClientError) -> Check {
    let next = error.next_step().unwrap_or_else(|| "see the server's log".to_owned());
    match error {
        ClientError::Refused(problem) => Check::error("server", problem.detail.clone(), next),
        ClientError::Unreachable { source, .. } => Check::error("server", format!("{error}: {source}"), next),
        ClientError::BadAddress { .. } | ClientError::BadKey | ClientError::NotPinrail { .. } => {
            Check::error("server", error.to_string(), next)
        }
    }
}
