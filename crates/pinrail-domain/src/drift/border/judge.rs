//! Walks the days in order and says of each what it means, as [`super`] describes.

use std::collections::BTreeMap;

use super::frame::{Frame, Move, Test, counts};
use super::{Day, Judged, PROMPTS_MIN, Rules, Verdict};
use crate::stats::student::student;

/// The longer windows, in days; a smaller change takes longer to tell.
const LONGER: [usize; 2] = [7, 14];
/// The chance that a quiet day's window is called suspect.
const SUSPECT_ALPHA: f64 = 0.001;
/// No threshold is below so many standard errors, however many quiet days are known.
const SIGMA_MIN: f64 = 4.0;
/// Below it, the calibration's first days are unlike its last.
const UNREST_MIN: f64 = 0.6;
/// Above it, a prompt is lopsided: its answer could move in one direction only.
const TOP_MAX: f64 = 0.93;

struct Walk<'a> {
    rules: &'a Rules,
    days: Vec<&'a Day>,
    /// The prompts that count, by day.
    answered: Vec<Vec<&'a str>>,
    /// The frame of so many of the baseline's first days, kept while it is asked for the same prompts.
    frames: BTreeMap<usize, Kept<'a>>,
    /// Indices into `days`.
    baseline: Vec<usize>,
    /// From here on days may still be taken up by the baseline.
    pending: usize,
    drifted: Option<u32>,
    /// Days in a row that aren't even suspect since it drifted.
    calm: u32,
    thresholds: BTreeMap<(u32, bool), f64>,
}

/// A window that looks different.
#[derive(Clone, Copy)]
struct Seen {
    test: Test,
    since: u32,
    needed: f64,
}

/// A frame and how far days lie off its mean.
struct Kept<'a> {
    prompts: Vec<&'a str>,
    frame: Option<Frame>,
    moves: BTreeMap<usize, Move>,
}

/// Judges the days; they may come in any order.
#[must_use]
pub fn judge(days: &[Day], rules: &Rules) -> Judged {
    let rules = rules.sane();
    let mut sorted: Vec<&Day> = days.iter().collect();
    sorted.sort_by_key(|day| day.day);
    let mode = sorted.last().map(|day| day.mode);
    let is_whole = |day: &&Day| {
        let answered = day.tallies.values().filter(|tally| counts(tally, day.mode, &rules)).count();
        Some(day.mode) == mode && answered >= (PROMPTS_MIN as usize).max(day.tallies.len().div_ceil(2))
    };
    let days: Vec<&Day> = sorted.iter().copied().filter(is_whole).collect();
    let mut walk = Walk {
        rules: &rules,
        answered: days.iter().map(|day| answered(day, &rules)).collect(),
        frames: BTreeMap::new(),
        days,
        baseline: vec![],
        pending: 0,
        drifted: None,
        calm: 0,
        thresholds: BTreeMap::new(),
    };
    let verdicts: Vec<(u32, Verdict)> =
        (0..walk.days.len()).map(|at| (walk.days[at].day, walk.step(at))).collect();
    let quiet: Vec<&Day> = walk.baseline.iter().map(|at| walk.days[*at]).collect();
    let latest = walk.answered.last().cloned().unwrap_or_default();
    let frame = Frame::new(&quiet, &latest, &rules);
    let verdict =
        verdicts.last().map_or(Verdict::Calibrating { days: 0, of: rules.calibration_days }, |last| last.1);
    Judged {
        verdict,
        baseline: quiet.iter().map(|day| day.day).collect(),
        false_alarms_per_year: rules.false_alarms_per_year(),
        smallest: frame.as_ref().and_then(|frame| walk.smallest(frame)),
        noise: frame.as_ref().and_then(Frame::noise),
        worn: if verdict.looks_different() { vec![] } else { worn(&quiet, &sorted, &rules) },
        days: verdicts,
    }
}

