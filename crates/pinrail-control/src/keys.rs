//! Bearer keys: made, revoked, checked.

use std::collections::BTreeSet;

use pinrail_domain::digest::Digest;
use pinrail_domain::key::{KEY_NAME_BYTES_MAX, Key, KeyId, Scope, Tenants, Token};
use pinrail_domain::ledger::{Actor, Body};
use pinrail_domain::world::World;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::{By, CommitError, Committed, Control};

/// A key to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    pub tenants: Tenants,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub actor: Actor,
    pub tenants: Tenants,
    scopes: BTreeSet<Scope>,
}

/// Why a key isn't made or revoked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    #[error("a key's name is 1 to {KEY_NAME_BYTES_MAX} bytes without control characters")]
    Name,
    #[error("a key needs at least one scope: admin, deploy, run or read")]
    NoScope,
    #[error("a key limited to tenants needs at least one")]
    NoTenant,
    #[error("a key limited to tenants can hold the scopes run and read, not {0}")]
    TenantScope(Scope),
    #[error(
        "the first key must hold the scope admin without a tenant limit: from then on every call needs a key"
    )]
    FirstNotAdmin,
    #[error("there is no key {0}")]
    NoKey(KeyId),
    #[error("this is the last key with the scope admin; create another first")]
    LastAdmin,
    #[error("there are {KEYS_MAX} keys already")]
    TooMany,
}

/// The snapshot that every request reads holds all keys that work. A key per developer and service is some hundreds.
/// Tests fill it.
pub const KEYS_MAX: usize = if cfg!(test) { 20 } else { 10_000 };

/// A call that carries no key that works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    #[error("this server needs a key")]
    Missing,
    #[error("the key is not valid")]
    Invalid,
}

/// A key that was made; [`Token`] goes to its owner and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyMade {
    pub key: KeyId,
}

impl Caller {
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|held| held.includes(scope))
    }

    /// Pinrail itself.
    #[cfg(test)]
    pub(crate) fn system() -> Caller {
        Caller { actor: Actor::System, tenants: Tenants::All, scopes: [Scope::Admin].into() }
    }

    /// How idempotency keys are told apart.
    #[must_use]
    pub fn id(&self) -> String {
        match &self.actor {
            Actor::Key { id, .. } => id.to_string(),
            Actor::Open => "open".to_owned(),
            Actor::System => "system".to_owned(),
        }
    }
}

impl Control {
    /// Whether calls need keys.
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        self.inner.snapshot.load().world.keyed
    }

    /// Tells who calls. The comparison takes the same time whether the id, the secret or nothing fits.
    pub fn authenticate(&self, bearer: Option<&str>) -> Result<Caller, Unauthenticated> {
        let snapshot = self.inner.snapshot.load();
        if !snapshot.world.keyed {
            let scopes = [Scope::Admin].into();
            return Ok(Caller { actor: Actor::Open, tenants: Tenants::All, scopes });
        }
        let bearer = bearer.ok_or(Unauthenticated::Missing)?;
        let token: Token = bearer.parse().map_err(|_| Unauthenticated::Invalid)?;
        let key = snapshot.world.keys.get(&token.id);
        let expected = key.map_or(Digest::ZERO, |key| key.secret_hash);
        let fits = bool::from(expected.as_bytes().ct_eq(token.secret_hash().as_bytes()));
        match key {
            Some(key) if fits => Ok(caller(key)),
            Some(_) | None => Err(Unauthenticated::Invalid),
        }
    }

    /// Who holds this key, if it works still: for sessions that were begun with it.
    #[must_use]
    pub fn caller_of(&self, id: &KeyId) -> Option<Caller> {
        let snapshot = self.inner.snapshot.load();
        snapshot.world.keys.get(id).map(|key| caller(key))
    }

    /// Whether someone who was let in would be let in still: a key may be revoked while it follows something.
    #[must_use]
    pub fn is_let_in(&self, caller: &Caller) -> bool {
        let snapshot = self.inner.snapshot.load();
        match &caller.actor {
            Actor::Key { id, .. } => snapshot.world.keys.contains_key(id),
            Actor::Open => !snapshot.world.keyed,
            Actor::System => true,
        }
    }

    /// Makes a key. The token is returned once and kept nowhere (I15); a repetition by idempotency key names
    /// the key that was made and has no token.
    pub async fn key_create(
        &self,
        by: By,
        new: NewKey,
    ) -> Result<(Committed<KeyMade>, Option<Token>), CommitError<KeyRefused>> {
        new.check().map_err(CommitError::Refused)?;
        let mut random = [0; 38];
        self.inner.entropy.fill(&mut random);
        let token = Token::from_random(&random);
        let key = Key {
            id: token.id.clone(),
            name: new.name,
            scopes: new.scopes,
            tenants: new.tenants,
            secret_hash: token.secret_hash(),
        };
        let decide = |world: &World| {
            if !world.keyed && !is_full_admin(&key) {
                return Err(KeyRefused::FirstNotAdmin);
            }
            if world.keys.len() >= KEYS_MAX {
                return Err(KeyRefused::TooMany);
            }
            Ok((vec![Body::KeyCreated { key: key.clone() }], ()))
        };
        let made = self.commit(by, decide, |_, ()| KeyMade { key: key.id.clone() }).await?;
        let token = (!made.replayed).then_some(token);
        Ok((made, token))
    }

    /// Revokes a key at once.
    pub async fn key_revoke(
        &self,
        by: By,
        id: &KeyId,
    ) -> Result<Committed<KeyMade>, CommitError<KeyRefused>> {
        let decide = |world: &World| {
            let key = world.keys.get(id).ok_or_else(|| KeyRefused::NoKey(id.clone()))?;
            let admins = world.keys.values().filter(|key| is_full_admin(key)).count();
            if is_full_admin(key) && admins == 1 {
                return Err(KeyRefused::LastAdmin);
            }
            Ok((vec![Body::KeyRevoked { key: id.clone() }], ()))
        };
        self.commit(by, decide, |_, ()| KeyMade { key: id.clone() }).await
    }
}

impl NewKey {
    fn check(&self) -> Result<(), KeyRefused> {
        let length_fits = (1..=KEY_NAME_BYTES_MAX).contains(&self.name.len());
        if !length_fits || self.name.chars().any(char::is_control) {
            return Err(KeyRefused::Name);
        }
        if self.scopes.is_empty() {
            return Err(KeyRefused::NoScope);
        }
        let Tenants::Only(tenants) = &self.tenants else { return Ok(()) };
        if tenants.is_empty() {
            return Err(KeyRefused::NoTenant);
        }
        // Agents, releases and deployments belong to no tenant.
        match self.scopes.iter().find(|scope| matches!(scope, Scope::Admin | Scope::Deploy)) {
            Some(scope) => Err(KeyRefused::TenantScope(*scope)),
            None => Ok(()),
        }
    }
}

fn caller(key: &Key) -> Caller {
    Caller {
        actor: Actor::Key { id: key.id.clone(), name: key.name.clone() },
        tenants: key.tenants.clone(),
        scopes: key.scopes.clone(),
    }
}

fn is_full_admin(key: &Key) -> bool {
    key.allows(Scope::Admin) && key.tenants.is_all()
}
