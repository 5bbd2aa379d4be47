//! Finding prompts whose next token is close to a tie, for as few tokens as possible.
//!
//! With log probabilities one call tells all about a prompt. Without, prompts are asked in stages, and most are given up
//! after two or three answers: 3 answers that are all the same, 6 of which five or more are, or 16 of which more than eleven are, end a
//! candidate. What survives is kept. The hunt ends with a quarter more than are wanted, or after [`TRIED_MAX`]
//! candidates, and the closest to a tie are taken.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Mode, PROMPTS_MIN, Rules, Tally};

/// Candidates after which no more are tried: a model that ties this rarely won't be watched better by more.
pub const TRIED_MAX: usize = 800;
/// Answers asked for in all after each stage, and the most that the top answer may have of them to go on.
const STAGES: [(u32, u32); 3] = [(3, 2), (6, 4), (16, 11)];
/// The furthest that two probabilities of a kept prompt are apart.
const GAP_MAX: f64 = 0.4;
/// The least that the two answers of a kept prompt hold together: else it is a prompt that isn't understood.
const HOLD_MIN: f64 = 0.6;
/// Failed calls after which a candidate is given up.
const FAILED_MAX: u32 = 4;

/// The candidates so far. Stored: never rename.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hunt {
    /// How many of the pool's first prompts were tried; of those given up nothing else is kept.
    #[serde(default)]
    pub passed: usize,
    pub tried: BTreeMap<String, Tally>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Ask each of these so many times more.
    Ask(Vec<(String, u32)>),
    /// These are the border prompts, closest to a tie first.
    Found(Vec<String>),
    /// Everything was tried and too little found to say anything by.
    Nothing { found: u32, tried: u32 },
}

/// Where a candidate stands.
enum Fate {
    Open { more: u32 },
    Kept,
    Out,
}

impl Hunt {
    /// Says what to ask with so many answers to spend, or what was found. `pool` is [`super::pool::pool`]'s; `known` are prompts
    /// that are in use or worn, and not tried again.
    #[must_use]
    pub fn next(&self, pool: &[String], known: &[String], mode: Mode, wanted: u32, answers: u32) -> Next {
        let kept = self.kept(mode, known);
        let enough = wanted + wanted.div_ceil(4);
        if kept.len() >= enough as usize {
            return Next::Found(kept.into_iter().take(wanted as usize).collect());
        }
        let mut left = answers;
        let mut asked = Vec::new();
        let open = self.tried.iter().filter(|(prompt, _)| !known.contains(prompt));
        let open = open.filter_map(|(prompt, tally)| match fate(tally, mode) {
            Fate::Open { more } => Some((prompt, more)),
            Fate::Kept | Fate::Out => None,
        });
        let fresh = pool
            .iter()
            .skip(self.passed)
            .filter(|prompt| !self.tried.contains_key(*prompt) && !known.contains(prompt))
            .take(TRIED_MAX.saturating_sub(self.count()))
            .map(|prompt| (prompt, first(mode)));
        let mut any_left = false;
        for (prompt, more) in open.chain(fresh) {
            any_left = true;
            if more > left {
                break;
            }
            left -= more;
            asked.push((prompt.clone(), more));
        }
        if any_left {
            return Next::Ask(asked);
        }
        let found = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        if found >= wanted.min(PROMPTS_MIN) {
            return Next::Found(kept.into_iter().take(wanted as usize).collect());
        }
        Next::Nothing { found, tried: u32::try_from(self.count()).unwrap_or(u32::MAX) }
    }

    /// Adds what a candidate was answered.
    pub fn heard(&mut self, prompt: &str, tally: &Tally) {
        self.tried.entry(prompt.to_owned()).or_default().join(tally);
    }

    /// How many candidates were tried so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.passed.max(self.tried.len())
    }

    /// Forgets candidates that are given up.
    pub fn tidy(&mut self, pool: &[String], known: &[String], mode: Mode) {
        let is_tried = |prompt: &&String| self.tried.contains_key(*prompt) || known.contains(prompt);
        self.passed += pool.iter().skip(self.passed).take_while(is_tried).count();
        self.tried.retain(|_, tally| !matches!(fate(tally, mode), Fate::Out));
    }

    /// The kept candidates that aren't in use, closest to a tie first.
    fn kept(&self, mode: Mode, known: &[String]) -> Vec<String> {
        let mut kept: Vec<(&String, f64)> = self
            .tried
            .iter()
            .filter(|(prompt, tally)| !known.contains(prompt) && matches!(fate(tally, mode), Fate::Kept))
            .map(|(prompt, tally)| (prompt, tally.gap()))
            .collect();
        kept.sort_by(|left, right| left.1.total_cmp(&right.1).then(left.0.cmp(right.0)));
        kept.into_iter().map(|(prompt, _)| prompt.clone()).collect()
    }
}

/// About how many answers a hunt takes, for the page that says what it costs.
#[must_use]
pub fn answers_expected(rules: &Rules, mode: Mode) -> u32 {
    match mode {
        Mode::Logprobs => rules.prompts * 5,
        Mode::Sampled => rules.prompts * 50,
    }
}

fn first(mode: Mode) -> u32 {
    match mode {
        Mode::Sampled => STAGES[0].0,
        Mode::Logprobs => 1,
    }
}

fn fate(tally: &Tally, mode: Mode) -> Fate {
    if tally.failed >= FAILED_MAX + tally.asked {
        return Fate::Out;
    }
    let [one, two] = tally.top_two();
    let (one, two) = (one.map_or(0.0, |top| top.1), two.map_or(0.0, |top| top.1));
    let understood = one + two >= HOLD_MIN;
    match mode {
        Mode::Logprobs if tally.asked == 0 => Fate::Open { more: 1 },
        Mode::Logprobs if understood && one - two <= GAP_MAX => Fate::Kept,
        Mode::Logprobs => Fate::Out,
        Mode::Sampled => {
            for (answers, top_max) in STAGES {
                if tally.asked < answers {
                    return Fate::Open { more: answers - tally.asked };
                }
                let ended = Some((answers, top_max)) == STAGES.last().copied();
                // Later answers are counted too, so the bar is a share of what there is.
                let bar = f64::from(top_max) / f64::from(answers);
                let judged = tally.asked == answers || ended;
                if judged && (one > bar + 1e-9 || !understood) {
                    return Fate::Out;
                }
            }
            Fate::Kept
        }
    }
}
