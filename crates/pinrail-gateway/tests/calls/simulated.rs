//! The gateway in front of the simulated provider, over real sockets.

use std::sync::Arc;

use pinrail_domain::journal::{Ending, Event};
use pinrail_domain::key::Tenants;
use pinrail_domain::provider::ProviderSpec;
use pinrail_gateway::connect::Net;
use pinrail_provider_sim::{Script, Sim};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::world::{Setup, World, chat, text};

/// A gateway in front of a simulated provider of its own, which plays a script.
pub async fn simulated(script: &str, setup: Setup) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    let sim = Sim::new(Script::from_toml(script).unwrap(), 7, Arc::new(|| 1_800_000_000));
    tokio::spawn(async move { axum::serve(listener, sim.router()).await });
    let setup = Setup { connect: Some(Arc::new(Net::new())), sim_base: Some(base.parse().unwrap()), ..setup };
    setup.pin("model", "snapshot", json!("sim-1-2026-01-15")).build()
}

#[tokio::test]
async fn an_answer_and_a_stream_of_it_say_the_same() {
    let setup = Setup { spec: ProviderSpec::simulated(), system: Some("You help."), ..Setup::default() };
    let world = simulated(Script::builtin_text(), setup).await;
    let whole = text(world.gateway.handle(chat(json!({})), &Tenants::All).await).await;
    let whole: Value = serde_json::from_str(&whole).unwrap();
    let stream = text(world.gateway.handle(chat(json!({"stream": true})), &Tenants::All).await).await;
    assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
    let mut said = String::new();
    for event in stream.split("\n\n").filter_map(|event| event.strip_prefix("data: {")) {
        let event: Value = serde_json::from_str(&format!("{{{event}")).unwrap();
        said.push_str(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    }
    assert_eq!(said, whole["choices"][0]["message"]["content"].as_str().unwrap());
    let responses: Vec<_> = world
        .journal()
        .await
        .into_iter()
        .filter_map(|event| {
            let Event::ModelResponse(response) = event else { return None };
            Some(*response)
        })
        .collect();
    assert_eq!(responses.len(), 2);
    assert_eq!(responses[0].usage, responses[1].usage);
    for response in responses {
        assert_eq!(response.ending, Ending::Complete);
        assert_eq!(response.served_model.as_deref(), Some("sim-1-2026-01-15"));
        assert!(response.usage.is_some() && response.fingerprint.is_some());
    }
}
