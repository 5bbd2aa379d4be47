//! Seeded chance for the tests: xorshift64* (Vigna 2016).

pub(in crate::stats) struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        let mut dice = Dice(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..4 {
            dice.part();
        }
        dice
    }

    /// In [0, 1).
    pub fn part(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn happens(&mut self, chance: f64) -> bool {
        self.part() < chance
    }
}

/// Fails if more happened than a chance of `alpha` explains: beyond four standard deviations.
pub(in crate::stats) fn check_rare(what: &str, happened: u64, runs: u64, alpha: f64) {
    let runs = runs as f64;
    let most = alpha * runs + 4.0 * (alpha * (1.0 - alpha) * runs).sqrt();
    assert!(happened as f64 <= most, "{what}: {happened} of {runs} runs, at most {most:.0} are explained");
}
