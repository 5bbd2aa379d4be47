//! Who calls, and what is refused before anything is stamped.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use pinrail_domain::begin::{BeginError, Call};
use pinrail_domain::id::{RunId, TenantId};
use pinrail_domain::key::Tenants;
use pinrail_gateway::Limits;
use serde_json::{Value, json};

use crate::world::{SNAPSHOT, Setup, World, chat, completion, raw, text, whole, with};

const RUN: &str = "run_00000000zz0000000000000007";

/// The call that the control plane is asked to begin.
async fn begun(request: Request<Full<Bytes>>) -> Call {
    let mut world = World::new();
    let (answer, ()) = world
        .call(request, async |mut provider| {
            provider.accept().await.answer("200 OK", &[], &completion(SNAPSHOT)).await;
        })
        .await;
    assert_eq!(answer.status(), 200);
    let calls = world.runs.calls.lock().unwrap();
    calls[0].clone()
}

async fn refused(world: &mut World, request: Request<Full<Bytes>>, status: u16, code: &str) -> String {
    let (answer, body) = world.refused(request).await;
    assert_eq!((answer.status().as_u16(), body["error"]["code"].as_str().unwrap()), (status, code), "{body}");
    assert!(answer.headers().contains_key("x-pinrail-fault"));
    assert!(world.runs.journal.lock().unwrap().is_empty());
    body["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn run_session_tenant_and_attributes_come_by_header_or_body() {
    let request = with(chat(json!({"user": "u"})), "x-pinrail-run", RUN);
    let request = with(with(request, "x-pinrail-session", "s1"), "x-pinrail-tenant", "acme");
    let call = begun(with(request, "x-pinrail-attributes", "plan=beta, region=eu")).await;
    assert_eq!((call.run, call.tenant.as_str()), (Some(RUN.parse::<RunId>().unwrap()), "acme"));
    assert_eq!(call.session.unwrap().as_str(), "s1");
    let attributes = BTreeMap::from([("plan".into(), "beta".into()), ("region".into(), "eu".into())]);
    assert_eq!(call.attributes, attributes);

    let metadata = json!({"pinrail_session": "s2", "pinrail_tenant": "t2", "pinrail_attr_plan": "pro"});
    let own = json!({"session": "s3", "attributes": {"region": "us"}});
    let call = begun(chat(json!({"metadata": metadata, "pinrail": own}))).await;
    assert_eq!((call.session.unwrap().as_str(), call.tenant.as_str(), call.run), ("s3", "t2", None));
    assert_eq!(
        call.attributes,
        BTreeMap::from([("plan".into(), "pro".into()), ("region".into(), "us".into())])
    );
}

#[tokio::test(start_paused = true)]
async fn a_user_is_a_session_where_none_is_named() {
    let session = async |user: &str| begun(chat(json!({"user": user}))).await.session.map(|s| s.to_string());
    assert_eq!(session("ann@example.com").await.as_deref(), Some("user:ann@example.com"));
    assert_eq!(session("").await, None);
    let long = session("Zoë with spaces").await.unwrap();
    assert!(long.starts_with("user:sha256:") && session("Zoë with spaces").await.unwrap() == long);
}

#[tokio::test(start_paused = true)]
async fn contradictions_name_both_sides() {
    let mut world = World::new();
    let both = |header: &'static str, value: &str, body: Value| with(chat(body), header, value);
    let session = both("x-pinrail-session", "a", json!({"metadata": {"pinrail_session": "b"}}));
    let said = refused(&mut world, session, 400, "contradiction").await;
    assert!(said.contains("x-pinrail-session") && said.contains("metadata.pinrail_session"), "{said}");
    let tenant = both("x-pinrail-tenant", "a", json!({"pinrail": {"tenant": "b"}}));
    let said = refused(&mut world, tenant, 400, "contradiction").await;
    assert!(said.contains("x-pinrail-tenant") && said.contains("pinrail.tenant"), "{said}");
    let attribute = both("x-pinrail-attributes", "plan=a", json!({"metadata": {"pinrail_attr_plan": "b"}}));
    refused(&mut world, attribute, 400, "contradiction").await;
    let same = both("x-pinrail-session", "a", json!({"metadata": {"pinrail_session": "a"}}));
    assert_eq!(begun(same).await.session.unwrap().as_str(), "a");
}

#[tokio::test(start_paused = true)]
async fn bad_names_and_values_are_refused_by_name() {
    let mut world = World::new();
    let check = [
        ("x-pinrail-run", "run_1", "invalid_identity"),
        ("x-pinrail-session", "a b", "invalid_identity"),
        ("x-pinrail-tenant", "", "invalid_identity"),
        ("x-pinrail-attributes", "plan", "invalid_attributes"),
        ("x-pinrail-attributes", "a=1,a=2", "invalid_attributes"),
        ("x-pinrail-sesion", "a", "unknown_header"),
    ];
    for (header, value, code) in check {
        let said = refused(&mut world, with(chat(json!({})), header, value), 400, code).await;
        assert!(said.contains(header), "{said}");
    }
    let twice = with(with(chat(json!({})), "x-pinrail-session", "a"), "x-pinrail-session", "a");
    refused(&mut world, twice, 400, "duplicate_header").await;
    let typo = chat(json!({"metadata": {"pinrail_sesion": "a"}}));
    assert!(refused(&mut world, typo, 400, "unknown_field").await.contains("metadata.pinrail_sesion"));
    let typo = chat(json!({"pinrail": {"sesion": "a"}}));
    assert!(refused(&mut world, typo, 400, "invalid_pinrail_field").await.contains("`sesion`"));
    let many: Vec<String> = (0..33).map(|n| format!("a{n}=1")).collect();
    let many = with(chat(json!({})), "x-pinrail-attributes", &many.join(","));
    refused(&mut world, many, 400, "too_many_attributes").await;
    let long = with(chat(json!({})), "x-pinrail-attributes", &format!("a={}", "x".repeat(257)));
    refused(&mut world, long, 400, "attribute_too_long").await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_not_the_callers_is_refused() {
    let tenant = |name: &str| TenantId::new(name).unwrap();
    let mut world =
        Setup { tenants: Tenants::Only([tenant("a"), tenant("b")].into()), ..Setup::default() }.build();
    let other = with(chat(json!({})), "x-pinrail-tenant", "c");
    assert!(refused(&mut world, other, 403, "tenant_refused").await.contains("`c`")); // I11
    let other = chat(json!({"pinrail": {"tenant": "c"}}));
    refused(&mut world, other, 403, "tenant_refused").await; // I11
    refused(&mut world, chat(json!({})), 403, "tenant_refused").await;
}

#[tokio::test(start_paused = true)]
async fn bodies_are_bounded() {
    let limits = Limits { body_bytes_max: 100, ..Limits::default() };
    let mut world = Setup { limits, ..Setup::default() }.build();
    assert!(refused(&mut world, raw(vec![b' '; 101]), 413, "body_too_large").await.contains("100 bytes"));
    // The header alone is enough: the body is not read.
    refused(&mut world, with(raw("{}"), "content-length", "101"), 413, "body_too_large").await;
    let limits = Limits { bodies_bytes_max: 100, ..Limits::default() };
    let mut world = Setup { limits, ..Setup::default() }.build();
    assert!(refused(&mut world, raw(vec![b' '; 101]), 503, "busy").await.contains("limit of 100"));
    // What was held was given back.
    refused(&mut world, raw("{}"), 400, "invalid_request").await;
    let mut world = World::new();
    let deep = |depth: usize| raw(format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    refused(&mut world, deep(65), 400, "json_too_deep").await;
    refused(&mut world, deep(64), 400, "invalid_request").await;
    refused(&mut world, raw("{"), 400, "invalid_request").await;
    refused(&mut world, with(raw("{}"), "content-encoding", "gzip"), 415, "unsupported_encoding").await;
}

/// A body that never comes.
struct Stalled;

impl http_body::Body for Stalled {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let world = World::new();
    let request = Request::post("/v1/chat/completions").body(Stalled).unwrap();
    let answer = world.gateway.handle(request, &Tenants::All).await;
    assert_eq!((answer.status().as_u16(), world.gateway.calls()), (408, 0));
    assert!(text(answer).await.contains("body_timeout"));
}

#[tokio::test(start_paused = true)]
async fn calls_at_once_are_bounded() {
    let mut world =
        Setup { limits: Limits { calls_max: 1, ..Limits::default() }, ..Setup::default() }.build();
    let gateway = world.gateway.clone();
    let (first, ()) = world
        .call(chat(json!({})), async |mut provider| {
            let mut connection = provider.accept().await;
            let second = whole(Box::pin(gateway.handle(chat(json!({})), &Tenants::All)).await).await;
            assert_eq!(
                (second.status().as_u16(), second.headers()["retry-after"].to_str().unwrap()),
                (503, "1")
            );
            let said: Value = serde_json::from_slice(second.body()).unwrap();
            assert_eq!(said["error"]["code"], "busy");
            connection.answer("200 OK", &[], &completion(SNAPSHOT)).await;
        })
        .await;
    assert_eq!((first.status().as_u16(), world.gateway.calls()), (200, 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_begin_says_why() {
    let run: RunId = RUN.parse().unwrap();
    let agent = || pinrail_domain::id::AgentName::new("support").unwrap();
    let segment = pinrail_domain::id::SegmentName::default_segment();
    use pinrail_domain::journal::RunStatus;
    let not_running = |status| BeginError::NotRunning { run, status };
    let disk = std::sync::Arc::new(std::io::Error::other("disk full"));
    let cases = [
        (
            BeginError::NothingActive { agent: agent(), segment },
            503,
            "nothing_active",
            "pinrail deploy support=",
        ),
        (BeginError::NoRun(run), 404, "run_not_found", RUN),
        (BeginError::OtherAgent { run, agent: agent() }, 409, "run_of_other_agent", "support"),
        (BeginError::OtherSession { run }, 409, "run_of_other_session", RUN),
        (not_running(RunStatus::Queued), 409, "run_not_running", "start it first"),
        (not_running(RunStatus::Paused), 409, "run_not_running", "pinrail run resume run_"),
        (not_running(RunStatus::Parked), 409, "run_not_running", "pinrail run resume run_"),
        (not_running(RunStatus::Finished), 409, "run_not_running", "takes no more calls: leave the run out"),
        (BeginError::PinGone { run, why: "retired".into() }, 409, "pin_gone", "retired"),
        (BeginError::Stale { ms: 6_000 }, 503, "stale", "for 6000 ms"),
        (BeginError::Busy { what: "open runs", limit: 5 }, 503, "busy", "limit of 5"),
        (BeginError::Journal(disk), 503, "journal_unwritable", "disk full"),
    ];
    for (error, status, code, says) in cases {
        let mut world = World::new();
        *world.runs.refusal.lock().unwrap() = Some(error);
        let said = refused(&mut world, chat(json!({})), status, code).await;
        assert!(said.contains(says), "{said}");
    }
    let mut world = World::new();
    let other = raw(r#"{"model":"nobody","messages":[]}"#);
    assert!(refused(&mut world, other, 404, "model_not_found").await.contains("nobody"));
    let long = raw(json!({"model": "M".repeat(100_000), "messages": []}).to_string());
    assert!(refused(&mut world, long, 404, "model_not_found").await.len() < 300);
    let long = raw(json!({"model": "m", "messages": 1, "metadata": {}})
        .to_string()
        .replace("messages", &"x".repeat(9_000)));
    refused(&mut world, long, 400, "invalid_request").await;
    let key = "x".repeat(9_000);
    let twice = raw(format!(r#"{{"model":"m","messages":[],"{key}":1,"{key}":2}}"#));
    assert!(refused(&mut world, twice, 400, "invalid_request").await.len() < 5_000);
    assert_eq!(world.gateway.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn other_paths_and_methods() {
    let world = World::new();
    let ask = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).body(Full::<Bytes>::default()).unwrap();
        let answer = world.gateway.handle(request, &Tenants::All).await;
        let allow = answer.headers().get("allow").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), allow, text(answer).await)
    };
    let (status, _, list) = ask("GET", "/v1/models").await;
    let list: Value = serde_json::from_str(&list).unwrap();
    let entry = json!({"id": "support", "object": "model", "created": 1_700_000_000, "owned_by": "pinrail"});
    assert_eq!((status, &list["data"]), (200, &json!([entry])));
    let (status, _, one) = ask("GET", "/v1/models/support").await;
    assert_eq!((status, serde_json::from_str::<Value>(&one).unwrap()), (200, entry));
    assert_eq!(ask("GET", "/v1/models/nobody").await.0, 404);
    for (method, path, status, allow) in [
        ("GET", "/v1/chat/completions", 405, Some("POST")),
        ("HEAD", "/v1/chat/completions", 405, Some("POST")),
        ("POST", "/v1/models", 405, Some("GET")),
        ("DELETE", "/v1/models/support", 405, Some("GET")),
        ("GET", "/v1/embeddings", 405, Some("POST")),
        ("PUT", "/v1/messages/count_tokens", 405, Some("POST")),
        ("GET", "/v1/responses/resp_1", 404, None),
        ("POST", "/v1/audio/speech", 404, None),
    ] {
        let (got, allowed, body) = ask(method, path).await;
        assert_eq!((got, allowed.as_deref()), (status, allow), "{method} {path}");
        assert!(serde_json::from_str::<Value>(&body).unwrap()["error"]["message"].is_string());
    }
}

mod sources {
    use pinrail_domain::id::SessionId;
    use pinrail_domain::identity::{IdentitySpec, Source};
    use pinrail_wire::Dialect;

    use super::*;
    use crate::said::{ALL, ask, events, hello, speaking, streaming};

    fn reading(session: &[&str], tenant: &[&str]) -> IdentitySpec {
        let sources = |all: &[&str]| all.iter().map(|one| one.parse::<Source>().unwrap()).collect();
        IdentitySpec { session: sources(session), tenant: sources(tenant) }
    }

    fn world(client: Dialect, identity: IdentitySpec, tenants: Tenants) -> World {
        Setup { identity: Some(identity), tenants, ..speaking(client) }.build()
    }

    /// The call that is begun of a request of which these sources are read.
    async fn begun(client: Dialect, identity: IdentitySpec, request: Request<Full<Bytes>>) -> Call {
        let mut world = world(client, identity, Tenants::All);
        let (answer, ()) = world
            .call(request, async |mut provider| {
                provider.accept().await.answer("200 OK", &[], &hello(client).to_string()).await;
            })
            .await;
        assert_eq!(answer.status(), 200);
        world.runs.calls.lock().unwrap()[0].clone()
    }

    #[tokio::test(start_paused = true)]
    async fn each_source_names_a_session() {
        async fn check(client: Dialect, sources: &[&str], fields: Value, want: Option<&str>) {
            let request = ask(client, "hi", fields.clone());
            let session = begun(client, reading(sources, &[]), request).await.session;
            assert_eq!(session.as_ref().map(SessionId::as_str), want, "{sources:?} {fields}");
        }
        use Dialect::{Chat, Messages, Responses};
        let user = json!({"user": "ann"});
        check(Chat, &["user"], user.clone(), Some("user:ann")).await;
        check(Responses, &["user"], user.clone(), Some("user:ann")).await;
        check(Messages, &["user"], json!({"metadata": {"user_id": "ann"}}), Some("user:ann")).await;
        check(Chat, &[], user.clone(), None).await;
        for source in ["safety_identifier", "prompt_cache_key"] {
            let want = format!("{source}:x1");
            for client in [Chat, Responses] {
                check(client, &[source], json!({source: " x1 "}), Some(&want)).await;
                check(client, &[source], json!({source: ""}), None).await;
                check(client, &[source], json!({source: null}), None).await;
            }
        }
        check(Responses, &["conversation"], json!({"conversation": "c1"}), Some("conversation:c1")).await;
        check(Responses, &["conversation"], json!({"conversation": {"id": "c1"}}), Some("conversation:c1"))
            .await;
        check(
            Responses,
            &["previous_response_id"],
            json!({"previous_response_id": "r1"}),
            Some("response:r1"),
        )
        .await;
        check(Responses, &["previous_response_id"], json!({}), None).await;
        check(Chat, &["metadata.thread"], json!({"metadata": {"thread": "t1"}}), Some("metadata.thread:t1"))
            .await;
        check(Chat, &["metadata.thread"], json!({"metadata": {"other": "t1"}}), None).await;
        // The first that says something, in the agent's order.
        let both = json!({"user": "ann", "prompt_cache_key": "k"});
        check(Chat, &["prompt_cache_key", "user"], both.clone(), Some("prompt_cache_key:k")).await;
        check(Chat, &["user", "prompt_cache_key"], both.clone(), Some("user:ann")).await;
        check(Chat, &["safety_identifier", "user"], both, Some("user:ann")).await;
        // What names Pinrail's own words wins.
        let named = json!({"user": "ann", "pinrail": {"session": "s1"}});
        check(Chat, &["user"], named, Some("s1")).await;
        let named = json!({"prompt_cache_key": "k", "metadata": {"pinrail_session": "s2"}});
        check(Responses, &["prompt_cache_key"], named, Some("s2")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn headers_name_sessions_and_tenants() {
        async fn check(source: &str, header: &'static str, value: &str, want: Option<&str>) {
            let request = with(chat(json!({})), header, value);
            let session = begun(Dialect::Chat, reading(&[source], &[]), request).await.session;
            assert_eq!(session.as_ref().map(SessionId::as_str), want, "{source} {value}");
        }
        check("header.x-chat-id", "x-chat-id", "c1", Some("header.x-chat-id:c1")).await;
        check("header.X-Chat-Id", "x-chat-id", "c1", Some("header.x-chat-id:c1")).await;
        check("header.x-chat-id", "x-other", "c1", None).await;
        check("baggage.session", "baggage", "session=s1", Some("baggage.session:s1")).await;
        let spaced = "a=b, session = s%2F1%20 ;ttl=3;x, c=d";
        check("baggage.session", "baggage", spaced, Some("baggage.session:s/1")).await;
        check("baggage.session", "baggage", "a=b,session=s%2F1;ttl=3;x=y,c=d", Some("baggage.session:s/1"))
            .await;
        check("baggage.session", "baggage", "sessions=s1", None).await;
        let request = with(with(chat(json!({})), "baggage", "a=b"), "baggage", "session=s1,tenant=acme");
        let call = begun(Dialect::Chat, reading(&["baggage.session"], &["baggage.tenant"]), request).await;
        assert_eq!((call.session.unwrap().as_str(), call.tenant.as_str()), ("baggage.session:s1", "acme"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_that_is_not_the_keys_is_refused() {
        // I11
        let acme: TenantId = "acme".parse().unwrap();
        let only = || Tenants::Only([acme.clone()].into());
        async fn check(tenants: Tenants, request: Request<Full<Bytes>>, want: Result<&str, (u16, &str)>) {
            let identity = reading(&[], &["user", "header.x-org"]);
            let mut world = world(Dialect::Chat, identity, tenants);
            match want {
                Ok(tenant) => {
                    let answer = async |mut provider: crate::world::Provider| {
                        provider
                            .accept()
                            .await
                            .answer("200 OK", &[], &hello(Dialect::Chat).to_string())
                            .await;
                    };
                    assert_eq!(world.call(request, answer).await.0.status(), 200);
                    assert_eq!(world.runs.calls.lock().unwrap()[0].tenant.as_str(), tenant);
                }
                Err((status, code)) => {
                    refused(&mut world, request, status, code).await;
                }
            }
        }
        check(only(), chat(json!({"user": "acme"})), Ok("acme")).await;
        check(only(), chat(json!({"user": "other"})), Err((403, "tenant_refused"))).await;
        check(only(), with(chat(json!({})), "x-org", "other"), Err((403, "tenant_refused"))).await;
        check(only(), chat(json!({})), Ok("acme")).await;
        check(Tenants::All, with(chat(json!({})), "x-org", "acme"), Ok("acme")).await;
        check(Tenants::All, chat(json!({"user": "no tenant!"})), Err((400, "invalid_identity"))).await;
        let named = with(chat(json!({"user": "other"})), "x-pinrail-tenant", "acme");
        check(only(), named, Ok("acme")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_goes_on_from_an_answer_stays_where_it_was_given() {
        async fn check(client: Dialect, provider: Dialect, sources: &[&str], stream: bool, want: bool) {
            let case = format!("{} to {} {sources:?} {stream}", client.word(), provider.word());
            let identity = reading(sources, &[]);
            let mut world = Setup { identity: Some(identity), ..speaking(provider) }.build();
            let fields = if stream { streaming(client) } else { json!({}) };
            let (answer, ()) = world
                .call(ask(client, "hi", fields), async |mut theirs| {
                    let mut connection = theirs.accept().await;
                    if stream {
                        connection.begin_stream().await;
                        connection.chunk(&events(provider, &hello(provider)).concat()).await;
                        connection.end_stream().await;
                    } else {
                        connection.answer("200 OK", &[], &hello(provider).to_string()).await;
                    }
                })
                .await;
            let got = text(answer).await;
            world.gateway.drained().await;
            let followed = world.runs.followed.lock().unwrap().clone();
            assert_eq!(followed.len(), usize::from(want), "{case}");
            for session in followed {
                // By the id that the client got.
                let id = session.as_str().strip_prefix("response:").unwrap();
                assert!(got.contains(&format!("\"id\":\"{id}\"")), "{case}: {session} {got}");
            }
        }
        let sources = &["previous_response_id", "user"][..];
        for stream in [false, true] {
            check(Dialect::Responses, Dialect::Responses, sources, stream, true).await;
            check(Dialect::Responses, Dialect::Responses, &["user"], stream, false).await;
            for provider in ALL {
                check(Dialect::Chat, provider, sources, stream, false).await;
                check(Dialect::Messages, provider, sources, stream, false).await;
            }
            check(Dialect::Responses, Dialect::Chat, sources, stream, true).await;
            check(Dialect::Responses, Dialect::Messages, sources, stream, true).await;
        }
    }
}
