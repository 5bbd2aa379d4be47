use std::collections::BTreeMap;

use axum::body::Body;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::limits::Limits;
use crate::testing::Bench;

const HERE: &str = "/api/v1/context/orders";

/// A client that keeps what the events say.
struct Client {
    stream: Body,
    shown: BTreeMap<String, Value>,
    messages: BTreeMap<u64, Value>,
    last_id: String,
    names: Vec<String>,
}

impl Client {
    async fn begin(bench: &Bench, query: &str) -> Client {
        let stream = bench.follow(&format!("{HERE}/watch?{query}"), &[]).await;
        Client {
            stream,
            shown: BTreeMap::new(),
            messages: BTreeMap::new(),
            last_id: String::new(),
            names: Vec::new(),
        }
    }

    async fn again(&mut self, bench: &Bench, query: &str) {
        let headers = [("last-event-id", &*self.last_id)];
        self.stream = bench.follow(&format!("{HERE}/watch?{query}"), &headers).await;
    }

    /// Takes in one change of the view; returns the names of its events.
    async fn change(&mut self) -> Vec<String> {
        self.names.clear();
        loop {
            let frame = self.stream.frame().await.unwrap().unwrap();
            let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
            for event in text.split("\n\n").filter(|event| !event.is_empty() && !event.starts_with(':')) {
                if self.take(event) {
                    return std::mem::take(&mut self.names);
                }
            }
        }
    }

    fn take(&mut self, event: &str) -> bool {
        let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let (name, data) = (line("event: "), serde_json::from_str::<Value>(line("data: ")).unwrap());
        let key = data["key"].as_str().map(str::to_owned);
        match name {
            "current" => {
                line("id: ").clone_into(&mut self.last_id);
                assert_eq!(data["moment"], self.last_id);
                return true;
            }
            "put" | "message" | "shown" => match key {
                Some(key) => drop(self.shown.insert(key, data)),
                None => drop(self.messages.insert(data["seq"].as_u64().unwrap(), data)),
            },
            "delete" | "hidden" => match key {
                Some(key) => drop(self.shown.remove(&key)),
                None => drop(self.messages.remove(&data["version"].as_u64().unwrap())),
            },
            other => panic!("no event {other}"),
        }
        self.names.push(name.to_owned());
        false
    }

    fn values(&self) -> Vec<(&str, &Value)> {
        self.shown.iter().map(|(key, data)| (key.as_str(), &data["value"])).collect()
    }
}

async fn put(bench: &Bench, run: &str, key: &str, value: u64) {
    bench.put(&format!("{HERE}/{key}"), json!({ "run": run, "value": value })).await.ok();
}

/// I4, I5: a watcher is told of what a promotion shows and a rollback takes back, each as one change.
#[tokio::test(start_paused = true)]
async fn a_watcher_has_what_a_reader_sees() {
    let (bench, two, good, bad) = Bench::with_canary(json!({})).await;
    put(&bench, &good, "a", 1).await;
    put(&bench, &good, "b", 1).await;
    let query = format!("run={good}");
    let mut client = Client::begin(&bench, &query).await;
    assert_eq!(client.change().await, ["put", "put"]);
    put(&bench, &good, "a", 2).await;
    assert_eq!(client.change().await, ["put"]);
    bench.delete(&format!("{HERE}/b?run={good}")).await.ok();
    assert_eq!(client.change().await, ["delete"]);
    let message = json!({ "run": good, "kind": "hello", "body": 1 });
    bench.post(&format!("{HERE}/messages"), message).await.ok();
    assert_eq!(client.change().await, ["message"]);

    // The canary's writes are nobody else's until it is promoted.
    put(&bench, &bad, "a", 9).await;
    put(&bench, &bad, "c", 9).await;
    bench.post(&format!("{HERE}/messages"), json!({ "run": bad, "kind": "hello", "body": 9 })).await.ok();
    bench.post(&format!("/api/v1/deployments/{two}/promote"), json!({})).await.ok();
    assert_eq!(client.change().await, ["put", "put", "message"]);
    assert_eq!(client.values(), [("a", &json!(9)), ("c", &json!(9))]);
    assert_eq!(client.messages.len(), 2);
    bench.roll_back(two).await.ok();
    assert_eq!(client.change().await, ["hidden", "hidden", "shown"]);
    assert_eq!(client.values(), [("a", &json!(2))]);
    assert_eq!(client.messages.len(), 1);
}

/// A watcher that was away is told what changed meanwhile, a promotion that was taken back included.
#[tokio::test(start_paused = true)]
async fn a_watcher_comes_back_to_what_it_missed() {
    let (bench, two, good, bad) = Bench::with_canary(json!({})).await;
    put(&bench, &good, "a", 1).await;
    put(&bench, &bad, "a", 9).await;
    put(&bench, &bad, "c", 9).await;
    let query = format!("run={good}");
    let mut client = Client::begin(&bench, &query).await;
    client.change().await;
    let before = client.last_id.clone();
    bench.post(&format!("/api/v1/deployments/{two}/promote"), json!({})).await.ok();
    client.change().await;
    assert_eq!(client.values(), [("a", &json!(9)), ("c", &json!(9))]);
    // It had the change, but not the word that it was whole.
    client.last_id = before;
    bench.roll_back(two).await.ok();
    client.again(&bench, &query).await;
    client.change().await;
    assert_eq!(client.values(), [("a", &json!(1))]);
    let path = format!("{HERE}/watch?after=");
    for (after, code) in [("x", "bad_name"), ("9999.1", "future_moment")] {
        bench.get(&format!("{path}{after}")).await.problem(code);
    }
    bench.get(&format!("{HERE}/watch?as_of=state:1")).await.problem("bad_request");
    bench.key(&["admin"], None).await;
    let stranger = bench.as_key(&bench.key(&["run"], Some(&["globex"])).await);
    stranger.get(&format!("{HERE}/watch?run={good}")).await.problem("not_found"); // I11
}

#[tokio::test(start_paused = true)]
async fn a_watcher_is_not_told_what_it_does_not_accept() {
    let bench = Bench::open().await;
    let wish = json!({ "external": true, "value": "secret", "protocol": 3 });
    bench.put(&format!("{HERE}/k"), wish).await.ok();
    let mut client = Client::begin(&bench, "accepts=1,2").await;
    client.change().await;
    let told = &client.shown["k"];
    assert_eq!((&told["unaccepted"], &told["protocol"], told.get("value")), (&json!(true), &json!(3), None));
}

#[tokio::test(start_paused = true)]
async fn watchers_are_counted_and_end_with_the_server() {
    let bench = Bench::with(Limits { watchers_max: 1, ..Limits::default() }).await;
    let path = format!("{HERE}/watch");
    let mut first = bench.follow(&path, &[]).await;
    bench.get(&path).await.problem("limit_reached");
    let current = first.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(current.starts_with(b"event: current\nid: 0."), "{current:?}");
    assert_eq!(&first.frame().await.unwrap().unwrap().into_data().unwrap()[..], b": still here\n\n");
    drop(first);
    let mut second = bench.follow(&path, &[]).await;
    second.frame().await.unwrap().unwrap();
    bench.state.draining.send_replace(true);
    assert!(second.frame().await.is_none());
    bench.get(&path).await.problem("not_ready");
}
