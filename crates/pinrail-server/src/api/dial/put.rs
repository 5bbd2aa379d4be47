//! `PUT /api/v1/dial`: turns it.

use pinrail_api::dial::{DialTurned, SetDial};
use pinrail_domain::dial::Turn;

use super::refused;
use crate::api::releases::named;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn set(call: Call) -> Answer {
    let SetDial { place, position, release, text, reason } = call.json()?;
    let release = match release {
        Some(text) => Some(named(&call.control().snapshot().world, &text, place.agent.as_ref())?),
        None => None,
    };
    let wish = Turn { place, position, release, text };
    let done = call.control().turn_dial(call.by(reason)?, &wish).await;
    let done = done.map_err(|error| problem::commit(error, refused))?;
    let turned = done.value;
    reply::changed(
        done.replayed,
        &DialTurned {
            place: wish.place,
            position,
            changed: turned.changed,
            epoch: turned.epoch,
            recorded: turned.recorded,
        },
    )
}