impl<'a> Walk<'a> {
    fn step(&mut self, at: usize) -> Verdict {
        let of = self.rules.calibration_days;
        if self.baseline.len() < of as usize {
            self.baseline.push(at);
            self.pending = at + 1;
            self.settle();
            return Verdict::Calibrating { days: u32::try_from(self.baseline.len()).unwrap_or(of), of };
        }
        let (found, suspected) = self.windows(at);
        if let Some(Seen { test, since, needed }) = found {
            let since = *self.drifted.get_or_insert(since);
            self.calm = 0;
            self.pending = at + 1;
            return Verdict::Drifted {
                since,
                days: self.days_since(since, at),
                shift: test.shift,
                sigma: test.sigma,
                needed,
            };
        }
        self.unfound(at, suspected)
    }

    /// A day on which no window is over its threshold.
    fn unfound(&mut self, at: usize, suspected: Option<Seen>) -> Verdict {
        self.calm = if suspected.is_some() { 0 } else { self.calm + 1 };
        if let Some(since) = self.drifted
            && self.calm < self.rules.persistence
        {
            self.pending = at + 1;
            let (shift, sigma, needed) = suspected
                .map_or((0.0, 0.0, SIGMA_MIN), |seen| (seen.test.shift, seen.test.sigma, seen.needed));
            return Verdict::Drifted { since, days: self.days_since(since, at), shift, sigma, needed };
        }
        self.drifted = None;
        match suspected {
            Some(Seen { test, since, needed }) => Verdict::Suspect {
                since,
                days: self.days_since(since, at),
                shift: test.shift,
                sigma: test.sigma,
                needed,
            },
            None => {
                self.take_up(at);
                Verdict::Quiet
            }
        }
    }

    /// All windows that end here: the shortest that is a finding, and the strongest that is suspect.
    fn windows(&mut self, at: usize) -> (Option<Seen>, Option<Seen>) {
        let rules = self.rules;
        let persistence = rules.persistence as usize;
        let lengths: Vec<usize> = [persistence]
            .into_iter()
            .chain(LONGER.into_iter().filter(|length| *length > persistence))
            .collect();
        let alpha = rules.alpha_per_day() / lengths.len() as f64;
        let (mut found, mut suspected): (Option<Seen>, Option<Seen>) = (None, None);
        for length in [2].into_iter().chain(lengths) {
            let Some((test, since)) = self.window(at, length) else { continue };
            if test.shift < rules.shift_min {
                continue;
            }
            let needed = self.threshold(test.freedom, alpha, true);
            let candidate = Some(Seen { test, since, needed });
            let stronger = |than: &Option<Seen>| than.is_none_or(|best| test.sigma > best.test.sigma);
            if length >= persistence && test.lasts && test.sigma > needed && found.is_none() {
                found = candidate;
            }
            if test.sigma > self.threshold(test.freedom, SUSPECT_ALPHA, false) && stronger(&suspected) {
                suspected = candidate;
            }
        }
        (found, suspected)
    }

    /// Tests the window of so many days that ends here, against the quiet days before it.
    fn window(&mut self, at: usize, length: usize) -> Option<(Test, u32)> {
        let start = (at + 1).checked_sub(length)?;
        let before = self.baseline.iter().filter(|day| **day < start).count();
        let prompts = self.common(start, at);
        let (days, rules, baseline) = (&self.days, self.rules, &self.baseline);
        let kept = self.frames.entry(before).or_insert_with(|| Kept::empty(vec![]));
        if kept.prompts != prompts {
            let quiet: Vec<&Day> = baseline[..before].iter().map(|day| days[*day]).collect();
            *kept = Kept { frame: Frame::new(&quiet, &prompts, rules), ..Kept::empty(prompts) };
        }
        let frame = kept.frame.as_ref()?;
        for (day, sampled) in days.iter().enumerate().take(at + 1).skip(start) {
            kept.moves.entry(day).or_insert_with(|| frame.off(sampled, rules));
        }
        let moves: Vec<&Move> = kept.moves.range(start..=at).map(|(_, day)| day).collect();
        let test = frame.test(&moves, (2 * length / 5).max(1), rules)?;
        Some((test, days[start + test.since].day))
    }

