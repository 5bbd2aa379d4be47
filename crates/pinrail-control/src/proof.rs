//! Proof: what was there when a deployment was opened, and that a rollback brought it back.

pub(crate) mod manifests;
mod probes;
pub mod verify;
