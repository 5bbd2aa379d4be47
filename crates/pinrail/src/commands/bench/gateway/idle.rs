//! Streams that say nothing: what each that is held open takes of the gateway's memory.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::load::{Asks, Load};
use super::super::stage::{SOON, Stage};
use super::super::upstream::HOLD_MS;
use super::super::{Bench, Row, quantile};
use crate::capacity;
use crate::output::talk;

const STREAMS: usize = 10_000;
const STREAMS_QUICK: usize = 1_000;
/// The budget for [`STREAMS`].
const STREAMS_MB: f64 = 500.0;
/// Connections that are made at a time: fewer than the listener's queue holds.
const OPENERS: usize = 64;
/// Descriptors that a process needs besides its streams'.
const SPARE: u64 = 600;
/// What was used for opening is given back to the system meanwhile, and closed streams are noticed.
const SETTLE: Duration = Duration::from_secs(2);
/// Bytes of an answer's head and first chunk.
const BEGINNING_BYTES_MAX: usize = 4_096;

pub(super) async fn measure(bench: &Bench, streams: Option<usize>) -> anyhow::Result<Vec<Row>> {
    let wanted = streams.unwrap_or(if bench.quick { STREAMS_QUICK } else { STREAMS });
    let count = wanted.min(fitting(wanted));
    let stage = Stage::set(bench).await?;
    // Whoever answers has its code and caches in memory already.
    let answers =
        |seconds| Load { port: stage.port, model: SOON, asks: Asks::Whole, concurrency: 1, seconds };
    answers(Duration::from_millis(500)).run().await?;
    tokio::time::sleep(SETTLE).await;
    let without_mb = stage.ours.resident_mb()?;
    let held = open(stage.port, count).await?;
    tokio::time::sleep(SETTLE).await;
    let with_mb = stage.ours.resident_mb()?;
    let meanwhile = answers(Duration::from_secs(1)).run().await?;
    anyhow::ensure!(held.len() == count, "{} of {count} streams are open", held.len());
    drop(held);
    tokio::time::sleep(SETTLE).await;
    let after_mb = stage.ours.resident_mb()?;

    let each_mb = (with_mb - without_mb).max(0.0) / count as f64;
    let mut row = Row::new(
        "gateway",
        format!("{count} idle streams open, resident memory"),
        format!("{with_mb:.0} MB, {:.1} kB a stream", each_mb * 1024.0),
    )
    .against(format!("{without_mb:.0} MB with none"));
    if count >= STREAMS / 2 {
        // Where descriptors allow fewer, what so many would take.
        let all_mb = if count >= STREAMS { with_mb } else { without_mb + each_mb * STREAMS as f64 };
        row = row
            .budget(format!("{STREAMS}: < {STREAMS_MB:.0} MB (they take {all_mb:.0})"), all_mb < STREAMS_MB);
    }
    let p50 = quantile(&meanwhile.whole_us, 0.5);
    let p99 = quantile(&meanwhile.whole_us, 0.99);
    Ok(vec![
        row,
        Row::new(
            "gateway",
            "answers meanwhile, 1 connection",
            format!("{:.0} /s, p50 {p50} µs, p99 {p99} µs", meanwhile.per_second()),
        ),
        Row::new("gateway", "resident memory after the streams", format!("{after_mb:.0} MB")),
    ])
}

/// How many streams the file descriptors carry: each takes two of the gateway.
fn fitting(wanted: usize) -> usize {
    let descriptors = capacity::raise_descriptors();
    let fitting = usize::try_from(descriptors.saturating_sub(SPARE) / 2).unwrap_or(usize::MAX);
    if fitting < wanted {
        let needed = wanted as u64 * 2 + SPARE;
        talk(&format!(
            "a process may open {descriptors} files here, so {fitting} idle streams are measured and not {wanted}; \
             `ulimit -Hn {needed}` as root, or LimitNOFILE={needed}, allows all"
        ));
    }
    fitting
}

/// Streams whose first chunk has come, and no other.
async fn open(port: u16, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let request = Arc::new(request(Asks::Stream { pause_ms: HOLD_MS }));
    let openers = (0..OPENERS).map(|opener| {
        let request = Arc::clone(&request);
        let share = count / OPENERS + usize::from(opener < count % OPENERS);
        tokio::spawn(async move {
            let mut held = Vec::with_capacity(share);
            for _ in 0..share {
                held.push(begin(port, &request).await?);
            }
            anyhow::Ok(held)
        })
    });
    let mut held = Vec::with_capacity(count);
    for opener in openers.collect::<Vec<_>>() {
        held.extend(opener.await??);
    }
    Ok(held)
}

/// A request as it goes over the wire.
pub fn request(asks: Asks) -> Vec<u8> {
    let body = asks.body(SOON);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

/// Begins a stream on a connection of its own; its first chunk has come.
pub async fn begin(port: u16, request: &[u8]) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(request).await?;
    let mut said = Vec::with_capacity(BEGINNING_BYTES_MAX);
    while memchr::memmem::find(&said, b"data: ").is_none() {
        let read = stream.read_buf(&mut said).await?;
        anyhow::ensure!(
            read > 0 && said.len() < BEGINNING_BYTES_MAX,
            "a stream did not begin: {}",
            String::from_utf8_lossy(&said)
        );
    }
    anyhow::ensure!(said.starts_with(b"HTTP/1.1 200"), "an answer was no stream");
    Ok(stream)
}
