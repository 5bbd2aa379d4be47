//! What happened, line by line: kept to compare two plays of one seed, and to be read after a failure.

use std::collections::VecDeque;
use std::fmt::{Display, Write as _};

/// The lines of a play: all of them in a digest, the last ones (or all) as text.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    digest: u64,
    lines: u64,
    kept: VecDeque<String>,
    keep_max: usize,
    line: String,
}

/// Lines kept for a failure: what led to it, not the whole story.
const LAST_LINES: usize = 60;

impl Trace {
    pub(crate) fn new(keep_all: bool) -> Trace {
        let keep_max = if keep_all { usize::MAX } else { LAST_LINES };
        Trace {
            digest: 0xCBF2_9CE4_8422_2325,
            lines: 0,
            kept: VecDeque::new(),
            keep_max,
            line: String::new(),
        }
    }

    pub(crate) fn say(&mut self, what: &dyn Display) {
        self.lines += 1;
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        write!(line, "{:5} {what}", self.lines).expect("a string takes all");
        // FNV-1a: two traces are compared, nobody is kept from forging one.
        for byte in line.bytes().chain([b'\n']) {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        if self.kept.len() >= self.keep_max {
            self.line = self.kept.pop_front().unwrap_or_default();
        }
        self.kept.push_back(line);
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn into_lines(self) -> (u64, Vec<String>) {
        (self.lines, self.kept.into())
    }
}
