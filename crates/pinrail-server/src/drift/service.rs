//! The watch over all models that are needed: looks when they are due, looks when somebody asks, and what is known.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pinrail_control::Control;
use pinrail_domain::drift::border::Day;
use pinrail_domain::model::Identity;
use pinrail_domain::time::{Clock, Timestamp};
use pinrail_store::StoreError;
use pinrail_store::watches::WatchKey;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use xxhash_rust::xxh3::xxh3_64;

use super::document::Document;
use super::notice::{Known, Notice, Notices};
use super::round::{Due, Looked, Round};
use super::watched::{self, DAYS_MAX, Model, Shown};
use super::{Questions, Settings};

/// What the watch is made of.
pub struct Options {
    pub control: Control,
    pub questions: Arc<dyn Questions>,
    pub clock: Arc<dyn Clock>,
    pub settings: Settings,
}

/// The watch over models. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Drift {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    notices: Notices,
    /// Taken by the task that listens.
    noticed: Mutex<Option<mpsc::Receiver<Notice>>>,
    /// Held while a model is looked at, so that nothing is spent twice.
    looking: tokio::sync::Mutex<()>,
    stopping: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

/// Why nothing was looked at.
#[derive(Debug, thiserror::Error)]
pub enum RunFailed {
    #[error("border prompts are turned off: `enabled = false` stands under [drift] in pinrail.toml")]
    Off,
    #[error("no release in use pins `{}` of {}", .0.snapshot, .0.provider)]
    NotNeeded(WatchKey),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often it is looked whether anything is due.
const TICK: Duration = Duration::from_secs(60);
const DAY_MS: u64 = 86_400_000;

impl Drift {
    #[must_use]
    pub fn new(options: Options) -> Drift {
        let (notices, noticed) = Notices::new();
        let inner = Inner {
            options,
            notices,
            noticed: Mutex::new(Some(noticed)),
            looking: tokio::sync::Mutex::default(),
            stopping: watch::Sender::new(false),
            tasks: Mutex::default(),
        };
        Drift { inner: Arc::new(inner) }
    }

    /// Takes what calls notice.
    #[must_use]
    pub fn notices(&self) -> Notices {
        self.inner.notices.clone()
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.options.settings
    }

