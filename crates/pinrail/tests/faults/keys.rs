//! Who may reach the server: nobody from elsewhere without keys.

use serde_json::json;

use crate::node::{BINARY, Node, up_at};
use crate::stage::{CHAT, chat};

#[test]
fn a_server_listens_beyond_this_machine_only_with_keys() {
    let dir = tempfile::tempdir().unwrap();
    let everywhere = || up_at("0.0.0.0:0", BINARY, dir.path());
    let refusal = Node::launch(everywhere()).err().expect("it refuses to start");
    assert_eq!(refusal.code, Some(1));
    assert!(refusal.said.contains("refusing to listen on 0.0.0.0:0 without keys"), "{}", refusal.said);
    assert!(refusal.said.contains("pinrail key create"), "{}", refusal.said);

    let node = Node::start(dir.path());
    let made = node.client.post("/api/v1/keys", &json!({ "name": "ops", "scopes": ["admin"] }));
    let token = made["token"].as_str().unwrap().to_owned();
    node.kill();

    let node = Node::launch(everywhere()).unwrap();
    let port = node.client.address().rsplit_once(':').unwrap().1.to_owned();
    let client = crate::client::Client::new(&format!("127.0.0.1:{port}"));
    for (method, path, body) in [
        ("GET", "/api/v1/status", None),
        ("GET", "/api/v1/ledger", None),
        ("POST", "/api/v1/runs", Some(json!({ "agent": "hello" }))),
        ("POST", CHAT, Some(chat("hello", false))),
    ] {
        for authorization in ["", "authorization: Bearer pr_000000000000_wrong\r\n"] {
            // In one piece: a refusal may come before the body was read.
            let text = body.as_ref().map(ToString::to_string).unwrap_or_default();
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{authorization}connection: close\r\n"
            );
            let kind = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", text.len());
            let answer = client.raw(format!("{head}{kind}{text}").as_bytes());
            assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{path}");
        }
        assert_eq!(client.with_token(&token).send(method, path, &[], body.as_ref()).unwrap().status, 200);
    }
    assert_eq!(client.send("GET", "/healthz", &[], None).unwrap().status, 200);
}
