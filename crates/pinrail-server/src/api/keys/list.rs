//! `GET /api/v1/keys?after=&limit=`.

use pinrail_api::Page;
use pinrail_api::keys::Key;
use pinrail_domain::key::Tenants;

use crate::api::agents::After;
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn list(call: Call) -> Answer {
    let After { after, limit } = call.query()?;
    let limit = call.page(limit)?;
    let snapshot = call.control().snapshot();
    let keys = snapshot.world.keys.values();
    let keys = keys.filter(|key| after.as_ref().is_none_or(|after| key.id.to_string() > *after));
    let keys = keys.take(limit + 1).map(|key| shown(key));
    reply::json(&Page::cut(keys.collect(), limit, |key| key.key.to_string()))
}

/// A key for its readers: without its secret.
pub fn shown(key: &pinrail_domain::key::Key) -> Key {
    Key {
        key: key.id.clone(),
        name: key.name.clone(),
        scopes: key.scopes.clone(),
        tenants: match &key.tenants {
            Tenants::All => None,
            Tenants::Only(tenants) => Some(tenants.clone()),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_list_shows_no_secret() {
        let bench = Bench::open().await;
        let admin = bench.key(&["admin"], None).await;
        bench.key(&["run"], Some(&["acme"])).await;
        let page = bench.as_key(&admin).get("/api/v1/keys").await.ok();
        let items = page["items"].as_array().unwrap();
        assert_eq!(items.len(), 2);
        assert!(items.iter().any(|key| key["tenants"] == json!(["acme"])), "{page}");
        assert!(!page.to_string().contains("secret"), "{page}"); // I15
    }
}