    /// Watches in the background until [`Self::stop`]: the first look is a minute away.
    pub fn start(&self) {
        let noticed = self.inner.noticed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut noticed) = noticed else { return };
        let mut tasks = self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let (drift, mut stop) = (self.clone(), self.inner.stopping.subscribe());
        tasks.spawn(async move {
            let mut known = Known::default();
            loop {
                tokio::select! {
                    () = stopped(&mut stop) => return,
                    notice = noticed.recv() => {
                        let Some(notice) = notice else { return };
                        let Options { control, clock, .. } = &drift.inner.options;
                        known.take(control, &**clock, notice).await;
                    }
                }
            }
        });
        let (drift, mut stop) = (self.clone(), self.inner.stopping.subscribe());
        tasks.spawn(async move {
            let mut ticks = tokio::time::interval_at(Instant::now() + TICK, TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stopped(&mut stop) => return,
                    _ = ticks.tick() => {}
                }
                tokio::select! {
                    // What was under way counts as spent, and its answers are lost: a few tokens.
                    () = stopped(&mut stop) => return,
                    looked = drift.look_at_due() => {
                        if let Err(error) = looked {
                            let error = crate::problem::chain(&error);
                            tracing::warn!(error, "models can't be watched; tried again in a minute");
                        }
                    }
                }
            }
        });
    }

    /// Ends the watch.
    pub async fn stop(&self) {
        self.inner.stopping.send_replace(true);
        let mut tasks = {
            let mut tasks = self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        while tasks.join_next().await.is_some() {}
    }

    /// Looks at every model whose time has come; returns how many were. Where another replica leads, that one does.
    pub async fn look_at_due(&self) -> Result<u32, StoreError> {
        if !self.settings().enabled || !self.inner.options.control.standing_here().leads() {
            return Ok(0);
        }
        let mut looked = 0;
        for model in self.needed() {
            let _turn = self.inner.looking.lock().await;
            let kept = self.inner.options.control.watch_store().watch_get(&model.key).await?;
            let due = self.due(&model, self.inner.options.clock.now());
            if due.looks > 0 && due.slot > Document::read(kept.as_deref()).slot {
                Round::look(&self.inner.options, &model, due).await?;
                looked += 1;
            }
        }
        Ok(looked)
    }

    /// Looks now, at one model or at all, for whatever today still lacks.
    pub async fn run(&self, only: Option<&WatchKey>) -> Result<Vec<(WatchKey, Looked)>, RunFailed> {
        if !self.settings().enabled {
            return Err(RunFailed::Off);
        }
        let models: Vec<Model> =
            self.needed().into_iter().filter(|model| only.is_none_or(|key| *key == model.key)).collect();
        if let (true, Some(key)) = (models.is_empty(), only) {
            return Err(RunFailed::NotNeeded(key.clone()));
        }
        let mut all = Vec::with_capacity(models.len());
        for model in models {
            let _turn = self.inner.looking.lock().await;
            let due = Due {
                looks: self.settings().slots(),
                slot: 0,
                ..self.due(&model, self.inner.options.clock.now())
            };
            let looked = Round::look(&self.inner.options, &model, due).await?;
            all.push((model.key, looked));
        }
        Ok(all)
    }

    /// All that is watched or was, in order.
    pub async fn list(&self) -> Result<Vec<Shown>, StoreError> {
        let mut models = self.needed();
        for (key, _) in self.inner.options.control.watch_store().watch_list().await? {
            if !models.iter().any(|model| model.key == key) {
                models.push(Model { key, agents: vec![] });
            }
        }
        models.sort_by(|left, right| left.key.cmp(&right.key));
        let mut shown = Vec::with_capacity(models.len());
        for model in models {
            shown.push(self.shown(model).await?);
        }
        Ok(shown)
    }

    /// One model; none where it neither is nor was watched.
    pub async fn show(&self, key: &WatchKey) -> Result<Option<Shown>, StoreError> {
        let needed = self.needed().into_iter().find(|model| model.key == *key);
        let is_kept = self.inner.options.control.watch_store().watch_get(key).await?.is_some();
        match needed.or_else(|| is_kept.then(|| Model { key: key.clone(), agents: vec![] })) {
            Some(model) => self.shown(model).await.map(Some),
            None => Ok(None),
        }
    }

    async fn shown(&self, model: Model) -> Result<Shown, StoreError> {
        let store = self.inner.options.control.watch_store();
        let document = Document::read(store.watch_get(&model.key).await?.as_deref());
        let kept = store.watch_days(&model.key, 0, DAYS_MAX).await?;
        let days: Vec<Day> = kept.iter().filter_map(|kept| watched::day(kept.day, &kept.document)).collect();
        let rules = self.settings().rules;
        let (asked, days) = (document.clone(), days);
        // Years of days take a moment, for which no request should wait.
        let judged =
            tokio::task::spawn_blocking(move || (watched::judged(&asked, &days, &rules), days)).await;
        let (judged, days) = judged.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        Ok(Shown { model, document, days, judged })
    }

    /// The models that releases in use pin; a floating name moves by itself, and is told by the served id.
    fn needed(&self) -> Vec<Model> {
        let control = &self.inner.options.control;
        let snapshot = control.snapshot();
        let mut models = watched::needed(&snapshot.world);
        models.retain(|model| {
            let spec = snapshot.world.providers.get(&model.key.provider);
            spec.is_some_and(|spec| {
                !matches!(
                    control.catalogue().judge(&spec.catalogue, &model.key.snapshot),
                    Identity::Floating { .. }
                )
            })
        });
        models
    }

    /// Where the day's schedule stands for a model: each has its own minute, so that they don't ask all at once.
    fn due(&self, model: &Model, now: Timestamp) -> Due {
        let slots = self.settings().slots();
        let length = DAY_MS / u64::from(slots);
        let name = Model::name(&model.key.provider, &model.key.snapshot);
        let own = xxh3_64(name.as_bytes()) % length;
        let (day, in_day) = (now.0 / DAY_MS, now.0 % DAY_MS);
        let looks = if in_day < own { 0 } else { (in_day - own) / length + 1 };
        Due {
            now,
            day: u32::try_from(day).unwrap_or(u32::MAX),
            looks: u32::try_from(looks).unwrap_or(slots).min(slots),
            slot: day * u64::from(slots) + looks,
        }
    }
}

/// Waits until the watch is to end; a sender that is gone says so too.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
