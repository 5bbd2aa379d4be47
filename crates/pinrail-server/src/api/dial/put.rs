//! `PUT /api/v1/dial`: turns it.

use pinrail_api::dial::{DialTurned, SetDial};
use pinrail_api::problem::Problem;
use pinrail_control::Committed;
use pinrail_control::dial::Turned;
use pinrail_domain::dial::Turn;

use super::refused;
use crate::api::releases::named;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn set(call: Call) -> Answer {
    let wish = call.json()?;
    let done = run(&call, wish).await?;
    reply::changed(done.replayed, &done.value)
}

/// Turns the dial.
pub async fn run(call: &Call, wish: SetDial) -> Result<Committed<DialTurned>, Problem> {
    let SetDial { place, position, release, text, reason } = wish;
    let release = match release {
        Some(text) => Some(named(&call.control().snapshot().world, &text, place.agent.as_ref())?),
        None => None,
    };
    let wish = Turn { place, position, release, text };
    let done = call.control().turn_dial(call.by(reason)?, &wish).await;
    let Committed { value, replayed, seq, took_us } =
        done.map_err(|error| problem::commit(error, refused))?;
    let Turned { epoch, changed, recorded } = value;
    let value = DialTurned { place: wish.place, position, changed, epoch, recorded };
    Ok(Committed { value, replayed, seq, took_us })
}
