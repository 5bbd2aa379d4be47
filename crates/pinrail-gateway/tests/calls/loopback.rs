//! Over real sockets: the connections that `Net` makes, and a stream through one of them.

use std::sync::Arc;

use http::Uri;
use hyper_util::rt::TokioIo;
use pinrail_domain::key::Tenants;
use pinrail_domain::provider::ProviderSpec;
use pinrail_gateway::connect::{Connect, Net};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::world::{Setup, chat, event, next};

#[tokio::test]
async fn bytes_go_both_ways_and_a_dropped_link_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: Uri = format!("http://{}/v1", listener.local_addr().unwrap()).parse().unwrap();
    let net: Arc<dyn Connect> = Arc::new(Net::new());
    let (link, accepted) = tokio::join!(net.connect(uri), listener.accept());
    let (mut link, mut socket) = (TokioIo::new(link.unwrap()), accepted.unwrap().0);
    link.write_all(b"ask").await.unwrap();
    let mut got = [0; 3];
    socket.read_exact(&mut got).await.unwrap();
    socket.write_all(&got).await.unwrap();
    link.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"ask");
    drop(link);
    assert_eq!(socket.read(&mut got).await.unwrap(), 0);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: Uri = format!("http://{}/v1", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    assert!(Net::new().connect(uri).await.is_err());
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_socket_to_the_provider() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1/", listener.local_addr().unwrap());
    let spec = ProviderSpec { base_url, ..Setup::default().spec };
    let world = Setup { spec, connect: Some(Arc::new(Net::new())), ..Setup::default() }.build();
    let provider = async {
        let mut socket = listener.accept().await.unwrap().0;
        let read = socket.read(&mut [0; 4_096]).await.unwrap();
        assert!(read > 0);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        socket.write_all(format!("{head}{}", event("a", None)).as_bytes()).await.unwrap();
        socket
    };
    let call = world.gateway.handle(chat(json!({"stream": true})), &Tenants::All);
    let (mut response, mut socket) = tokio::join!(call, provider);
    assert_eq!(next(&mut response).await, Some(event("a", None)));
    drop(response);
    assert_eq!(socket.read(&mut [0; 64]).await.unwrap_or(0), 0);
    assert_eq!(world.kinds().await, ["model_request", "model_response", "finished"]);
}
