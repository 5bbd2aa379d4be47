//! `POST /api/v1/vectors/{space}/count`.

use pinrail_api::state::ReadBy;
use pinrail_api::vectors::{CountVectors, VectorsCounted};

use super::{filter, seen};
use crate::call::Call;
use crate::reply::{self, Answer};
use crate::state_call::read_error;

pub async fn count(call: Call) -> Answer {
    let CountVectors { run, deployment, as_of, embedder, filter: wanted } = call.json_or_default()?;
    let eyes = call.eyes_of(ReadBy { run, deployment, as_of }).await?;
    let space = seen(&call, &eyes, embedder).await?;
    let filter = filter(wanted)?;
    let counted = call.control().states().count_vectors(&space, &eyes.reader, filter.as_ref()).await;
    let (at, count) = counted.map_err(read_error)?;
    reply::json(&VectorsCounted {
        space: space.name().to_owned(),
        embedder: space.id,
        moment: at.to_string(),
        count,
    })
}
