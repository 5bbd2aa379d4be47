//! Differences on a scale with ends: the bootstrap that knows what it hasn't seen, without chance.
//!
//! Each case contributes one number in `[0, 1]`, 1 being the most harm there can be. That their mean is at least `μ` is
//! judged by a world in which it is exactly `μ` and that explains the data best: the observed values reweighted by
//! `1 / (1 + λ(μ − x))`, and what weight is left over on the end that nobody has seen (the restricted nonparametric
//! maximum likelihood; Owen, "Empirical Likelihood", 2001). The p-value is the chance, in that world, of a sum as low as
//! the observed one: nonparametric tilting (Efron 1981; DiCiccio & Romano, Annals of Statistics 1990), which is exact to
//! second order. Without the end, a sample without any harm would prove anything.
//!
//! A sample may have missed rare and great harm while small differences make it look well known. So the p-value is the
//! highest over worlds in which such harm has some weight of its own, as much as a sample misses by a chance of [`MISSED`].
//!
//! Nothing is drawn: values lie on a lattice, and the distribution of their sum comes from its characteristic
//! function, summed up over the lattice's frequencies.

use std::f64::consts::TAU;

/// The chance by which a sample may miss the harm that it has to reckon with.
const MISSED: f64 = 0.01;
/// Worlds with such harm that are looked at.
const WORLDS: u32 = 6;
/// Halvings for λ.
const HALVINGS: u32 = 50;
/// Standard deviations, and steps of the greatest size, that sums are followed around their mean.
const REACH: f64 = 8.0;
const REACH_STEPS: f64 = 16.0;

/// Values on a lattice, as parts of all: `(i, weight)` is the value `i / top`, more is worse. Weights sum to 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lattice {
    pub top: usize,
    pub weights: Vec<(usize, f64)>,
}

impl Lattice {
    pub(super) fn mean(&self) -> f64 {
        self.weights.iter().map(|(at, weight)| *at as f64 * weight).sum::<f64>() / self.top as f64
    }

    /// The same with good and bad exchanged.
    pub(super) fn mirrored(&self) -> Lattice {
        let weights = self.weights.iter().rev().map(|(at, weight)| (self.top - at, *weight)).collect();
        Lattice { top: self.top, weights }
    }

    /// The chance of a mean as low as this one's in so many cases, when the true one is at least `mean`.
    pub(super) fn p(&self, cases: u64, mean: f64) -> f64 {
        if mean.is_nan() || mean <= 0.0 || self.weights.is_empty() {
            return 1.0;
        }
        let observed = self.mean();
        if mean >= 1.0 || observed >= 1.0 {
            return f64::from(u8::from(observed >= 1.0));
        }
        let sum = (observed * self.top as f64 * cases as f64 + 1e-6).floor();
        // Beyond this, what was seen would have to be better than it was.
        let explained = ((mean - observed) / (1.0 - observed)).max(0.0);
        let unseen_most = (1.0 - MISSED.powf(1.0 / cases as f64)).min(explained);
        let chance = |unseen: f64| {
            let mut world = self.tilted((mean - unseen) / (1.0 - unseen));
            world.weights.iter_mut().for_each(|(_, weight)| *weight *= 1.0 - unseen);
            world.add(self.top, unseen);
            world.sum_at_most(cases, sum)
        };
        (0..=WORLDS).map(|i| chance(unseen_most * f64::from(i) / f64::from(WORLDS))).fold(0.0, f64::max)
    }

    /// What is likeliest when the mean is `mean`.
    fn tilted(&self, mean: f64) -> Lattice {
        let at_end = |end: usize| Lattice { top: self.top, weights: vec![(end, 1.0)] };
        if mean <= 0.0 {
            return at_end(0);
        }
        if mean >= 1.0 {
            return at_end(self.top);
        }
        let distance = |at: usize| mean - at as f64 / self.top as f64;
        // Falls in λ; 0 where the reweighted mean is `mean`.
        let slope = |lambda: f64| -> f64 {
            self.weights
                .iter()
                .map(|(at, weight)| weight * distance(*at) / (1.0 + lambda * distance(*at)))
                .sum()
        };
        let (mut low, mut high, end) =
            if slope(0.0) >= 0.0 { (0.0, 1.0 / (1.0 - mean), self.top) } else { (-1.0 / mean, 0.0, 0) };
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if slope(middle) >= 0.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        let lambda = f64::midpoint(low, high);
        let weights: Vec<_> =
            self.weights.iter().map(|(at, weight)| (*at, weight / (1.0 + lambda * distance(*at)))).collect();
        let mut tilted = Lattice { top: self.top, weights };
        let left = 1.0 - tilted.weights.iter().map(|(_, weight)| weight).sum::<f64>();
        tilted.add(end, left.max(0.0));
        tilted
    }

    fn add(&mut self, at: usize, weight: f64) {
        match self.weights.iter_mut().find(|(other, _)| *other == at) {
            Some((_, sum)) => *sum += weight,
            None => self.weights.push((at, weight)),
        }
    }

    /// The chance that so many draws sum up to at most `sum` (in steps of the lattice).
    fn sum_at_most(&self, draws: u64, sum: f64) -> f64 {
        let n = draws as f64;
        let mean: f64 = self.weights.iter().map(|(at, weight)| *at as f64 * weight).sum();
        let variance: f64 =
            self.weights.iter().map(|(at, weight)| weight * (*at as f64 - mean).powi(2)).sum();
        let reach = REACH * (n * variance).sqrt() + REACH_STEPS * self.top as f64;
        let lowest = (n * mean - reach).floor().max(0.0);
        let highest = (n * mean + reach).ceil().min(n * self.top as f64);
        if sum < lowest {
            return 0.0;
        }
        if sum >= highest {
            return 1.0;
        }
        let period = (highest - lowest) as usize + 1;
        let turns: Vec<(f64, f64)> = (0..period)
            .map(|i| (TAU * i as f64 / period as f64).sin_cos())
            .map(|(sin, cos)| (cos, sin))
            .collect();
        // Sums as far as they are followed: `inside` of them are at most `sum`.
        let inside = sum - lowest + 1.0;
        let mut total = inside;
        for frequency in 1..=period / 2 {
            let (mut real, mut imaginary) = (0.0, 0.0);
            for (at, weight) in &self.weights {
                let (cos, sin) = turns[frequency * at % period];
                real += weight * cos;
                imaginary += weight * sin;
            }
            let log_size = n * 0.5 * (real * real + imaginary * imaginary).ln();
            if log_size < -45.0 {
                continue;
            }
            // Σ over the sums of e^(−i·2π·frequency·sum/period), a geometric series.
            let step = TAU * frequency as f64 / period as f64;
            let series = (step * inside / 2.0).sin() / (step / 2.0).sin();
            let angle = n * imaginary.atan2(real) - step * (lowest + (inside - 1.0) / 2.0);
            let twice = if 2 * frequency == period { 1.0 } else { 2.0 };
            total += twice * log_size.exp() * angle.cos() * series;
        }
        (total / period as f64).clamp(0.0, 1.0)
    }
}
