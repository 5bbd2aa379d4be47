//! Betting against "these numbers in [0, 1] have at most this mean", at any moment.
//!
//! Somebody who puts the fraction κ of their wealth on numbers `z` above ζ has, if their mean is at most ζ, an expected
//! return `1 + κ(z − ζ)/ζ ≤ 1` each time, so the wealth is a supermartingale from 1 (Waudby-Smith & Ramdas, "Estimating
//! means of bounded random variables by betting", JRSS-B 2024, §3). κ is never adapted: the wealth of several fixed ones
//! is averaged, which is a supermartingale again (the method of mixtures, ibid. §B; Robbins 1970) and depends on sums
//! alone, so the order of arrival doesn't matter and a look costs nothing.

/// The fractions bet, halved from one to the next, each with the same weight: the best one for a difference of `gap` is
/// about ζ·gap/variance, so the row serves from a handful of values to millions, and the nearest is within √2.
const FRACTIONS: usize = 12;
const FRACTION_MAX: f64 = 0.75;
/// Keeps ratios finite; a mean this small is 0 for every purpose here.
const CEILING_MIN: f64 = 1e-12;

/// Numbers in [0, 1], as far as betting has to know them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub n: f64,
    pub sum: f64,
    pub squares: f64,
}

/// Bets on yes and no, against "the chance of yes is at most this".
pub(super) struct Coin {
    /// Logarithm of the return on yes and on no, per fraction.
    returns: [(f64, f64); FRACTIONS],
}

impl Sums {
    pub fn add(&mut self, z: f64) {
        self.n += 1.0;
        self.sum += z;
        self.squares += z * z;
    }

    /// The same of `1 − z`.
    pub fn mirrored(&self) -> Sums {
        Sums { n: self.n, sum: self.n - self.sum, squares: (self.n - 2.0 * self.sum + self.squares).max(0.0) }
    }

    pub fn mean(&self) -> Option<f64> {
        (self.n > 0.0).then(|| self.sum / self.n)
    }

    /// A lower bound of the log wealth of betting against "the mean is at most `ceiling`"; never rises with `ceiling`.
    ///
    /// By `ln(1 + κξ) ≥ κξ + ξ²(ln(1 − κ) + κ)` for `ξ ≥ −1` and κ in [0, 1) (Fan, Grama & Liu, "Exponential inequalities
    /// for martingales with applications", EJP 2015, Lemma 4.1) with `ξ = z/ζ − 1`, each fraction's wealth is bounded by
    /// sums. What is true of a higher ceiling is true of a lower one, whose wealth is larger: where the bound would fall
    /// again with a lower ceiling, its best value is taken.
    pub fn log_e(&self, ceiling: f64) -> f64 {
        if self.n <= 0.0 {
            return 0.0;
        }
        let scale = 1.0 / ceiling.max(CEILING_MIN);
        let logs = fractions().map(|fraction| {
            let cost = -((-fraction).ln_1p() + fraction);
            let best = (fraction + 2.0 * cost) * self.sum / (2.0 * cost * self.squares);
            let s = if self.squares > 0.0 { scale.min(best) } else { scale };
            fraction * (s * self.sum - self.n) - cost * (s * s * self.squares - 2.0 * s * self.sum + self.n)
        });
        log_mean_exp(&logs)
    }
}

impl Coin {
    /// Bets against a chance of at most `chance`, which lies strictly between 0 and 1.
    pub fn against(chance: f64) -> Coin {
        let on_yes = (1.0 - chance) / chance;
        Coin { returns: fractions().map(|fraction| ((fraction * on_yes).ln_1p(), (-fraction).ln_1p())) }
    }

    /// The log wealth after `yes` of `n`; rises with `yes`.
    pub fn log_e(&self, yes: f64, n: f64) -> f64 {
        if n <= 0.0 {
            return 0.0;
        }
        log_mean_exp(&self.returns.map(|(on_yes, on_no)| yes * on_yes + (n - yes) * on_no))
    }
}

/// The logarithm of the mean of the exponentials; finite for finite arguments.
fn log_mean_exp(logs: &[f64; FRACTIONS]) -> f64 {
    let max = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|log| (log - max).exp()).sum();
    max + (sum / FRACTIONS as f64).ln()
}

fn fractions() -> [f64; FRACTIONS] {
    let mut fraction = 2.0 * FRACTION_MAX;
    [(); FRACTIONS].map(|()| {
        fraction /= 2.0;
        fraction
    })
}
