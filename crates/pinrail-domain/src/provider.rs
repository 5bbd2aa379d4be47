//! A model provider's settings. Keys are named, never held (I15).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::ProviderName;

mod address;
mod api;
mod check;
mod cloud;
mod trouble;

pub use api::Api;
pub use check::{BadProvider, CA_BYTES_MAX, HEADERS_MAX, MODELS_MAX, is_env_name};
pub use cloud::{Aws, Azure, Vertex};
pub use trouble::{BadTrouble, Breaker, FAILOVER_MAX, RetryBudget};

/// Where a provider is and how to speak to it. Stored: never rename a field, and leave a new one out at its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSpec {
    /// How it is addressed and shown a key.
    #[serde(default)]
    pub format: Format,
    /// Everything before `/chat/completions` or `/messages`, for example `https://api.openai.com/v1`; the resource's address
    /// for Azure; or `sim:` for the simulated provider that runs inside the server. Empty where it follows from a region.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub base_url: String,
    /// The environment variable that holds the key; none for a provider that asks for no key, or for another proof.
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
    /// The header that carries the key, where it isn't the format's own. `authorization` carries it as a bearer token, any
    /// other as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_header: Option<String>,
    /// Headers sent with every request. Not for secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Headers sent with every request whose values are secrets: each names the environment variable that holds it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers_env: BTreeMap<String, String>,
    /// How an Azure resource is addressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<Azure>,
    /// Where on Amazon Bedrock, and what signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<Aws>,
    /// Where on Google Vertex AI, and on whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vertex: Option<Vertex>,
    /// The HTTP proxy on the way there, `http://host:port`; `none` for no proxy, whatever the server's environment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The environment variable that holds `user:password` for the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_auth_env: Option<String>,
    /// Certificates (PEM) trusted for this provider besides the public authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    #[serde(default, skip_serializing_if = "Http::is_auto")]
    pub http: Http,
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

/// How a provider is addressed and shown a key. Stored: never rename.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// OpenAI, and everything that is compatible with it.
    #[default]
    Openai,
    /// OpenAI's models on Azure.
    Azure,
    Anthropic,
    /// Anthropic's models on Amazon Bedrock.
    Bedrock,
    /// Anthropic's models on Google Vertex AI.
    Vertex,
}

/// Which version of HTTP is spoken. Stored: never rename.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Http {
    /// HTTP/2 where both sides agree on it over TLS, else HTTP/1.1.
    #[default]
    Auto,
    Http1,
    /// HTTP/2 alone; without TLS it is spoken from the first byte.
    Http2,
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
/// The proxy that is none.
pub const NO_PROXY: &str = "none";
/// More attempts than this only hide an outage from the client.
pub const RETRIES_MAX: u8 = 5;
/// An hour: longer than any provider's own limit.
pub const TIMEOUT_MS_MAX: u64 = 3_600_000;

fn retries_default() -> u8 {
    1
}

impl Format {
    /// The name in settings and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Format::Openai => "openai",
            Format::Azure => "azure",
            Format::Anthropic => "anthropic",
            Format::Bedrock => "bedrock",
            Format::Vertex => "vertex",
        }
    }

    /// The header that carries a key where the settings don't say.
    #[must_use]
    pub fn key_header(self) -> &'static str {
        match self {
            Format::Openai | Format::Bedrock | Format::Vertex => "authorization",
            Format::Azure => "api-key",
            Format::Anthropic => "x-api-key",
        }
    }
}

impl Http {
    fn is_auto(&self) -> bool {
        matches!(self, Http::Auto)
    }
}

impl ProviderSpec {
    /// A provider at an address, everything else at its default.
    #[must_use]
    pub fn new(format: Format, base_url: impl Into<String>, catalogue: impl Into<String>) -> ProviderSpec {
        ProviderSpec {
            format,
            base_url: base_url.into(),
            key_env: None,
            catalogue: catalogue.into(),
            timeouts: Timeouts::default(),
            retries_max: retries_default(),
            apis: Vec::new(),
            models: BTreeMap::new(),
            key_header: None,
            headers: BTreeMap::new(),
            headers_env: BTreeMap::new(),
            azure: None,
            aws: None,
            vertex: None,
            proxy: None,
            proxy_auth_env: None,
            ca_pem: None,
            http: Http::Auto,
            failover: Vec::new(),
            breaker: Breaker::default(),
            retry_budget: RetryBudget::default(),
        }
    }

    /// The simulated provider that every server starts with.
    #[must_use]
    pub fn simulated() -> ProviderSpec {
        ProviderSpec::new(Format::Openai, SIM_URL, "sim")
    }

    /// What it calls a pinned snapshot.
    #[must_use]
    pub fn model_name<'a>(&'a self, snapshot: &'a str) -> &'a str {
        self.models.get(snapshot).map_or(snapshot, String::as_str)
    }

    /// The environment variables that must be set where it is called from.
    #[must_use]
    pub fn env_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.key_env.iter().map(String::as_str).collect();
        names.extend(self.headers_env.values().map(String::as_str));
        names.extend(self.proxy_auth_env.as_deref());
        if self.key_env.is_none() {
            match self.format {
                Format::Bedrock => names.extend(self.aws.iter().flat_map(Aws::env_names)),
                Format::Vertex => names.extend(self.vertex.iter().map(Vertex::account_env)),
                Format::Openai | Format::Azure | Format::Anthropic => {}
            }
        }
        names
    }
}

#[cfg(test)]
mod tests;
