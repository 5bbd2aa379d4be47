//! Which headers cross the gateway, and which do not.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::Credential;
use super::letter::BETA;
use super::target::Endpoint;
use crate::telemetry::{Parent, TRACEPARENT, TRACESTATE};

/// The request headers that go on to every provider; all others stay here, above all keys, cookies, addresses and what
/// names the client's machine.
const FORWARDED: [HeaderName; 2] = [
    // The form of answer that the client can read.
    header::ACCEPT,
    // Lets the provider recognise a call that is sent twice.
    HeaderName::from_static("idempotency-key"),
];

/// Opts in to features of OpenAI's API that the application was written for.
const OPENAI_BETA: HeaderName = HeaderName::from_static("openai-beta");
/// Which version of Anthropic's API the application was written for.
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// The version where the client names none.
const ANTHROPIC_VERSION_DEFAULT: HeaderValue = HeaderValue::from_static("2023-06-01");

/// The answer headers that stay here: what belongs to one connection (RFC 9110, 7.6.1), what we write anew, what
/// would speak to the client about our host instead of the provider's.
const KEPT_BACK: [HeaderName; 13] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    // The body's own length is written by the server.
    header::CONTENT_LENGTH,
    header::SET_COOKIE,
    header::ALT_SVC,
    header::STRICT_TRANSPORT_SECURITY,
    crate::failure::FAULT,
];

const OURS: &str = concat!("pinrail/", env!("CARGO_PKG_VERSION"));
/// A user agent longer than this says nothing more.
const USER_AGENT_BYTES_MAX: usize = 256;

/// The headers of the request to the provider's endpoint.
pub fn outgoing(from: &HeaderMap, credential: &Credential, endpoint: Endpoint) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Answers are read on their way, so they must come as they are.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::USER_AGENT, user_agent(from.get(header::USER_AGENT)));
    for name in FORWARDED {
        forward(&name, from, &mut headers);
    }
    // The client's trace goes on through us. Where we record the call, each attempt puts its own span in its place.
    if Parent::read(from).is_some() {
        forward(&TRACEPARENT, from, &mut headers);
        forward(&TRACESTATE, from, &mut headers);
    }
    match endpoint {
        Endpoint::Chat | Endpoint::Responses | Endpoint::Embeddings => {
            forward(&OPENAI_BETA, from, &mut headers);
        }
        Endpoint::Messages | Endpoint::CountTokens => {
            forward(&BETA, from, &mut headers);
            let version = from.get(&ANTHROPIC_VERSION).cloned();
            headers.insert(ANTHROPIC_VERSION, version.unwrap_or(ANTHROPIC_VERSION_DEFAULT));
        }
    }
    // What the operator set wins over what a client sent.
    for (name, value) in &credential.headers {
        headers.insert(name.clone(), value.clone());
    }
    headers
}

/// What of a client's headers a copy of its call takes along: what opts in to features that the body may use. Not what
/// names the call, or the copy would pass for a repetition of it.
pub fn of_copy(from: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in [header::ACCEPT, OPENAI_BETA, BETA, ANTHROPIC_VERSION] {
        forward(&name, from, &mut headers);
    }
    headers
}

/// Leaves of an answer's headers those that may reach the client. A value that holds the key goes (I15).
pub fn strip(headers: &mut HeaderMap, credential: &Credential) {
    let named = headers.get(header::CONNECTION).and_then(|value| value.to_str().ok());
    let named: Vec<HeaderName> =
        named.iter().flat_map(|list| list.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    for name in named.iter().chain(&KEPT_BACK) {
        headers.remove(name);
    }
    let leaks = |value: &HeaderValue| credential.is_in(value.as_bytes());
    let leaking: Vec<HeaderName> =
        headers.iter().filter(|(_, value)| leaks(value)).map(|(name, _)| name.clone()).collect();
    for name in leaking {
        headers.remove(name);
    }
}

/// Asks for the version of Anthropic's API that takes sampling parameters. Newer clients ask for one that doesn't, and what
/// the release sets is none of their business. What the operator set stays.
pub fn older_api(headers: &mut HeaderMap, credential: &Credential) {
    if !credential.headers.iter().any(|(name, _)| *name == ANTHROPIC_VERSION) {
        headers.insert(ANTHROPIC_VERSION, ANTHROPIC_VERSION_DEFAULT);
    }
}

fn forward(name: &HeaderName, from: &HeaderMap, to: &mut HeaderMap) {
    for value in from.get_all(name) {
        to.append(name.clone(), value.clone());
    }
}

fn user_agent(clients: Option<&HeaderValue>) -> HeaderValue {
    let clients =
        clients.and_then(|value| value.to_str().ok()).filter(|text| text.len() <= USER_AGENT_BYTES_MAX);
    let both = clients.and_then(|theirs| HeaderValue::from_str(&format!("{OURS} {theirs}")).ok());
    both.unwrap_or(HeaderValue::from_static(OURS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_goes_to_the_provider() {
        let mut from = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer pr_client"),
            ("cookie", "a=b"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-stainless-os", "Linux"),
            ("x-pinrail-tenant", "acme"),
            ("openai-organization", "org"),
            ("content-length", "5"),
            ("host", "gateway"),
            ("user-agent", "OpenAI/Python 2"),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"),
            ("tracestate", "a=1"),
            ("idempotency-key", "k"),
        ] {
            from.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let headers = outgoing(&from, &Credential::default(), Endpoint::Chat);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let want =
            ["accept-encoding", "content-type", "idempotency-key", "traceparent", "tracestate", "user-agent"];
        assert_eq!(names, want);
        assert!(headers[header::USER_AGENT].to_str().unwrap().ends_with(" OpenAI/Python 2"));
        // A trace that isn't one is none.
        from.insert("traceparent", HeaderValue::from_static("00-1"));
        let headers = outgoing(&from, &Credential::default(), Endpoint::Chat);
        assert!(!headers.contains_key(TRACEPARENT) && !headers.contains_key(TRACESTATE));
    }

    #[test]
    fn what_belongs_to_the_connection_or_leaks_stays_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("set-cookie", "a=b"),
            ("x-echo", "key is hunter22"),
            ("x-request-id", "req_1"),
            ("retry-after", "7"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let credential = Credential::of(["hunter22"]);
        strip(&mut headers, &credential);
        let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-request-id", "retry-after"]); // I15
    }
}
