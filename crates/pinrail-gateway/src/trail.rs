//! What one call leaves in its run's journal, whatever becomes of the call.
//!
//! Events are gathered while the call goes on and handed over together when it ends. Only a run of several calls
//! gets its `model_request` before the provider is asked: in a run of one call the stamp says as much.
//!
//! A call can end at any moment by being dropped: the client left. Then the events go to a task of the gateway,
//! since a drop can't wait. That task's queue has room for all calls that may be under way, and a call keeps its
//! place until its journal is written, so the queue never overflows.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use pinrail_domain::agent::Bodies;
use pinrail_domain::begin::Alternative;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{ProviderName, SessionId};
use pinrail_domain::journal::{Body, Ending, Event, FaultOf, ModelResponse, Outcome, Usage};
use pinrail_domain::model::{Price, Served, Tokens};
use pinrail_domain::rollout::divergence::{Said, compare};
use pinrail_domain::rollout::quantity::Usd;
use pinrail_domain::time::{Ticks, Timestamp};
use pinrail_wire::{Dialect, Gathered, Observed};

use crate::enforce;
use crate::failure::Failure;
use crate::gateway::Shared;
use crate::identity;
use crate::places::Place;
use crate::port::{Begun, Fate};
use crate::shadow::{LiveAnswer, Original, Pairing, said};
use crate::telemetry::{Attempted, Seen};
use crate::upstream::Credential;
use crate::upstream::health::Attempt;

mod telling;

/// The journal of a call under way. Dropped before its end, it journals that the client left.
pub struct Trail {
    shared: Arc<Shared>,
    pub begun: Arc<Begun>,
    arrived: Ticks,
    first_byte_us: u64,
    /// What is told of the call when it ended.
    pub seen: Seen,
    /// What the pinned model's tokens cost.
    pub price: Option<Price>,
    /// Attempts that failed so far, at whichever endpoint.
    attempts: u32,
    /// Who is asked in the pinned endpoint's place; none for most calls.
    elsewhere: Option<Alternative>,
    /// The attempt whose stream is passed on: how it ends says how the provider does.
    pub attempt: Option<Attempt>,
    events: Vec<(Timestamp, Event)>,
    /// What was decided about the answer's tool calls.
    ruled: Vec<Event>,
    /// What the answer is to be paired with; none for most calls.
    pairing: Option<Pairing>,
    /// Who goes on from the answer stays where it was given.
    follows: bool,
    /// The session of those who do.
    followed_by: Option<SessionId>,
    /// None once the events were handed over.
    place: Option<Place>,
}

/// The writing of a journal: polled to its end by the call, or else by the gateway's task.
pub struct Journaling {
    shared: Arc<Shared>,
    write: Option<Write>,
}

/// Who is asked: the pinned endpoint, or one in its place.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub provider: &'a ProviderName,
    pub snapshot: &'a str,
    /// What the provider calls the snapshot.
    pub name: &'a str,
    /// The part of the catalogue that judges what it says.
    pub catalogue: &'a str,
}

/// Longer than any provider's key.
const KEY_BYTES_MAX: usize = 4_096;

pub type Write = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How an answer ended, as the call saw it.
pub struct Ended {
    pub status: u16,
    pub ending: Ending,
    pub observed: Observed,
    /// The answer's text, as far as somebody asked for it.
    pub text: Gathered,
    pub body: Option<Body>,
    /// What went wrong, secrets removed.
    pub why: Option<String>,
}

impl Trail {
    /// Begins the trail of a call that arrived at `arrived`.
    pub fn new(shared: Arc<Shared>, begun: Arc<Begun>, arrived: Ticks, place: Place) -> Trail {
        Trail::with_place(shared, begun, arrived, Some(place))
    }

