//! Which settings can't work, or would leak.

use super::trouble::{self, BadTrouble};
use super::{Api, Aws, Format, NO_PROXY, ProviderSpec, RETRIES_MAX, SIM_URL, TIMEOUT_MS_MAX, Timeouts};

/// The certificates of a company's own authorities, with room to spare.
pub const CA_BYTES_MAX: usize = 256 << 10;
/// More headers than any provider asks for.
pub const HEADERS_MAX: usize = 32;
/// More deployments than a resource can have.
pub const MODELS_MAX: usize = 1_000;

/// Names, values and versions longer than this are mistakes.
const WORD_BYTES_MAX: usize = 256;
const HEADER_BYTES_MAX: usize = 4_096;

/// Headers that carry a secret: their values must come from the environment.
const SECRET_HEADERS: [&str; 7] = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "proxy-authorization",
    "x-amz-security-token",
];

/// Headers that belong to one connection or are written by the gateway.
const OUR_HEADERS: [&str; 13] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-connection",
    "proxy-authorization",
    "host",
    "content-length",
    "content-type",
    "accept-encoding",
    "expect",
];

/// Why a provider's settings are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProvider {
    #[error(
        "base_url `{0}` must start with http:// or https://, or be `{SIM_URL}` for the simulated provider"
    )]
    Url(String),
    #[error("base_url is missing: it is everything before {0}")]
    NoUrl(&'static str),
    #[error("base_url must not carry a user name, a password or a query: keys come from key_env")]
    UrlSecret,
    #[error(
        "{field} `{shown}` is not an environment variable's name; it must name one, never hold the secret itself"
    )]
    Env { field: String, shown: String },
    #[error("timeouts must be 1 to {TIMEOUT_MS_MAX} ms")]
    Timeout,
    #[error("retries_max is {0}; at most {RETRIES_MAX} are allowed")]
    Retries(u8),
    #[error("format `{format}` is not spoken to in `{api}`; it takes {possible}")]
    Api { format: &'static str, api: &'static str, possible: String },
    #[error("apis names `{0}` twice")]
    ApiTwice(&'static str),
    #[error("{field} belongs to format `{format}`; remove it, or set format = \"{format}\"")]
    NotOfFormat { field: &'static str, format: &'static str },
    #[error("format `{format}` needs {what}")]
    Needs { format: &'static str, what: &'static str },
    #[error("{field} `{value}` is none: use letters, digits, `-`, `_`, `.` and `:`")]
    Word { field: &'static str, value: String },
    #[error("models has {0} entries; at most {MODELS_MAX} are allowed")]
    ModelsMany(usize),
    #[error("models names nothing that `{0}` could be called: names have 1 to {WORD_BYTES_MAX} characters")]
    ModelName(String),
    #[error("headers and headers_env have {0} entries; at most {HEADERS_MAX} are allowed")]
    HeadersMany(usize),
    #[error("`{0}` is no header's name: use small letters, digits and `-`")]
    HeaderName(String),
    #[error("the header `{0}` is written by Pinrail or belongs to a connection; remove it")]
    HeaderOurs(String),
    #[error(
        "the header `{0}` carries a secret: name the environment variable that holds it in headers_env (or key_env for the key)"
    )]
    HeaderSecret(String),
    #[error("the header `{0}` has a value that no header can have: use visible ASCII characters")]
    HeaderValue(String),
    #[error("the header `{0}` is there twice: in headers and in headers_env, or as key_header")]
    HeaderTwice(String),
    #[error("key_header is without effect where no key_env is named; name one, or remove it")]
    KeyHeaderAlone,
    #[error("proxy `{0}` must be http:// with a host and a port, or `{NO_PROXY}`")]
    Proxy(String),
    #[error(
        "proxy must not carry a user name or a password: name the variable that holds them in proxy_auth_env"
    )]
    ProxySecret,
    #[error("proxy_auth_env is without effect where no proxy is set; set one, or remove it")]
    ProxyAuthAlone,
    #[error("the certificates are {0} bytes; at most {CA_BYTES_MAX} are allowed")]
    CaLong(usize),
    #[error("the certificates hold a private key: give the certificates of the authority alone")]
    CaPrivateKey,
    #[error(transparent)]
    Trouble(#[from] BadTrouble),
    #[error("the certificates are none in PEM form: they begin with -----BEGIN CERTIFICATE-----")]
    CaNone,
}

