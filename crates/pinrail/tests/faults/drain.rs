//! SIGTERM: what is in flight finishes, nothing new begins.

use std::net::TcpStream;

use crate::node::Node;
use crate::provider::Provider;
use crate::seen::Seen;
use crate::stage::{CHAT, CRITICAL, STANDARD, Stage, chat};

#[test]
fn a_server_that_is_told_to_stop_finishes_its_streams_and_takes_no_more() {
    let provider = Provider::start();
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    Stage::set(&node.client, Some(&provider.base_url));
    provider.hold();
    let mut streams = [STANDARD, CRITICAL].map(|agent| node.client.stream(CHAT, &chat(agent, true)).unwrap());
    for stream in &mut streams {
        assert!(stream.line().unwrap().unwrap().contains("one"));
    }
    node.terminate();
    node.logged("stopping");
    // The listener goes as soon as the server has noticed; until then connections are taken and closed unheard.
    while TcpStream::connect(node.client.address()).is_ok() {
        std::thread::yield_now();
    }
    provider.release();
    let runs = streams.map(|stream| {
        let run = stream.header("x-pinrail-run").to_owned();
        let rest = stream.rest().expect("the answer comes to its end");
        assert!(rest.contains("two") && rest.trim_end().ends_with("data: [DONE]"), "{rest}");
        run
    });
    assert_eq!(node.wait().code(), Some(0));

    let node = Node::start(dir.path());
    assert_eq!(node.calls_closed(), 0, "nothing was cut off");
    let seen = Seen::look(&node.client, dir.path());
    for run in runs {
        let summary = &seen.runs[&run].summary;
        assert_eq!(
            (&summary["status"], &summary["outcome"]),
            (&"finished".into(), &"ok".into()),
            "{summary}"
        );
    }
}
