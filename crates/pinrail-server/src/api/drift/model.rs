//! `GET /api/v1/drift/models/{provider}/{snapshot}`: a watched model with all its days and prompts.

use pinrail_api::drift::DriftModel;
use pinrail_api::problem::{Code, Problem};
use pinrail_store::watches::WatchKey;

use super::{asked, shown};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let key = WatchKey { provider: call.param("provider")?, snapshot: call.text("snapshot").to_owned() };
    reply::json(&value(&call, key).await?)
}

/// A watched model with all its days and prompts.
pub async fn value(call: &Call, key: WatchKey) -> Result<DriftModel, Problem> {
    let found = call.state.drift.show(&key).await.map_err(|error| problem::store(&error))?;
    let Some(model) = found else {
        let what = format!("`{:.200}` of {} is not watched", key.snapshot, key.provider);
        return Err(Problem::new(Code::NotFound, what)
            .next_step("list what is watched: `pinrail drift list` (GET /api/v1/drift)"));
    };
    Ok(DriftModel { asked: asked(&model), ..shown(call, &model, usize::MAX) })
}
