//! What one call, and all calls together, may take of this process.

use std::time::Duration;

/// The bounds of the data plane. Each refusal names the bound that it hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body. Ten images of a megapixel fit; more belongs in a file store.
    pub body_bytes_max: usize,
    /// Nesting of a request's JSON. Tool schemas reach about 20; parsers break at 128.
    pub json_depth_max: usize,
    /// How long a client may take to send its body: 10 MiB at 170 kB/s.
    pub body_wait: Duration,
    /// Bytes of an answer that is not a stream; it is held whole until it is judged.
    pub answer_bytes_max: usize,
    /// Bytes of one event of a stream. An event carries a few tokens; whole images come in one of a few MB.
    pub event_bytes_max: usize,
    /// Calls under way at once, until their journals are handed over. Ten thousand streams that wait for their model, and
    /// as many again half; one takes some 30 kB and two connections while it waits.
    pub calls_max: usize,
    /// Bytes of the request bodies of all calls under way. A call of usual size takes a few thousand.
    pub bodies_bytes_max: usize,
    /// Prompt variables of one call.
    pub variables_max: usize,
    /// Bytes of all prompt variables of one call, as JSON.
    pub variables_bytes_max: usize,
    /// Bytes of a rendered system prompt: more than the largest context window holds.
    pub prompt_bytes_max: usize,
    /// Instructions that rendering a prompt may take: a few milliseconds.
    pub prompt_fuel: u64,
    /// Bytes of a request or an answer that the journal keeps in full.
    pub journal_body_bytes_max: usize,
    /// The longest that a provider's `retry-after` is waited out here; with a longer one, the client decides.
    pub retry_after_max: Duration,
    /// Releases kept ready to apply. The warm set of a hundred agents fits.
    pub releases_max: usize,
    /// Copies of live calls that wait for a candidate; more are dropped and counted (I13). A few seconds of them.
    pub copies_max: usize,
    /// Bytes of all copies, waiting and under way.
    pub copies_bytes_max: usize,
    /// Copies that candidates answer at once. Also by how many answers a budget may be overdrawn.
    pub copies_at_once: usize,
    /// How long a candidate may take to answer a copy, retries included.
    pub copy_wait: Duration,
    /// How long a shutdown waits for the copies under way.
    pub copies_stop_wait: Duration,
    /// Bytes of an answer's text that are compared with a copy's.
    pub copy_text_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes_max: 10 << 20,
            json_depth_max: 64,
            body_wait: Duration::from_secs(60),
            answer_bytes_max: 32 << 20,
            event_bytes_max: 8 << 20,
            calls_max: 16_384,
            bodies_bytes_max: 512 << 20,
            variables_max: 64,
            variables_bytes_max: 256 << 10,
            prompt_bytes_max: 4 << 20,
            prompt_fuel: 100_000,
            journal_body_bytes_max: 64 << 10,
            retry_after_max: Duration::from_secs(5),
            releases_max: 512,
            copies_max: 256,
            copies_bytes_max: 64 << 20,
            copies_at_once: 32,
            copy_wait: Duration::from_secs(120),
            copies_stop_wait: Duration::from_secs(5),
            copy_text_bytes_max: 64 << 10,
        }
    }
}
