//! `/keys`: who may do what.

use pinrail_api::problem::Problem;
use pinrail_dashboard::confirm::Confirm;
use pinrail_dashboard::keys::Keys;
use pinrail_dashboard::page::Nav;
use pinrail_domain::key::KeyId;

use super::form::Because;
use super::{done, typed};
use crate::api;
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

pub async fn list(call: Call) -> Result<Keys, Problem> {
    let snapshot = call.control().snapshot();
    let items = snapshot.world.keys.values().map(|key| api::keys::list::shown(key)).collect();
    Ok(Keys { items, open: !snapshot.world.keyed })
}

pub async fn confirm_revoke(call: Call) -> Result<Confirm, Problem> {
    let id: KeyId = call.param("key")?;
    let snapshot = call.control().snapshot();
    let key = snapshot
        .world
        .keys
        .get(&id)
        .ok_or_else(|| problem::not_found(format!("key {id}"), "GET /keys lists them"))?;
    Ok(Confirm {
        nav: Nav::Keys,
        title: format!("Revoke the key {}", key.name),
        says: vec!["Whoever uses it is refused from then on, sessions of this dashboard included. It can't be undone: a new key has a new token.".to_owned()],
        preview: pinrail_dashboard::Html::default(),
        fields: Vec::new(),
        action: format!("/keys/{id}/revoke"),
        button: format!("Revoke {}", key.name),
        destructive: true,
        reason_needed: true,
        back: "/keys".to_owned(),
    })
}

pub async fn revoke(call: Call) -> Answer {
    let id: KeyId = call.param("key")?;
    let Because { reason } = typed(&call)?;
    let revoked = call.control().key_revoke(call.by(reason)?, &id).await.map_err(api::keys::refused)?;
    done("/keys", revoked.seq)
}
