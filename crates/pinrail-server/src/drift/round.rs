//! One look at one model: ask what is due today, look for prompts where some are missing, judge, act.
//!
//! What is asked for is written down as spent first, so a server that is killed never spends twice; then it is asked, one
//! question at a time; then what came is kept together with what it really cost. A busy provider ends the look.

use std::sync::Arc;

use pinrail_domain::drift::border::hunt::{Hunt, Next};
use pinrail_domain::drift::border::pool::pool;
use pinrail_domain::drift::border::{Mode, PROMPTS_MIN, Tally, Verdict};
use pinrail_domain::drift::{Sign, Subject};
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::watches::{WatchDay, WatchKey};

use super::asked::{LIMIT_FIELDS, Manner, ask, otherwise};
use super::document::{DayDocument, Document, Spent};
use super::service::Options;
use super::watched::{self, DAYS_MAX, Model};
use super::{AskFailed, Settings};

/// What a look is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub now: Timestamp,
    pub day: u32,
    /// Looks of this day so far, this one included; all of them: whatever the day still lacks.
    pub looks: u32,
    /// What the schedule remembers.
    pub slot: u64,
}

/// What a look did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    pub calls: u32,
    pub finding: Option<LedgerSeq>,
}

/// Prompts of a hunt that are asked before what they said is kept.
const HUNT_BATCH: usize = 20;
/// Prompts that are asked before what they said is kept.
const SAMPLE_BATCH: usize = 5;
/// Failures in a row after which the provider is left alone until the next look.
const FAILURES_MAX: u32 = 5;
/// Refusals in a row after which it is asked in another manner.
const REFUSALS_MAX: u32 = 3;
/// Days after which a model that never ties is tried again.
const BLIND_DAYS: u32 = 30;
/// Prompts that are replaced at most after one day.
const WORN_MAX: usize = 3;
/// A prompt is kept after an all-clear if its two answers are no further apart.
const GAP_KEPT: f64 = 0.6;
/// How long a provider is left alone that is busy and doesn't say until when.
const PAUSE_MS: u64 = 900_000;

pub(super) struct Round<'a> {
    options: &'a Options,
    model: &'a Model,
    spec: Arc<ProviderSpec>,
    due: Due,
    document: Document,
    manner: Manner,
    today: DayDocument,
    calls: u32,
    failures: u32,
    refusals: u32,
    /// The look is over: why.
    over: Option<String>,
}

impl<'a> Round<'a> {
    /// Takes a look; nothing where the provider is gone.
    pub async fn look(options: &'a Options, model: &'a Model, due: Due) -> Result<Looked, StoreError> {
        let snapshot = options.control.snapshot();
        let Some(spec) = snapshot.world.providers.get(&model.key.provider).cloned() else {
            return Ok(Looked::default());
        };
        let store = options.control.watch_store();
        let mut document = Document::read(store.watch_get(&model.key).await?.as_deref());
        let kept =
            store.watch_days(&model.key, due.day, 1).await?.into_iter().find(|kept| kept.day == due.day);
        let kept: Option<DayDocument> = kept.and_then(|kept| serde_json::from_str(&kept.document).ok());
        if document.spent.day != due.day {
            document.spent = Spent { day: due.day, ..Spent::default() };
        }
        if document.paused_until.is_some_and(|until| until > due.now) {
            return Ok(Looked::default());
        }
        document.paused_until = None;
        document.trouble = None;
        let manner = Manner {
            mode: document.mode.unwrap_or(Mode::Logprobs),
            limit_field: document.limit_field.clone().unwrap_or_else(|| LIMIT_FIELDS[0].to_owned()),
        };
        let fresh = || DayDocument { mode: manner.mode, tallies: Default::default() };
        let today = kept.filter(|kept| kept.mode == manner.mode).unwrap_or_else(fresh);
        let mut round = Round {
            options,
            model,
            spec,
            due,
            document,
            manner,
            today,
            calls: 0,
            failures: 0,
            refusals: 0,
            over: None,
        };
        round.take_clearing().await?;
        round.sample().await?;
        round.hunt().await?;
        let finding = round.judge().await?;
        round.document.slot = round.document.slot.max(due.slot);
        round.document.last_look = Some(due.now);
        round.document.trouble = round.over.take();
        round.keep().await?;
        Ok(Looked { calls: round.calls, finding })
    }

    /// A person cleared the finding: what is from today on is what is normal.
    async fn take_clearing(&mut self) -> Result<(), StoreError> {
        let Some(finding) = self.document.finding else { return Ok(()) };
        if self.options.control.snapshot().world.findings.contains_key(&finding) {
            return Ok(());
        }
        let days = self.days(self.document.from).await?;
        let last = &days[days.len().saturating_sub(self.rules().persistence as usize)..];
        let ties = |prompt: &String| {
            let mut sum = Tally::default();
            last.iter().filter_map(|day| day.tallies.get(prompt)).for_each(|tally| sum.join(tally));
            sum.asked == 0 || sum.gap() <= GAP_KEPT
        };
        self.document.prompts.retain(ties);
        self.document.finding = None;
        self.document.from = self.due.day;
        self.document.worn.clear();
        self.document.hunt = None;
        self.keep().await
    }

