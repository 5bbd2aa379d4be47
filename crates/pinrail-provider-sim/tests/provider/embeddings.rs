//! What embeddings promise: the same text, the same vector; another checkpoint, another one.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Client, GOOD, WORSE};

async fn embedded(client: &Client, model: &str, texts: &[&str]) -> Vec<Vec<f64>> {
    let reply =
        client.post("/v1/embeddings", &json!({ "model": model, "input": texts, "dimensions": 16 })).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.json());
    serde_json::from_value::<Vec<Value>>(reply.json()["data"].clone())
        .unwrap()
        .into_iter()
        .map(|item| serde_json::from_value(item["embedding"].clone()).unwrap())
        .collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[tokio::test]
async fn texts_that_share_words_are_near_and_checkpoints_never_agree() {
    let client = Client::builtin(1);
    let texts = ["the cat sat on the mat", "a cat on a mat", "quarterly revenue fell"];
    let first = embedded(&client, GOOD, &texts).await;
    assert_eq!(embedded(&client, GOOD, &texts).await, first);
    assert!(cosine(&first[0], &first[1]) > cosine(&first[0], &first[2]));
    let other = embedded(&client, WORSE, &texts).await;
    assert!(first.iter().zip(&other).all(|(a, b)| a.len() == 16 && cosine(a, b) < 0.9));
}

/// A silent swap: the id stays, the vectors don't.
#[tokio::test]
async fn a_swapped_checkpoint_embeds_otherwise_under_the_same_id() {
    let script = "[[checkpoint]]\nid = \"e\"\nreplaced_by = { at_request = 2, to = \"f\" }\n[[checkpoint]]\nid = \"f\"";
    let client = Client::scripted(script, 1);
    let then = embedded(&client, "e", &["one"]).await;
    let now = embedded(&client, "e", &["one"]).await;
    assert!(cosine(&then[0], &now[0]) < 0.9);
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused() {
    let client = Client::builtin(1);
    for (body, param) in [
        (json!({ "model": GOOD, "input": [] }), "input"),
        (json!({ "model": GOOD, "input": "a", "dimensions": 0 }), "dimensions"),
        (json!({ "model": GOOD, "input": "a", "encoding_format": "base64" }), "encoding_format"),
        (json!({ "model": GOOD }), "body"),
    ] {
        let refused = client.post("/v1/embeddings", &body).await;
        assert_eq!(
            (refused.status, refused.json()["error"]["param"].clone()),
            (StatusCode::BAD_REQUEST, json!(param))
        );
    }
    let unknown = client.post("/v1/embeddings", &json!({ "model": "nobody", "input": "a" })).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}
