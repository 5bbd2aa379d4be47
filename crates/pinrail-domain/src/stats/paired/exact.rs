//! Pairs that were won, lost or tied: an exact test.
//!
//! With one outcome per case and arm, `n` cases hold `lost` that only the candidate fails and `won` that only the
//! incumbent fails. That the harm, the difference of their chances, is at least `δ` leaves one thing open: how often
//! arms differ at all, `ψ` in `[|δ|, 1]`. Tables are ordered by Tango's score statistic (Statistics in Medicine 1998),
//! and the p-value is the chance of a table at least as good for the candidate, at harm `δ` and the *worst* `ψ`
//! (Hsueh, Liu & Chen, Biometrics 2001) that the number of wins leaves open (Berger & Boos, JASA 1994; a `ψ` that nobody
//! believes in would cost power where cases are few). So its promise holds for every `n` and `ψ`, not only for large
//! ones. More harm at the same chance of a win makes good tables rarer, because a table stays good when a loss is taken
//! from it (Röhmel & Mansmann 1999): harms above `δ` need not be looked at.
//!
//! Given how many pairs differ, the losses that are still good are a tail of a binomial, and that tail is carried
//! along from one number of differing pairs to the next, so a p-value costs `O(√n)` for each `ψ` looked at.

/// Scores nearer than this are one score: tables that tie must not be torn apart by rounding.
const TIE: f64 = 1e-9;
/// Standard deviations beyond which a number of differing pairs isn't looked at; what is left out is added to p.
const REACH: f64 = 7.5;
const LEFT_OUT: f64 = 1e-12;
/// The chance that a chance of winning lies outside of what is looked at; it's added to p (Berger & Boos, JASA 1994).
pub(super) const UNLIKELY: f64 = 0.0001;
/// Steps of the grid for each standard deviation of how many pairs differ: the angle's is `1 / (2√n)`.
const STEPS: f64 = 2.0;
/// Halvings by the golden section around the highest values of the grid.
const REFINED: u32 = 14;
const PEAKS: usize = 3;

/// All tables of so many cases.
pub(super) struct Tables {
    cases: usize,
    /// `ln i!`, up to the number of cases.
    ln_factorial: Vec<f64>,
}

/// Tango's score: how far the observed harm is from `harm`, in standard deviations as they would be at `harm`.
pub(super) fn score(cases: f64, lost: f64, won: f64, harm: f64) -> f64 {
    if harm < 0.0 {
        return -score(cases, won, lost, -harm);
    }
    // The likeliest chance of a win at this harm: 2n·q² + b·q − c = 0.
    let b = 2.0 * harm * (cases - lost) - (lost + won) * (1.0 - harm);
    let c = won * harm * (1.0 - harm);
    let root = (b * b + 8.0 * cases * c).sqrt();
    let won_chance = if b > 0.0 { 2.0 * c / (b + root) } else { (root - b) / (4.0 * cases) };
    let variance = cases * (2.0 * won_chance + harm - harm * harm);
    let distance = lost - won - cases * harm;
    if variance > 0.0 {
        distance / variance.sqrt()
    } else if distance.abs() <= TIE {
        0.0
    } else {
        distance.signum() * f64::INFINITY
    }
}

impl Tables {
    pub(super) fn new(cases: usize) -> Tables {
        let mut ln_factorial = Vec::with_capacity(cases + 1);
        let mut sum = 0.0;
        ln_factorial.push(sum);
        for i in 1..=cases {
            sum += (i as f64).ln();
            ln_factorial.push(sum);
        }
        Tables { cases, ln_factorial }
    }

    /// The chance of a table at least this good for the candidate when the harm is at least `harm`, at worst.
    pub(super) fn p(&self, lost: usize, won: usize, harm: f64) -> f64 {
        if harm.is_nan() || harm <= -1.0 || (harm >= 1.0 && lost == self.cases) {
            return 1.0;
        }
        if harm >= 1.0 {
            return 0.0;
        }
        let at_most = score(self.cases as f64, lost as f64, won as f64, harm);
        self.p_of_score(at_most, harm, self.likely(won as f64))
    }

    /// The same for a score, where the chance of a win lies in a range.
    fn p_of_score(&self, at_most: f64, harm: f64, (least, most): (f64, f64)) -> f64 {
        let region = self.region(at_most, harm);
        // Evenly spaced where binomial chances are evenly hard to tell apart: angles.
        let angle = |won: f64| (2.0 * won + harm).clamp(harm.abs(), 1.0).sqrt().asin();
        let (low, high) = (angle(least), angle(most));
        let chance = |angle: f64| self.chance(&region, angle.sin().powi(2).clamp(harm.abs(), 1.0), harm);
        let steps = 1 + (STEPS * (high - low) * (self.cases as f64).sqrt()) as usize;
        let step = (high - low) / steps as f64;
        let grid: Vec<f64> = (0..=steps).map(|i| chance(low + step * i as f64)).collect();
        let mut peaks: Vec<usize> = (0..=steps)
            .filter(|&i| (i == 0 || grid[i] >= grid[i - 1]) && (i == steps || grid[i] >= grid[i + 1]))
            .collect();
        peaks.sort_by(|a, b| grid[*b].total_cmp(&grid[*a]));
        let refined = peaks.iter().take(PEAKS).map(|&i| {
            let middle = low + step * i as f64;
            highest((middle - step).max(low), (middle + step).min(high), &chance)
        });
        let most = refined.chain(grid.iter().copied()).fold(0.0, f64::max);
        (most + UNLIKELY + LEFT_OUT).min(1.0)
    }