    /// Asks each prompt what is due.
    async fn sample(&mut self) -> Result<(), StoreError> {
        let target = self.target(self.due.looks);
        let tries = 2 * self.target(self.settings().slots()) + 1;
        let mut left = self.left();
        let mut asked: Vec<(String, u32)> = Vec::new();
        for prompt in &self.document.prompts {
            let (there, failed) =
                self.today.tallies.get(prompt).map_or((0, 0), |tally| (tally.asked, tally.failed));
            let times = target.saturating_sub(there).min(tries.saturating_sub(failed)).min(left);
            left -= times;
            if times > 0 {
                asked.push((prompt.clone(), times));
            }
        }
        for batch in asked.chunks(SAMPLE_BATCH) {
            if self.over.is_some() {
                break;
            }
            let got = self.reserved(batch).await?;
            for (prompt, tally) in got {
                self.today.tallies.entry(prompt).or_default().join(&tally);
            }
            self.keep().await?;
        }
        Ok(())
    }

    /// Looks for prompts, with what today's samples leave.
    async fn hunt(&mut self) -> Result<(), StoreError> {
        let wanted = self.rules().prompts.saturating_sub(count(self.document.prompts.len()));
        if self.document.blind_until.is_some_and(|until| until <= self.due.day) {
            self.document.blind_until = None;
            self.document.hunt = None;
        }
        if wanted == 0 || self.document.blind_until.is_some() {
            return Ok(());
        }
        let pool = pool(&Model::name(&self.model.key.provider, &self.model.key.snapshot));
        self.document.hunt.get_or_insert_with(Hunt::default);
        while self.over.is_none() {
            let known: Vec<String> =
                self.document.prompts.iter().chain(&self.document.worn).cloned().collect();
            let hunt = self.document.hunt.as_ref().expect("it was put there above");
            let left = self.left().saturating_sub(self.still_needed());
            let batch = left.min(self.per_batch());
            match hunt.next(&pool, &known, self.manner.mode, wanted, batch) {
                Next::Ask(asked) if asked.is_empty() => break,
                Next::Ask(mut asked) => {
                    asked.truncate(HUNT_BATCH);
                    let got = self.reserved(&asked).await?;
                    let hunt = self.document.hunt.as_mut().expect("it was put there above");
                    got.iter().for_each(|(prompt, tally)| hunt.heard(prompt, tally));
                    hunt.tidy(&pool, &known, self.manner.mode);
                    self.keep().await?;
                }
                Next::Found(found) => {
                    self.document.prompts.extend(found);
                    break;
                }
                Next::Nothing { .. } => {
                    let is_blind = count(self.document.prompts.len()) < PROMPTS_MIN;
                    // With some prompts left, the others are looked for again when it is tried again.
                    self.document.blind_until = Some(self.due.day + BLIND_DAYS);
                    if is_blind {
                        self.document.prompts.clear();
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    /// Judges the days that are over, today with them once it has all its answers, and opens a finding.
    async fn judge(&mut self) -> Result<Option<LedgerSeq>, StoreError> {
        let target = self.target(self.settings().slots());
        let whole =
            |prompt: &String| self.today.tallies.get(prompt).is_some_and(|tally| tally.asked >= target);
        let is_whole = !self.document.prompts.is_empty() && self.document.prompts.iter().all(whole);
        let until = if is_whole { self.due.day } else { self.due.day.saturating_sub(1) };
        if self.document.judged >= until {
            return Ok(None);
        }
        let mut days = self.days(self.document.from).await?;
        days.retain(|day| day.day <= until);
        let judged = watched::judged(&self.document, &days, self.rules());
        if is_whole && judged.verdict == Verdict::Quiet && !judged.worn.is_empty() {
            let worn: Vec<String> = judged.worn.iter().take(WORN_MAX).cloned().collect();
            self.document.prompts.retain(|prompt| !worn.contains(prompt));
            self.document.worn.extend(worn);
        }
        let Verdict::Drifted { since, days, shift, sigma, .. } = judged.verdict else {
            self.document.judged = until;
            return Ok(None);
        };
        let WatchKey { provider, snapshot } = self.model.key.clone();
        let subject = Subject::Model { provider, snapshot };
        let sign = Sign::Border { since_day: u64::from(since), days, shift, sigma };
        let what =
            format!("{subject} answers border prompts otherwise: {} ({})", judged.verdict, judged.promise());
        match self.options.control.find_drift(&subject, &sign, &what, None).await {
            Ok(found) => {
                if let Some(finding) = found.value {
                    tracing::warn!(%finding, what, "drift");
                }
                let world = &self.options.control.snapshot().world;
                let open =
                    world.findings.values().find(|open| open.subject == subject && open.sign.is_as(&sign));
                self.document.finding = open.map(|open| open.seq);
                self.document.judged = until;
                Ok(found.value)
            }
            Err(error) => {
                let why = crate::problem::chain(&error);
                tracing::warn!(what, error = why, "drift that can't be kept; tried again at the next look");
                Ok(None)
            }
        }
    }

    /// Asks these so many times each, within what is left, and says what came. It is written down as spent beforehand.
    async fn reserved(&mut self, asked: &[(String, u32)]) -> Result<Vec<(String, Tally)>, StoreError> {
        let before = self.document.spent;
        let all: u32 = asked.iter().map(|(_, times)| times).sum();
        self.document.spent.tokens += all;
        self.keep().await?;
        let mut spent = before;
        let mut got = Vec::new();
        for (prompt, times) in asked {
            let mut tally = Tally::default();
            for _ in 0..*times {
                if self.over.is_some() {
                    break;
                }
                self.one(prompt, &mut tally, &mut spent).await;
            }
            got.push((prompt.clone(), tally));
        }
        self.document.spent = spent;
        Ok(got)
    }

    /// Asks once.
    async fn one(&mut self, prompt: &str, tally: &mut Tally, spent: &mut Spent) {
        let questions = &*self.options.questions;
        loop {
            self.calls += 1;
            spent.calls += 1;
            let asked =
                ask(questions, &self.spec, &self.model.key.snapshot, prompt, &self.manner, tally).await;
            match asked {
                Ok(cost) => {
                    spent.tokens += cost.output_tokens.max(1);
                    spent.input_tokens += cost.input_tokens;
                    (self.failures, self.refusals) = (0, 0);
                    self.document.mode = Some(self.manner.mode);
                    self.document.limit_field = Some(self.manner.limit_field.clone());
                    return;
                }
                Err(AskFailed::Busy { why, retry_after_ms }) => {
                    let pause = retry_after_ms.unwrap_or(0).max(PAUSE_MS);
                    self.document.paused_until = Some(self.due.now.plus_ms(pause));
                    self.over = Some(why);
                    return;
                }
                Err(AskFailed::Refused(why)) => {
                    self.refusals += 1;
                    let is_new = self.document.mode.is_none();
                    let other =
                        otherwise(&self.manner, &why).filter(|_| is_new || self.refusals >= REFUSALS_MAX);
                    if let Some(other) = other {
                        if other.mode != self.manner.mode {
                            self.today = DayDocument { mode: other.mode, tallies: Default::default() };
                        }
                        self.manner = other;
                        self.refusals = 0;
                        continue;
                    }
                    self.failed(tally, spent, why);
                    return;
                }
                Err(AskFailed::Failed(why)) => {
                    self.failed(tally, spent, why);
                    return;
                }
            }
        }
    }

    fn failed(&mut self, tally: &mut Tally, spent: &mut Spent, why: String) {
        tally.failed();
        spent.failed += 1;
        self.failures += 1;
        if self.failures >= FAILURES_MAX {
            self.over = Some(why);
        }
    }

    /// Keeps the document and the day in one step.
    async fn keep(&self) -> Result<(), StoreError> {
        let day = (!self.today.tallies.is_empty()).then(|| WatchDay {
            day: self.due.day,
            document: serde_json::to_string(&self.today).expect("a day is plain data"),
        });
        let store = self.options.control.watch_store();
        store.watch_put(&self.model.key, self.document.write(), day).await
    }

    async fn days(&self, from: u32) -> Result<Vec<pinrail_domain::drift::border::Day>, StoreError> {
        let store = self.options.control.watch_store();
        let kept = store.watch_days(&self.model.key, from, DAYS_MAX).await?;
        Ok(kept.iter().filter_map(|kept| watched::day(kept.day, &kept.document)).collect())
    }

    /// Answers that a prompt has after so many of the day's looks.
    fn target(&self, looks: u32) -> u32 {
        let slots = self.settings().slots();
        match self.manner.mode {
            Mode::Sampled => (self.rules().samples * looks.min(slots)).div_ceil(slots),
            Mode::Logprobs => looks.min(slots).min(self.rules().samples),
        }
    }

    /// What today's samples will still take.
    fn still_needed(&self) -> u32 {
        let target = self.target(self.settings().slots());
        let has = |prompt: &String| self.today.tallies.get(prompt).map_or(0, |tally| tally.asked);
        self.document.prompts.iter().map(|prompt| target.saturating_sub(has(prompt))).sum()
    }

    fn left(&self) -> u32 {
        self.settings().tokens_per_day.saturating_sub(self.document.spent.tokens)
    }

    fn per_batch(&self) -> u32 {
        match self.manner.mode {
            Mode::Sampled => 4 * count(HUNT_BATCH),
            Mode::Logprobs => count(HUNT_BATCH),
        }
    }

    fn settings(&self) -> &Settings {
        &self.options.settings
    }

    fn rules(&self) -> &pinrail_domain::drift::border::Rules {
        &self.options.settings.rules
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
