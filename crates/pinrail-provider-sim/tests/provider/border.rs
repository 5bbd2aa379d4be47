//! Questions of one word: chances by checkpoint, by day, with and without log probabilities, and swaps that only they show.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Client, NOW, chat};

const SCRIPT: &str = r#"
[[checkpoint]]
id = "old"
fingerprint = "fp_old"
logprobs = true
wobble = 0.2
[[checkpoint]]
id = "near"
sibling_of = "old"
distance = 0.3
logprobs = true
[[checkpoint]]
id = "far"
fingerprint = "fp_far"
logprobs = true
[[checkpoint]]
id = "mute"
[[alias]]
id = "pinned-2026-01-01"
checkpoint = "old"
mask = true
mask_fingerprint = true
rotate = [{ after_days = 2, to = "far" }]
"#;

const DAY: u64 = 86_400;

fn question(model: &str, at: usize) -> Value {
    let mut body = chat(model, &format!("Pick one word: red{at} or blue? Say only that word."));
    body["max_tokens"] = json!(1);
    body
}

async fn first_share(client: &Client, model: &str, at: usize) -> f64 {
    let mut body = question(model, at);
    body["logprobs"] = json!(true);
    body["top_logprobs"] = json!(5);
    let reply = client.post("/v1/chat/completions", &body).await.json();
    let tops = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"].as_array().unwrap().clone();
    assert_eq!(tops.len(), 3, "{reply}");
    let total: f64 = tops.iter().map(|top| top["logprob"].as_f64().unwrap().exp()).sum();
    assert!((total - 1.0).abs() < 1e-9, "{total}");
    let first = tops.iter().find(|top| top["token"] == format!("red{at}")).unwrap();
    first["logprob"].as_f64().unwrap().exp()
}

#[tokio::test]
async fn draws_follow_the_probabilities_that_are_told() {
    let client = Client::scripted(SCRIPT, 3);
    for at in 0..5 {
        let told = first_share(&client, "old", at).await;
        let mut body = question("old", at);
        body["temperature"] = json!(1);
        let mut first = 0;
        for _ in 0..400 {
            let reply = client.post("/v1/chat/completions", &body).await.json();
            assert_eq!(reply["usage"]["completion_tokens"], 1);
            first += u32::from(reply["choices"][0]["message"]["content"] == format!("red{at}"));
        }
        let share = f64::from(first) / 400.0;
        assert!((share - told).abs() < 0.1, "question {at}: told {told}, drawn {share}");
    }
}

#[tokio::test]
async fn siblings_are_near_and_others_are_not() {
    let client = Client::scripted(SCRIPT, 3);
    let (mut near, mut far) = (0.0, 0.0);
    for at in 0..40 {
        let old = first_share(&client, "old", at).await;
        near += (first_share(&client, "near", at).await - old).powi(2) / 40.0;
        far += (first_share(&client, "far", at).await - old).powi(2) / 40.0;
    }
    assert!(near > 0.0 && near.sqrt() < 0.12 && far.sqrt() > 0.25, "near {near}, far {far}");
}

#[tokio::test]
async fn who_has_no_probabilities_refuses_to_tell_them() {
    let client = Client::scripted(SCRIPT, 3);
    let mut body = question("mute", 1);
    assert_eq!(client.post("/v1/chat/completions", &body).await.status, StatusCode::OK);
    body["logprobs"] = json!(true);
    let refused = client.post("/v1/chat/completions", &body).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["error"]["param"], "logprobs");
}

#[tokio::test]
async fn a_swap_on_its_day_shows_in_the_answers_alone() {
    let now = Arc::new(AtomicU64::new(NOW));
    let clock = Arc::clone(&now);
    let client = Client::scripted_at(SCRIPT, 3, Arc::new(move || clock.load(Ordering::SeqCst)));
    let mut days = vec![];
    for day in 0..4 {
        now.store(NOW + day * DAY, Ordering::SeqCst);
        let reply = client.post("/v1/chat/completions", &question("pinned-2026-01-01", 0)).await.json();
        assert_eq!(
            (&reply["model"], &reply["system_fingerprint"]),
            (&json!("pinned-2026-01-01"), &json!("fp_old"))
        );
        let mut shares = vec![];
        for at in 0..20 {
            shares.push(first_share(&client, "pinned-2026-01-01", at).await);
        }
        days.push(shares);
    }
    let apart = |a: usize, b: usize| {
        (days[a].iter().zip(&days[b]).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 20.0).sqrt()
    };
    assert!((0.005..0.1).contains(&apart(0, 1)), "days wobble: {}", apart(0, 1));
    assert!(apart(1, 2) > 0.2, "the swap: {}", apart(1, 2));
    assert!(apart(2, 3) < 1e-9, "the other doesn't wobble: {}", apart(2, 3));
}
