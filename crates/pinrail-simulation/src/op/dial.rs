//! The dial turned by people, and tool calls that wait for them.

use pinrail_control::approvals::{AuthorizeError, DecideRefused, ToolCall};
use pinrail_control::{By, Control};
use pinrail_domain::begin::Wanted;
use pinrail_domain::dial::Turn;
use pinrail_domain::id::ApprovalId;
use pinrail_domain::journal::Stamp;
use pinrail_domain::key::Tenants;
use serde_json::json;

use super::{Done, Told, ToolWish, chain, committed};

pub(super) async fn turn(control: &Control, by: By, turn: &Turn) -> Told {
    committed(control.turn_dial(by, turn).await, |turned, _| Done::Turned { turned })
}

pub(super) async fn decide(control: &Control, by: By, id: ApprovalId, approved: bool) -> Told {
    match control.decide_approval(by, id, &Tenants::All, approved).await {
        Ok(_) => Told::Done(Done::Changed),
        Err(error @ DecideRefused::Store(_)) => Told::Unknown(chain(&error)),
        Err(
            error @ (DecideRefused::NoApproval(_)
            | DecideRefused::Refused(_)
            | DecideRefused::ReasonTooLong(_)
            | DecideRefused::KeyReused),
        ) => Told::Refused(error.to_string()),
    }
}

/// Asks whether a call may be made: as a client does, or as the gateway does about a call in an answer.
pub(super) async fn authorize(control: &Control, run: &Stamp, wish: &ToolWish) -> Told {
    let ToolWish { tool, arguments, id, by_gateway } = wish;
    let arguments = json!({ "order": arguments });
    if *by_gateway {
        let wanted = Wanted {
            stamp: std::sync::Arc::new(run.clone()),
            tool: tool.name().to_owned(),
            arguments: arguments.to_string(),
        };
        let ruled = control.rule_tool(&wanted).await;
        return Told::Done(Done::Ruled { ruling: ruled.ruling, approval: ruled.approval });
    }
    let stamp = match control.authorizing(run.run, &Tenants::All).await {
        Ok(stamp) => stamp,
        Err(error) => return authorize_failed(&error),
    };
    let call = ToolCall {
        tool: tool.name(),
        arguments: &arguments,
        id: id.as_deref(),
        side_effects: Some(tool.has_side_effects()),
    };
    match control.authorize_tool(&stamp, call).await {
        Ok(done) => Told::Done(Done::Ruled { ruling: done.ruling, approval: done.approval }),
        Err(error) => authorize_failed(&error),
    }
}

fn authorize_failed(error: &AuthorizeError) -> Told {
    match error {
        AuthorizeError::NoRun(_)
        | AuthorizeError::NotRunning { .. }
        | AuthorizeError::BadId
        | AuthorizeError::TooLong(_)
        | AuthorizeError::AnotherCall { .. }
        | AuthorizeError::TooManyPending
        | AuthorizeError::Stale { .. }
        | AuthorizeError::Contract(_) => Told::Refused(error.to_string()),
        AuthorizeError::Store(_) | AuthorizeError::Journal(_) => Told::Unknown(chain(error)),
    }
}
