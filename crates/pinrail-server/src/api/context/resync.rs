//! `POST /api/v1/context/{space}/resync`: asks the writers to write again in a protocol that the reader accepts.
//!
//! The request is a message of kind `resync_requested` in protocol 0, which every reader accepts. It is stamped as any
//! write of the run's: everybody in its deployment sees it, and everybody else when that is committed.

use pinrail_api::context::{AskResync, RESYNC_REQUESTED};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::state::context::{Accepts, Message, OWN_PROTOCOL};
use serde_json::json;
use serde_json::value::RawValue;

use super::{contract, send};
use crate::call::Call;
use crate::reply::Answer;

/// Protocols that a request may name: a reader knows a handful.
const ACCEPTS_MAX: usize = 64;

pub async fn ask(call: Call) -> Answer {
    let request: AskResync = call.json()?;
    let pen = call.pen(request.by()).await?;
    let of_release = || match pen.hand.run().and_then(|stamp| contract(&call, stamp, Accepts::of)) {
        Some(Accepts::These(these)) => Some(these),
        Some(Accepts::All) | None => None,
    };
    let accepts = request.accepts.clone().or_else(of_release).filter(|these| !these.is_empty());
    let Some(accepts) = accepts.filter(|these| these.len() <= ACCEPTS_MAX) else {
        return Err(Problem::new(
            Code::BadRequest,
            "a request to resync names 1 to 64 protocols that the reader accepts",
        )
        .next_step("name them: \"accepts\": [1, 2] (--accepts 1,2)"));
    };
    let body = json!({ "key": request.key, "accepts": accepts });
    let body = RawValue::from_string(body.to_string()).expect("JSON that was just written is JSON");
    let from = pen.hand.run().map(|stamp| stamp.agent.clone());
    let kind = RESYNC_REQUESTED.to_owned();
    let message = Message { protocol: OWN_PROTOCOL, kind, from, to: None, body };
    send::append(&call, &pen, message, Vec::new()).await
}
