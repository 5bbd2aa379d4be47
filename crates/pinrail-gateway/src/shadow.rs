//! Copies of live calls that a candidate answers: nobody waits for them, and nobody is served by them (I13).
//!
//! A sampled live call keeps its request, which costs it a reference to bytes that are there anyway. When its answer
//! is out whole, the copy is queued, or dropped and counted where there is no room. A few tasks take copies from the
//! queue: each begins a run of the candidate's, applies the candidate's release to the request as it came, asks the
//! candidate's provider, and journals the answer and how far it is from the live one. Tools are never executed: what
//! the candidate asks for is only compared.
//!
//! Everything has a bound: how many copies wait, how many bytes they hold, how many are under way, how long each may
//! take. When Pinrail stops, what waits is dropped, and what is under way gets a moment.

use std::sync::{Arc, Weak};
use std::time::Duration;

use http::header::HeaderMap;
use http_body_util::BodyExt as _;
use pinrail_domain::id::RunId;
use pinrail_domain::rollout::divergence::{Called, Said};
use pinrail_domain::rollout::quantity::Usd;
use pinrail_domain::routes::Target;
use pinrail_wire::{Gathered, Observed};
use tokio::sync::{Mutex, mpsc, watch};

use crate::call::{self, Asked};
use crate::gateway::Shared;
use crate::limits::Limits;
use crate::places::{Place, Places};
use crate::port::{Begun, CopyOf, Fate, NoShadow};
use crate::trail::Trail;

/// What an answer is paired with.
pub enum Pairing {
    /// The call is live, and a candidate answers a copy of it.
    Original(Box<Original>),
    /// The call is a candidate's, and this was the live answer.
    Live(Box<LiveAnswer>),
}

/// A live call as it came, before any release was applied to it.
pub struct Original {
    pub target: Target,
    pub asked: Asked,
    pub headers: HeaderMap,
}

/// The live answer, and the run and call that it was given in.
pub struct LiveAnswer {
    pub of: (RunId, u32),
    pub said: Said,
}

/// The copies: those that wait, and how many there are in all.
pub struct Copies {
    queue: mpsc::Sender<Copy>,
    places: Places,
    stopping: watch::Sender<bool>,
    stop_wait: Duration,
}

/// The end of the queue where copies come out.
pub struct Waiting {
    queue: Arc<Mutex<mpsc::Receiver<Copy>>>,
    stopping: watch::Receiver<bool>,
    at_once: usize,
}

/// A live call and its answer.
struct Copy {
    original: Original,
    live: Arc<Begun>,
    said: Said,
    place: Place,
}

impl Copies {
    pub fn new(limits: &Limits) -> (Copies, Waiting) {
        let (queue, waiting) = mpsc::channel(limits.copies_max.max(1));
        let (stopping, stopped) = watch::channel(false);
        let places = Places::new(limits.copies_max.max(1) + limits.copies_at_once, limits.copies_bytes_max);
        let copies = Copies { queue, places, stopping, stop_wait: limits.copies_stop_wait };
        let queue = Arc::new(Mutex::new(waiting));
        (copies, Waiting { queue, stopping: stopped, at_once: limits.copies_at_once })
    }

    /// Queues a copy, or drops it where there is no room. Never waits.
    pub fn offer(&self, original: Original, live: &Arc<Begun>, said: Said) -> Fate {
        let bytes = original.asked.body.len() + said.text.len();
        let Some(mut place) = self.places.take() else { return Fate::Dropped };
        if !place.hold(bytes) {
            return Fate::Dropped;
        }
        let copy = Copy { original, live: Arc::clone(live), said, place };
        match self.queue.try_send(copy) {
            Ok(()) => Fate::Queued,
            Err(mpsc::error::TrySendError::Full(_) | mpsc::error::TrySendError::Closed(_)) => Fate::Dropped,
        }
    }

