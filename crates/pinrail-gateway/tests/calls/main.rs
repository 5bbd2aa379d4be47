//! The data plane as its callers and its providers see it.

#![allow(clippy::unwrap_used, reason = "a test that meets what it did not expect fails")]

mod alternatives;
mod answers;
mod count_tokens;
mod dial;
mod dialects;
mod embeddings;
mod failures;
mod flow;
mod identity;
mod loopback;
mod release;
mod said;
mod shadow;
mod simulated;
mod streams;
mod telemetry;
mod trouble;
mod world;
