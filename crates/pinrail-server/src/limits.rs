//! What one request, and all connections together, may take of this process.

use std::time::Duration;

/// The bounds of the server. Each refusal names the bound that it hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a JSON body. The longest legal one is an agent with full tenant lists; events in bulk come in pages.
    pub json_bytes_max: usize,
    /// Bytes of a JSON body that holds many records: a thousand vectors of 1 536 numbers take some 20 MB written out, and
    /// 8 MB in base64.
    pub large_json_bytes_max: usize,
    /// Nesting of a JSON body: tool arguments reach about 20, parsers break at 128.
    pub json_depth_max: usize,
    /// Bytes of an artifact: prompts are kilobytes, tool schemas tens of them, eval suites up to tens of megabytes.
    pub artifact_bytes_max: usize,
    /// How long a body may take to arrive: 64 MiB at 1.1 MB/s.
    pub body_wait: Duration,
    /// How long a client may take for a request's head, from the connection's first moment or from the end of the
    /// request before it; so also the longest that a connection lies idle. Client libraries drop theirs sooner.
    pub head_wait: Duration,
    /// Whether a client that ends its side of an HTTP/1 connection behind its request still waits for the answer. Nobody
    /// can tell it from one that left, so where it is said to wait, calls of clients that left go on until their answer's
    /// next bytes, and are paid for.
    pub half_close: bool,
    /// Bytes of all headers of a request. Tokens and traces take some hundred; browsers stop at 8 to 16 kB.
    pub head_bytes_max: usize,
    /// Headers of a request.
    pub headers_max: usize,
    /// Connections at once; further ones wait in the system's queue. One for each call that the gateway takes, and four
    /// thousand for everyone else. Each takes some 20 kB and a file descriptor.
    pub connections_max: usize,
    /// Streams at once on one HTTP/2 connection.
    pub streams_max: u32,
    /// How long requests and streams in flight may go on after the shutdown began. Longer answers are cut.
    pub drain_wait: Duration,
    /// The longest that a reader of events waits for the next one. Proxies cut silent requests after 60 s.
    pub poll_wait_max: Duration,
    /// Readers of events that wait at once; further ones are answered at once. Each looks at the store when
    /// something was journaled.
    pub pollers_max: usize,
    /// Those that follow a stream of events at once. Each takes a connection and some kilobytes.
    pub watchers_max: usize,
    /// The pause after which a silent stream says that it is still there.
    pub keep_alive: Duration,
    /// The pause between two such looks: many runs write at once, and one look finds all that came meanwhile.
    pub poll_pause: Duration,
    /// Followers of the epoch at once: every member that there can be, and as many people and scripts. Their places are
    /// their own, so that nobody's other streams keep a member from hearing of a rollback.
    pub epoch_watchers_max: usize,
    /// Items of a page where the caller names no number.
    pub page_default: usize,
    /// Items of a page.
    pub page_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            json_bytes_max: 1 << 20,
            large_json_bytes_max: 32 << 20,
            json_depth_max: 64,
            artifact_bytes_max: pinrail_control::publish::ARTIFACT_BYTES_MAX,
            body_wait: Duration::from_secs(60),
            // Proxies in front of servers drop idle connections after 60 s by default, and must go first.
            head_wait: Duration::from_secs(75),
            half_close: false,
            head_bytes_max: 32 << 10,
            headers_max: 100,
            connections_max: 20_480,
            streams_max: 256,
            drain_wait: Duration::from_secs(30),
            poll_wait_max: Duration::from_secs(30),
            pollers_max: 256,
            watchers_max: 1_024,
            keep_alive: Duration::from_secs(15),
            poll_pause: Duration::from_millis(25),
            epoch_watchers_max: 2 * pinrail_control::members::MEMBERS_MAX,
            page_default: 100,
            page_max: 1_000,
        }
    }
}
