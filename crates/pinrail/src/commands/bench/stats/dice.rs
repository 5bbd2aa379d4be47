//! Seeded chance: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016).

pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        let mut dice = Dice(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // Seeds that are alike start alike: a few steps take them apart.
        for _ in 0..4 {
            dice.happens(0.0);
        }
        dice
    }

    pub fn happens(&mut self, chance: f64) -> bool {
        self.part() < chance
    }

    /// Evenly in [0, 1).
    pub fn part(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Normally, with mean 0 and standard deviation 1 (Box & Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let distance = (-2.0 * (1.0 - self.part()).ln()).sqrt();
        distance * (std::f64::consts::TAU * self.part()).cos()
    }
}
