//! `POST /api/v1/members/{member}/ack`: acknowledges an epoch, which renews the lease.

use pinrail_api::members::{Acknowledge, Acknowledged};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::members::{AckRefused, Unasked};

use super::{fenced, id};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn acknowledge(call: Call) -> Answer {
    let member = id(&call)?;
    let Acknowledge { epoch, generation } = call.json()?;
    let renewed = call
        .control()
        .members()
        .acknowledge(call.caller(), member, generation, epoch)
        .await
        .map_err(refused)?;
    reply::json(&Acknowledged { member, epoch: renewed.epoch, lease_ms: renewed.lease_ms })
}

fn refused(refused: AckRefused) -> Problem {
    match &refused {
        AckRefused::Fenced(why) => fenced(why),
        AckRefused::Store(Unasked(error)) => problem::store(error),
        AckRefused::Ahead { said: _, epoch } => Problem::new(Code::BadRequest, refused.to_string())
            .next_step(
                "acknowledge what this server told you; if it was restored from a backup, drop what you have cached and \
                 register again (POST /api/v1/members)",
            )
            .fact("epoch", epoch.0),
    }
}
