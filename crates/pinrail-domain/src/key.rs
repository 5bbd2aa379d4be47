//! Bearer keys: what they may do and for whom. The secret itself is never stored (I15).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::TenantId;

/// A key's public id: 12 hex digits, shown in lists and in the ledger.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

/// What a key allows. Stored: never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything, keys included.
    Admin,
    /// Artifacts, releases, agents, providers, deployments; and reading.
    Deploy,
    /// The gateway and the run API; reading the runs of its tenants.
    Run,
    /// Reading.
    Read,
}

/// A key as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub id: KeyId,
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    #[serde(default, skip_serializing_if = "Tenants::is_all")]
    pub tenants: Tenants,
    /// SHA-256 of the secret. The secret is 256 random bits, so a slow hash would add nothing.
    pub secret_hash: Digest,
}

/// Whose data a caller may read and write (I11).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tenants {
    #[default]
    All,
    Only(BTreeSet<TenantId>),
}

/// Why a caller can't act for a tenant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TenantRefused {
    #[error("this key may not act for tenant `{0}`")]
    NotYours(TenantId),
    #[error("this key serves several tenants; name one in x-pinrail-tenant")]
    NameOne,
}

/// A key as its owner holds it: `pr_<id>_<secret>`. Its `Debug` shows no secret.
pub struct Token {
    pub id: KeyId,
    pub secret: String,
}

/// A text that is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a Pinrail key: expected `pr_`, 12 hex digits, `_` and 64 hex digits")]
pub struct NotAToken;

/// A scope name that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no scope `{0}`; the scopes are admin, deploy, run, read")]
pub struct NoSuchScope(pub String);

const ID_HEX: usize = 12;
const SECRET_HEX: usize = 64;
/// Longest key name.
pub const KEY_NAME_BYTES_MAX: usize = 100;

impl Scope {
    pub const ALL: [Scope; 4] = [Scope::Admin, Scope::Deploy, Scope::Run, Scope::Read];

    /// Whether holding this scope includes `wanted`.
    #[must_use]
    pub fn includes(self, wanted: Scope) -> bool {
        match self {
            Scope::Admin => true,
            Scope::Deploy => matches!(wanted, Scope::Deploy | Scope::Read),
            Scope::Run => wanted == Scope::Run,
            Scope::Read => wanted == Scope::Read,
        }
    }
}

impl Tenants {
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Tenants::All
    }

    #[must_use]
    pub fn contain(&self, tenant: &TenantId) -> bool {
        match self {
            Tenants::All => true,
            Tenants::Only(tenants) => tenants.contains(tenant),
        }
    }

    /// The tenant a call is for: the one it names, else the caller's only one, else the shared one.
    pub fn choose(&self, named: Option<TenantId>) -> Result<TenantId, TenantRefused> {
        match (self, named) {
            (_, Some(tenant)) if self.contain(&tenant) => Ok(tenant),
            (_, Some(tenant)) => Err(TenantRefused::NotYours(tenant)),
            (Tenants::All, None) => Ok(TenantId::shared()),
            (Tenants::Only(tenants), None) if tenants.len() == 1 => {
                Ok(tenants.first().expect("it has one").clone())
            }
            (Tenants::Only(_), None) => Err(TenantRefused::NameOne),
        }
    }
}

impl Key {
    #[must_use]
    pub fn allows(&self, wanted: Scope) -> bool {
        self.scopes.iter().any(|held| held.includes(wanted))
    }
}

impl Token {
    /// Makes a token from 6 random bytes for the id and 32 for the secret.
    #[must_use]
    pub fn from_random(random: &[u8; 38]) -> Token {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        Token { id: KeyId(hex(&random[..6])), secret: hex(&random[6..]) }
    }

    #[must_use]
    pub fn secret_hash(&self) -> Digest {
        Digest::of(self.secret.as_bytes())
    }

    /// The text to hand to its owner, once.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("pr_{}_{}", self.id, self.secret)
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Token, NotAToken> {
        let (id, secret) = text.strip_prefix("pr_").and_then(|rest| rest.split_once('_')).ok_or(NotAToken)?;
        let hex = |part: &str, len| {
            part.len() == len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !hex(id, ID_HEX) || !hex(secret, SECRET_HEX) {
            return Err(NotAToken);
        }
        Ok(Token { id: KeyId(id.to_owned()), secret: secret.to_owned() })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(pr_{}_…)", self.id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<KeyId, NotAToken> {
        if text.len() == ID_HEX && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(KeyId(text.to_owned()))
        } else {
            Err(NotAToken)
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Admin => "admin",
            Scope::Deploy => "deploy",
            Scope::Run => "run",
            Scope::Read => "read",
        })
    }
}

impl FromStr for Scope {
    type Err = NoSuchScope;

    fn from_str(text: &str) -> Result<Scope, NoSuchScope> {
        match text {
            "admin" => Ok(Scope::Admin),
            "deploy" => Ok(Scope::Deploy),
            "run" => Ok(Scope::Run),
            "read" => Ok(Scope::Read),
            other => Err(NoSuchScope(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_round_trips_and_never_shows_its_secret() {
        let token = Token::from_random(&[0xab; 38]);
        let text = token.reveal();
        let read: Token = text.parse().unwrap();
        assert_eq!((read.id.clone(), read.secret_hash()), (token.id.clone(), token.secret_hash()));
        assert!(!format!("{token:?}").contains(&token.secret)); // I15
        for bad in ["", "pr_", "sk-abc", &text[1..], &text[..text.len() - 1], &text.to_uppercase()] {
            assert_eq!(bad.parse::<Token>().err(), Some(NotAToken), "{bad}");
        }
    }

    #[test]
    fn a_caller_acts_only_for_its_own_tenants() {
        let tenant = |name: &str| TenantId::new(name).unwrap();
        let one = Tenants::Only([tenant("a")].into());
        let two = Tenants::Only([tenant("a"), tenant("b")].into());
        assert_eq!(Tenants::All.choose(None), Ok(TenantId::shared()));
        assert_eq!(Tenants::All.choose(Some(tenant("x"))), Ok(tenant("x")));
        assert_eq!(one.choose(None), Ok(tenant("a")));
        assert_eq!(two.choose(Some(tenant("b"))), Ok(tenant("b")));
        assert_eq!(two.choose(None), Err(TenantRefused::NameOne));
        assert_eq!(one.choose(Some(tenant("b"))), Err(TenantRefused::NotYours(tenant("b")))); // I11
    }

    #[test]
    fn scopes_include_what_the_table_says() {
        let check = |held: Scope, wanted: &[Scope]| {
            for scope in [Scope::Admin, Scope::Deploy, Scope::Run, Scope::Read] {
                assert_eq!(held.includes(scope), wanted.contains(&scope), "{held} {scope}");
            }
        };
        check(Scope::Admin, &[Scope::Admin, Scope::Deploy, Scope::Run, Scope::Read]);
        check(Scope::Deploy, &[Scope::Deploy, Scope::Read]);
        check(Scope::Run, &[Scope::Run]);
        check(Scope::Read, &[Scope::Read]);
    }
}