    /// The prompts that at least half of the days have.
    fn common(&self, start: usize, at: usize) -> Vec<&'a str> {
        let days = &self.answered[start..=at];
        if days.windows(2).all(|two| two[0] == two[1]) {
            return days.first().cloned().unwrap_or_default();
        }
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        days.iter().flatten().for_each(|prompt| *seen.entry(prompt).or_default() += 1);
        seen.into_iter().filter(|(_, count)| 2 * count >= days.len()).map(|(prompt, _)| prompt).collect()
    }

    /// Drops the first days of a finished calibration until the others are alike.
    fn settle(&mut self) {
        if self.baseline.len() < self.rules.calibration_days as usize {
            return;
        }
        let days: Vec<&Day> = self.baseline.iter().map(|at| self.days[*at]).collect();
        let prompts = self.common(self.baseline[0], *self.baseline.last().expect("it has days"));
        let is_settled =
            Frame::new(&days, &prompts, self.rules).is_some_and(|frame| frame.unrest() >= UNREST_MIN);
        if !is_settled {
            self.baseline.remove(0);
            self.frames.clear();
        }
    }

    /// Takes up the days that a quiet persistence has followed.
    fn take_up(&mut self, at: usize) {
        let until = at.saturating_sub(self.rules.persistence as usize);
        while self.pending <= until && self.baseline.len() < self.rules.baseline_days as usize {
            self.baseline.push(self.pending);
            self.pending += 1;
        }
    }

    fn days_since(&self, since: u32, at: usize) -> u32 {
        let count = self.days[..=at].iter().filter(|day| day.day >= since).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn threshold(&mut self, freedom: u32, alpha: f64, is_finding: bool) -> f64 {
        *self.thresholds.entry((freedom, is_finding)).or_insert_with(|| {
            let exact = quantile(alpha, f64::from(freedom));
            if is_finding { exact.max(SIGMA_MIN) } else { exact }
        })
    }

    fn smallest(&mut self, frame: &Frame) -> Option<f64> {
        let later = f64::from(self.rules.persistence - 1);
        let windows = 1 + LONGER.iter().filter(|length| **length > self.rules.persistence as usize).count();
        let alpha = self.rules.alpha_per_day() / windows as f64;
        let freedom = u32::try_from(self.baseline.len().checked_sub(1)?).ok()?;
        let needed = self.threshold(freedom, alpha, true);
        let (mut low, mut high) = (0.0, 1.0);
        if frame.expected(high, later) < needed || frame.prompts() == 0 {
            return None;
        }
        for _ in 0..30 {
            let middle = 0.5 * (low + high);
            if frame.expected(middle, later) < needed { low = middle } else { high = middle }
        }
        Some(high.max(self.rules.shift_min))
    }
}

impl<'a> Kept<'a> {
    fn empty(prompts: Vec<&'a str>) -> Kept<'a> {
        Kept { prompts, frame: None, moves: BTreeMap::new() }
    }
}

fn answered<'a>(day: &'a Day, rules: &Rules) -> Vec<&'a str> {
    let counting = day.tallies.iter().filter(|(_, tally)| counts(tally, day.mode, rules));
    counting.map(|(prompt, _)| prompt.as_str()).collect()
}

/// The `t` above which Student's t lies with a chance of `alpha`.
fn quantile(alpha: f64, freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while student(-high, freedom) > alpha && high < 1e9 {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if student(-middle, freedom) > alpha { low = middle } else { high = middle }
    }
    high
}

/// Prompts that are lopsided in the baseline, or that none of the last days of persistence has an answer to.
fn worn(quiet: &[&Day], all: &[&Day], rules: &Rules) -> Vec<String> {
    let latest = &all[all.len().saturating_sub(rules.persistence as usize)..];
    let Some(last) = latest.last() else { return vec![] };
    let is_worn = |prompt: &&String| {
        let mut sum = super::Tally::default();
        quiet.iter().filter_map(|day| day.tallies.get(*prompt)).for_each(|tally| sum.join(tally));
        let lopsided = quiet.len() >= rules.calibration_days as usize
            && sum.asked > 0
            && sum.top_two()[0].is_some_and(|(_, share)| share > TOP_MAX);
        let unanswered = latest.len() >= rules.persistence as usize
            && latest.iter().all(|day| day.tallies.get(*prompt).is_some_and(|tally| tally.asked == 0));
        lopsided || unanswered
    };
    last.tallies.keys().filter(is_worn).cloned().collect()
}
