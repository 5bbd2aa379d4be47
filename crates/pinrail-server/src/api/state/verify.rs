//! `GET /api/v1/state/verify`: every record of a space against its digests.

use pinrail_api::spaces::{Damage, SpaceVerification};
use pinrail_domain::id::TenantId;
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
    let verdict = call.control().states().verify(&space).await.map_err(|error| problem::store(&error))?;
    let named = verdict.named.iter().map(|damage| Damage {
        seq: damage.seq,
        key: damage.key.clone(),
        what: damage.what.clone(),
    });
    reply::json(&SpaceVerification {
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
