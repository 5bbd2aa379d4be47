//! `GET /v1/models`: the agents, in the form in which the client's vendor lists models.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use pinrail_wire::models::{models_list, one_model};
use pinrail_wire::{Dialect, messages};

use crate::body::Body;
use crate::failure::Failure;
use crate::port::Runs;

const OWNER: &str = "pinrail";

/// All agents, by name.
pub fn list(runs: &dyn Runs, dialect: Dialect) -> Response<Body> {
    let agents = runs.agents();
    answer(match dialect {
        Dialect::Chat | Dialect::Responses => {
            let entries: Vec<_> =
                agents.iter().map(|(name, created)| (name.as_str(), *created, OWNER)).collect();
            models_list(&entries)
        }
        Dialect::Messages => {
            let entries: Vec<_> =
                agents.iter().map(|(name, created)| (name.as_str(), *created, name.as_str())).collect();
            messages::models_list(&entries)
        }
    })
}

/// One agent.
pub fn show(runs: &dyn Runs, name: &str, dialect: Dialect) -> Result<Response<Body>, Failure> {
    match runs.agents().into_iter().find(|(agent, _)| agent.as_str() == name) {
        Some((agent, created)) => Ok(answer(match dialect {
            Dialect::Chat | Dialect::Responses => one_model(agent.as_str(), created, OWNER),
            Dialect::Messages => messages::model((agent.as_str(), created, agent.as_str())),
        })),
        None => {
            let name = &name[..name.floor_char_boundary(64)];
            let message = format!("there is no agent `{name}`; GET /v1/models lists them");
            Err(Failure::client(StatusCode::NOT_FOUND, "model_not_found", message).about("model"))
        }
    }
}

fn answer(body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::whole(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
