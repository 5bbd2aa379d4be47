//! `GET /api/v1/deployments/{deployment}/pairs/{run}`: one pair, both texts side by side.

use pinrail_api::deployments::pairs::Pair;
use pinrail_api::problem::Problem;
use pinrail_domain::id::{DeploymentId, RunId};

use super::{id, pairs};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

/// Bytes of a text that is shown: more than the journal keeps.
const TEXT_BYTES_MAX: usize = 1 << 20;

pub async fn show(call: Call) -> Answer {
    reply::json(&pair(&call, id(&call)?, call.param("run")?).await?)
}

/// One pair, with its texts.
pub async fn pair(call: &Call, id: DeploymentId, run: RunId) -> Result<Pair, Problem> {
    let found = call.control().pair(id, run, &call.tenants()?).await;
    let found = found.map_err(|error| problem::store(&error))?.ok_or_else(|| {
        let list = format!("list them: `pinrail deployment pairs {id}` (GET /api/v1/deployments/{id}/pairs)");
        problem::not_found(format!("pair {run} of deployment {id}"), &list)
    })?;
    Ok(pairs::shown(found, TEXT_BYTES_MAX))
}
