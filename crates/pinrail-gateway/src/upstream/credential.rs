//! What proves to a provider who asks: read from the environment by name, prepared once, never shown (I15).

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use pinrail_domain::provider::{Aws, Format, ProviderSpec, Vertex};
use pinrail_wire::redact::Redactor;

use super::google::Account;
use super::sigv4::Signer;
use crate::failure::Failure;
use crate::port::Secrets;

/// A provider's secrets, as they are sent and as they are looked for in texts.
#[derive(Default)]
pub struct Credential {
    /// What the variables held when this was made.
    values: Vec<Option<String>>,
    /// What must be seen nowhere.
    secrets: Vec<String>,
    /// Sent with every request: the key, and what else the settings ask for.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub redactor: Redactor,
    /// What each request is signed or granted by besides.
    pub(super) proof: Proof,
}

/// A proof that is made anew for requests.
#[derive(Default)]
pub(super) enum Proof {
    #[default]
    None,
    Aws(Box<Signer>),
    Google(Box<Account>),
}

/// The variables that a provider's credential is made from.
pub struct Variables {
    list: Vec<(String, Holds)>,
}

/// What a variable holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holds {
    Key,
    Header(HeaderName),
    AccessKey,
    SecretKey,
    SessionToken { needed: bool },
    ServiceAccount,
}

impl Variables {
    /// Those that the settings name.
    pub fn of(spec: &ProviderSpec) -> Variables {
        let mut list: Vec<(String, Holds)> = Vec::new();
        match (&spec.key_env, spec.format, &spec.aws, &spec.vertex) {
            (Some(key), _, _, _) => list.push((key.clone(), Holds::Key)),
            (None, Format::Bedrock, Some(aws), _) => list.extend(of_aws(aws)),
            (None, Format::Vertex, _, Some(vertex)) => list.push(of_vertex(vertex)),
            (
                None,
                Format::Openai | Format::Azure | Format::Anthropic | Format::Bedrock | Format::Vertex,
                _,
                _,
            ) => {}
        }
        let headers = spec.headers_env.iter();
        list.extend(
            headers
                .filter_map(|(name, variable)| Some((variable.clone(), Holds::Header(name.parse().ok()?)))),
        );
        Variables { list }
    }

    /// Whether a credential is what the variables hold now.
    pub fn hold(&self, known: &Credential, secrets: &dyn Secrets) -> bool {
        let mut held = self.list.iter().zip(&known.values);
        held.all(|((variable, _), value)| secrets.secret(variable) == *value)
    }

    /// Makes a credential of what the variables hold.
    pub fn credential(&self, spec: &ProviderSpec, secrets: &dyn Secrets) -> Result<Credential, Failure> {
        let mut made = Making {
            spec,
            headers: Vec::new(),
            secrets: Vec::new(),
            access: None,
            secret: None,
            token: None,
            account: None,
        };
        for (name, value) in &spec.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
                made.headers.push((name, value));
            }
        }
        let mut values = Vec::with_capacity(self.list.len());
        for (variable, holds) in &self.list {
            let value = secrets.secret(variable);
            made.take(variable, holds, value.as_deref().map(str::trim))?;
            values.push(value);
        }
        let proof = made.proof()?;
        let Making { headers, mut secrets, .. } = made;
        // The longest first, so that one that holds another goes whole.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let redactor = Redactor::new(&secrets);
        Ok(Credential { values, secrets, headers, redactor, proof })
    }
}

impl Credential {
    /// A credential that consists of secrets alone.
    #[cfg(test)]
    pub fn of<const N: usize>(secrets: [&str; N]) -> Credential {
        let redactor = Redactor::new(secrets);
        Credential { secrets: secrets.map(str::to_owned).into(), redactor, ..Credential::default() }
    }

    /// The body without the secrets that a provider repeats in it (I15).
    pub fn clean(&self, body: Bytes) -> Bytes {
        match self.is_in(&body) {
            true => Bytes::from(self.redactor.redact(&String::from_utf8_lossy(&body)).into_owned()),
            false => body,
        }
    }

    /// Whether `text` holds a secret itself.
    pub fn is_in(&self, text: &[u8]) -> bool {
        let within =
            |secret: &[u8]| !secret.is_empty() && text.windows(secret.len()).any(|window| window == secret);
        if self.secrets.iter().any(|secret| within(secret.as_bytes())) {
            return true;
        }
        match &self.proof {
            Proof::None | Proof::Aws(_) => false,
            Proof::Google(account) => account.is_in(text),
        }
    }
}

