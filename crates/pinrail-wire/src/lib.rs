//! What model providers say and what is said to them: bytes in, values out.
//!
//! This crate reads chat requests, writes the ones that go upstream, observes answers and streams, and
//! speaks errors in the provider's own form. It lies on the gateway's hot path, so it borrows from the
//! body wherever it can and copies what it does not understand byte for byte.
//!
//! It must not do I/O, read clocks, know what a release or a deployment is, or name another crate of ours.
//!
//! Start reading at [`openai::ChatRequest`], then [`openai::StreamObserver`].

pub mod json;
pub mod litellm;
pub mod openai;
pub mod redact;
pub mod sse;
