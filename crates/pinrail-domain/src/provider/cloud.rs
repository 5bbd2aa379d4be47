//! What the clouds that serve other vendors' models need to be told.

use serde::{Deserialize, Serialize};

/// How an Azure resource is addressed. Stored: never rename a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Azure {
    /// The version of the API, such as `2024-10-21`, for addresses that name the deployment. Without it, addresses are those of
    /// the `v1` API, which takes no version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
}

/// Where on Amazon Bedrock, and what signs. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aws {
    /// Such as `us-east-1`.
    pub region: String,
    /// The environment variable of the access key's id; [`Aws::ACCESS_KEY_ENV`] where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_env: Option<String>,
    /// That of the secret access key; [`Aws::SECRET_KEY_ENV`] where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_env: Option<String>,
    /// That of the session's token, which temporary keys have. Where none is named, [`Aws::SESSION_TOKEN_ENV`] counts if it is
    /// set, but not beside access keys that are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token_env: Option<String>,
}

/// Where on Google Vertex AI, and on whose behalf. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vertex {
    pub project: String,
    /// Such as `us-east5`, `europe-west1`, `us`, `eu` or `global`.
    pub region: String,
    /// The environment variable that holds a service account's key file (JSON); [`Vertex::ACCOUNT_ENV`] where none is named.
    /// Not looked at where `key_env` names an access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_env: Option<String>,
}

impl Aws {
    pub const ACCESS_KEY_ENV: &'static str = "AWS_ACCESS_KEY_ID";
    pub const SECRET_KEY_ENV: &'static str = "AWS_SECRET_ACCESS_KEY";
    pub const SESSION_TOKEN_ENV: &'static str = "AWS_SESSION_TOKEN";

    #[must_use]
    pub fn access_key_env(&self) -> &str {
        self.access_key_env.as_deref().unwrap_or(Aws::ACCESS_KEY_ENV)
    }

    #[must_use]
    pub fn secret_key_env(&self) -> &str {
        self.secret_key_env.as_deref().unwrap_or(Aws::SECRET_KEY_ENV)
    }

    /// The variable of the session's token, and whether it must be set.
    #[must_use]
    pub fn session_token_env(&self) -> Option<(&str, bool)> {
        match (&self.session_token_env, &self.access_key_env) {
            (Some(named), _) => Some((named, true)),
            (None, None) => Some((Aws::SESSION_TOKEN_ENV, false)),
            (None, Some(_)) => None,
        }
    }

    /// The variables that must be set.
    pub fn env_names(&self) -> impl Iterator<Item = &str> {
        let token = self.session_token_env.as_deref();
        [self.access_key_env(), self.secret_key_env()].into_iter().chain(token)
    }
}

impl Vertex {
    pub const ACCOUNT_ENV: &'static str = "GOOGLE_SERVICE_ACCOUNT";

    #[must_use]
    pub fn account_env(&self) -> &str {
        self.service_account_env.as_deref().unwrap_or(Vertex::ACCOUNT_ENV)
    }
}
