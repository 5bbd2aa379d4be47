//! Access tokens for Google Vertex AI, granted to a service account.
//!
//! A token is fetched when the first request needs it and kept until shortly before it expires. From
//! [`AHEAD_MS`] before that on one request fetches the next while others go on with the old; when a fetch
//! fails, the old one serves until its end. Source: Google's guide to OAuth 2.0 for server-to-server applications (RFC 7523).

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use pinrail_domain::time::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::Connector;

/// A service account that tokens are granted to.
pub struct Account {
    email: String,
    key_id: String,
    key_text: String,
    key: RsaKeyPair,
    grants_at: Uri,
    token: ArcSwapOption<Token>,
    /// Held by the request that fetches.
    fetching: Mutex<()>,
}

/// An access token.
#[derive(Debug)]
pub struct Token {
    /// `Bearer …`.
    pub authorization: HeaderValue,
    text: String,
    until: Timestamp,
}

/// Why a service account's key file can't be used. Nothing of the file is repeated (I15).
#[derive(Debug, thiserror::Error)]
pub enum BadAccount {
    #[error("it is no service account's key file in JSON")]
    Unreadable,
    #[error("its private_key is no RSA key in PKCS #8 form")]
    Key,
    #[error("its token_uri is no https:// address")]
    TokenUri,
}

/// Why there is no token. Nothing secret stands in it (I15).
#[derive(Debug, thiserror::Error)]
pub enum NoToken {
    #[error("{at} cannot be reached")]
    Unreachable { at: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{at} refuses the service account (status {status}{said}): check its key and its roles")]
    Refused { at: String, status: u16, said: String },
    #[error("{at} answers with no access token")]
    Nonsense { at: String },
    #[error("the request for a token cannot be signed")]
    Unsignable,
}

#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    #[serde(default = "google")]
    token_uri: String,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error: String,
}

/// When the next token is fetched, before the old one expires.
pub const AHEAD_MS: u64 = 5 * 60_000;
/// A token isn't used in its last seconds: the request is on its way for some of them.
const LAST_MS: u64 = 10_000;
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The longest that Google grants.
const LIFE_S: u64 = 3_600;
const ANSWER_BYTES_MAX: usize = 64 << 10;

fn google() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

impl Account {
    /// Reads a service account's key file.
    pub fn read(text: &str) -> Result<Account, BadAccount> {
        let file: KeyFile = serde_json::from_str(text).map_err(|_| BadAccount::Unreadable)?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(file.private_key.as_bytes());
        let der = der.map_err(|_| BadAccount::Key)?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| BadAccount::Key)?;
        let grants_at = file.token_uri.parse::<Uri>().ok().filter(|uri| {
            let own = uri.host().is_some_and(|host| host == "127.0.0.1" || host == "localhost");
            uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && own)
        });
        Ok(Account {
            email: file.client_email,
            key_id: file.private_key_id,
            key_text: file.private_key,
            key,
            grants_at: grants_at.ok_or(BadAccount::TokenUri)?,
            token: ArcSwapOption::empty(),
            fetching: Mutex::default(),
        })
    }

    /// What must be seen nowhere.
    pub fn secrets(&self) -> impl Iterator<Item = String> {
        // A text that repeats the key may break its lines otherwise.
        self.key_text.lines().filter(|line| line.len() >= 32 && !line.contains("-----")).map(str::to_owned)
    }

    /// Whether `text` holds the token of now.
    pub fn is_in(&self, text: &[u8]) -> bool {
        let token = self.token.load();
        token.as_ref().is_some_and(|token| {
            let token = token.text.as_bytes();
            text.windows(token.len()).any(|window| window == token)
        })
    }

    /// A token that lives for a while.
    pub async fn token(
        &self,
        client: &Client<Connector, Full<Bytes>>,
        now: Timestamp,
    ) -> Result<HeaderValue, NoToken> {
        let known = self.token.load_full();
        if let Some(token) = known.as_ref().filter(|token| token.lives(now, AHEAD_MS)) {
            return Ok(token.authorization.clone());
        }
        let old = known.filter(|token| token.lives(now, LAST_MS));
        let fetching = match (&old, self.fetching.try_lock()) {
            (_, Ok(fetching)) => fetching,
            (Some(old), Err(_)) => return Ok(old.authorization.clone()),
            (None, Err(_)) => self.fetching.lock().await,
        };
        // Somebody else may have fetched it meanwhile.
        if let Some(token) = self.token.load_full().filter(|token| token.lives(now, AHEAD_MS)) {
            return Ok(token.authorization.clone());
        }
        let fetched = self.fetch(client, now).await;
        let token = match (fetched, old) {
            (Ok(token), _) => token,
            (Err(_), Some(old)) => return Ok(old.authorization.clone()),
            (Err(error), None) => return Err(error),
        };
        let authorization = token.authorization.clone();
        self.token.store(Some(token.into()));
        drop(fetching);
        Ok(authorization)
    }

    async fn fetch(&self, client: &Client<Connector, Full<Bytes>>, now: Timestamp) -> Result<Token, NoToken> {
        let at = || self.grants_at.host().unwrap_or_default().to_owned();
        let assertion = self.assertion(now).ok_or(NoToken::Unsignable)?;
        let form =
            format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let mut request = Request::post(self.grants_at.clone())
            .body(Full::new(Bytes::from(form)))
            .map_err(|_| NoToken::Unsignable)?;
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, kind);
        let unreachable = |source| NoToken::Unreachable { at: at(), source };
        let answer = client.request(request).await.map_err(|error| unreachable(error.into()))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(unreachable)?.to_bytes();
        if !head.status.is_success() {
            let refusal = serde_json::from_slice::<Refusal>(&body).ok();
            // A word such as `invalid_grant`; the description beside it may hold more than that.
            let word = refusal.map(|refusal| refusal.error).filter(|word| {
                !word.is_empty()
                    && word.len() < 64
                    && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            });
            let said = word.map_or_else(String::new, |word| format!(", {word}"));
            return Err(NoToken::Refused { at: at(), status: head.status.as_u16(), said });
        }
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| NoToken::Nonsense { at: at() })?;
        let text = granted.access_token;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {text}"))
            .ok()
            .filter(|_| !text.is_empty())
            .ok_or_else(|| NoToken::Nonsense { at: at() })?;
        authorization.set_sensitive(true);
        let until = now.plus_ms(granted.expires_in.saturating_mul(1_000));
        Ok(Token { authorization, text, until })
    }

    /// The signed request for a token: a JWT by RS256.
    fn assertion(&self, now: Timestamp) -> Option<String> {
        let issued = now.0 / 1_000;
        let head = json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        let claims = json!({
            "iss": self.email, "scope": SCOPE, "aud": self.grants_at.to_string(), "iat": issued, "exp": issued + LIFE_S
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(head), part(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        // Random numbers blind the computation; the signature doesn't depend on them.
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).ok()?;
        Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl NoToken {
    /// Whether asking again may help.
    pub fn may_pass(&self) -> bool {
        match self {
            NoToken::Unreachable { .. } | NoToken::Nonsense { .. } => true,
            NoToken::Refused { status, .. } => *status == 429 || *status >= 500,
            NoToken::Unsignable => false,
        }
    }
}

impl Token {
    fn lives(&self, now: Timestamp, ahead_ms: u64) -> bool {
        now.plus_ms(ahead_ms) < self.until
    }
}
