//! The data plane: one request in, one stream out.
//!
//! It asks its port which release answers, applies that release, streams the provider's bytes through and
//! hands what happened to the journal. It must not name the store or the control plane ([`port::Runs`] is all it
//! knows of them), authenticate callers, read clocks or the environment, or hold an answer back that could flow.
//!
//! Start reading at [`Gateway::handle`], then `call` (one call from beginning to end), `upstream::answer` (asking,
//! and asking again), `upstream::health` (what is made of failures), `body::stream` (how bytes pass through) and `trail`
//! (what the journal gets, also when the
//! client leaves). What a candidate makes of copies of live calls is in `shadow`; live calls never wait for it (I13). What
//! others count and trace is told through [`telemetry`].

mod beginning;
mod body;
mod call;
pub mod connect;
mod count_tokens;
pub mod direct;
mod embeddings;
mod enforce;
mod failure;
mod gateway;
mod identity;
mod intake;
mod limits;
mod models;
mod places;
pub mod port;
mod prepared;
mod shadow;
mod stamped;
pub mod telemetry;
mod trail;
mod upstream;

pub use body::Body;
pub use gateway::{Gateway, Options, dialect};
pub use limits::Limits;
pub use upstream::Counts;
pub use upstream::health::{LastFailure, ModelHealth, ProviderHealth, Standing};
