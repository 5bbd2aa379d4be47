//! What the statistics of rollouts cost in time: how long harm goes unseen, and how often nothing is taken for harm; and
//! those of the gate: how often harm passes, and how many cases a good candidate takes.
//!
//! Everything is simulated from seeds, so a run prints the same numbers on every machine. Units arrive one by one, and
//! after each one somebody looks.

use pinrail_domain::share::Share;
use pinrail_domain::stats::{Alphas, Arms, Counted, Verdict, bad_log_e, rate, units_needed_rate};

use super::{Bench, Row};
use dice::Dice;
use oracle::{Naive, horizon};

pub(super) mod dice;
mod gate;
mod oracle;

/// What is simulated.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Seeds {
    /// Simulated rollouts per line of the stats scenario
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: u64,
}

/// Accepted of each kind of error.
const ALPHA: f64 = 0.05;
/// Units after which a rollout that found nothing counts as having missed the harm.
const UNITS_MAX: u64 = 100_000;
/// Units of a rollout with equal arms: long enough for a naive test to go wrong.
const EQUAL_UNITS: u64 = 20_000;
/// Units between two looks of the naive test, and of the test whether the candidate may pass.
const LOOK_EVERY: u64 = 100;
const PASS_LOOK_EVERY: u64 = 500;
/// Rates of the incumbent and of the candidate.
const HARMS: [(f64, f64); 3] = [(0.05, 0.10), (0.01, 0.03), (0.005, 0.01)];
const SHARES: [u64; 2] = [1_000, 5_000];
const EQUAL: [f64; 5] = [0.001, 0.01, 0.05, 0.2, 0.5];
const EQUAL_SHARES: [u64; 3] = [100, 1_000, 5_000];
/// Rates of both arms, and the margin: what lets a candidate pass.
const PASSES: [(f64, f64); 3] = [(0.01, 0.01), (0.05, 0.01), (0.05, 0.02)];

pub fn measure(bench: &Bench, wish: Seeds) -> anyhow::Result<Vec<Row>> {
    let seeds = if bench.quick { wish.seeds.min(200) } else { wish.seeds };
    let mut rows = Vec::new();
    for (incumbent, candidate) in HARMS {
        for bps in SHARES {
            rows.push(harm(Arms { candidate, incumbent }, Share::from_bps(bps)?, seeds));
        }
    }
    for (base, margin) in PASSES {
        for bps in SHARES {
            rows.push(pass(base, margin, Share::from_bps(bps)?, seeds.div_ceil(10)));
        }
    }
    for p in EQUAL {
        for bps in EQUAL_SHARES {
            rows.push(equal(p, Share::from_bps(bps)?, seeds));
        }
    }
    rows.extend(gate::measure(seeds));
    Ok(rows)
}

/// How soon a worse candidate is found.
fn harm(rates: Arms<f64>, share: Share, seeds: u64) -> Row {
    let mut found: Vec<u64> = (0..seeds).filter_map(|seed| alarm(seed, rates, share, UNITS_MAX)).collect();
    let what = format!(
        "{} → {} worse, {share} on the candidate",
        percent(rates.incumbent),
        percent(rates.candidate)
    );
    let part = percent(found.len() as f64 / seeds as f64);
    found.sort_unstable();
    let after = |power: f64| nth(&found, power, seeds);
    let measured = format!("found in {part}: half after {} units, 90% after {}", after(0.5), after(0.9));
    let oracle = |power: f64| horizon(rates, theta(share), ALPHA, power);
    let (half, most) = (oracle(0.5), oracle(0.9));
    Row::new("stats", what, measured)
        .against(format!("{half:.0} and {most:.0} units by an oracle with a horizon"))
}

/// How soon a candidate that is as good as its incumbent may pass.
fn pass(base: f64, margin: f64, share: Share, seeds: u64) -> Row {
    let alphas = Alphas { worse: ALPHA, not_worse: ALPHA };
    let expected = units_needed_rate(base, share, margin, alphas).map(|n| n.candidate + n.incumbent);
    let units_max = 3 * expected.unwrap_or(UNITS_MAX);
    let rates = Arms { candidate: base, incumbent: base };
    let passed = |seed: u64| {
        let mut rollout = Rollout::new(seed, rates, share);
        while rollout.total() < units_max {
            rollout.unit();
            if rollout.total().is_multiple_of(PASS_LOOK_EVERY)
                && rate(&[rollout.counted], margin, alphas).verdict == Verdict::NotWorse
            {
                return Some(rollout.total());
            }
        }
        None
    };
    let mut passed: Vec<u64> = (0..seeds).filter_map(passed).collect();
    let part = percent(passed.len() as f64 / seeds as f64);
    let what = format!("both {}, margin {}, {share} on the candidate", percent(base), percent(margin));
    passed.sort_unstable();
    let after = |power: f64| nth(&passed, power, seeds);
    let measured = format!("passed in {part}: half after {} units, 90% after {}", after(0.5), after(0.9));
    let planned = expected.map_or("out of reach".to_owned(), |units| format!("{units} units"));
    Row::new("stats", what, measured).against(format!("{planned} as a plan says"))
}

