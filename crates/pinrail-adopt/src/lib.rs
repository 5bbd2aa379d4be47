//! Puts a user's own PostgreSQL table under the visibility rule, and takes it out again.
//!
//! The application keeps its table's name and its SQL; what it writes in the name of a deployment is seen by others only
//! while that is committed (I4), and a rollback, one row in `pinrail.spans`, hides it and brings back what it had
//! replaced, at once and without touching the table (I5, I6).
//!
//! How: the user's table moves, as it is, into a schema of its own (`pinrail_adopted_N.ground`) and is never changed
//! again. What is written later goes to `written`, which inherits from it, so that a search scans both tables' indexes
//! and merges them. What replaces or deletes a row is an *end* in `ends`, which is appended to. A view of the old name
//! shows the versions that count and have no end that counts; its triggers write. Nothing is rewritten and no index is
//! built over what is there, so adopting takes as long for ten rows as for ten million.
//!
//! What a key is: the primary key. A write is an operation on its key, and of a key's operations that count the last one
//! is what is visible, as everywhere in Pinrail. So of two deployments that couldn't see each other and wrote the same
//! key, the later one is shown once both are committed; the same holds for the values of other unique constraints.
//!
//! This crate must not decide what counts (that is `pinrail.spans`, written with the ledger), and it must not name the
//! store's crates: it is handed a connection.
//!
//! Start reading at [`shape`] (what was found), then [`refuse`] (what can't be adopted), [`plan`] (the SQL) and
//! [`trigger`] (what a write does), all pure; then [`adopt`](mod@adopt) and [`unadopt`](mod@unadopt), which carry out.

pub mod adopt;
pub mod error;
pub mod hidden;
pub mod iterative;
pub mod list;
pub mod plan;
pub mod refuse;
pub mod shape;
pub mod text;
pub mod trigger;
pub mod unadopt;

mod moment;

pub use adopt::{Adopted, adopt, plan_for};
pub use error::Error;
pub use unadopt::{Unadopted, Unadopting, unadopt};
