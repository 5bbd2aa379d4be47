//! What a release, a deployment, a run and a view are, and every decision about them.
//!
//! Nothing here reads a clock, does I/O, draws randomness or is async: those arrive as arguments, so every
//! decision can be replayed. Start reading at [`world`] (the fold over the [`ledger`]), then [`deploy`] (what may
//! be done), [`routes`] (who gets which deployment) and [`journal`] (what a run leaves behind).

mod address;
pub mod agent;
pub mod approval;
pub mod assign;
pub mod begin;
pub mod canonical;
pub mod deploy;
pub mod deployment;
pub mod dial;
pub mod digest;
pub mod drift;
pub mod explain;
pub mod gate;
pub mod id;
pub mod identity;
pub mod journal;
pub mod key;
pub mod ledger;
pub mod mcp;
pub mod member;
pub mod meter;
pub mod model;
pub mod provider;
pub mod release;
pub mod retire;
pub mod rollout;
pub mod routes;
pub mod share;
pub mod state;
pub mod stats;
pub mod tier;
pub mod time;
pub mod traffic;
pub mod warm;
pub mod webhook;
pub mod world;