    /// Those that wait and those under way.
    pub fn count(&self) -> usize {
        self.places.taken()
    }

    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        // Those under way are given up after half of this, and those that waited are gone with them. What then still
        // waits for the journal is not waited for.
        let _late = tokio::time::timeout(self.stop_wait * 2, self.places.empty()).await;
    }
}

/// Starts the tasks that have copies answered. They end when copies are stopped, or the gateway is gone.
pub fn start(shared: &Arc<Shared>, waiting: Waiting) {
    let Waiting { queue, stopping, at_once } = waiting;
    for _ in 0..at_once {
        let (shared, queue, stopping) = (Arc::downgrade(shared), Arc::clone(&queue), stopping.clone());
        tokio::spawn(work(shared, queue, stopping));
    }
}

/// What an answer said, as far as it is compared.
pub fn said(observed: &Observed, text: Gathered, last_byte_us: u64, cost_nano_usd: Option<u64>) -> Said {
    let called = observed
        .tool_calls
        .iter()
        .map(|call| Called { name: call.name.clone(), arguments: call.arguments.clone() });
    Said {
        cut: text.cut || observed.tool_calls_cut,
        text: text.text,
        characters: observed.text_chars,
        tool_calls: called.collect(),
        // Candidate and live release may speak different dialects.
        finish_reason: observed.finish().map(str::to_owned),
        refusal: observed.refusal,
        last_byte_us,
        cost_nano_usd,
    }
}

async fn work(
    shared: Weak<Shared>,
    queue: Arc<Mutex<mpsc::Receiver<Copy>>>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let next = async { queue.lock().await.recv().await };
        let copy = tokio::select! {
            // What waits when Pinrail stops is not begun.
            biased;
            () = stopped(&mut stopping) => return,
            copy = next => copy,
        };
        let Some((shared, copy)) = shared.upgrade().zip(copy) else { return };
        let wait = shared.limits.copy_wait;
        let answered = tokio::time::timeout(wait, Box::pin(answer(&shared, copy)));
        tokio::select! {
            // What is given up is journaled as such when it is dropped.
            _ = answered => {}
            () = stopped_for(&mut stopping, shared.copies.stop_wait) => return,
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // The sender goes with the gateway, which ends the work as well.
    let _gone = stopping.wait_for(|stopping| *stopping).await;
}

async fn stopped_for(stopping: &mut watch::Receiver<bool>, wait: Duration) {
    stopped(stopping).await;
    tokio::time::sleep(wait).await;
}

/// Has the candidate answer.
async fn answer(shared: &Arc<Shared>, copy: Copy) {
    let Copy { original, live, said, place } = copy;
    let Original { target, asked, headers } = original;
    let begun = match shared.runs.begin_shadow(CopyOf { live: Arc::clone(&live.stamp), target }).await {
        Ok(begun) => begun,
        Err(NoShadow::NotCandidate(_) | NoShadow::NoShare(_) | NoShadow::Spent { .. }) => {
            return shared.copied(target.deployment, Fate::Refused);
        }
        Err(NoShadow::Begin(error)) => {
            tracing::debug!(deployment = %target.deployment, %error, "no run begins for a copy");
            return shared.copied(target.deployment, Fate::Failed { cost: Usd::default() });
        }
    };
    let mut trail = Trail::new(Arc::clone(shared), Arc::new(begun), shared.clock.ticks(), place);
    trail.taken_in(asked.dialect, shared.clock.ticks(), None);
    trail.compare_with(LiveAnswer { of: (live.stamp.run, live.call), said });
    let ready = match asked.dialect.parse(&asked.body) {
        Ok(request) => call::ready(shared, &mut trail, &request, &asked, None),
        Err(error) => Err(call::unreadable(&error)),
    };
    drop(live);
    // A copy says how the candidate's own model answers: nobody else is asked.
    drop(asked);
    let outcome = call::ask(shared, &headers, ready, None, trail).await;
    match outcome {
        Ok(response) => {
            // Reading it to its end is what journals it.
            let mut body = response.into_body();
            while body.frame().await.is_some() {}
        }
        Err((failure, trail)) => trail.fail(&failure).await,
    }
}
