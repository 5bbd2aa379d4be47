//! `GET /v1/models`: the agents, in the form in which OpenAI lists models.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use pinrail_wire::models::models_list;
use serde_json::json;

use crate::body::Body;
use crate::failure::Failure;
use crate::port::Runs;

const OWNER: &str = "pinrail";

/// All agents, by name.
pub fn list(runs: &dyn Runs) -> Response<Body> {
    let agents = runs.agents();
    let entries: Vec<_> = agents.iter().map(|(name, created)| (name.as_str(), *created, OWNER)).collect();
    answer(models_list(&entries))
}

/// One agent.
pub fn show(runs: &dyn Runs, name: &str) -> Result<Response<Body>, Failure> {
    match runs.agents().into_iter().find(|(agent, _)| agent.as_str() == name) {
        Some((agent, created)) => {
            let entry =
                json!({"id": agent.as_str(), "object": "model", "created": created, "owned_by": OWNER});
            Ok(answer(entry.to_string().into_bytes()))
        }
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