    fn with_place(shared: Arc<Shared>, begun: Arc<Begun>, arrived: Ticks, place: Option<Place>) -> Trail {
        Trail {
            shared,
            begun,
            arrived,
            first_byte_us: 0,
            seen: Seen::new(Dialect::Chat, arrived),
            price: None,
            attempts: 0,
            elsewhere: None,
            attempt: None,
            events: Vec::with_capacity(4),
            ruled: Vec::new(),
            pairing: None,
            follows: false,
            followed_by: None,
            place,
        }
    }

    /// Begins the trail of a question outside of any run: nothing of it is kept.
    pub fn unkept(shared: Arc<Shared>, begun: Arc<Begun>) -> Trail {
        let arrived = shared.clock.ticks();
        Trail::with_place(shared, begun, arrived, None)
    }

    /// Asks an endpoint of its own, whose model and part of the catalogue judge what it says.
    pub fn asks(&mut self, endpoint: Alternative) {
        self.elsewhere = Some(endpoint);
    }

    /// Has those who go on from the answer stay where it was given.
    pub fn be_followed(&mut self) {
        self.follows = true;
    }

    /// Has a candidate answer a copy, should the answer come whole.
    pub fn copy_later(&mut self, original: Original) {
        self.pairing = Some(Pairing::Original(Box::new(original)));
    }

    /// Compares the answer with the live one. Nobody is served by this call.
    pub fn compare_with(&mut self, live: LiveAnswer) {
        self.pairing = Some(Pairing::Live(Box::new(live)));
    }

    /// Notes what the dial took away from the request.
    pub fn dialled(&mut self, withheld: Vec<String>) {
        if let Some(event) = enforce::dialled(&self.begun, withheld) {
            self.push(event);
        }
    }

    /// Notes what was decided about tool calls of the answer.
    pub fn ruled(&mut self, ruled: Vec<Event>) {
        self.ruled.extend(ruled);
    }

    /// Ends with the dial's text in the model's place.
    pub fn canned(mut self) -> Journaling {
        self.dialled(Vec::new());
        let us = self.us();
        self.push(Event::ModelResponse(Box::new(ModelResponse {
            call: self.begun.call,
            status: 200,
            finish_reason: Some("stop".to_owned()),
            canned: true,
            first_byte_us: us,
            last_byte_us: us,
            ..ModelResponse::default()
        })));
        self.finish(Outcome::Ok, None)
    }

    /// Notes the request that goes to the provider.
    pub async fn sending(
        &mut self,
        stream: bool,
        dropped: &[&'static str],
        body: &Bytes,
        credential: &Credential,
    ) {
        let kept = self.keep(body, credential);
        let dropped = dropped.iter().copied().map(str::to_owned).collect();
        self.push(Event::ModelRequest { call: self.begun.call, stream, dropped, body: kept });
        if !self.begun.stamp.single {
            self.write(None).await;
        }
    }

    /// Notes that an attempt failed and another follows.
    pub fn retry(&mut self, why: String) {
        self.attempts += 1;
        self.push(Event::ModelRetry { call: self.begun.call, attempt: self.attempts, why });
    }

    /// Notes that the endpoint asked last can't answer, and that an alternative is asked next. From here on it is the
    /// alternative's model that answers.
    pub fn elsewhere(&mut self, to: &Alternative, why: &str) {
        let asked = self.endpoint();
        let next = match to.listed {
            None => format!("{} is asked for the same model", to.provider),
            Some(_) => format!("{} of {} is asked, as the release says", to.snapshot, to.provider),
        };
        let why = format!("{} cannot answer ({why}); {next}", asked.provider);
        self.retry(why);
        self.elsewhere = Some(to.clone());
        self.attempt = None;
    }

    /// Who is asked.
    pub fn endpoint(&self) -> Asked<'_> {
        match &self.elsewhere {
            Some(to) => Asked {
                provider: &to.provider,
                snapshot: &to.snapshot,
                name: to.spec.model_name(&to.snapshot),
                catalogue: &to.spec.catalogue,
            },
            None => Asked {
                provider: &self.begun.stamp.provider,
                snapshot: &self.begun.stamp.snapshot,
                name: self.begun.provider.model_name(&self.begun.stamp.snapshot),
                catalogue: &self.begun.provider.catalogue,
            },
        }
    }