/// A credential in the making.
struct Making<'s> {
    spec: &'s ProviderSpec,
    headers: Vec<(HeaderName, HeaderValue)>,
    secrets: Vec<String>,
    access: Option<String>,
    secret: Option<String>,
    token: Option<String>,
    account: Option<(String, String)>,
}

impl Making<'_> {
    fn take(&mut self, variable: &str, holds: &Holds, value: Option<&str>) -> Result<(), Failure> {
        let value = match (value, holds) {
            (Some(value), _) if !value.is_empty() => value,
            (None, Holds::SessionToken { needed: false }) => return Ok(()),
            (Some(_), Holds::SessionToken { needed: false }) => return Ok(()),
            (Some(_), _) => return Err(unusable(variable, holds, "provider_key_missing", "empty")),
            (None, _) => return Err(unusable(variable, holds, "provider_key_missing", "missing")),
        };
        match holds {
            Holds::Key => {
                let name = self.spec.key_header();
                let text = if name == "authorization" { format!("Bearer {value}") } else { value.to_owned() };
                self.header(name.parse().ok(), &text, variable, holds)?;
            }
            Holds::Header(name) => self.header(Some(name.clone()), value, variable, holds)?,
            Holds::AccessKey => self.access = Some(value.to_owned()),
            Holds::SecretKey => self.secret = Some(value.to_owned()),
            Holds::SessionToken { .. } => self.token = Some(value.to_owned()),
            Holds::ServiceAccount => self.account = Some((variable.to_owned(), value.to_owned())),
        }
        self.secrets.push(value.to_owned());
        Ok(())
    }

    fn header(
        &mut self,
        name: Option<HeaderName>,
        value: &str,
        variable: &str,
        holds: &Holds,
    ) -> Result<(), Failure> {
        let invalid = || unusable(variable, holds, "provider_key_invalid", "no text that fits into a header");
        let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
        value.set_sensitive(true);
        self.headers.push((name.ok_or_else(invalid)?, value));
        Ok(())
    }

    fn proof(&mut self) -> Result<Proof, Failure> {
        if let (Some(access), Some(secret), Some(aws)) = (&self.access, &self.secret, &self.spec.aws) {
            let signer = Signer::new(access, secret, self.token.clone(), aws.region.clone());
            return Ok(Proof::Aws(Box::new(signer)));
        }
        let Some((variable, text)) = self.account.take() else { return Ok(Proof::None) };
        let account = Account::read(&text).map_err(|bad| {
            let what = format!("not usable ({bad})");
            unusable(&variable, &Holds::ServiceAccount, "provider_key_invalid", &what)
        })?;
        self.secrets.extend(account.secrets());
        Ok(Proof::Google(Box::new(account)))
    }
}

impl Holds {
    fn word(&self) -> String {
        match self {
            Holds::Key => "the provider's key".to_owned(),
            Holds::Header(name) => format!("the value of the provider's header {name}"),
            Holds::AccessKey => "the provider's access key id".to_owned(),
            Holds::SecretKey => "the provider's secret access key".to_owned(),
            Holds::SessionToken { .. } => "the provider's session token".to_owned(),
            Holds::ServiceAccount => "the provider's service account".to_owned(),
        }
    }
}

fn of_aws(aws: &Aws) -> Vec<(String, Holds)> {
    let mut list = vec![
        (aws.access_key_env().to_owned(), Holds::AccessKey),
        (aws.secret_key_env().to_owned(), Holds::SecretKey),
    ];
    let token = aws.session_token_env();
    list.extend(token.map(|(variable, needed)| (variable.to_owned(), Holds::SessionToken { needed })));
    list
}

fn of_vertex(vertex: &Vertex) -> (String, Holds) {
    (vertex.account_env().to_owned(), Holds::ServiceAccount)
}

fn unusable(variable: &str, holds: &Holds, code: &'static str, what: &str) -> Failure {
    let message = format!(
        "{} is {what}: set the environment variable {variable} where Pinrail runs, and restart it",
        holds.word()
    );
    Failure::pinrail(StatusCode::SERVICE_UNAVAILABLE, code, message)
}
