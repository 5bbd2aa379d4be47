//! The control plane over the in-memory store, with a clock and randomness that the tests drive.

mod alternatives;
mod back;
pub(crate) mod bench;
mod blast;
mod commit;
mod deployments;
mod dial;
mod drift;
mod journal;
mod keys;
mod ledger;
mod lifecycle;
mod observe;
mod proof;
mod reopen;
mod replicas;
mod retention;
mod rollouts;
mod runs;
mod sessions;
mod shadow;
mod stamps;
mod state;
mod traffic;
mod vectors;
mod webhooks;