    /// The answer streams, so the request's bytes are gone, and others may take their room: a stream lasts for minutes.
    /// Where a candidate is to answer a copy, they are still here.
    pub fn streams(&mut self) {
        self.seen.streams = true;
        self.seen.answers(self.shared.clock.ticks());
        self.shared.streams.fetch_add(1, Ordering::Relaxed);
        let copied = matches!(self.pairing, Some(Pairing::Original(_)));
        if let Some(place) = self.place.as_mut().filter(|_| !copied) {
            place.let_go();
        }
    }

    /// Notes the moment of the answer's first byte.
    pub fn first_byte(&mut self) {
        self.first_byte_us = self.us();
        if let Some(tried) = self.seen.tried.last_mut() {
            tried.first_byte = Some(self.shared.clock.ticks());
        }
    }

    /// Ends with an error of ours: there was no answer to pass on.
    pub fn fail(mut self, failure: &Failure) -> Journaling {
        let code = failure.code.to_owned();
        let why = match self.begun.bodies {
            Bodies::Digest | Bodies::Off if failure.quotes => "not kept, since it quotes a body".to_owned(),
            Bodies::Full | Bodies::Digest | Bodies::Off => failure.message.clone(),
        };
        self.push(Event::ModelFailed { call: self.begun.call, fault: failure.fault, code, why });
        self.finish(Outcome::Error, Some(failure.code.to_owned()))
    }

    /// Ends because the client left before the answer began.
    pub fn left(mut self) -> Journaling {
        self.cancel()
    }

    /// Ends with the provider's answer, as far as it came.
    pub fn answered(mut self, ended: Ended) -> Journaling {
        let Ended { status, ending, observed, text, body, why } = ended;
        self.seen.answers(self.shared.clock.ticks());
        self.tried(Attempted::of_ending(ending));
        self.keep_answer(&text);
        let drift = self.drift(&observed);
        let price = match &drift {
            Some(Event::Drift { served, .. }) => {
                self.shared.catalogue.load().price(self.endpoint().catalogue, served).or(self.price)
            }
            Some(_) | None => self.price,
        };
        self.tell_health(ending, why.as_deref());
        let (provider, snapshot) = self.answered_by();
        let usage = observed.usage.map(|usage| Usage {
            input_tokens: usage.prompt_tokens,
            output_tokens: usage.completion_tokens,
            cached_input_tokens: usage.cached_prompt_tokens,
        });
        let cost = usage.zip(price).map(|(usage, price)| {
            let (input, cached_input, output) =
                (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens);
            price.cost(Tokens { input, cached_input, output }).0
        });
        let empty = matches!(ending, Ending::Complete)
            && observed.text_chars == 0
            && observed.tool_calls.is_empty()
            && !observed.refusal
            && !observed.beyond_text;
        if self.follows && matches!(ending, Ending::Complete) {
            self.followed_by = observed.id.as_deref().map(identity::answer_session);
        }
        let last_byte_us = self.us();
        let comparable = matches!(ending, Ending::Complete) && (200..300).contains(&status);
        let said = (self.pairing.is_some() && comparable).then(|| said(&observed, text, last_byte_us, cost));
        self.push(Event::ModelResponse(Box::new(ModelResponse {
            call: self.begun.call,
            status,
            ending,
            provider,
            snapshot,
            served_model: observed.served_model,
            fingerprint: observed.fingerprint,
            finish_reason: observed.finish_reason,
            refusal: observed.refusal,
            canned: false,
            empty,
            vectors: None,
            tool_calls: observed.tool_calls.into_iter().map(|call| call.name).collect(),
            usage,
            cost_nano_usd: cost,
            first_byte_us: self.first_byte_us,
            last_byte_us,
            body,
        })));
        if let Some(drift) = drift {
            self.push(drift);
        }
        for ruled in std::mem::take(&mut self.ruled) {
            self.push(ruled);
        }
        self.pair(said, Usd { nano: cost.unwrap_or_default() });
        self.finish(ending.outcome(), why)
    }

