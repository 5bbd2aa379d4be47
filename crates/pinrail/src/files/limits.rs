//! `[limits]` in pinrail.toml: how much the server takes on at once.

use super::section::Section;
use crate::capacity::Wish;

/// More connections than this don't fit into one machine's memory, whatever they carry.
const AT_ONCE_MAX: usize = 1_000_000;

/// Reads the settings; what isn't said follows from the file descriptors.
pub fn read(limits: &Section<'_>) -> Option<Wish> {
    Some(Wish {
        calls_max: at_once(limits, "calls_max"),
        connections_max: at_once(limits, "connections_max"),
    })
}

fn at_once(limits: &Section<'_>, key: &'static str) -> Option<usize> {
    let said: usize = limits.get(key)?;
    if !(1..=AT_ONCE_MAX).contains(&said) {
        limits.refuse(key, &format!("must be 1 to {AT_ONCE_MAX}"));
    }
    Some(said)
}
