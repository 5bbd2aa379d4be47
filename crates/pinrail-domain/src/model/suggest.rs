//! The pinned ids that somebody may have meant who wrote one that isn't.
//!
//! First choice: the dated siblings of the name (an alias ending such as `-latest` taken off), newest
//! first. Without any: the nearest names. Nearer is a family that the id begins with, the longest first,
//! then a smaller edit distance, at most two fifths of the longer name. Ties go to the newest, then to the
//! last in the alphabet, which among dated names is the newest again.
//! Ids that were retired when the catalogue was written come last.

use std::cmp::Reverse;

use super::catalogue::{Catalogue, Provider};

/// How many pinned ids are suggested at most: a person reads five, not fifty.
pub const PINS_MAX: usize = 5;

impl Catalogue {
    pub(super) fn pins(&self, provider: &Provider, id: &str) -> Vec<String> {
        let (region, plain) = provider.split_region(id);
        let endings = provider.aliases.iter().flatten();
        let base = endings.filter_map(|ending| plain.strip_suffix(ending.as_str())).next().unwrap_or(plain);

        let retired = |pin: &str| {
            provider.entries.get(pin).and_then(|entry| entry.retires).is_some_and(|at| at <= self.as_of)
        };
        let released = |pin: &str| provider.entries.get(pin).and_then(|entry| entry.released);
        let mut pins: Vec<&str> = provider.siblings(base).collect();
        if pins.is_empty() {
            let mut near: Vec<_> = provider
                .pinned_ids()
                .filter(|pin| provider.split_region(pin).0.is_empty())
                .filter_map(|pin| Some((nearness(provider, base, pin)?, pin)))
                .collect();
            near.sort_by_key(|(nearness, pin)| {
                (*nearness, retired(pin), Reverse(released(pin)), Reverse(*pin))
            });
            near.truncate(PINS_MAX);
            pins = near.into_iter().map(|(_, pin)| pin).collect();
            pins.sort_by_key(|pin| retired(pin));
        } else {
            pins.sort_by_key(|pin| (retired(pin), Reverse(released(pin)), Reverse(*pin)));
        }
        pins.into_iter().take(PINS_MAX).map(|pin| format!("{region}{pin}")).collect()
    }
}

/// How near a listed pin is to a name, smaller is nearer; `None` when it is too far to be meant.
fn nearness(provider: &Provider, name: &str, pin: &str) -> Option<(Reverse<usize>, usize)> {
    let family = provider.bare_of(pin).unwrap_or(pin);
    let longest = family.len().max(name.len());
    let distance = edit_distance(family.as_bytes(), name.as_bytes());
    let begins =
        name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '@']));
    let shared = if begins { family.len() } else { 0 };
    (begins || distance * 5 <= longest * 2).then_some((Reverse(shared), distance))
}

/// Levenshtein distance in bytes, one row at a time.
fn edit_distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