    /// Ends with an embedder's answer of so many vectors.
    pub fn embedded(mut self, ended: Ended, vectors: u32) -> Journaling {
        let Ended { status, ending, observed, text: _, body, why } = ended;
        self.seen.answers(self.shared.clock.ticks());
        let drift = self.drift(&observed);
        let usage = observed.usage.map(|usage| Usage {
            input_tokens: usage.prompt_tokens,
            output_tokens: 0,
            cached_input_tokens: 0,
        });
        let cost = usage.zip(self.price).map(|(usage, price)| {
            price.cost(Tokens { input: usage.input_tokens, cached_input: 0, output: 0 }).0
        });
        let (provider, snapshot) = self.answered_by();
        let last_byte_us = self.us();
        self.push(Event::ModelResponse(Box::new(ModelResponse {
            call: self.begun.call,
            status,
            ending,
            provider,
            snapshot,
            served_model: observed.served_model,
            vectors: Some(vectors),
            usage,
            cost_nano_usd: cost,
            first_byte_us: self.first_byte_us,
            last_byte_us,
            body,
            ..ModelResponse::default()
        })));
        if let Some(drift) = drift {
            self.push(drift);
        }
        self.finish(ending.outcome(), why)
    }

    /// A body as the agent's policy keeps it. A key that a provider repeats doesn't get in (I15).
    pub fn keep(&self, body: &[u8], credential: &Credential) -> Option<Body> {
        match self.begun.bodies {
            Bodies::Off => None,
            Bodies::Digest => Some(Body::Digest { digest: Digest::of(body), bytes: body.len() as u64 }),
            Bodies::Full => {
                let bytes_max = self.shared.limits.journal_body_bytes_max;
                // A key that the bound would cut in two must still be found.
                let looked_at = &body[..body.len().min(bytes_max + KEY_BYTES_MAX)];
                let mut text = credential.redactor.redact(&String::from_utf8_lossy(looked_at)).into_owned();
                let truncated = looked_at.len() < body.len() || text.len() > bytes_max;
                text.truncate(text.floor_char_boundary(bytes_max));
                Some(Body::Text { text, truncated })
            }
        }
    }

    /// The bytes of a streamed answer's text that the journal keeps, or that are compared.
    pub fn text_bytes_max(&self) -> usize {
        let kept = match self.begun.bodies {
            Bodies::Full => self.shared.limits.journal_body_bytes_max,
            Bodies::Digest | Bodies::Off => 0,
        };
        kept.max(self.compared_bytes_max()).max(self.traced_bytes_max())
    }

    /// The bytes of a whole answer's text that are compared, or kept in a trace.
    pub fn text_gathered_max(&self) -> usize {
        self.compared_bytes_max().max(self.traced_bytes_max())
    }

    /// The bytes of an answer's text that are compared.
    fn compared_bytes_max(&self) -> usize {
        self.pairing.as_ref().map_or(0, |_| self.shared.limits.copy_text_bytes_max)
    }

    fn drift(&self, observed: &Observed) -> Option<Event> {
        let served = observed.served_model.as_deref()?;
        let Asked { snapshot, name, catalogue, .. } = self.endpoint();
        if served == name {
            return None;
        }
        match self.shared.catalogue.load().served_matches(catalogue, snapshot, served) {
            Served::Different => Some(Event::Drift {
                call: self.begun.call,
                pinned: snapshot.to_owned(),
                served: served.to_owned(),
                provider: self.answered_by().0,
            }),
            Served::Same | Served::SameCheckpoint { .. } | Served::Unsaid => None,
        }
    }

