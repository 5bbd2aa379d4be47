//! What is kept without the store: a file that outlives every crash, as a sheet of paper.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pinrail_control::dial::Notebook;
use pinrail_domain::dial::{Position, Turn};
use serde_json::Value;

/// The file.
pub(crate) struct Paper {
    bytes: Mutex<Option<Vec<u8>>>,
    /// Reads as if nothing was ever written (a lie, to see that it is found out).
    forgets: bool,
}

/// A turn of the dial that stands there, and what its caller said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Noted {
    pub turn: Turn,
    pub reason: String,
}

impl Paper {
    pub(crate) fn new(forgets: bool) -> Paper {
        Paper { bytes: Mutex::default(), forgets }
    }

    /// What stands there.
    pub(crate) fn notes(&self) -> Vec<Noted> {
        let bytes = self.lock().clone().unwrap_or_default();
        if bytes.is_empty() {
            return Vec::new();
        }
        let notes: Vec<Value> = serde_json::from_slice(&bytes).expect("a list was written");
        let noted = |note: &Value| Noted {
            turn: serde_json::from_value(note["turn"].clone()).expect("a turn was written"),
            reason: note["reason"].as_str().unwrap_or_default().to_owned(),
        };
        notes.iter().map(noted).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    pub(crate) fn position(&self) -> Position {
        self.turn.position
    }
}

impl Notebook for Paper {
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.lock().clone().filter(|_| !self.forgets))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        *self.lock() = Some(bytes.to_vec());
        Ok(())
    }
}
