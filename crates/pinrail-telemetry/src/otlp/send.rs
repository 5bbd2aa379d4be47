//! One request to the collector, made again where that may help.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::Collector;

/// Sends one signal's requests.
pub struct Sender {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    to: String,
    headers: HeaderMap,
    /// What is sent, for the log.
    what: &'static str,
    /// Whether the log says that the collector takes nothing.
    in_trouble: bool,
}

/// Why a request wasn't taken.
struct Refused {
    why: String,
    /// After how long asking again may help; none where it can't.
    again: Option<Duration>,
}

/// How long the collector may take for a request, as the specification has it.
const WAIT: Duration = Duration::from_secs(10);
/// Requests in all for a batch.
const ATTEMPTS_MAX: u32 = 4;
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest that a collector's own wish is obeyed.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// An answer says how much of a batch was refused, and why.
const ANSWER_BYTES_MAX: usize = 64 << 10;

impl Sender {
    /// # Panics
    /// Never: the cryptography that is built in supports the protocol versions that are built in.
    pub fn new(collector: &Collector, path: &str, what: &'static str) -> Sender {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(Arc::new(rustls::crypto::ring::default_provider()))
            .expect("ring supports TLS 1.2 and 1.3")
            .https_or_http()
            .enable_all_versions()
            .build();
        let mut headers: HeaderMap = collector.headers.iter().cloned().collect();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("pinrail/", env!("CARGO_PKG_VERSION"))));
        let base = collector.endpoint.to_string();
        Sender {
            client: Client::builder(TokioExecutor::new()).build(connector),
            to: format!("{}{path}", base.trim_end_matches('/')),
            headers,
            what,
            in_trouble: false,
        }
    }

    /// Sends a batch; gives the collector's answer, or nothing where it never took it.
    pub async fn send(&mut self, body: Bytes) -> Option<Bytes> {
        let mut attempt = 1;
        loop {
            let refused = match tokio::time::timeout(WAIT, self.post(body.clone())).await {
                Ok(Ok(answer)) => {
                    if std::mem::take(&mut self.in_trouble) {
                        tracing::info!("the telemetry collector takes {} again", self.what);
                    }
                    return Some(answer);
                }
                Ok(Err(refused)) => refused,
                Err(_) => Refused {
                    why: format!("no answer within {} s", WAIT.as_secs()),
                    again: Some(Duration::ZERO),
                },
            };
            let Some(asked) = refused.again.filter(|_| attempt < ATTEMPTS_MAX) else {
                if !std::mem::replace(&mut self.in_trouble, true) {
                    tracing::warn!(
                        "the telemetry collector takes no {}: {}; they are dropped",
                        self.what,
                        refused.why
                    );
                }
                return None;
            };
            tokio::time::sleep((PAUSE_FIRST * 2_u32.pow(attempt - 1)).max(asked.min(PAUSE_MAX))).await;
            attempt += 1;
        }
    }

    async fn post(&self, body: Bytes) -> Result<Bytes, Refused> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self
            .to
            .parse()
            .map_err(|_| Refused { why: "its address cannot be used".to_owned(), again: None })?;
        *request.headers_mut() = self.headers.clone();
        let later = |why: String| Refused { why, again: Some(Duration::ZERO) };
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| later(format!("it cannot be reached ({error})")))?;
        let (head, body) = answer.into_parts();
        let status = head.status.as_u16();
        if !head.status.is_success() {
            let after =
                head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            let may_help = matches!(status, 429 | 502 | 503 | 504);
            let again = may_help.then(|| Duration::from_secs(after.unwrap_or_default()));
            return Err(Refused { why: format!("it answered {status}"), again });
        }
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        // It took the batch, whatever it says of it.
        Ok(body.map(http_body_util::Collected::to_bytes).unwrap_or_default())
    }
}
