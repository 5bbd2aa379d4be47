//! Days as points, the baseline's mean and scatter, and the one test that is made along one axis.
//!
//! A prompt is three coordinates: the shares of its two most frequent answers in the baseline, and of all others, each
//! divided by √2, so that for two answers the length of a move is how far the share of one moved.

use super::{Day, Mode, PROMPTS_MIN, Rules, Tally};

const PARTS: usize = 3;
/// The least scatter along an axis that is believed: providers that answer exactly alike for weeks exist, until they don't.
const SCATTER_MIN: f64 = 0.01;
/// Below it, all days are alike but for rounding.
const VARIANCE_MIN: f64 = 1e-12;
/// The part of the wanted answers that a prompt needs for its day to count.
const ANSWERED_MIN: f64 = 0.6;

/// The baseline of some prompts.
pub struct Frame {
    /// Each with its two usual answers.
    prompts: Vec<(String, [String; 2])>,
    mean: Vec<f64>,
    /// How each baseline day lay off the mean.
    scatter: Vec<Vec<f64>>,
    /// The days' variance, summed over all coordinates.
    variance: f64,
    /// What drawing alone explains of it; nothing with log probabilities.
    drawn: f64,
}

/// What one window says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    pub sigma: f64,
    pub freedom: u32,
    pub shift: f64,
    /// Whether each of the last days shows more than half of what all show together.
    pub lasts: bool,
    /// The day of the window from which on it looks different.
    pub since: usize,
}

/// One day off the mean: `None` where a prompt is missing.
pub type Move = Vec<Option<[f64; PARTS]>>;

/// Whether enough answers came for the prompt's day to count.
pub fn counts(tally: &Tally, mode: Mode, rules: &Rules) -> bool {
    match mode {
        Mode::Sampled => f64::from(tally.asked) >= ANSWERED_MIN * f64::from(rules.samples),
        Mode::Logprobs => tally.asked > 0,
    }
}

impl Frame {
    /// Makes the baseline of some prompts from its days; what too few of the days have is left out. `None` with too few
    /// prompts or days.
    pub fn new(baseline: &[&Day], prompts: &[&str], rules: &Rules) -> Option<Frame> {
        if baseline.len() < rules.calibration_days as usize {
            return None;
        }
        let prompts: Vec<(String, [String; 2])> = prompts
            .iter()
            .filter_map(|prompt| usual(baseline, prompt, rules).map(|two| ((*prompt).to_owned(), two)))
            .collect();
        if prompts.len() < PROMPTS_MIN as usize {
            return None;
        }
        let mut frame = Frame {
            mean: vec![0.0; PARTS * prompts.len()],
            prompts,
            scatter: vec![],
            variance: 0.0,
            drawn: 0.0,
        };
        frame.scatter = vec![vec![0.0; frame.mean.len()]; baseline.len()];
        for at in 0..frame.prompts.len() {
            frame.fill(at, baseline, rules);
        }
        let n = baseline.len() as f64;
        frame.variance =
            frame.scatter.iter().map(|row| row.iter().map(|x| x * x).sum::<f64>()).sum::<f64>() / (n - 1.0);
        Some(frame)
    }

    /// How many prompts there are.
    pub fn prompts(&self) -> usize {
        self.prompts.len()
    }

    /// How many times what drawing explains the days' variance is.
    pub fn noise(&self) -> Option<f64> {
        (self.drawn > 0.0).then(|| self.variance / self.drawn)
    }

    /// How alike neighbours are: 1 if the days' order tells nothing, less if the first are unlike the last.
    pub fn unrest(&self) -> f64 {
        let apart = |two: &[Vec<f64>]| two[0].iter().zip(&two[1]).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let pairs = self.scatter.len().saturating_sub(1).max(1) as f64;
        let near = self.scatter.windows(2).map(apart).sum::<f64>() / (2.0 * pairs);
        if self.variance > VARIANCE_MIN { near / self.variance } else { 1.0 }
    }

    /// Tests whether the later days moved the way the first `lead` did.
    pub fn test(&self, moves: &[&Move], lead: usize, rules: &Rules) -> Option<Test> {
        let (leading, later) = moves.split_at(lead.min(moves.len()));
        let towards = mean_of(leading);
        let length = norm(&towards);
        if later.is_empty() || length <= 0.0 {
            return None;
        }
        let axis: Vec<f64> = towards.iter().map(|x| x / length).collect();
        let (n, a, m) = (self.scatter.len() as f64, leading.len() as f64, later.len() as f64);
        // The reference holds the leading days too; so it and the axis don't go together.
        let reference = length * a / (n + a);
        let all: Vec<f64> = moves.iter().map(|day| dot(&flat(day), &axis) - reference).collect();
        let along = &all[leading.len()..];
        let mean = along.iter().sum::<f64>() / m;
        let scatter = self.scatter.iter().map(|row| dot(row, &axis).powi(2)).sum::<f64>() / (n - 1.0);
        let error = scatter.sqrt().max(SCATTER_MIN) * (1.0 / m + 1.0 / (n + a)).sqrt();
        let last = later.len().min(rules.persistence as usize);
        let moved = mean_of(later);
        let both = dot(&towards, &moved);
        // Where the leading days are among the last, they must themselves have moved as far as the later ones did.
        let led = later.len() >= rules.persistence as usize
            || both > 0.5 * (dot(&moved, &moved) - self.variance / m).max(0.0);
        let shared = both - self.variance / n;
        Some(Test {
            sigma: mean / error,
            freedom: u32::try_from(self.scatter.len() - 1).unwrap_or(u32::MAX),
            shift: (shared.max(0.0) / self.prompts.len() as f64).sqrt(),
            lasts: led && along[along.len() - last..].iter().all(|day| *day > 0.5 * mean),
            since: changed(&all, mean),
        })
    }

