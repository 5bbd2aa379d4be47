//! A model provider's settings. Keys are named, never held (I15).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::ProviderName;

mod api;
mod trouble;

pub use api::Api;
pub use trouble::{BadTrouble, Breaker, FAILOVER_MAX, RetryBudget};

/// Where a provider is and how to speak to it. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSpec {
    /// The wire format it speaks.
    #[serde(default)]
    pub format: Format,
    /// Everything before `/chat/completions`, for example `https://api.openai.com/v1`; or `sim:` for the
    /// simulated provider that runs inside the server.
    pub base_url: String,
    /// The environment variable that holds the key; none for a provider that asks for no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// Which part of the model catalogue judges its model ids.
    pub catalogue: String,
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Further attempts after one that failed before its first byte.
    #[serde(default = "retries_default")]
    pub retries_max: u8,
    /// The dialects it is spoken to in, the preferred one first; what follows from format and address where it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apis: Vec<Api>,
    /// What it calls a pinned snapshot, where that is another name: a deployment, a served model's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, String>,
    /// Other providers that serve the same snapshots, asked in this order while this one is in trouble.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failover: Vec<ProviderName>,
    /// When calls are kept away from it.
    #[serde(default, skip_serializing_if = "Breaker::is_default")]
    pub breaker: Breaker,
    /// How many of its attempts may be further ones.
    #[serde(default, skip_serializing_if = "RetryBudget::is_default")]
    pub retry_budget: RetryBudget,
}

/// The wire format a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    #[default]
    Openai,
}

/// How long to wait for a provider, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    pub connect_ms: u64,
    /// From the request's last byte to the answer's first. Reasoning models think for minutes.
    pub first_byte_ms: u64,
    /// Between two bytes of an answer.
    pub idle_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { connect_ms: 5_000, first_byte_ms: 300_000, idle_ms: 60_000 }
    }
}

/// The base URL of the simulated provider inside the server.
pub const SIM_URL: &str = "sim:";
/// More attempts than this only hide an outage from the client.
pub const RETRIES_MAX: u8 = 5;
/// An hour: longer than any provider's own limit.
pub const TIMEOUT_MS_MAX: u64 = 3_600_000;

fn retries_default() -> u8 {
    1
}

/// Why a provider's settings are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProvider {
    #[error(
        "base_url `{0}` must start with http:// or https://, or be `{SIM_URL}` for the simulated provider"
    )]
    Url(String),
    #[error("base_url must not carry a user name, a password or a query: keys come from key_env")]
    UrlSecret,
    #[error(
        "key_env `{0}` is not an environment variable's name; it must name one, never hold the key itself"
    )]
    KeyEnv(String),
    #[error("timeouts must be 1 to {TIMEOUT_MS_MAX} ms")]
    Timeout,
    #[error("retries_max is {0}; at most {RETRIES_MAX} are allowed")]
    Retries(u8),
    #[error(transparent)]
    Trouble(#[from] BadTrouble),
}

impl ProviderSpec {
    /// The simulated provider that every server starts with.
    #[must_use]
    pub fn simulated() -> ProviderSpec {
        ProviderSpec {
            format: Format::Openai,
            base_url: SIM_URL.to_owned(),
            key_env: None,
            catalogue: "sim".to_owned(),
            timeouts: Timeouts::default(),
            retries_max: retries_default(),
            apis: Vec::new(),
            models: BTreeMap::new(),
            failover: Vec::new(),
            breaker: Breaker::default(),
            retry_budget: RetryBudget::default(),
        }
    }

    /// What it calls a pinned snapshot.
    #[must_use]
    pub fn model_name<'a>(&'a self, snapshot: &'a str) -> &'a str {
        self.models.get(snapshot).map_or(snapshot, String::as_str)
    }

    /// Checks the settings that types alone don't.
    pub fn check(&self) -> Result<(), BadProvider> {
        let rest = self.base_url.strip_prefix("https://").or_else(|| self.base_url.strip_prefix("http://"));
        match rest {
            None if self.base_url == SIM_URL => {}
            None | Some("") => return Err(BadProvider::Url(self.base_url.clone())),
            Some(rest) if rest.contains(['@', '?', '#']) => return Err(BadProvider::UrlSecret),
            Some(rest) if rest.bytes().any(|b| !b.is_ascii_graphic()) => {
                return Err(BadProvider::Url(self.base_url.clone()));
            }
            Some(_) => {}
        }
        if let Some(name) = &self.key_env
            && !is_env_name(name)
        {
            // What looks like a key by mistake must not be repeated in an error (I15).
            let shown = if name.len() > 12 {
                format!("{}…", &name[..name.floor_char_boundary(4)])
            } else {
                name.clone()
            };
            return Err(BadProvider::KeyEnv(shown));
        }
        let Timeouts { connect_ms, first_byte_ms, idle_ms } = self.timeouts;
        if [connect_ms, first_byte_ms, idle_ms].iter().any(|ms| !(1..=TIMEOUT_MS_MAX).contains(ms)) {
            return Err(BadProvider::Timeout);
        }
        if self.retries_max > RETRIES_MAX {
            return Err(BadProvider::Retries(self.retries_max));
        }
        trouble::check_failover(&self.failover)?;
        self.breaker.check()?;
        self.retry_budget.check()?;
        Ok(())
    }
}

#[must_use]
pub fn is_env_name(name: &str) -> bool {
    let head = name.bytes().next().is_some_and(|b| b.is_ascii_uppercase() || b == b'_');
    head && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_leak_or_cannot_work_are_refused() {
        let base =
            ProviderSpec { base_url: "https://api.example.com/v1".into(), ..ProviderSpec::simulated() };
        assert_eq!(base.check(), Ok(()));
        assert_eq!(ProviderSpec::simulated().check(), Ok(()));
        for bad in ["", "api.example.com", "https://", "ftp://x", "https://x/ y"] {
            let spec = ProviderSpec { base_url: bad.into(), ..base.clone() };
            assert_eq!(spec.check(), Err(BadProvider::Url(bad.into())), "{bad}");
        }
        for leak in ["https://user:pw@x/v1", "https://x/v1?key=abc"] {
            assert_eq!(
                ProviderSpec { base_url: leak.into(), ..base.clone() }.check(),
                Err(BadProvider::UrlSecret)
            );
        }
        // I15: a key pasted where its variable's name belongs is refused and not repeated.
        let pasted = ProviderSpec { key_env: Some("sk-proj-abcdefghijklmnop".into()), ..base.clone() };
        let refusal = pasted.check().unwrap_err().to_string();
        assert!(refusal.contains("sk-p…") && !refusal.contains("abcdef"), "{refusal}");
        assert_eq!(ProviderSpec { retries_max: 6, ..base.clone() }.check(), Err(BadProvider::Retries(6)));
        let timeouts = Timeouts { idle_ms: 0, ..Timeouts::default() };
        assert_eq!(ProviderSpec { timeouts, ..base }.check(), Err(BadProvider::Timeout));
    }
}
