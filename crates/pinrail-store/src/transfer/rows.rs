//! Rows in memory: the reference, for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::Head;

use super::copy::{name, order};
use super::{Cell, Page, Part, Row, Sink, Source};
use crate::StoreError;

/// Rows in memory, part by part, in the order of their keys.
#[derive(Debug, Default)]
pub struct Rows(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    parts: BTreeMap<Part, Vec<Row>>,
    is_unfinished: bool,
    /// Writes until one fails.
    until_failure: Option<usize>,
}

impl Rows {
    /// Keeps a row, in the place of the one with its key.
    pub fn put(&self, part: Part, row: Row) {
        self.with(|kept| kept.put(part, row));
    }

    /// Takes a row away.
    pub fn take(&self, part: Part, row: &Row) {
        self.with(|kept| kept.of(part).retain(|kept| order(part, kept, row).is_ne()));
    }

    /// Makes every write fail after `writes` more.
    pub fn fail_after(&self, writes: Option<usize>) {
        self.with(|kept| kept.until_failure = writes);
    }

    fn with<T>(&self, what: impl FnOnce(&mut Kept) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, what: impl FnOnce(&mut Kept)) -> Result<(), StoreError> {
        self.with(|kept| {
            match &mut kept.until_failure {
                Some(0) => return Err(StoreError::Damaged("it was told to fail".to_owned())),
                Some(left) => *left -= 1,
                None => {}
            }
            what(kept);
            Ok(())
        })
    }
}

impl Kept {
    fn of(&mut self, part: Part) -> &mut Vec<Row> {
        self.parts.entry(part).or_default()
    }

    fn put(&mut self, part: Part, row: Row) {
        let rows = self.of(part);
        match rows.binary_search_by(|kept| order(part, kept, &row)) {
            Ok(place) => rows[place] = row,
            Err(place) => rows.insert(place, row),
        }
    }
}

#[async_trait]
impl Source for Rows {
    async fn rows(&self, page: &Page<'_>) -> Result<Vec<Row>, StoreError> {
        let key = page.part.key();
        let is_meant = |row: &&Row| {
            page.after.is_none_or(|after| row[..key] > *after)
                && page.until.is_none_or(|until| row[..key] <= *until)
        };
        let read = |row: &Row| {
            let tells = |place| page.depth == super::Depth::Whole || page.part.tells(place);
            let cells = row.iter().enumerate();
            cells.map(|(place, cell)| if tells(place) { cell.clone() } else { Cell::Null }).collect()
        };
        Ok(self.with(|kept| kept.of(page.part).iter().filter(is_meant).take(page.limit).map(read).collect()))
    }

    async fn count(&self, part: Part) -> Result<u64, StoreError> {
        Ok(self.with(|kept| kept.of(part).len() as u64))
    }

    async fn bytes(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let last = self.with(|kept| kept.of(Part::Ledger).last().cloned());
        Ok(match last.as_deref() {
            Some([Cell::Number(seq), Cell::Bytes(hash), ..]) => Head {
                seq: LedgerSeq(seq.unsigned_abs()),
                hash: Digest::from_bytes(hash.as_slice().try_into().expect("a hash has 32 bytes")),
            },
            Some(_) | None => Head::START,
        })
    }
}

#[async_trait]
impl Sink for Rows {
    async fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.with(|kept| kept.parts.values().all(Vec::is_empty)))
    }

    async fn is_unfinished(&self) -> Result<bool, StoreError> {
        Ok(self.with(|kept| kept.is_unfinished))
    }

    async fn begin(&self) -> Result<(), StoreError> {
        self.write(|kept| kept.is_unfinished = true)
    }

    async fn add(&self, part: Part, rows: Vec<Row>) -> Result<(), StoreError> {
        self.write(|kept| {
            for row in rows {
                let there = kept.of(part).binary_search_by(|kept| order(part, kept, &row));
                assert!(there.is_err(), "{} {} is there", part.as_str(), name(part, &row));
                kept.put(part, row);
            }
        })
    }

    async fn change(&self, part: Part, rows: Vec<Row>) -> Result<(), StoreError> {
        self.write(|kept| rows.into_iter().for_each(|row| kept.put(part, row)))
    }

    async fn remove(&self, part: Part, rows: Vec<Row>) -> Result<(), StoreError> {
        self.write(|kept| kept.of(part).retain(|kept| rows.iter().all(|row| order(part, kept, row).is_ne())))
    }

    async fn settle(&self) -> Result<(), StoreError> {
        self.write(|_| ())
    }

    async fn finish(&self) -> Result<(), StoreError> {
        self.write(|kept| kept.is_unfinished = false)
    }
}
