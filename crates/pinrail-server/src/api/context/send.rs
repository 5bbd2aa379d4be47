//! `POST /api/v1/context/{space}/messages`: sends a message to the agents of a space.

use pinrail_api::context::{MessageSent, SendMessage};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::state::context::Message;
use pinrail_domain::id::StateSeq;
use pinrail_domain::state::{Moment, StateKey};

use super::{named, protocol, refused, space};
use crate::call::Call;
use crate::reply::{self, Answer};
use crate::state_call::{Pen, write_error};

/// A word for what a message is about; what it says is its body.
const KIND_BYTES_MAX: usize = 64;

pub async fn send(call: Call) -> Answer {
    let request: SendMessage = call.json()?;
    let pen = call.pen(request.by()).await?;
    let SendMessage { kind, to, body, parents, .. } = request;
    if kind.is_empty() || kind.len() > KIND_BYTES_MAX || kind.chars().any(|c| c.is_control() || c == ',') {
        let rule = format!("a message's kind is 1 to {KIND_BYTES_MAX} printable bytes without a comma");
        return Err(Problem::new(Code::BadName, rule).next_step("say what it is about in a word"));
    }
    let protocol = protocol(&call, &pen.hand, request.protocol)?;
    let from = pen.hand.run().map(|stamp| stamp.agent.clone());
    append(&call, &pen, Message { protocol, kind, from, to, body }, parents).await
}

/// Appends a message and says where it is.
pub async fn append(call: &Call, pen: &Pen, message: Message, parents: Vec<StateSeq>) -> Answer {
    let name = named(call)?;
    let (space, author) = (space(call, pen.tenant.clone())?, call.author(pen).await?);
    let idempotency = call.idempotency()?;
    let states = call.control().states();
    let sent = states.message_send(&author, &space, &message, parents, idempotency.as_ref()).await;
    let sent = sent.map_err(|error| {
        let key = StateKey::new("message").expect("a word is a key");
        write_error(error, |error| refused(error, &name, &key))
    })?;
    let appended = sent.appended.expect("a message is appended, now or before");
    let sent_now = MessageSent {
        seq: appended.first,
        moment: Moment { state: appended.last, ledger: appended.ledger },
        deployment: author.author.deployment,
        protocol: message.protocol,
    };
    reply::changed(sent.replayed, &sent_now)
}
