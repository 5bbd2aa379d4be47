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
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let part = (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64;
        part < chance
    }
}
