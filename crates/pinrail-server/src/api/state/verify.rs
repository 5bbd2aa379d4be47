//! `GET /api/v1/state/verify`: every record of a space against its digests.

use pinrail_api::problem::Problem;
use pinrail_api::spaces::{Damage, SpaceVerification};
use pinrail_domain::id::TenantId;
use pinrail_domain::state::Space;
use serde::Deserialize;

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    space: String,
    tenant: Option<TenantId>,
}

pub async fn verify(call: Call) -> Answer {
    let Query { space, tenant } = call.query()?;
    let space = super::space(call.tenant(tenant)?, &space)?;
    reply::json(&gather(&call, &space).await?)
}

/// Reads all of a space and recomputes its digests.
pub async fn gather(call: &Call, space: &Space) -> Result<SpaceVerification, Problem> {
    let verdict = call.control().states().verify(space).await.map_err(|error| problem::store(&error))?;
    let named = verdict.named.iter().map(|damage| Damage {
        seq: damage.seq,
        key: damage.key.clone(),
        what: damage.what.clone(),
    });
    Ok(SpaceVerification {
        tenant: space.tenant.clone(),
        space: space.to_string(),
        at: verdict.at,
        whole: verdict.is_whole(),
        records: verdict.records,
        erased: verdict.erased,
        damaged: verdict.damaged,
        named: named.collect(),
    })
}
