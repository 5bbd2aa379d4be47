//! The release as the provider sees it applied.

use pinrail_domain::journal::Event;
use pinrail_domain::provider::ProviderSpec;
use pinrail_gateway::Limits;
use serde_json::{Value, json};

use crate::world::{SNAPSHOT, Setup, World, chat, completion};

const TOOLS: &str = r#"[{"type":"function","function":{"name":"search"}}]"#;

/// What reaches the provider of a request.
async fn sent(mut world: World, fields: Value) -> Value {
    let (answer, body) = world
        .call(chat(fields), async |mut provider| {
            let mut connection = provider.accept().await;
            connection.answer("200 OK", &[], &completion(SNAPSHOT)).await;
            connection.body
        })
        .await;
    assert_eq!(answer.status(), 200);
    body
}

#[tokio::test(start_paused = true)]
async fn model_parameters_prompt_and_tools_are_the_releases() {
    let setup = Setup { system: Some("Be kind to {{ name }}.\n"), tools: Some(TOOLS), ..Setup::default() }
        .pin("model", "params", json!({"temperature": 0.2, "max_tokens": 800}));
    let fields = json!({
        "temperature": 1.5, "max_completion_tokens": 5, "seed": 7,
        "tools": [{"type": "function", "function": {"name": "other"}}],
        "messages": [{"role": "system", "content": "be rude"}, {"role": "user", "content": "hi"}],
        "metadata": {"pinrail_var_name": "Zoë", "mine": "x"},
    });
    let body = sent(setup.build(), fields).await;
    assert_eq!(
        (&body["model"], &body["temperature"], &body["seed"]),
        (&json!(SNAPSHOT), &json!(0.2), &json!(7))
    );
    assert_eq!((&body["max_tokens"], body.get("max_completion_tokens")), (&json!(800), None));
    assert_eq!(body["tools"], serde_json::from_str::<Value>(TOOLS).unwrap());
    assert_eq!(body["messages"][0], json!({"role": "system", "content": "Be kind to Zoë.\n"}));
    assert_eq!(body["messages"].as_array().unwrap().len(), 2);
    assert_eq!(body["metadata"], json!({"mine": "x"}));
}

#[tokio::test(start_paused = true)]
async fn what_a_release_does_not_pin_stays_the_callers() {
    let messages = json!([{"role": "system", "content": "mine"}, {"role": "user", "content": "hi"}]);
    let body =
        sent(World::new(), json!({"messages": messages, "temperature": 1, "pinrail": {"session": "s"}}))
            .await;
    assert_eq!(body, json!({"model": SNAPSHOT, "messages": messages, "temperature": 1}));
}

#[tokio::test(start_paused = true)]
async fn the_pinrail_object_wins_over_metadata() {
    let setup = || Setup { system: Some("{{ a }}{{ b.c }}"), ..Setup::default() }.build();
    let both = json!({
        "pinrail": {"variables": {"a": 1, "b": {"c": [2]}}},
        "metadata": {"pinrail_var_a": "x"},
    });
    assert_eq!(sent(setup(), both).await["messages"][0]["content"], "1[2]");
}

#[tokio::test(start_paused = true)]
async fn a_missing_variable_is_named_and_journaled() {
    let mut world = Setup { system: Some("{{ name }} {{ user.plan }}"), ..Setup::default() }.build();
    let (answer, body) = world.refused(chat(json!({"metadata": {"pinrail_var_name": "x"}}))).await;
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["x-pinrail-fault"].to_str().unwrap()),
        (400, "client")
    );
    assert_eq!(body["error"]["code"], "missing_variable");
    assert!(body["error"]["message"].as_str().unwrap().contains("`user"), "{body}");
    assert!(answer.headers().contains_key("x-pinrail-run"));
    let journal = world.journal().await;
    assert!(
        matches!(&journal[0], Event::ModelFailed { code, .. } if code == "missing_variable"),
        "{journal:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn verify_mode_lets_through_what_matches_and_names_what_does_not() {
    let setup = || {
        Setup { system: Some("Be kind."), tools: Some(TOOLS), ..Setup::default() }
            .pin("model", "params", json!({"temperature": 0.2}))
            .pin("prompt", "mode", json!("verify"))
            .build()
    };
    let tools: Value = serde_json::from_str(TOOLS).unwrap();
    let messages = json!([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}]);
    let right = json!({"messages": messages, "tools": tools});
    let body = sent(setup(), right.clone()).await;
    assert_eq!(
        (&body["model"], &body["messages"], &body["temperature"]),
        (&json!(SNAPSHOT), &messages, &json!(0.2))
    );

    async fn check(mut world: World, fields: Value, names: &str) {
        let (answer, body) = world.refused(chat(fields)).await;
        assert_eq!((answer.status().as_u16(), &body["error"]["code"]), (409, &json!("release_mismatch")));
        assert!(body["error"]["message"].as_str().unwrap().contains(names), "{body}");
        assert!(answer.headers().contains_key("x-pinrail-release"));
        assert_eq!(world.kinds().await, ["model_failed", "finished"]);
    }
    check(setup(), json!({"tools": tools}), "pinned system text").await;
    check(setup(), json!({"messages": messages}), "tools[search]").await;
    let hot = json!({"messages": messages, "tools": tools, "temperature": 1});
    check(setup(), hot, "`temperature` must be `0.2`").await;
}

#[tokio::test(start_paused = true)]
async fn prompts_and_variables_are_bounded() {
    async fn check(limits: Limits, variables: Value, code: &str) {
        let mut world = Setup { system: Some("{{ a }}{{ a }}"), limits, ..Setup::default() }.build();
        let (answer, body) = world.refused(chat(json!({"pinrail": {"variables": variables}}))).await;
        assert_eq!((answer.status().as_u16(), &body["error"]["code"]), (400, &json!(code)));
    }
    let limits = Limits::default();
    check(Limits { prompt_bytes_max: 9, ..limits }, json!({"a": "12345"}), "prompt_too_long").await;
    check(Limits { variables_max: 1, ..limits }, json!({"a": 1, "b": 2}), "too_many_variables").await;
    check(Limits { variables_bytes_max: 10, ..limits }, json!({"a": "1234567"}), "too_many_variables").await;
    check(limits, json!([]), "invalid_pinrail_field").await;
}

#[tokio::test(start_paused = true)]
async fn a_release_that_cannot_be_applied_is_our_fault() {
    for (system, tools) in [(Some("{{ open"), None), (None, Some("{}")), (None, Some("nonsense"))] {
        let mut world = Setup { system, tools, ..Setup::default() }.build();
        let (answer, body) = world.refused(chat(json!({}))).await;
        assert_eq!(
            (answer.status().as_u16(), &body["error"]["code"]),
            (500, &json!("release_unusable")),
            "{body}"
        );
        assert_eq!(answer.headers()["x-pinrail-fault"], "pinrail");
    }
}

#[tokio::test]
async fn a_provider_is_asked_by_its_own_name_for_the_pin_and_may_answer_with_it() {
    let models = [(SNAPSHOT.to_owned(), "our-deployment".to_owned())].into();
    let spec = ProviderSpec { models, ..Setup::default().spec };
    let mut world = Setup { spec, ..Setup::default() }.build();
    let (_, asked) = world
        .call(chat(json!({})), async |mut provider| {
            let mut connection = provider.accept().await;
            connection.answer("200 OK", &[], &completion("our-deployment")).await;
            connection.body["model"].clone()
        })
        .await;
    assert_eq!(asked, "our-deployment");
    assert_eq!(world.kinds().await, ["model_request", "model_response", "finished"]);
}
