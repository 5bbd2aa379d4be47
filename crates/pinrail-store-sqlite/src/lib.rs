//! The store on SQLite: one file in WAL mode, one writer thread with group commit, a few readers.
//!
//! It carries out what the traits of `pinrail-store` promise and decides nothing: which event may follow and what
//! a run adds up to is `pinrail-domain`. It reads no clock and no environment.
//!
//! Start reading at [`Sqlite::open`], then `writer` (how many writes share one sync and what happens when the disk
//! is full), `migrations/` (what a row is) and `erase` (what leaves the file, and what holds on the disk then). There is
//! one file for each trait.

mod answers;
mod approvals;
mod artifacts;
mod deliveries;
mod erase;
mod failure;
mod gates;
mod journal;
mod ledger;
mod open;
mod reader;
mod sightings;
mod state;
mod transfer;
mod watches;
mod writer;

/// One process has the file.
impl pinrail_store::Replicas for Sqlite {}

/// The process that has the file keeps its members in memory.
impl pinrail_store::Members for Sqlite {}

pub use open::{OpenError, Options};
pub use transfer::File;

use reader::Readers;
use writer::Writer;

/// An open store. Dropping it carries out what is queued and closes the file.
pub struct Sqlite {
    // Closed before the writer, whose connection then tidies the write-ahead log up.
    readers: Readers,
    /// For questions about one thing that an index finds: they never wait behind lists, so that nobody's list is in
    /// the way of a call or a rollback (I7, I13).
    quick: Readers,
    writer: Writer,
    recovered_bytes: u64,
}

impl Sqlite {
    /// How much of a write-ahead log the last process left behind; zero after an orderly end.
    ///
    /// All that was acknowledged in it is in the store again.
    #[must_use]
    pub fn recovered_bytes(&self) -> u64 {
        self.recovered_bytes
    }
}
