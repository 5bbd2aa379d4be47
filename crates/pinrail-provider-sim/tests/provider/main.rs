//! The simulated provider through its router, as a client sees it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod answers;
mod border;
mod dialects;
mod embeddings;
mod faults;
mod messages;
mod responses;
mod support;
mod surface;
