//! `POST /api/v1/vectors/{space}/search`.

use pinrail_api::problem::{Code, Problem};
use pinrail_api::state::ReadBy;
use pinrail_api::vectors::{SearchVectors, VectorFound, VectorsFound};
use pinrail_control::state::vectors::{Hit, Search, SearchError};
use pinrail_domain::state::Content;
use serde_json::Value;

use super::{filter, numbers, seen};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};
use crate::state_call::read_error;

/// Results where the caller names no number.
const TOP_DEFAULT: usize = 10;

pub async fn search(call: Call) -> Answer {
    let wish: SearchVectors = call.json()?;
    let eyes = call.eyes_of(ReadBy { run: wish.run, deployment: wish.deployment, as_of: wish.as_of }).await?;
    let space = seen(&call, &eyes, wish.embedder).await?;
    let search = Search {
        vector: numbers(wish.vector, || "the vector".to_owned())?,
        k: wish.top.unwrap_or(TOP_DEFAULT),
        filter: filter(wish.filter)?,
        min_score: wish.min_score,
        exact: wish.exact,
    };
    let found = call.control().states().search(&space, &eyes.reader, &search).await.map_err(failed)?;
    let result = |hit: Hit| shown(hit, wish.with_vectors);
    reply::json(&VectorsFound {
        space: space.name().to_owned(),
        embedder: space.id,
        moment: found.at.to_string(),
        results: found.hits.into_iter().map(result).collect(),
        visible: found.visible,
        matching: found.matching,
        exact: found.proven,
    })
}

fn shown(hit: Hit, with_vectors: bool) -> VectorFound {
    let Hit { score, record } = hit;
    let (payload, vector) = match record.content {
        Content::Value(value) => (serde_json::from_str(&value.json).unwrap_or(Value::Null), value.vector),
        Content::Nothing | Content::Erased => (Value::Null, None),
    };
    VectorFound {
        key: record.operation.key,
        score,
        payload,
        seq: record.operation.seq,
        deployment: record.operation.deployment,
        origin: record.origin,
        run: record.run,
        vector: vector.filter(|_| with_vectors),
    }
}

fn failed(error: SearchError) -> Problem {
    let detail = problem::chain(&error);
    match error {
        SearchError::Query(_) => Problem::new(Code::BadVector, detail).next_step(
            "embed the question with the space's own embedder: `pinrail vectors show SPACE` shows it",
        ),
        SearchError::Top(_) => Problem::new(Code::BadRequest, detail)
            .next_step("ask for fewer; `pinrail state export` gives a whole space"),
        SearchError::Read(error) => read_error(error),
    }
}
