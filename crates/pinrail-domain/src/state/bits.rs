//! A set of places in a space, one bit each: which operations of it somebody sees.
//!
//! A place is an operation's position in its space's sequence, from 0, so "as of" is a prefix. Runs of places that
//! are hidden cost a 64th of a look each.

use std::ops::Range;

/// A growing set of places. A place beyond the end is not in it.
#[derive(Clone, Debug, Default)]
pub struct Bits {
    words: Vec<u64>,
    count: usize,
}

/// Bits in a word.
const WORD: usize = 64;

impl Bits {
    #[must_use]
    pub fn new() -> Bits {
        Bits::default()
    }

    /// The places 0 to `places - 1`.
    #[must_use]
    pub fn all(places: usize) -> Bits {
        let mut words = vec![u64::MAX; places / WORD];
        if !places.is_multiple_of(WORD) {
            words.push((1 << (places % WORD)) - 1);
        }
        Bits { words, count: places }
    }

    /// How many places are in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[must_use]
    pub fn contains(&self, place: usize) -> bool {
        self.words.get(place / WORD).is_some_and(|word| word >> (place % WORD) & 1 == 1)
    }

    /// Puts a place in; tells whether it is new.
    pub fn insert(&mut self, place: usize) -> bool {
        let index = place / WORD;
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        let bit = 1 << (place % WORD);
        let new = self.words[index] & bit == 0;
        self.words[index] |= bit;
        self.count += usize::from(new);
        new
    }

    /// Takes a place out; tells whether it was in.
    pub fn remove(&mut self, place: usize) -> bool {
        let Some(word) = self.words.get_mut(place / WORD) else { return false };
        let bit = 1 << (place % WORD);
        let was_in = *word & bit != 0;
        *word &= !bit;
        self.count -= usize::from(was_in);
        was_in
    }

    /// Keeps the places that are in `other` too.
    pub fn intersect(&mut self, other: &Bits) {
        self.words.truncate(other.words.len());
        for (word, theirs) in self.words.iter_mut().zip(&other.words) {
            *word &= theirs;
        }
        self.recount();
    }

    /// Adds the places of `other`.
    pub fn unite(&mut self, other: &Bits) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, theirs) in self.words.iter_mut().zip(&other.words) {
            *word |= theirs;
        }
        self.recount();
    }

    /// Takes out the places of `other`.
    pub fn subtract(&mut self, other: &Bits) {
        for (word, theirs) in self.words.iter_mut().zip(&other.words) {
            *word &= !theirs;
        }
        self.recount();
    }

    /// Adds those places of `other` that lie in `range`.
    pub fn unite_within(&mut self, other: &Bits, range: Range<usize>) {
        let range = range.start..range.end.min(other.words.len() * WORD);
        if range.is_empty() {
            return;
        }
        let words = range.end.div_ceil(WORD);
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
        for (index, mask) in masks(range) {
            let added = other.words[index] & mask & !self.words[index];
            self.words[index] |= added;
            self.count += added.count_ones() as usize;
        }
    }

    /// Takes out the places in `range`.
    pub fn remove_range(&mut self, range: Range<usize>) {
        for (index, mask) in masks(range.start..range.end.min(self.words.len() * WORD)) {
            self.count -= (self.words[index] & mask).count_ones() as usize;
            self.words[index] &= !mask;
        }
    }

    /// Takes out all places from `end` on.
    pub fn truncate(&mut self, end: usize) {
        self.words.truncate(end.div_ceil(WORD));
        if !end.is_multiple_of(WORD)
            && let Some(word) = self.words.get_mut(end / WORD)
        {
            *word &= (1 << (end % WORD)) - 1;
        }
        self.recount();
    }

    /// The places, in rising order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, word)| Ones(*word).map(move |bit| index * WORD + bit))
    }

    /// The words, 64 places each, lowest place in the lowest bit.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    fn recount(&mut self) {
        self.count = self.words.iter().map(|word| word.count_ones() as usize).sum();
    }
}

/// The same places: how far the words reach doesn't matter.
impl PartialEq for Bits {
    fn eq(&self, other: &Bits) -> bool {
        let shared = self.words.len().min(other.words.len());
        self.count == other.count && self.words[..shared] == other.words[..shared]
    }
}

impl Eq for Bits {}

impl FromIterator<usize> for Bits {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Bits {
        let mut bits = Bits::new();
        for place in places {
            bits.insert(place);
        }
        bits
    }
}

/// The words that a range touches, each with the bits of the range in it.
fn masks(range: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
    let words = range.start / WORD..if range.is_empty() { 0 } else { range.end.div_ceil(WORD) };
    words.map(move |index| {
        let low = range.start.saturating_sub(index * WORD);
        let high = (range.end - index * WORD).min(WORD);
        (index, (u64::MAX << low) & (u64::MAX >> (WORD - high)))
    })
}

/// The set bits of one word.
struct Ones(u64);

impl Iterator for Ones {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let bit = (self.0 != 0).then(|| self.0.trailing_zeros() as usize)?;
        self.0 &= self.0 - 1;
        Some(bit)
    }
}

impl DoubleEndedIterator for Ones {
    fn next_back(&mut self) -> Option<usize> {
        let bit = (self.0 != 0).then(|| WORD - 1 - self.0.leading_zeros() as usize)?;
        self.0 &= !(1 << bit);
        Some(bit)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn places() -> impl Strategy<Value = BTreeSet<usize>> {
        proptest::collection::btree_set(0_usize..300, 0..60)
    }

    proptest! {
        #[test]
        fn bits_are_a_set(a in places(), b in places(), start in 0_usize..320, end in 0_usize..320) {
            let bits = |set: &BTreeSet<usize>| set.iter().copied().collect::<Bits>();
            let check = |made: Bits, expected: BTreeSet<usize>| {
                assert_eq!(made.len(), expected.len());
                assert_eq!(made.iter().collect::<Vec<_>>(), expected.iter().copied().collect::<Vec<_>>());
                assert_eq!(
                    made.iter().rev().collect::<Vec<_>>(),
                    expected.iter().rev().copied().collect::<Vec<_>>()
                );
                assert!((0..320).all(|place| made.contains(place) == expected.contains(&place)));
            };
            let with = |change: fn(&mut Bits, &Bits)| {
                let mut made = bits(&a);
                change(&mut made, &bits(&b));
                made
            };
            check(bits(&a), a.clone());
            check(with(Bits::unite), &a | &b);
            check(with(Bits::intersect), &a & &b);
            check(with(Bits::subtract), &a - &b);
            let mut cut = bits(&a);
            cut.truncate(end);
            check(cut, a.iter().copied().filter(|place| *place < end).collect());
            let mut without = bits(&a);
            for place in &b {
                assert_eq!(without.remove(*place), a.contains(place));
            }
            check(without, &a - &b);
            check(Bits::all(end), (0..end).collect());
            let within = |place: &&usize| (start..end).contains(*place);
            let mut some = bits(&a);
            some.unite_within(&bits(&b), start..end);
            assert_eq!(some, bits(&a.iter().chain(b.iter().filter(within)).copied().collect()));
            check(some, a.iter().chain(b.iter().filter(within)).copied().collect());
            let mut rest = bits(&a);
            rest.remove_range(start..end);
            check(rest, a.iter().copied().filter(|place| !within(&place)).collect());
        }
    }
}
