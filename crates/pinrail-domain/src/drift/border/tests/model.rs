//! Models for the tests: a logit for each prompt, a day's noise on it, and answers drawn from that.

use crate::drift::border::{Day, Mode, Rules, Tally};

/// Seeded chance: xorshift64* (Vigna 2016).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        let mut dice = Dice(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            dice.part();
        }
        dice
    }

    pub fn part(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.part()).ln()).sqrt() * (std::f64::consts::TAU * self.part()).cos()
    }
}

/// How days differ though nothing was changed, in logits.
#[derive(Clone, Copy)]
pub struct Noise {
    /// Each prompt by itself.
    pub own: f64,
    /// All prompts together, along one direction: hardware pools.
    pub pool: f64,
    /// How much of yesterday's noise stays.
    pub stays: f64,
    /// Chance of a day with four times the noise.
    pub wild: f64,
    /// Chance of a failed call.
    pub fails: f64,
}

impl Noise {
    pub const SOME: Noise = Noise { own: 0.15, pool: 0.1, stays: 0.0, wild: 0.0, fails: 0.0 };
}

/// A model by its logits, one per prompt.
pub struct Model {
    logits: Vec<f64>,
    pool: Vec<f64>,
}

impl Model {
    /// A model with so many border prompts.
    pub fn new(dice: &mut Dice, prompts: usize) -> Model {
        Model {
            logits: (0..prompts).map(|_| 0.5 * dice.normal()).collect(),
            pool: (0..prompts).map(|_| dice.normal()).collect(),
        }
    }

    /// A checkpoint that isn't the same, by so many logits.
    pub fn sibling(&self, dice: &mut Dice, distance: f64) -> Model {
        let logits = self.logits.iter().map(|logit| logit + distance * dice.normal()).collect();
        Model { logits, pool: self.pool.clone() }
    }

    /// A model part of the way to another.
    pub fn towards(&self, far: &Model, part: f64) -> Model {
        let logits = self.logits.iter().zip(&far.logits).map(|(a, b)| a + part * (b - a)).collect();
        Model { logits, pool: self.pool.clone() }
    }
}

/// Plays days: `which` says by day what model answers, or that nobody asked.
pub fn play<'a>(
    dice: &mut Dice,
    days: std::ops::Range<u32>,
    mode: Mode,
    noise: Noise,
    rules: &Rules,
    which: impl Fn(u32) -> Option<&'a Model>,
) -> Vec<Day> {
    let mut kept: Vec<f64> = vec![];
    let mut common = 0.0;
    let fresh = (1.0 - noise.stays * noise.stays).sqrt();
    let mut played = vec![];
    for day in days {
        let Some(model) = which(day) else { continue };
        kept.resize(model.logits.len(), 0.0);
        let wild = if dice.part() < noise.wild { 4.0 } else { 1.0 };
        common = noise.stays * common + fresh * noise.pool * dice.normal();
        let mut tallies = std::collections::BTreeMap::new();
        for (at, logit) in model.logits.iter().enumerate() {
            kept[at] = noise.stays * kept[at] + fresh * noise.own * dice.normal();
            let logit = logit + wild * (kept[at] + common * model.pool[at]);
            let chance = 1.0 / (1.0 + (-logit).exp());
            let mut tally = Tally::default();
            let calls = if mode == Mode::Sampled { rules.samples } else { 1 };
            for _ in 0..calls {
                if dice.part() < noise.fails {
                    tally.failed();
                } else if mode == Mode::Logprobs {
                    tally.told(&[("red".to_owned(), chance), ("blue".to_owned(), 1.0 - chance)]);
                } else {
                    tally.answered(if dice.part() < chance { "Red" } else { "blue." });
                }
            }
            tallies.insert(format!("prompt {at:02}"), tally);
        }
        played.push(Day { day, mode, tallies });
    }
    played
}
