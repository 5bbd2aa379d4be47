//! Sends messages as webhooks: CloudEvents 1.0 in structured mode, signed as Standard Webhooks describe.
//!
//! Headers: `webhook-id` (the event's id: a receiver that has seen it drops it), `webhook-timestamp` (Unix seconds of
//! this attempt) and `webhook-signature`, `v1,` and the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`. A secret that
//! begins with `whsec_` is base64 behind that, any other is taken as it is. Redirects are not followed: a message
//! goes where the settings say, or nowhere.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use pinrail_control::outbound::{Address, Fault, Message, Outbound, Receipt, SendError};
use pinrail_gateway::port::Secrets;
use ring::hmac;

/// Sends messages over HTTP.
pub struct Webhooks {
    client: HttpClient,
    secrets: Arc<dyn Secrets>,
}

/// What speaks HTTP to others than model providers.
pub(crate) type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// How long a receiver may take for one message: whoever has more to do answers first.
const WAIT: Duration = Duration::from_secs(10);
/// What a secret in the form of Standard Webhooks begins with.
const SECRET_PREFIX: &str = "whsec_";
/// How long the rest of an answer may take, behind its status: it is for people who try things out.
const SAID_WAIT: Duration = Duration::from_secs(1);
/// What of an answer's body is kept: enough for an error message.
const SAID_BYTES_MAX: usize = 500;

impl Webhooks {
    /// Sets up TLS. Secrets are read by their variable's name at each message, and kept nowhere (I15).
    ///
    /// # Panics
    /// Never: the cryptography that is built in supports the protocol versions that are built in.
    #[must_use]
    pub fn new(secrets: Arc<dyn Secrets>) -> Webhooks {
        Webhooks { client: client(), secrets }
    }

    fn request(&self, to: &Address, message: &Message) -> Result<Request<Full<Bytes>>, SendError> {
        let timestamp = (message.at.0 / 1_000).to_string();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&to.url)
            .header(CONTENT_TYPE, "application/cloudevents+json; charset=utf-8")
            .header(USER_AGENT, concat!("pinrail/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", &timestamp);
        if let Some(name) = &to.secret_env {
            let secret = self.secrets.secret(name);
            let secret =
                secret.ok_or_else(|| never(format!("the environment variable {name} is not set")))?;
            let key =
                key(&secret).ok_or_else(|| never(format!("what {name} holds behind whsec_ is no base64")))?;
            let mut signature =
                HeaderValue::try_from(signature(&key, &message.id, &timestamp, &message.body))
                    .expect("base64 is visible ASCII");
            signature.set_sensitive(true);
            request = request.header("webhook-signature", signature);
        }
        let body = Full::new(Bytes::from(message.body.clone()));
        request.body(body).map_err(|error| never(format!("the address cannot be used: {error}")))
    }
}

#[async_trait]
impl Outbound for Webhooks {
    async fn send(&self, to: &Address, message: &Message) -> Result<Receipt, SendError> {
        let request = self.request(to, message)?;
        let later = |what: String| SendError { what, fault: Fault::Later { after: None }, answer: None };
        let answer = match tokio::time::timeout(WAIT, self.client.request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                return Err(later(format!(
                    "the receiver cannot be reached: {}",
                    crate::problem::chain(&error)
                )));
            }
            Err(_) => return Err(later(format!("the receiver did not answer within {} s", WAIT.as_secs()))),
        };
        let (head, body) = answer.into_parts();
        let status = head.status.as_u16();
        let receipt = Receipt { status, said: said(body).await };
        if head.status.is_success() {
            return Ok(receipt);
        }
        let may_help = head.status.is_server_error() || matches!(status, 408 | 409 | 425 | 429);
        let fault =
            if may_help { Fault::Later { after: retry_after(&head.headers) } } else { Fault::Refused };
        Err(SendError { what: format!("the receiver answered {status}"), fault, answer: Some(receipt) })
    }
}

/// A client with TLS, whose certificates are those that browsers trust.
pub(crate) fn client() -> HttpClient {
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(Arc::new(rustls::crypto::ring::default_provider()))
        .expect("ring supports TLS 1.2 and 1.3")
        .https_or_http()
        .enable_all_versions()
        .build();
    Client::builder(TokioExecutor::new()).build(connector)
}

/// What can't be sent at all.
fn never(what: String) -> SendError {
    SendError { what, fault: Fault::Here, answer: None }
}

/// The seconds that a receiver asks to be left alone. A date would need its clock and ours to agree, so it counts as
/// not said.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// How an answer's body begins, as text; empty where it doesn't come.
async fn said(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    let read = async {
        while bytes.len() < SAID_BYTES_MAX
            && let Some(Ok(frame)) = body.frame().await
        {
            bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
        }
    };
    // What came until then is worth showing.
    let _ = tokio::time::timeout(SAID_WAIT, read).await;
    bytes.truncate(SAID_BYTES_MAX);
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// A secret's bytes.
fn key(secret: &str) -> Option<Vec<u8>> {
    match secret.strip_prefix(SECRET_PREFIX) {
        Some(encoded) => STANDARD.decode(encoded.trim()).ok(),
        None => Some(secret.as_bytes().to_vec()),
    }
}

fn signature(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        context.update(part);
    }
    format!("v1,{}", STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_other_implementations_compute() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(super::key("whsec_?"), None);
        assert_eq!(super::key("plain").unwrap(), b"plain");
    }
}