    /// About the sigma that a shift of this size gives, if one day leads and `later` follow.
    pub fn expected(&self, shift: f64, later: f64) -> f64 {
        let n = self.scatter.len() as f64;
        let all = self.prompts.len() as f64;
        let square = shift * shift * all;
        let along = square / (square + self.variance).sqrt().max(1e-9) * n / (n + 1.0);
        let scatter = (self.variance / all).sqrt().max(SCATTER_MIN);
        along / (scatter * (1.0 / later + 1.0 / (n + 1.0)).sqrt())
    }

    /// Fills one prompt's mean and scatter. A baseline day that lacks the prompt borrows another's scatter in turn, so that
    /// the days' variance isn't made smaller by what is missing.
    fn fill(&mut self, at: usize, baseline: &[&Day], rules: &Rules) {
        let (prompt, two) = &self.prompts[at];
        let points: Vec<Option<([f64; PARTS], f64)>> = baseline
            .iter()
            .map(|day| day.tallies.get(prompt).filter(|tally| counts(tally, day.mode, rules)))
            .map(|tally| tally.map(|tally| (point(tally, two), f64::from(tally.asked))))
            .collect();
        let there: Vec<([f64; PARTS], f64)> = points.iter().copied().flatten().collect();
        let count = there.len() as f64;
        for part in 0..PARTS {
            self.mean[PARTS * at + part] = there.iter().map(|(point, _)| point[part]).sum::<f64>() / count;
        }
        let asked = there.iter().map(|(_, asked)| asked).sum::<f64>() / count;
        if baseline.iter().all(|day| day.mode == Mode::Sampled) {
            let shares = self.mean[PARTS * at..PARTS * (at + 1)].iter().map(|part| part * 2.0_f64.sqrt());
            self.drawn += shares.map(|share| 0.5 * share * (1.0 - share) / asked).sum::<f64>();
        }
        // A mean of few takes part of the scatter with it.
        let widen = (count / (count - 1.0) * (baseline.len() as f64 - 1.0) / baseline.len() as f64).sqrt();
        for (row, own) in points.iter().enumerate() {
            let (point, _) = own.unwrap_or(there[row % there.len()]);
            let mean = &self.mean[PARTS * at..PARTS * (at + 1)];
            let scatter = &mut self.scatter[row][PARTS * at..PARTS * (at + 1)];
            for ((scatter, point), mean) in scatter.iter_mut().zip(point).zip(mean) {
                *scatter = widen * (point - mean);
            }
        }
    }

    /// How far a day lies off the mean.
    pub fn off(&self, day: &Day, rules: &Rules) -> Move {
        let off = |(at, (prompt, two)): (usize, &(String, [String; 2]))| {
            let tally = day.tallies.get(prompt).filter(|tally| counts(tally, day.mode, rules))?;
            let mut off = point(tally, two);
            off.iter_mut().zip(&self.mean[PARTS * at..]).for_each(|(x, mean)| *x -= mean);
            Some(off)
        };
        self.prompts.iter().enumerate().map(off).collect()
    }
}

/// Where the days begin that lie nearer to the changed mean than to the old one, all in all (the largest of the sums from
/// there to the end).
fn changed(along: &[f64], mean: f64) -> usize {
    let (mut best, mut sum, mut since) = (f64::MIN, 0.0, 0);
    for (at, day) in along.iter().enumerate().rev() {
        sum += day - 0.5 * mean;
        if sum >= best {
            (best, since) = (sum, at);
        }
    }
    since
}

/// A prompt's two usual answers, if enough of the baseline's days have it.
fn usual(baseline: &[&Day], prompt: &str, rules: &Rules) -> Option<[String; 2]> {
    let mut all = Tally::default();
    let mut days = 0;
    for day in baseline {
        if let Some(tally) = day.tallies.get(prompt).filter(|tally| counts(tally, day.mode, rules)) {
            all.join(tally);
            days += 1;
        }
    }
    // One or two days may lack it in a calibration of a week.
    let [one, two] = all.top_two().map(|top| top.map_or(String::new(), |(answer, _)| answer.to_owned()));
    (4 * days >= 3 * rules.calibration_days).then_some([one, two])
}

fn point(tally: &Tally, two: &[String; 2]) -> [f64; PARTS] {
    let (one, other) = (tally.share(&two[0]), tally.share(&two[1]));
    let rest = (1.0 - one - other).max(0.0);
    [one, other, rest].map(|share| share / 2.0_f64.sqrt())
}

/// The mean move of days; a prompt counts on the days that have it.
fn mean_of(moves: &[&Move]) -> Vec<f64> {
    let prompts = moves.first().map_or(0, |day| day.len());
    let mut mean = Vec::with_capacity(PARTS * prompts);
    for at in 0..prompts {
        let there: Vec<[f64; PARTS]> = moves.iter().filter_map(|day| day[at]).collect();
        let count = there.len().max(1) as f64;
        mean.extend((0..PARTS).map(|part| there.iter().map(|point| point[part]).sum::<f64>() / count));
    }
    mean
}

fn flat(day: &Move) -> Vec<f64> {
    day.iter().flat_map(|prompt| prompt.unwrap_or_default()).collect()
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

fn norm(all: &[f64]) -> f64 {
    dot(all, all).sqrt()
}
