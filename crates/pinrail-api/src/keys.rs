//! `POST|GET /api/v1/keys`, `DELETE /api/v1/keys/{id}`.

use std::collections::BTreeSet;

use pinrail_domain::id::TenantId;
use pinrail_domain::key::{KeyId, Scope};
use serde::{Deserialize, Serialize};

/// A key to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    /// The tenants it may act for; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenants: Option<BTreeSet<TenantId>>,
    #[serde(default)]
    pub reason: String,
}

/// A key that was made. The token is shown here and nowhere else, once.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyCreated {
    pub key: KeyId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub key: KeyId,
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenants: Option<BTreeSet<TenantId>>,
}

/// A key was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRevoked {
    pub key: KeyId,
}
