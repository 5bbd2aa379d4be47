//! `POST /api/v1/keys`. From the first key on, every call needs one.

use pinrail_api::keys::{CreateKey, KeyCreated};
use pinrail_control::keys::NewKey;
use pinrail_domain::key::Tenants;

use super::refused;
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn create(call: Call) -> Answer {
    let CreateKey { name, scopes, tenants, reason } = call.json()?;
    let new = NewKey { name, scopes, tenants: tenants.map_or(Tenants::All, Tenants::Only) };
    let (made, token) = call.control().key_create(call.by(reason)?, new).await.map_err(refused)?;
    let token = token.map(|token| token.reveal());
    let mut response = reply::changed(made.replayed, &KeyCreated { key: made.value.key, token })?;
    response.headers_mut().insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn the_first_key_is_an_admins_and_closes_the_server() {
        let bench = Bench::open().await;
        for (wish, expected) in [
            (json!({ "name": "ci", "scopes": ["run"] }), "first key"),
            (json!({ "name": "ci", "scopes": [] }), "scope"),
            (json!({ "name": "", "scopes": ["admin"] }), "name"),
            (json!({ "name": "ci", "scopes": ["admin"], "tenants": ["a"] }), "tenants"),
            (json!({ "name": "ci", "scopes": ["root"] }), "unknown variant"),
        ] {
            let problem = bench.post("/api/v1/keys", wish).await.problem("bad_request");
            assert!(problem["detail"].as_str().unwrap().contains(expected), "{problem}");
        }
        let made = bench.post("/api/v1/keys", json!({ "name": "root", "scopes": ["admin"] })).await.ok();
        bench.get("/api/v1/keys").await.problem("unauthenticated");
        let token = made["token"].as_str().unwrap();
        let bearer = format!("Bearer {token}");
        bench.send("GET", "/api/v1/keys", &[("authorization", &bearer)], None).await.ok();
        let wrong = format!("{}0", &bearer[..bearer.len() - 1]);
        let wrong = if wrong == bearer { format!("{}1", &bearer[..bearer.len() - 1]) } else { wrong };
        bench
            .send("GET", "/api/v1/keys", &[("authorization", &wrong)], None)
            .await
            .problem("unauthenticated");
        // Another header is no way in.
        bench.send("GET", "/api/v1/keys", &[("x-api-key", token)], None).await.problem("unauthenticated");
    }

    #[tokio::test(start_paused = true)]
    async fn a_repetition_names_the_key_and_has_no_token() {
        let bench = Bench::open().await;
        let wish = json!({ "name": "root", "scopes": ["admin"] });
        let first = bench.send("POST", "/api/v1/keys", &[("idempotency-key", "k")], Some(&wish)).await.ok();
        let bearer = format!("Bearer {}", first["token"].as_str().unwrap());
        let headers = [("authorization", &*bearer), ("idempotency-key", "k")];
        let wish = json!({ "name": "ci", "scopes": ["run"] });
        let made = bench.send("POST", "/api/v1/keys", &headers, Some(&wish)).await.ok();
        let again = bench.send("POST", "/api/v1/keys", &headers, Some(&wish)).await;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        let again = again.ok();
        assert_eq!((&again["key"], again.get("token")), (&made["key"], None));
    }
}
