//! Webhooks through kills: what happened is told, in order, under ids that don't change.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::{Value, json};

use crate::client::Client;
use crate::node::{BINARY, Node, data, up};

/// It is looked for everywhere but in the server's environment (I15).
const SECRET: &str = "whsec_cGxhbnRlZCBzZWNyZXQ=";
/// Times that a question is asked again.
const PATIENCE: usize = 100_000;

/// An event as it came.
struct Event {
    id: String,
    signature: String,
    whole: String,
}

/// A receiver that takes everything, on a port of its own until the test process ends.
fn receiver() -> (String, Receiver<Event>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    let (sender, events) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A server that was killed breaks its connection; it sends the event again.
            let _ = take(stream, &sender);
        }
    });
    (url, events)
}

fn take(stream: TcpStream, sender: &Sender<Event>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let header = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned()).unwrap_or_default()
    };
    let mut body = vec![0; header("content-length:").parse().unwrap()];
    reader.read_exact(&mut body)?;
    let (id, signature) = (header("webhook-id:"), header("webhook-signature:"));
    let _ = sender.send(Event { id, signature, whole: head.clone() + &String::from_utf8_lossy(&body) });
    reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
}

fn start(dir: &Path, point: Option<&str>) -> Node {
    let mut command = up(BINARY, dir);
    command.env("HOOK_SECRET", SECRET);
    command.envs(point.map(|point| ("PINRAIL_CRASH_AT", point)));
    Node::launch(command).unwrap()
}

/// Makes changes until they are done or the server is dead.
fn change(client: &Client, round: usize) {
    for n in 0..4 {
        let path = format!("/api/v1/providers/p-{round}-{n}");
        let spec = json!({ "base_url": "sim:", "catalogue": "sim" });
        if client.send("PUT", &path, &[], Some(&spec)).is_err() {
            return;
        }
    }
}

/// Waits until the webhook is done with the whole ledger, and gives what is shown of it.
fn caught_up(client: &Client) -> Value {
    let mut shown = (0..PATIENCE).map(|_| client.get("/api/v1/webhooks/chat"));
    shown.find(|shown| shown["lag"] == 0).expect("the events are delivered")
}

/// I9: nothing that was committed is lost to a receiver, whatever the server dies of; and the secret is nowhere (I15).
#[test]
fn what_a_killed_server_owed_is_told_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (url, events) = receiver();
    let node = start(dir.path(), None);
    let spec = json!({ "url": url, "secret_env": "HOOK_SECRET", "events": ["provider_put"] });
    let client = &node.client;
    client.put("/api/v1/webhooks/chat", &spec);
    node.kill();
    let points = [
        "deliveries.before_commit:1",
        "deliveries.after_commit:1",
        "deliveries.before_commit:3",
        "ledger.after_commit:2",
    ];
    for (round, point) in points.into_iter().enumerate() {
        let node = start(dir.path(), Some(point));
        change(&node.client, round);
        node.wait_for_crash();
    }
    let node = start(dir.path(), None);
    let client = &node.client;
    let shown = caught_up(client);
    assert_eq!(shown["dead_letters"], 0, "{shown}");
    let entries = client.all("/api/v1/ledger", "after");
    let since = shown["since"].as_u64().unwrap();
    let owed = entries
        .iter()
        .filter(|entry| entry["body"]["type"] == "provider_put" && entry["seq"].as_u64().unwrap() > since);
    let owed: Vec<String> = owed.map(|entry| format!("ledger-{}", entry["seq"])).collect();
    assert!(owed.len() >= points.len(), "{owed:?}");
    let came: Vec<Event> = events.try_iter().collect();
    let mut once = BTreeSet::new();
    let told: Vec<String> =
        came.iter().filter(|event| once.insert(&event.id)).map(|event| event.id.clone()).collect();
    assert_eq!(told, owed, "every one, each for the first time in the ledger's order");
    // What was on its way when the server died came twice, and nothing else did.
    assert!(came.len() <= told.len() + points.len(), "{} came for {}", came.len(), told.len());
    for event in &came {
        assert!(event.signature.starts_with("v1,") && !event.whole.contains("whsec_"), "{}", event.whole);
    }
    node.stop();
    for entry in fs::read_dir(data(dir.path())).unwrap() {
        let path = entry.unwrap().path();
        let kept = if path.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let found = kept.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "the secret is in {}", path.display());
    }
}