impl ProviderSpec {
    /// Checks the settings that types alone don't.
    pub fn check(&self) -> Result<(), BadProvider> {
        self.check_url()?;
        self.check_dialects()?;
        self.check_format()?;
        if let Some(name) = &self.key_env {
            check_env("key_env", name)?;
        }
        self.check_headers()?;
        self.check_way()?;
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
        if self.models.len() > MODELS_MAX {
            return Err(BadProvider::ModelsMany(self.models.len()));
        }
        let fits =
            |name: &str| (1..=WORD_BYTES_MAX).contains(&name.len()) && !name.contains(char::is_control);
        match self.models.iter().find(|(snapshot, name)| !fits(snapshot) || !fits(name)) {
            Some((snapshot, _)) => Err(BadProvider::ModelName(snapshot.clone())),
            None => Ok(()),
        }
    }

    fn check_url(&self) -> Result<(), BadProvider> {
        if self.base_url.is_empty() {
            let before = match self.format {
                Format::Bedrock | Format::Vertex => return Ok(()),
                Format::Openai => "/chat/completions, such as https://api.openai.com/v1",
                Format::Azure => "/openai, such as https://NAME.openai.azure.com",
                Format::Anthropic => "/messages, such as https://api.anthropic.com/v1",
            };
            return Err(BadProvider::NoUrl(before));
        }
        let rest = self.base_url.strip_prefix("https://").or_else(|| self.base_url.strip_prefix("http://"));
        match rest {
            None if self.base_url == SIM_URL => match self.format {
                Format::Openai | Format::Anthropic => Ok(()),
                Format::Azure | Format::Bedrock | Format::Vertex => Err(BadProvider::Needs {
                    format: self.format.word(),
                    what: "the address of a real provider",
                }),
            },
            None | Some("") => Err(BadProvider::Url(self.base_url.clone())),
            Some(rest) if rest.contains(['@', '?', '#']) => Err(BadProvider::UrlSecret),
            Some(rest) if rest.bytes().any(|b| !b.is_ascii_graphic()) => {
                Err(BadProvider::Url(self.base_url.clone()))
            }
            Some(_) => Ok(()),
        }
    }

    fn check_dialects(&self) -> Result<(), BadProvider> {
        let possible = self.format.possible();
        for (at, api) in self.apis.iter().enumerate() {
            if !possible.contains(api) {
                let words: Vec<&str> = possible.iter().copied().map(Api::word).collect();
                let possible = words.join(" and ");
                return Err(BadProvider::Api { format: self.format.word(), api: api.word(), possible });
            }
            if self.apis[..at].contains(api) {
                return Err(BadProvider::ApiTwice(api.word()));
            }
        }
        Ok(())
    }

    /// What one format needs and no other takes.
    fn check_format(&self) -> Result<(), BadProvider> {
        let of = |there: bool, field, format: Format| match there && self.format != format {
            true => Err(BadProvider::NotOfFormat { field, format: format.word() }),
            false => Ok(()),
        };
        of(self.azure.is_some(), "azure", Format::Azure)?;
        of(self.aws.is_some(), "aws", Format::Bedrock)?;
        of(self.vertex.is_some(), "vertex", Format::Vertex)?;
        if let Some(version) = self.azure.as_ref().and_then(|azure| azure.api_version.as_ref()) {
            check_word("azure.api_version", version)?;
        }
        match (self.format, &self.aws, &self.vertex) {
            (Format::Bedrock, Some(aws), _) => {
                check_word("aws.region", &aws.region)?;
                let Aws { region: _, access_key_env, secret_key_env, session_token_env } = aws;
                check_env_of("aws.access_key_env", access_key_env)?;
                check_env_of("aws.secret_key_env", secret_key_env)?;
                check_env_of("aws.session_token_env", session_token_env)?;
                if access_key_env.is_some() != secret_key_env.is_some() {
                    let what = "both of aws.access_key_env and aws.secret_key_env, or neither";
                    return Err(BadProvider::Needs { format: "bedrock", what });
                }
                Ok(())
            }
            (Format::Vertex, _, Some(vertex)) => {
                check_word("vertex.project", &vertex.project)?;
                check_word("vertex.region", &vertex.region)?;
                check_env_of("vertex.service_account_env", &vertex.service_account_env)
            }
            (Format::Bedrock, None, _) => {
                let what = "aws = { region = \"…\" }: the region whose models are asked";
                Err(BadProvider::Needs { format: "bedrock", what })
            }
            (Format::Vertex, _, None) => {
                let what = "vertex = { project = \"…\", region = \"…\" }";
                Err(BadProvider::Needs { format: "vertex", what })
            }
            (Format::Openai | Format::Azure | Format::Anthropic, _, _) => Ok(()),
        }
    }

