//! MCP servers, live: connects to one over stdio or streamable HTTP, lists its tools as it wrote them, calls them.
//!
//! The protocol's life cycle (handshake, request ids, cancellation, timeouts) is the official crate's, `rmcp`. The two
//! transports are ours: a program gets a clean environment and ends with its whole process group, an address is asked
//! with limits and without following redirects, and what a server answers is kept as the JSON that it wrote, since a
//! pin of what some type happens to read would miss what the type leaves out.
//!
//! It must not know releases, stores or the control plane, nor read the environment: values come in [`Reach`].
//!
//! Start reading at [`Live`].

mod decode;
mod http_transport;
mod live;
mod reach;
mod stdio;
mod wire;

pub use live::{CallError, ConnectError, ListError, Live};
pub use reach::{NoReach, Reach, Secret};

/// One message of a server: a tool's result may hold an image or a document.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Pages of one `tools/list`; with more, its cursor leads in circles.
pub const PAGES_MAX: usize = 100;
