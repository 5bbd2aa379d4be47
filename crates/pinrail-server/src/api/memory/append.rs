//! `POST /api/v1/memory/{agent}/{session}`: remembers turns.

use pinrail_api::memory::{NewTurn, Place, RESERVED, Remember, Remembered};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::state::memory::Turn;
use pinrail_domain::state::Space;
use pinrail_domain::state::view::GROUND;
use serde_json::{Map, Value};

use super::{named, refused};
use crate::api::agents::no_agent;
use crate::call::Call;
use crate::reply::{self, Answer};
use crate::state_call::{Hand, write_error};

/// A word for who speaks; longer ones are content.
const ROLE_BYTES_MAX: usize = 64;

pub async fn append(call: Call) -> Answer {
    let (agent, session) = named(&call)?;
    let request: Remember = call.json()?;
    let pen = call.pen(request.by()).await?;
    if !call.control().snapshot().world.agents.contains_key(&agent) {
        return Err(no_agent(&agent));
    }
    let turns: Vec<Turn> = request
        .turns
        .into_iter()
        .enumerate()
        .map(|(index, turn)| said(index, turn, &pen.hand))
        .collect::<Result<_, Problem>>()?;
    let space = Space::memory(pen.tenant, &agent, &session);
    let idempotency = call.idempotency()?;
    let states = call.control().states();
    let remembered = states.remember_as(pen.hand.write_as(), &space, turns, idempotency.as_ref()).await;
    let remembered = remembered.map_err(|error| write_error(error, refused))?;
    let turns = remembered.turns.into_iter().map(|(key, seq)| Place { key, seq }).collect();
    let deployment = match &pen.hand {
        Hand::Run(stamp) => stamp.deployment,
        Hand::Job(deployment) => *deployment,
        Hand::Told(_) | Hand::Operator => GROUND,
    };
    reply::changed(remembered.replayed, &Remembered { turns, moment: remembered.at, deployment })
}

/// A turn as it is kept, and whether it was told.
fn said(index: usize, turn: NewTurn, hand: &Hand) -> Result<Turn, Problem> {
    let NewTurn { role, content, key, external, parents, more } = turn;
    let bad = |detail: String, next_step: &str| {
        Problem::new(Code::BadTurns, detail).next_step(next_step).fact("index", index)
    };
    if role.is_empty() || role.len() > ROLE_BYTES_MAX || role.chars().any(char::is_control) {
        let detail = format!("turn {index} has a role that isn't 1 to {ROLE_BYTES_MAX} printable bytes");
        return Err(bad(detail, "name who speaks in a word: user, assistant, tool"));
    }
    if let Some(name) = RESERVED.iter().find(|name| more.contains_key(**name)) {
        let detail = format!("turn {index} has a field `{name}`, which is Pinrail's own in answers");
        return Err(bad(detail, "give that field another name"));
    }
    let told = match hand {
        Hand::Run(_) => external.unwrap_or(role == "user"),
        Hand::Job(_) => external.unwrap_or(false),
        Hand::Told(_) | Hand::Operator => {
            if external == Some(false) {
                let detail = format!("turn {index} is said not to be from outside, but the request is");
                return Err(bad(detail, "leave one of the two `external` out"));
            }
            true
        }
    };
    let mut json = Map::with_capacity(more.len() + 2);
    json.insert("role".to_owned(), Value::String(role));
    json.insert("content".to_owned(), content);
    json.extend(more);
    let json = serde_json::to_string(&json).expect("a turn is plain data");
    Ok(Turn { key, json, told, parents })
}