    fn check_headers(&self) -> Result<(), BadProvider> {
        let count = self.headers.len() + self.headers_env.len();
        if count > HEADERS_MAX {
            return Err(BadProvider::HeadersMany(count));
        }
        let names = self.headers.keys().chain(self.headers_env.keys()).chain(&self.key_header);
        for name in names {
            let is_token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
            if name.is_empty() || name.len() > WORD_BYTES_MAX || !name.bytes().all(is_token) {
                return Err(BadProvider::HeaderName(name.clone()));
            }
            if OUR_HEADERS.contains(&name.as_str()) || name.starts_with("x-pinrail-") {
                return Err(BadProvider::HeaderOurs(name.clone()));
            }
        }
        for (name, value) in &self.headers {
            if SECRET_HEADERS.contains(&name.as_str()) {
                return Err(BadProvider::HeaderSecret(name.clone()));
            }
            let fits = value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
            if value.is_empty() || value.len() > HEADER_BYTES_MAX || !fits {
                return Err(BadProvider::HeaderValue(name.clone()));
            }
        }
        for (name, variable) in &self.headers_env {
            check_env(&format!("headers_env.{name}"), variable)?;
            if self.headers.contains_key(name) {
                return Err(BadProvider::HeaderTwice(name.clone()));
            }
        }
        if self.key_header.is_some() && self.key_env.is_none() {
            return Err(BadProvider::KeyHeaderAlone);
        }
        let key = self.key_env.as_ref().map(|_| self.key_header());
        match key.filter(|key| self.headers.contains_key(*key) || self.headers_env.contains_key(*key)) {
            Some(key) => Err(BadProvider::HeaderTwice(key.to_owned())),
            None => Ok(()),
        }
    }

    /// Proxy and certificates.
    fn check_way(&self) -> Result<(), BadProvider> {
        match self.proxy.as_deref() {
            None | Some(NO_PROXY) if self.proxy_auth_env.is_some() => {
                return Err(BadProvider::ProxyAuthAlone);
            }
            None | Some(NO_PROXY) => {}
            Some(proxy) => {
                let rest = proxy.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
                let Some(rest) = rest else { return Err(BadProvider::Proxy(shown(proxy))) };
                if rest.contains('@') {
                    return Err(BadProvider::ProxySecret);
                }
                let fits = rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
                let port =
                    rest.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
                if !fits || !port.is_some_and(|(host, port)| !host.is_empty() && port > 0) {
                    return Err(BadProvider::Proxy(shown(proxy)));
                }
            }
        }
        check_env_of("proxy_auth_env", &self.proxy_auth_env)?;
        match &self.ca_pem {
            Some(pem) if pem.len() > CA_BYTES_MAX => Err(BadProvider::CaLong(pem.len())),
            Some(pem) if pem.contains("PRIVATE KEY") => Err(BadProvider::CaPrivateKey),
            Some(pem) if !pem.contains("-----BEGIN CERTIFICATE-----") => Err(BadProvider::CaNone),
            Some(_) | None => Ok(()),
        }
    }

    /// The header that carries the key, where there is one.
    #[must_use]
    pub fn key_header(&self) -> &str {
        self.key_header.as_deref().unwrap_or(self.format.key_header())
    }
}

#[must_use]
pub fn is_env_name(name: &str) -> bool {
    let head = name.bytes().next().is_some_and(|b| b.is_ascii_uppercase() || b == b'_');
    head && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn check_env(field: &str, name: &str) -> Result<(), BadProvider> {
    match is_env_name(name) {
        true => Ok(()),
        false => Err(BadProvider::Env { field: field.to_owned(), shown: shown(name) }),
    }
}

fn check_env_of(field: &str, name: &Option<String>) -> Result<(), BadProvider> {
    name.as_ref().map_or(Ok(()), |name| check_env(field, name))
}

/// What stands in an address must not lead elsewhere.
fn check_word(field: &'static str, value: &str) -> Result<(), BadProvider> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    match !value.is_empty() && value.len() <= WORD_BYTES_MAX && value.bytes().all(fits) {
        true => Ok(()),
        false => Err(BadProvider::Word { field, value: shown(value) }),
    }
}

/// What looks like a key by mistake must not be repeated in an error (I15).
fn shown(text: &str) -> String {
    if text.len() > 12 { format!("{}…", &text[..text.floor_char_boundary(4)]) } else { text.to_owned() }
}