    /// Chances of a win that so many wins leave open, but for a chance of [`UNLIKELY`] (Chernoff's bound).
    fn likely(&self, won: f64) -> (f64, f64) {
        let n = self.cases as f64;
        let seen = won / n;
        let log = |seen: f64, chance: f64| if seen > 0.0 { seen * (seen / chance).ln() } else { 0.0 };
        let open =
            |chance: f64| n * (log(seen, chance) + log(1.0 - seen, 1.0 - chance)) <= (2.0 / UNLIKELY).ln();
        let end = |end: f64| {
            let (mut inside, mut outside) = (seen, end);
            for _ in 0..40 {
                let middle = f64::midpoint(inside, outside);
                if open(middle) {
                    inside = middle;
                } else {
                    outside = middle;
                }
            }
            outside
        };
        (end(0.0), end(1.0))
    }

    /// For each number of differing pairs, how many losses are good at least: `None` when not even none is.
    ///
    /// With one more differing pair it is the same number or one more.
    fn region(&self, at_most: f64, harm: f64) -> Vec<Option<usize>> {
        let good = |lost: usize, differ: usize| {
            score(self.cases as f64, lost as f64, (differ - lost) as f64, harm) <= at_most + TIE
        };
        let mut most = None;
        (0..=self.cases)
            .map(|differ| {
                let next = most.map_or(0, |lost| lost + 1);
                if next <= differ && good(next, differ) {
                    most = Some(next);
                }
                most
            })
            .collect()
    }

    /// The chance of the region at this harm when so many pairs differ.
    fn chance(&self, region: &[Option<usize>], differ: f64, harm: f64) -> f64 {
        let n = self.cases as f64;
        if differ <= 0.0 {
            return f64::from(u8::from(region[0].is_some()));
        }
        let lost = ((1.0 + harm / differ) / 2.0).clamp(0.0, 1.0);
        let reach = REACH * (n * differ * (1.0 - differ)).sqrt() + REACH * REACH / 2.0;
        let from = (n * differ - reach).floor().max(0.0) as usize;
        let to = ((n * differ + reach).ceil() as usize).min(self.cases);
        let mut weight = self.binomial(from, self.cases, differ);
        let mut tail = region[from].map_or(0.0, |most| self.at_most(most, from, lost));
        let mut sum = weight * tail;
        for differing in from..to {
            weight = if differ < 1.0 && weight > 0.0 {
                weight * (self.cases - differing) as f64 / (differing + 1) as f64 * differ / (1.0 - differ)
            } else {
                self.binomial(differing + 1, self.cases, differ)
            };
            if let Some(most) = region[differing] {
                tail -= lost * self.binomial(most, differing, lost);
            }
            if let Some(most) = region[differing + 1]
                && region[differing] != region[differing + 1]
            {
                tail += self.binomial(most, differing + 1, lost);
            }
            sum += weight * tail.clamp(0.0, 1.0);
        }
        sum
    }

    /// The chance of exactly `k` out of `n`.
    fn binomial(&self, k: usize, n: usize, chance: f64) -> f64 {
        if k > n {
            return 0.0;
        }
        let log = |count: usize, chance: f64| if count == 0 { 0.0 } else { count as f64 * chance.ln() };
        let ways = self.ln_factorial[n] - self.ln_factorial[k] - self.ln_factorial[n - k];
        (ways + log(k, chance) + log(n - k, 1.0 - chance)).exp()
    }

    /// The chance of at most `k` out of `n`.
    fn at_most(&self, k: usize, n: usize, chance: f64) -> f64 {
        (0..=k.min(n)).map(|i| self.binomial(i, n, chance)).sum::<f64>().min(1.0)
    }

    /// How often a candidate without harm is accepted at `margin` and this `alpha`, when so many pairs differ.
    pub(super) fn power(&self, differ: f64, margin: f64, alpha: f64) -> f64 {
        let likely = self.likely(self.cases as f64 * differ / 2.0);
        // The least good score that is accepted still.
        let (mut accepted, mut refused) = (-8.0, 0.0);
        for _ in 0..20 {
            let middle = f64::midpoint(accepted, refused);
            if self.p_of_score(middle, margin, likely) <= alpha {
                accepted = middle;
            } else {
                refused = middle;
            }
        }
        self.chance(&self.region(accepted, margin), differ, 0.0)
    }
}

/// The highest value of a function with one peak in `[low, high]`, by the golden section.
fn highest(mut low: f64, mut high: f64, of: &impl Fn(f64) -> f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    let (mut left, mut right) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
    let (mut at_left, mut at_right) = (of(left), of(right));
    let mut most = at_left.max(at_right);
    for _ in 0..REFINED {
        if at_left >= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - GOLDEN * (high - low);
            at_left = of(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + GOLDEN * (high - low);
            at_right = of(right);
        }
        most = most.max(at_left).max(at_right);
    }
    most
}