    /// Who answered, as far as it isn't what the stamp says.
    fn answered_by(&self) -> (Option<ProviderName>, Option<String>) {
        let Some(to) = &self.elsewhere else { return (None, None) };
        let stamp = &self.begun.stamp;
        let provider = (to.provider != stamp.provider).then(|| to.provider.clone());
        (provider, (to.snapshot != stamp.snapshot).then(|| to.snapshot.clone()))
    }

    /// Says how the stream ended whose attempt is still open.
    fn tell_health(&mut self, ending: Ending, why: Option<&str>) {
        let Some(attempt) = self.attempt.take() else { return };
        match ending {
            Ending::Complete => attempt.well(),
            Ending::Cut | Ending::Error => {
                attempt.failed(why.unwrap_or("the provider ended its stream with an error"), None);
            }
            Ending::Cancelled => drop(attempt),
        }
    }

    /// Pairs what was said with the other answer, or has that other answer made.
    fn pair(&mut self, said: Option<Said>, cost: Usd) {
        let (shared, begun) = (Arc::clone(&self.shared), Arc::clone(&self.begun));
        let count = |fate| shared.copied(begun.stamp.deployment, fate);
        match (self.pairing.take(), said) {
            (Some(Pairing::Original(original)), Some(said)) => {
                let deployment = original.target.deployment;
                shared.copied(deployment, shared.copies.offer(*original, &begun, said));
            }
            (Some(Pairing::Live(answer)), Some(said)) => {
                let (live, call) = answer.of;
                self.push(Event::Compared(Box::new(compare(live, call, &said, &answer.said))));
                count(Fate::Compared { cost });
            }
            (Some(Pairing::Live(_)), None) => count(Fate::Failed { cost }),
            (Some(Pairing::Original(_)), None) | (None, _) => {}
        }
    }

    fn cancel(&mut self) -> Journaling {
        if let Some(Pairing::Live(_)) = self.pairing {
            let why = "the copy was given up: it took too long, or Pinrail stopped".to_owned();
            let code = "copy_given_up".to_owned();
            self.push(Event::ModelFailed { call: self.begun.call, fault: FaultOf::Pinrail, code, why });
            return self.finish(Outcome::Cancelled, Some("copy_given_up".to_owned()));
        }
        self.push(Event::ModelFailed {
            call: self.begun.call,
            fault: FaultOf::Client,
            code: "cancelled".to_owned(),
            why: "the client went away before the answer began".to_owned(),
        });
        self.finish(Outcome::Cancelled, Some("cancelled".to_owned()))
    }

    fn push(&mut self, event: Event) {
        let at = self.shared.clock.now();
        self.events.push((at, event));
    }

    fn us(&self) -> u64 {
        self.shared.clock.ticks().us_since(self.arrived)
    }

    fn finish(&mut self, outcome: Outcome, why: Option<String>) -> Journaling {
        self.pair(None, Usd::default());
        if self.begun.stamp.single {
            self.push(Event::Finished { outcome, why });
        }
        self.tell(outcome);
        let place = self.place.take();
        self.write(place)
    }

    /// Writes the events so far, and then gives the place back.
    fn write(&mut self, place: Option<Place>) -> Journaling {
        let (runs, stamp) = (Arc::clone(&self.shared.runs), Arc::clone(&self.begun.stamp));
        let events = std::mem::take(&mut self.events);
        let followed_by = self.followed_by.take();
        let write: Write = Box::pin(async move {
            match followed_by {
                None => runs.record(stamp.run, events).await,
                Some(session) => runs.record_followed(&stamp, events, session).await,
            }
            drop(place);
        });
        Journaling { shared: Arc::clone(&self.shared), write: Some(write) }
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        if self.place.is_some() {
            drop(self.cancel());
        }
    }
}

impl Future for Journaling {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(write) = &mut self.write else { return Poll::Ready(()) };
        std::task::ready!(write.as_mut().poll(cx));
        self.write = None;
        Poll::Ready(())
    }
}

impl Drop for Journaling {
    fn drop(&mut self) {
        if let Some(write) = self.write.take() {
            self.shared.write_late(write);
        }
    }
}
