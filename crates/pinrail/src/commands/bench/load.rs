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
use super::upstream::{OWN_TIME, PAUSE_KEY};

/// What to ask, of whom, how.
#[derive(Clone, Debug)]
pub struct Load {
    pub port: u16,
    pub model: &'static str,
    pub asks: Asks,
    pub concurrency: usize,
    pub seconds: Duration,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    Whole,
    /// A stream with so long a pause before each chunk but the first.
    Stream {
        pause_ms: u64,
    },
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

/// A connection with one request in flight at most.
pub struct Line {
    sender: http1::SendRequest<Full<Bytes>>,
    body: Bytes,
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
        let mut line = self.connect().await?;
        let mut outcome = Outcome::default();
        while begun.elapsed() < self.seconds {
            let (first_us, last_us) = line.ask().await?;
            outcome.whole_us.push(last_us);
            outcome.first_us.extend(first_us);
            outcome.requests += 1;
        }
        Ok(outcome)
    }

    /// A connection to ask over.
    pub async fn connect(&self) -> anyhow::Result<Line> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Line { sender, body: self.asks.body(self.model) })
    }
}

impl Line {
    /// Asks once and reads the answer. Of a stream: what the way took until its first and until its last chunk.
    pub async fn ask(&mut self) -> anyhow::Result<(Option<u64>, u64)> {
        let start = process::now();
        let request = Request::post("/v1/chat/completions")
            .header("host", "127.0.0.1")
            .header("content-type", "application/json")
            .body(Full::new(self.body.clone()))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
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
        Ok((first, last.unwrap_or_else(|| process::us_since(start))))
    }
}

impl Asks {
    /// A request of about a kilobyte, as a small conversation is.
    pub fn body(self, model: &str) -> Bytes {
        let text = "Where is my order, and when will it arrive? ".repeat(18);
        let stream = match self {
            Asks::Whole => String::new(),
            Asks::Stream { pause_ms } => format!(",\"stream\":true{PAUSE_KEY}{pause_ms}"),
        };
        Bytes::from(format!(
            "{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}],\"temperature\":0.5{stream}}}"
        ))
    }
}

/// The upstream's own time, as the newest chunk in `data` says.
fn own_time(data: &[u8]) -> Option<u64> {
    let at = memchr::memmem::rfind(data, OWN_TIME.as_bytes())? + OWN_TIME.len();
    let digits = data[at..].split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
