//! Moving everything from one store to another: rows as they are stored, part by part.
//!
//! A [`Source`] gives the rows of a [`Part`] in the order of their keys, a page at a time; a [`Sink`] takes them in. Rows are the stored
//! values themselves, never read into the domain's types and written again, so nothing can be lost on the way: texts stay byte for
//! byte, places and times as they were given, vectors bit for bit.
//!
//! [`copy()`] walks both sides in the order of the keys and copies what differs. It needs no memory of how far it came: stopped
//! anywhere and repeated, it finds what is there already, and repeated while the source goes on, it copies what came since. Each page is
//! one short read, so nothing of the source is held; rows of different parts may be of different moments then, and a last pass over
//! a source that nobody writes to makes all parts one moment. [`compare()`] reads everything again and says whether both sides are equal.

use async_trait::async_trait;
use pinrail_domain::ledger::Head;

use crate::StoreError;

mod compare;
mod copy;
mod parts;
mod rows;

pub use compare::{Comparison, Line, Spaces, compare};
pub use copy::{Copied, CopyError, Pass, Step, copy};
pub use parts::{Column, Kind, Part};
pub use rows::Rows;

/// A stored value.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub enum Cell {
    Null,
    /// Numbers, times, flags (0 and 1).
    Number(i64),
    Text(String),
    /// Digests, ids (16 bytes, the highest first), contents, and vectors (little-endian, four bytes a component).
    Bytes(Vec<u8>),
    /// Places of records.
    Places(Vec<i64>),
}

/// A row: a cell for each of its part's columns, the key first.
pub type Row = Vec<Cell>;

/// Which columns are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The key, and the columns that change or prove the rest ([`Part::telling`]). Others are [`Cell::Null`].
    Telling,
    Whole,
}

/// Which rows to read, in the order of their keys.
#[derive(Clone, Debug)]
pub struct Page<'a> {
    pub part: Part,
    /// Behind this key.
    pub after: Option<&'a [Cell]>,
    /// Up to this key, inclusive.
    pub until: Option<&'a [Cell]>,
    pub depth: Depth,
    pub limit: usize,
}

/// Gives the rows of a store.
#[async_trait]
pub trait Source: Send + Sync {
    /// Rows of one moment, in the order of their keys.
    async fn rows(&self, page: &Page<'_>) -> Result<Vec<Row>, StoreError>;

    /// How many rows a part has, about.
    async fn count(&self, part: Part) -> Result<u64, StoreError>;

    /// How large it all is, about, in bytes.
    async fn bytes(&self) -> Result<u64, StoreError>;

    /// The last ledger entry.
    async fn head(&self) -> Result<Head, StoreError>;
}

/// Takes rows in. Each call is one durable step, or at least durable once [`Sink::settle`] returned.
#[async_trait]
pub trait Sink: Source {
    /// Whether nothing was ever written to it.
    async fn is_empty(&self) -> Result<bool, StoreError>;

    /// Whether a copy into it was begun and isn't finished.
    async fn is_unfinished(&self) -> Result<bool, StoreError>;

    /// Notes that a copy goes on: nobody opens it as a store until [`Sink::finish`].
    async fn begin(&self) -> Result<(), StoreError>;

    /// Adds rows whose keys aren't there.
    async fn add(&self, part: Part, rows: Vec<Row>) -> Result<(), StoreError>;

    /// Brings rows up whose keys are there: what may change ([`Part::changing`]), and no more (I8).
    async fn change(&self, part: Part, rows: Vec<Row>) -> Result<(), StoreError>;

    /// Takes rows out that were removed from the source after they were copied: where [`Part::may_shrink`].
    async fn remove(&self, part: Part, rows: Vec<Row>) -> Result<(), StoreError>;

    /// Makes what follows from the rows agree with them (heads, sequences), and all of it durable.
    async fn settle(&self) -> Result<(), StoreError>;

    /// From here on it is a store like any other.
    async fn finish(&self) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests;
