//! The ledger, as it is stored.

pub mod get;
pub mod verify;
