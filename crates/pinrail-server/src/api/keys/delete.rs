//! `DELETE /api/v1/keys/{key}?reason=`.

use pinrail_api::keys::KeyRevoked;
use pinrail_domain::key::KeyId;

use super::refused;
use crate::api::agents::Reason;
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn revoke(call: Call) -> Answer {
    let key: KeyId = call.param("key")?;
    let Reason { reason } = call.query()?;
    let done = call.control().key_revoke(call.by(reason)?, &key).await.map_err(refused)?;
    reply::changed(done.replayed, &KeyRevoked { key: done.value.key })
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, id_of};

    #[tokio::test(start_paused = true)]
    async fn a_revoked_key_stops_at_once() {
        let bench = Bench::open().await;
        let admin = bench.key(&["admin"], None).await;
        let reader = bench.key(&["read"], None).await;
        let (as_admin, as_reader) = (bench.as_key(&admin), bench.as_key(&reader));
        as_reader.get("/api/v1/agents").await.ok();
        let path = format!("/api/v1/keys/{}", id_of(&reader));
        assert_eq!(as_admin.delete(&path).await.ok()["key"], id_of(&reader));
        as_reader.get("/api/v1/agents").await.problem("unauthenticated");
        as_admin.delete(&path).await.problem("not_found");
        as_admin.delete(&format!("/api/v1/keys/{}", id_of(&admin))).await.problem("in_use");
        as_admin.delete("/api/v1/keys/x").await.problem("bad_name");
    }
}
