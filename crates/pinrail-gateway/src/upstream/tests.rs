//! Providers of every format over real sockets: what reaches them, and what of their answers comes back.

use std::sync::atomic::{AtomicU64, Ordering};

use http::Version;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::eventstream::tests::{chunk_frame, frame};
use super::target::{Endpoint, Target};
use super::*;
use crate::connect::Net;
use crate::direct::{Bounds, Direct, Unheard};

mod servers;

use servers::{Env, Hand, Seen, Server, own_authority, tunnels};

const SECRET: &str = "hunter22-hunter22";
/// 2026-01-01T00:00:00Z.
const NOW_MS: u64 = 1_767_225_600_000;

/// A gateway's way to providers, and what it stands on.
struct Setup {
    upstreams: Upstreams,
    env: Arc<Env>,
    clock: Arc<Hand>,
}

fn setup(env: &[(&'static str, &str)]) -> Setup {
    let env: Arc<Env> = Arc::new(Env(env.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()));
    let clock = Arc::new(Hand::default());
    clock.0.store(NOW_MS, Ordering::Relaxed);
    let upstreams =
        Upstreams::new(Arc::new(Net::new()), None, Arc::clone(&env) as _, Arc::clone(&clock) as _);
    Setup { upstreams, env, clock }
}

fn spec(mut fields: Value) -> Arc<ProviderSpec> {
    fields["catalogue"] = "x".into();
    let spec: ProviderSpec = serde_json::from_value(fields).unwrap();
    assert_eq!(spec.check(), Ok(()));
    Arc::new(spec)
}

fn ok(body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::new(Full::new(body.into()))
}

/// Amazon's frames.
fn framed(bytes: Vec<u8>) -> Response<Full<Bytes>> {
    let mut answer = ok(bytes);
    let kind = HeaderValue::from_static("application/vnd.amazon.eventstream");
    answer.headers_mut().insert("content-type", kind);
    answer
}

impl Setup {
    /// Sends a request as the gateway does; gives head and body, or what an error says.
    async fn send(
        &self,
        spec: &Arc<ProviderSpec>,
        endpoint: Endpoint,
        stream: bool,
        from: &[(&'static str, &str)],
    ) -> Result<(http::response::Parts, String), String> {
        let upstream = self.upstreams.set_up("p", spec).map_err(|failure| failure.message)?;
        self.send_on(&upstream, endpoint, stream, from).await
    }

    async fn send_on(
        &self,
        upstream: &Upstream,
        endpoint: Endpoint,
        stream: bool,
        from: &[(&'static str, &str)],
    ) -> Result<(http::response::Parts, String), String> {
        let credential = upstream.credential(&*self.env).map_err(|failure| failure.message)?;
        let from: HeaderMap =
            from.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let headers = headers::outgoing(&from, &credential, endpoint);
        let body = Bytes::from_static(b"{\"model\":\"snap\",\"stream\":true,\"messages\":[1.0]}");
        let target = Target { endpoint, model: upstream.model_name("snap"), stream };
        let letter = upstream.letter(&target, &headers, &body).map_err(|failure| failure.message)?;
        let answer = upstream.send(&letter, &headers, &credential).await;
        let answer = answer.map_err(|unsent| chain(&unsent, &credential.redactor))?;
        let (mut head, rest) = answer.into_parts();
        let body = rest.collect().await.map_err(|broken| chain(&broken, &credential.redactor))?.to_bytes();
        let body = said::whole(upstream.spec.format, endpoint, &mut head, body);
        Ok((head, String::from_utf8(body.to_vec()).unwrap()))
    }
}

async fn echo() -> (Server, String) {
    let server = Server::start(None, |_| ok("{}")).await;
    let base = format!("http://{}", server.address);
    (server, base)
}

#[tokio::test]
async fn each_format_is_addressed_and_shown_its_key() {
    let (server, base) = echo().await;
    let setup = setup(&[("KEY", SECRET), ("OTHER", "other-secret")]);
    let check = async |mut fields: Value, endpoint, at: &str, want: &[(&str, &str)]| {
        fields["base_url"] = format!("{base}{}", fields["base_url"].as_str().unwrap_or_default()).into();
        fields["key_env"] = "KEY".into();
        setup.send(&spec(fields), endpoint, false, &[]).await.unwrap();
        let seen = server.last();
        assert_eq!(seen.uri, at);
        for (name, value) in want {
            assert_eq!(seen.header(name), Some(*value), "{name}");
        }
        seen
    };
    let bearer = format!("Bearer {SECRET}");
    let openai = json!({"base_url": "/v1"});
    let seen = check(openai, Endpoint::Chat, "/v1/chat/completions", &[("authorization", &bearer)]).await;
    assert_eq!(seen.body, r#"{"model":"snap","stream":true,"messages":[1.0]}"#);
    assert!(seen.header("anthropic-version").is_none() && seen.header("x-api-key").is_none());
    let version = json!({"api_version": "2024-10-21"});
    let azure = json!({"format": "azure", "azure": version, "models": {"snap": "my-gpt"}});
    let at = "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21";
    let seen = check(azure, Endpoint::Chat, at, &[("api-key", SECRET)]).await;
    assert_eq!(seen.body, r#"{"model":"my-gpt","stream":true,"messages":[1.0]}"#);
    assert!(seen.header("authorization").is_none());
    let azure = json!({"format": "azure"});
    check(azure, Endpoint::Responses, "/openai/v1/responses", &[("api-key", SECRET)]).await;
    let anthropic = json!({"format": "anthropic", "base_url": "/v1"});
    let want = [("x-api-key", SECRET), ("anthropic-version", "2023-06-01")];
    let seen = check(anthropic, Endpoint::Messages, "/v1/messages", &want).await;
    assert!(seen.header("authorization").is_none());
    let second = json!({"x-second": "OTHER"});
    let own = json!({"key_header": "x-token", "headers": {"x-team": "a b"}, "headers_env": second});
    let want = [("x-token", SECRET), ("x-team", "a b"), ("x-second", "other-secret")];
    let seen = check(own, Endpoint::Embeddings, "/embeddings", &want).await;
    assert!(seen.header("authorization").is_none());
    let bedrock = json!({"format": "bedrock", "aws": {"region": "r"}});
    check(bedrock, Endpoint::Messages, "/model/snap/invoke", &[("authorization", &bearer)]).await;
}

#[tokio::test]
async fn a_clients_headers_go_only_to_the_dialect_they_belong_to() {
    let (server, base) = echo().await;
    let setup = setup(&[]);
    let from = [
        ("anthropic-beta", "a,b"),
        ("anthropic-version", "2024-01-01"),
        ("openai-beta", "o"),
        ("authorization", "Bearer pr_client"),
        ("x-api-key", "pr_client"),
    ];
    let plain = spec(json!({"base_url": base, "headers": {"openai-beta": "ours"}}));
    setup.send(&plain, Endpoint::Messages, false, &from).await.unwrap();
    let seen = server.last();
    assert_eq!(seen.header("anthropic-beta"), Some("a,b"));
    assert_eq!(seen.header("anthropic-version"), Some("2024-01-01"));
    setup.send(&plain, Endpoint::Chat, false, &from).await.unwrap();
    let seen = server.last();
    assert_eq!(seen.header("openai-beta"), Some("ours"), "the operator's value wins");
    for absent in ["anthropic-beta", "anthropic-version", "authorization", "x-api-key"] {
        assert!(seen.header(absent).is_none(), "{absent}");
    }
}

#[tokio::test]
async fn bedrock_is_signed_reshaped_and_read() {
    let event = r#"{"type":"message_stop"}"#;
    let server = Server::start(None, move |seen: &Seen| {
        if seen.uri.ends_with("/invoke-with-response-stream") {
            return framed(chunk_frame(event));
        }
        if seen.uri.ends_with("/count-tokens") {
            return ok(r#"{"inputTokens":12}"#);
        }
        Response::builder()
            .status(403)
            .header("x-amzn-errortype", "AccessDeniedException")
            .body(Full::from(r#"{"message":"no access"}"#))
            .unwrap()
    })
    .await;
    let setup = setup(&[
        ("AWS_ACCESS_KEY_ID", "AKEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_SESSION_TOKEN", "tok-tok-tok"),
    ]);
    let base = format!("http://{}", server.address);
    let names = json!({"snap": "us.anthropic.claude-v1:0"});
    let aws = json!({"region": "us-east-1"});
    let bedrock = spec(json!({"format": "bedrock", "base_url": base, "aws": aws, "models": names}));
    let betas = [("anthropic-beta", "b1, b2")];
    let (head, body) = setup.send(&bedrock, Endpoint::Messages, true, &betas).await.unwrap();
    assert_eq!(head.headers["content-type"], "text/event-stream");
    assert_eq!(body, format!("event: message_stop\ndata: {event}\n\n"));
    let seen = server.last();
    assert_eq!(seen.uri, "/model/us.anthropic.claude-v1%3A0/invoke-with-response-stream");
    let want = r#"{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["b1","b2"],"messages":[1.0]}"#;
    assert_eq!(seen.body, want);
    let signed = seen.header("authorization").unwrap();
    let begins = "AWS4-HMAC-SHA256 Credential=AKEXAMPLE/20260101/us-east-1/bedrock/aws4_request, \
                  SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=";
    assert!(signed.starts_with(begins), "{signed}");
    assert_eq!(seen.header("x-amz-date"), Some("20260101T000000Z"));
    assert!(seen.header("anthropic-beta").is_none());
    let (_, body) = setup.send(&bedrock, Endpoint::CountTokens, false, &[]).await.unwrap();
    assert_eq!(body, r#"{"input_tokens":12}"#);
    let seen = server.last();
    assert_eq!(seen.uri, "/model/anthropic.claude-v1%3A0/count-tokens");
    let wrapped: Value = serde_json::from_str(&seen.body).unwrap();
    let inner = STANDARD.decode(wrapped["input"]["invokeModel"]["body"].as_str().unwrap()).unwrap();
    let want = r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":1,"messages":[1.0]}"#;
    assert_eq!(std::str::from_utf8(&inner).unwrap(), want);
    let (head, body) = setup.send(&bedrock, Endpoint::Messages, false, &[]).await.unwrap();
    assert_eq!(head.status, 403);
    assert_eq!(body, r#"{"error":{"message":"no access","type":"permission_error"},"type":"error"}"#);
    let refusal = setup.send(&bedrock, Endpoint::Embeddings, false, &[]).await.unwrap_err();
    assert!(refusal.contains("format `bedrock`) has no /embeddings"), "{refusal}");
}

#[tokio::test]
async fn a_stream_that_ends_within_a_frame_is_broken() {
    let server = Server::start(None, |_| {
        let mut bytes = chunk_frame(r#"{"type":"ping"}"#);
        bytes.extend_from_slice(&frame(&[(":message-type", "event")], b"{}")[..9]);
        framed(bytes)
    })
    .await;
    let setup = setup(&[("KEY", SECRET)]);
    let base = format!("http://{}", server.address);
    let aws = json!({"region": "r"});
    let bedrock = spec(json!({"format": "bedrock", "base_url": base, "key_env": "KEY", "aws": aws}));
    let why = setup.send(&bedrock, Endpoint::Messages, true, &[]).await.unwrap_err();
    assert!(why.contains("ended within a frame"), "{why}");
}

/// A service account whose tokens are granted at `base`.
fn account(base: &str) -> String {
    let key = include_str!("tests/service_account.pem");
    let token_uri = format!("{base}/token");
    json!({"client_email": "a@p.example", "private_key_id": "k1", "private_key": key, "token_uri": token_uri})
        .to_string()
}

#[tokio::test]
async fn vertex_gets_a_token_that_is_kept_and_fetched_anew_in_time() {
    let tokens = Arc::new(AtomicU64::new(0));
    let granted = Arc::clone(&tokens);
    let server = Server::start(None, move |seen: &Seen| {
        if seen.uri != "/token" {
            return ok("{}");
        }
        let number = granted.fetch_add(1, Ordering::Relaxed);
        let token = format!("ya29.secret-{number}");
        ok(json!({"access_token": token, "expires_in": 3600, "token_type": "Bearer"}).to_string())
    })
    .await;
    let base = format!("http://{}", server.address);
    let setup = setup(&[("GOOGLE_SERVICE_ACCOUNT", &account(&base))]);
    let at = json!({"project": "p", "region": "us-east5"});
    let vertex = spec(json!({"format": "vertex", "base_url": base, "vertex": at, "models": {"snap": "c@1"}}));
    let upstream = setup.upstreams.set_up("p", &vertex).unwrap();
    let call = || setup.send_on(&upstream, Endpoint::Messages, true, &[("anthropic-beta", "b1")]);
    // Calls at once: one of them fetches.
    let (one, two, three) = tokio::join!(call(), call(), call());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(tokens.load(Ordering::Relaxed), 1);
    let seen = server.last();
    let at = "/projects/p/locations/us-east5/publishers/anthropic/models/c@1:streamRawPredict";
    assert_eq!((seen.uri.as_str(), seen.header("authorization")), (at, Some("Bearer ya29.secret-0")));
    assert_eq!(seen.header("anthropic-beta"), Some("b1"));
    let want = r#"{"anthropic_version":"vertex-2023-10-16","stream":true,"messages":[1.0]}"#;
    assert_eq!(seen.body, want);
    let asked = server.seen.lock().unwrap()[0].clone();
    check_assertion(&asked.body, &base);
    setup.clock.0.store(NOW_MS + 54 * 60_000, Ordering::Relaxed);
    call().await.unwrap();
    assert_eq!(tokens.load(Ordering::Relaxed), 1);
    setup.clock.0.store(NOW_MS + 56 * 60_000, Ordering::Relaxed);
    call().await.unwrap();
    assert_eq!(server.last().header("authorization"), Some("Bearer ya29.secret-1"));
    // I15: whoever repeats the token is noticed, and so is the key.
    let credential = upstream.credential(&*setup.env).unwrap();
    assert!(credential.is_in(b"x ya29.secret-1 y"));
    assert_eq!(credential.redactor.redact("x ya29.a0ARrdaM8_secret_abcdef y"), "x [redacted] y");
    let line = include_str!("tests/service_account.pem").lines().nth(3).unwrap();
    assert!(credential.is_in(line.as_bytes()));
    setup.send_on(&upstream, Endpoint::CountTokens, false, &[]).await.unwrap();
    let seen = server.last();
    assert!(seen.uri.ends_with("/models/count-tokens:rawPredict"), "{}", seen.uri);
    assert!(seen.body.contains(r#""model":"c@1""#), "{}", seen.body);
}

/// The request for a token is what Google's guide asks for, signed with the account's key.
fn check_assertion(form: &str, base: &str) {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
    use rustls_pki_types::pem::PemObject as _;
    let form =
        form.strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
    let (text, signature) = form.unwrap().rsplit_once('.').unwrap();
    let (head, claims) = text.split_once('.').unwrap();
    let read = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    assert_eq!(read(head), json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    let issued = NOW_MS / 1_000;
    let want = json!({
        "iss": "a@p.example", "aud": format!("{base}/token"), "iat": issued, "exp": issued + 3_600,
        "scope": "https://www.googleapis.com/auth/cloud-platform"
    });
    assert_eq!(read(claims), want);
    let pem = include_bytes!("tests/service_account.pem");
    let der = rustls_pki_types::PrivatePkcs8KeyDer::from_pem_slice(pem).unwrap();
    let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    public.verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
}

#[tokio::test]
async fn a_token_that_is_refused_says_so_without_secrets() {
    let server = Server::start(None, |_| {
        let body = format!(r#"{{"error":"invalid_grant","error_description":"{SECRET}"}}"#);
        Response::builder().status(400).body(Full::from(body)).unwrap()
    })
    .await;
    let base = format!("http://{}", server.address);
    let setup =
        setup(&[("GOOGLE_SERVICE_ACCOUNT", &account(&base)), ("BAD", "{\"private_key\":\"hunter22\"}")]);
    let check = async |variable: &str, says: &str| {
        let at = json!({"project": "p", "region": "r", "service_account_env": variable});
        let vertex = spec(json!({"format": "vertex", "base_url": base, "vertex": at}));
        let why = setup.send(&vertex, Endpoint::Messages, false, &[]).await.unwrap_err();
        assert!(why.contains(says) && !why.contains("hunter22"), "{why}"); // I15
    };
    check("GOOGLE_SERVICE_ACCOUNT", "(status 400, invalid_grant)").await;
    check("BAD", "no service account's key file").await;
    check("NONE", "is missing: set the environment variable NONE").await;
}

#[tokio::test]
async fn tls_trusts_a_providers_own_authority_and_no_others() {
    let (pem, acceptor) = own_authority();
    let server = Server::start(Some(acceptor), |_| ok("{}")).await;
    let base = format!("https://localhost:{}", server.address.port());
    let setup = setup(&[]);
    let check = async |mut fields: Value, want: Version| {
        fields["base_url"] = base.clone().into();
        fields["ca_pem"] = pem.clone().into();
        setup.send(&spec(fields), Endpoint::Chat, false, &[]).await.unwrap();
        assert_eq!(server.last().version, want);
    };
    check(json!({}), Version::HTTP_2).await;
    check(json!({"http": "http1"}), Version::HTTP_11).await;
    check(json!({"http": "http2"}), Version::HTTP_2).await;
    let why = setup.send(&spec(json!({"base_url": base})), Endpoint::Chat, false, &[]).await.unwrap_err();
    assert!(why.contains("certificate"), "{why}");
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
    let broken = spec(json!({"base_url": base, "ca_pem": nonsense}));
    let why = setup.send(&broken, Endpoint::Chat, false, &[]).await.unwrap_err();
    assert!(why.contains("certificates of provider `p` cannot be used"), "{why}");
}

#[tokio::test]
async fn http2_is_spoken_without_tls_where_the_settings_say_so() {
    let (server, base) = echo().await;
    let setup = setup(&[]);
    for (http, want) in [("http2", Version::HTTP_2), ("auto", Version::HTTP_11)] {
        let plain = spec(json!({"base_url": base, "http": http}));
        setup.send(&plain, Endpoint::Chat, false, &[]).await.unwrap();
        assert_eq!(server.last().version, want);
    }
}

#[tokio::test]
async fn a_proxy_tunnels_tls_and_reads_the_rest() {
    let (pem, acceptor) = own_authority();
    let server = Server::start(Some(acceptor), |_| ok("{}")).await;
    let (proxy, heads) = tunnels(server.address).await;
    let setup = setup(&[("PROXY", "user:hunter22-hunter22"), ("KEY", "key-key-key")]);
    let through = |base: &str, proxy: String, auth: &str| {
        spec(
            json!({"base_url": base, "ca_pem": pem, "proxy": proxy, "proxy_auth_env": auth, "key_env": "KEY"}),
        )
    };
    let tunnelled = through("https://localhost:9/v1", format!("http://{proxy}"), "PROXY");
    setup.send(&tunnelled, Endpoint::Chat, false, &[]).await.unwrap();
    let login = format!("Basic {}", STANDARD.encode("user:hunter22-hunter22"));
    let head = heads.lock().unwrap()[0].clone();
    assert!(head.starts_with("CONNECT localhost:9 HTTP/1.1\r\n") && head.contains(&login), "{head}");
    assert!(!head.contains("key-key-key"), "the proxy sees no key");
    assert!(server.last().header("proxy-authorization").is_none(), "the provider sees no login");
    let (reader, base) = echo().await;
    let read = through("http://models.example/v1", base, "PROXY");
    setup.send(&read, Endpoint::Chat, false, &[]).await.unwrap();
    let seen = reader.last();
    assert_eq!(seen.uri, "http://models.example/v1/chat/completions");
    assert_eq!(seen.header("proxy-authorization"), Some(login.as_str()));
    let missing = through("http://x.example", "http://127.0.0.1:9".to_owned(), "NONE");
    let why = setup.send(&missing, Endpoint::Chat, false, &[]).await.unwrap_err();
    assert!(why.contains("set the environment variable NONE to user:password"), "{why}");
}

/// Anthropic's answer, its list of models, and a refusal that repeats the key.
fn anthropic(seen: &Seen) -> Response<Full<Bytes>> {
    match seen.uri.as_str() {
        "/v1/messages" => {
            let answer = json!({
                "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
                "stop_reason": "end_turn", "stop_sequence": null, "content": [{"type": "text", "text": "1"}],
                "usage": {"input_tokens": 3, "output_tokens": 1}
            });
            ok(answer.to_string())
        }
        "/v1/models?after_id=a" => ok(r#"{"data":[]}"#),
        _ => {
            let body = format!(r#"{{"error":{{"message":"bad key {SECRET}"}}}}"#);
            Response::builder().status(401).header("retry-after", "7").body(Full::from(body)).unwrap()
        }
    }
}

#[tokio::test]
async fn direct_calls_are_made_in_the_providers_dialect_and_hold_no_secret() {
    let server = Server::start(None, anthropic).await;
    let Setup { env, clock, .. } = setup(&[("KEY", SECRET)]);
    let direct = Direct::new(Arc::new(Net::new()), None, env, clock);
    let bounds = Bounds { within: Duration::from_secs(60), bytes_max: 10_000 };
    let base = format!("http://{}/v1", server.address);
    let anthropic = spec(json!({"format": "anthropic", "base_url": base, "key_env": "KEY"}));
    let body = json!({"model": "claude-x", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]});
    let lossy = pinrail_wire::convert::Lossy::default();
    let heard = direct.chat(&anthropic, body.to_string().into(), &lossy, bounds).await.unwrap();
    let answer: Value = serde_json::from_slice(&heard.body).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "1", "{answer}");
    assert_eq!((answer["model"].as_str(), heard.status), (Some("claude-x"), 200));
    assert_eq!(server.last().header("x-api-key"), Some(SECRET));
    let mut asks_more = body.clone();
    asks_more["logprobs"] = true.into();
    asks_more["top_logprobs"] = 5.into();
    let unheard = direct.chat(&anthropic, asks_more.to_string().into(), &lossy, bounds).await;
    assert!(matches!(unheard, Err(Unheard::Uncarried(_))), "{unheard:?}");
    let page = direct.models(&anthropic, "after_id=a", bounds).await.unwrap();
    assert_eq!(page.status, 200);
    assert_eq!(server.last().header("anthropic-version"), Some("2023-06-01"));
    let openai = spec(json!({"base_url": base, "key_env": "KEY"}));
    let refused = direct.ask(&openai, Endpoint::Chat, body.to_string().into(), bounds).await.unwrap();
    assert_eq!((refused.status, refused.retry_after_s), (401, Some(7)));
    assert!(!String::from_utf8_lossy(&refused.body).contains("hunter22")); // I15
    let keyless = spec(json!({"base_url": base, "key_env": "NONE"}));
    let unheard = direct.models(&keyless, "", bounds).await;
    assert!(matches!(&unheard, Err(Unheard::Here(why)) if why.contains("NONE")), "{unheard:?}");
    let bedrock = spec(json!({"format": "bedrock", "key_env": "KEY", "aws": {"region": "r"}}));
    assert!(matches!(direct.models(&bedrock, "", bounds).await, Err(Unheard::Here(_))));
}