/// How often equal arms alarm.
fn equal(p: f64, share: Share, seeds: u64) -> Row {
    let rates = Arms { candidate: p, incumbent: p };
    let alarms = (0..seeds).filter(|seed| alarm(*seed, rates, share, EQUAL_UNITS).is_some()).count();
    let naive = (0..seeds).filter(|seed| naive_alarm(*seed, rates, share)).count();
    let part = |count: usize| count as f64 / seeds as f64;
    // Four standard deviations of what chance does to a count.
    let noise = 4.0 * (ALPHA * (1.0 - ALPHA) / seeds as f64).sqrt();
    let what = format!("both {}, {share} on the candidate: false alarms", percent(p));
    Row::new("stats", what, percent(part(alarms)))
        .against(format!("{} by a z-test every {LOOK_EVERY} units", percent(part(naive))))
        .budget(format!("≤ {}", percent(ALPHA)), part(alarms) <= ALPHA + noise)
}

/// A rollout in which units arrive.
struct Rollout {
    dice: Dice,
    rates: Arms<f64>,
    theta: f64,
    counted: Counted,
}

impl Rollout {
    fn new(seed: u64, rates: Arms<f64>, share: Share) -> Rollout {
        let counted = Counted { share, units: Arms::default(), bad: Arms::default() };
        Rollout { dice: Dice::new(seed), rates, theta: theta(share), counted }
    }

    fn total(&self) -> u64 {
        self.counted.units.candidate + self.counted.units.incumbent
    }

    /// One more unit; whether it was bad.
    fn unit(&mut self) -> bool {
        let Counted { units, bad, .. } = &mut self.counted;
        let (units, bad, rate) = if self.dice.happens(self.theta) {
            (&mut units.candidate, &mut bad.candidate, self.rates.candidate)
        } else {
            (&mut units.incumbent, &mut bad.incumbent, self.rates.incumbent)
        };
        let is_bad = self.dice.happens(rate);
        *units += 1;
        *bad += u64::from(is_bad);
        is_bad
    }
}

/// After how many units it was proven that the candidate is worse.
///
/// The e-value moves with bad units only, so a look after each of them is a look after every unit.
fn alarm(seed: u64, rates: Arms<f64>, share: Share, units_max: u64) -> Option<u64> {
    let mut rollout = Rollout::new(seed, rates, share);
    let enough = (1.0 / ALPHA).ln();
    while rollout.total() < units_max {
        if !rollout.unit() {
            continue;
        }
        let bad = rollout.counted.bad;
        let more = bad.candidate as f64 > rollout.theta * (bad.candidate + bad.incumbent) as f64;
        if more && bad_log_e(&[(share, bad)]) >= enough {
            return Some(rollout.total());
        }
    }
    None
}

fn naive_alarm(seed: u64, rates: Arms<f64>, share: Share) -> bool {
    let mut rollout = Rollout::new(seed, rates, share);
    let naive = Naive::at(ALPHA);
    while rollout.total() < EQUAL_UNITS {
        rollout.unit();
        if rollout.total().is_multiple_of(LOOK_EVERY) && naive.alarms(&rollout.counted) {
            return true;
        }
    }
    false
}

/// After how many units this part of all seeds was through; those that never were come last.
fn nth(sorted: &[u64], part: f64, seeds: u64) -> String {
    let index = (part * seeds as f64).ceil() as usize;
    sorted.get(index.saturating_sub(1)).map_or("more than were simulated".to_owned(), u64::to_string)
}

fn theta(share: Share) -> f64 {
    f64::from(share.bps()) / f64::from(Share::BPS_MAX)
}

/// At most one decimal: 5%, 0.5%, 99.7%.
fn percent(part: f64) -> String {
    let rounded = (part * 1000.0).round() / 10.0;
    format!("{rounded}%")
}
