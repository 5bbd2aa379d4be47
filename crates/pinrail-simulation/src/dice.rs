//! Seeded randomness: the only source of chance in a simulated world.

/// A stream of numbers that follows from its seed alone (SplitMix64, Steele et al. 2014: every seed is a good one).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    #[must_use]
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// Another stream, so that what one part of the world draws doesn't shift what another draws.
    pub fn fork(&mut self) -> Dice {
        Dice(self.draw() ^ 0x6A09_E667_F3BC_C909)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        assert!(end > 0, "there is nothing to choose from");
        usize::try_from(self.draw() % end as u64).expect("it is below a usize")
    }

    /// Whether something happens that happens in this many of 100 cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.draw() % 100 < percent
    }

    /// One of these; none of nothing.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> Option<&'a T> {
        if among.is_empty() { None } else { Some(&among[self.below(among.len())]) }
    }
}
