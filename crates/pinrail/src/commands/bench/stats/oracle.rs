//! What the statistics are compared with: a test that knows what nobody knows, and one that looks when it may not.

use pinrail_domain::stats::{Arms, Counted};

/// The one-sided z-test of two rates that looks whenever it is asked.
pub struct Naive {
    critical: f64,
}

impl Naive {
    pub fn at(alpha: f64) -> Naive {
        Naive { critical: normal_quantile(1.0 - alpha) }
    }

    /// Whether the candidate's rate is "significantly" higher: pooled variance; no alarm while that is zero.
    pub fn alarms(&self, counted: &Counted) -> bool {
        let (n_c, n_i) = (counted.units.candidate as f64, counted.units.incumbent as f64);
        let (bad_c, bad_i) = (counted.bad.candidate as f64, counted.bad.incumbent as f64);
        let pooled = (bad_c + bad_i) / (n_c + n_i);
        let variance = pooled * (1.0 - pooled) * (1.0 / n_c + 1.0 / n_i);
        variance > 0.0
            && variance.is_finite()
            && (bad_c / n_c - bad_i / n_i) / variance.sqrt() > self.critical
    }
}

/// Units that a one-sided z-test needs to find these rates with this power, when it knows both beforehand and looks once,
/// on the right day (Fleiss, Levin & Paik, "Statistical Methods for Rates and Proportions", 3rd ed., eq. 4.17, without the
/// correction for continuity).
pub fn horizon(rates: Arms<f64>, theta: f64, alpha: f64, power: f64) -> f64 {
    let Arms { candidate, incumbent } = rates;
    let pooled = theta * candidate + (1.0 - theta) * incumbent;
    let if_equal = (pooled * (1.0 - pooled) / (theta * (1.0 - theta))).sqrt();
    let as_it_is =
        (candidate * (1.0 - candidate) / theta + incumbent * (1.0 - incumbent) / (1.0 - theta)).sqrt();
    let needed = normal_quantile(1.0 - alpha) * if_equal + normal_quantile(power) * as_it_is;
    (needed / (candidate - incumbent)).powi(2).ceil()
}

/// How often paired cases of which this part differs pass at `margin` when the arms are equal, if the normal distribution were
/// all there is to it.
pub fn paired_power(cases: usize, differ: f64, margin: f64, alpha: f64) -> f64 {
    let z = margin * (cases as f64 / differ).sqrt() - normal_quantile(1.0 - alpha);
    if z < 0.0 { upper_tail(-z) } else { 1.0 - upper_tail(z) }
}

/// Wald's test of paired differences: whether their mean is below `margin` by enough of the standard deviations observed.
pub fn wald_accepts(harms: impl Iterator<Item = f64> + Clone, margin: f64, alpha: f64) -> bool {
    let n = harms.clone().count() as f64;
    let mean = harms.clone().sum::<f64>() / n;
    let variance = harms.map(|harm| (harm - mean).powi(2)).sum::<f64>() / n;
    mean - margin <= -normal_quantile(1.0 - alpha) * (variance / n).sqrt()
}

/// The normal distribution's quantile for a part in [0.5, 1), by halving on its distribution function.
fn normal_quantile(part: f64) -> f64 {
    let (mut low, mut high) = (0.0, 8.0);
    for _ in 0..60 {
        let middle: f64 = (low + high) / 2.0;
        if upper_tail(middle) > 1.0 - part {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// The chance of more than `z ≥ 0` (Abramowitz & Stegun 26.2.17, to 7.5e-8).
fn upper_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let factors = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let series = factors.iter().rev().fold(0.0, |sum, factor| t * (factor + sum));
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oracle_knows_its_tables() {
        for (part, quantile) in [(0.5, 0.0), (0.8, 0.841_621), (0.95, 1.644_854), (0.99, 2.326_348)] {
            assert!((normal_quantile(part) - quantile).abs() < 1e-5, "{part}");
        }
        // 5 % against 10 %, equal arms, one-sided 5 %, 80 %: 343 an arm in every textbook's calculator.
        let units = horizon(Arms { candidate: 0.10, incumbent: 0.05 }, 0.5, 0.05, 0.8);
        assert!((680.0..=690.0).contains(&units), "{units}");
    }
}
