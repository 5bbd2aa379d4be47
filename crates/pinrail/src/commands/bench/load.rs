//! The load: connections that each keep one request in flight.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::process;
use super::upstream::OWN_TIME;

/// What to ask, of whom, how.
#[derive(Clone, Debug)]
pub struct Load {
    pub port: u16,
    pub model: &'static str,
    pub streams: bool,
    pub concurrency: usize,
    pub seconds: Duration,
}

/// What came of it. Times in microseconds, sorted. Of streams: what the way took beyond the upstream's own time, until
/// the first and until the last chunk.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub requests: u64,
    pub seconds: f64,
    pub whole_us: Vec<u64>,
    pub first_us: Vec<u64>,
}

impl Outcome {
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

impl Load {
    /// Runs the load.
    pub async fn run(&self) -> anyhow::Result<Outcome> {
        let begun = process::now();
        let connections = (0..self.concurrency).map(|_| tokio::spawn(self.clone().connection(begun)));
        let mut outcome = Outcome::default();
        for connection in connections.collect::<Vec<_>>() {
            let part = connection.await??;
            outcome.requests += part.requests;
            outcome.whole_us.extend(part.whole_us);
            outcome.first_us.extend(part.first_us);
        }
        outcome.seconds = begun.elapsed().as_secs_f64();
        outcome.whole_us.sort_unstable();
        outcome.first_us.sort_unstable();
        Ok(outcome)
    }

    async fn connection(self, begun: std::time::Instant) -> anyhow::Result<Outcome> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let body = self.body();
        let mut outcome = Outcome::default();
        while begun.elapsed() < self.seconds {
            let start = process::now();
            let request = Request::post("/v1/chat/completions")
                .header("host", "127.0.0.1")
                .header("content-type", "application/json")
                .body(Full::new(body.clone()))?;
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            anyhow::ensure!(response.status().is_success(), "the answer was {}", response.status());
            let mut answer = response.into_body();
            let (mut first, mut last) = (None, None);
            while let Some(frame) = answer.frame().await {
                let Ok(data) = frame?.into_data() else { continue };
                if let Some(own_us) = own_time(&data) {
                    let way_us = process::us_since(start).saturating_sub(own_us);
                    first.get_or_insert(way_us);
                    last = Some(way_us);
                }
            }
            outcome.whole_us.push(last.unwrap_or_else(|| process::us_since(start)));
            outcome.first_us.extend(first);
            outcome.requests += 1;
        }
        Ok(outcome)
    }

    /// About a kilobyte, as a small conversation is.
    fn body(&self) -> Bytes {
        let text = "Where is my order, and when will it arrive? ".repeat(18);
        let stream = if self.streams { ",\"stream\":true" } else { "" };
        Bytes::from(format!(
            "{{\"model\":\"{}\",\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}],\"temperature\":0.5{stream}}}",
            self.model
        ))
    }
}

/// The upstream's own time, as the newest chunk in `data` says.
fn own_time(data: &[u8]) -> Option<u64> {
    let at = memchr::memmem::rfind(data, OWN_TIME.as_bytes())? + OWN_TIME.len();
    let digits = data[at..].split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
