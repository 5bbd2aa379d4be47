//! `GET /api/v1/context/{space}/watch`: what comes into a reader's view and goes out of it, as server-sent events.
//!
//! Events `put` and `message` are new; `shown` came back or was promoted; `delete` and `hidden` are gone. Each change of
//! the view ends with an event `current`, whose id is the moment that the watcher then has: a client that applies what came before it at
//! once never sees one half of a rollback (I5). `Last-Event-ID`, or `after`, brings what changed since that moment; without either the
//! whole view comes first. A slow watcher is never sent a queue of the past: when it has read one change, the next one is computed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, HeaderName};
use pinrail_api::context::ContextGone;
use pinrail_api::problem::{Code, Problem};
use pinrail_control::Control;
use pinrail_control::state::context::{Accepts, is_message, message as message_of, stored};
use pinrail_control::state::watch::{Gone, Watch};
use pinrail_control::state::{AsOf, Reader};
use pinrail_domain::id::{Epoch, StateSeq};
use pinrail_domain::state::view::Hidden;
use pinrail_domain::state::{Moment, Record, Space};
use pinrail_store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::{accepts, message, space, value};
use crate::call::{Call, bad_name};
use crate::problem;
use crate::reply::{Answer, with_type};
use crate::state_call::read_error;

/// The content type of server-sent events.
const EVENT_STREAM: &str = "text/event-stream";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells reverse proxies that an event must not wait for others.
const NO_BUFFERING: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
/// Records that are read and sent at once: a piece of the stream is some hundred kilobytes at most.
const RECORDS_AT_ONCE: usize = 64;
const GONE_AT_ONCE: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    accepts: Option<String>,
    after: Option<String>,
}

/// One that follows a space.
struct Watcher {
    control: Control,
    space: Space,
    reader: Reader,
    accepts: Accepts,
    watch: Watch,
    epochs: watch::Receiver<Epoch>,
    draining: watch::Receiver<bool>,
    keep_alive: Duration,
    pause: Duration,
    /// The change that is being sent.
    sending: Option<Sending>,
    /// When the next change may be looked for.
    not_before: Instant,
    _place: OwnedSemaphorePermit,
}

/// The rest of a change.
struct Sending {
    at: Moment,
    since: StateSeq,
    gone: VecDeque<Gone>,
    shown: VecDeque<StateSeq>,
}

pub async fn follow(call: Call) -> Answer {
    let (eyes, query) = call.eyes::<Query>().await?;
    if eyes.reader.as_of != AsOf::Now {
        return Err(Problem::new(Code::BadRequest, "what is watched is what is there now")
            .next_step("leave as_of out, or go on after a moment: after=1200.87 (--after 1200.87)"));
    }
    let accepts = accepts(&call, &eyes, query.accepts.as_deref())?;
    let since = since(&call, query.after.as_deref())?;
    if call.state.is_draining() {
        return Err(Problem::new(Code::NotReady, "the server is shutting down")
            .next_step("connect again in a second"));
    }
    let place = call.state.watchers.clone().try_acquire_owned().map_err(|_| {
        let most = call.state.limits.watchers_max;
        Problem::new(Code::LimitReached, format!("{most} watch already"))
            .next_step("read the space now and then instead, or watch again later")
            .fact("watchers_max", most)
    })?;
    let space = space(&call, eyes.tenant)?;
    let epochs = call.control().epochs();
    let mut watch =
        call.control().states().watch(&space, eyes.reader.own, since).await.map_err(read_error)?;
    let delta = call.control().states().watch_delta(&mut watch).await.map_err(read_error)?;
    let watcher = Watcher {
        control: call.control().clone(),
        space,
        reader: eyes.reader,
        accepts,
        watch,
        epochs,
        draining: call.state.draining.subscribe(),
        keep_alive: call.state.limits.keep_alive,
        pause: call.state.limits.poll_pause,
        sending: Some(Sending::of(delta)),
        not_before: Instant::now(),
        _place: place,
    };
    let pieces = stream::unfold(watcher, |mut watcher| async move {
        let text = watcher.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), watcher))
    });
    let mut response = with_type(EVENT_STREAM, Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let (name, value) = NO_BUFFERING;
    headers.insert(name, value);
    Ok(response)
}

/// The moment to go on after: what a client that comes back has seen is known better than the address that it was given.
fn since(call: &Call, after: Option<&str>) -> Result<Option<Moment>, Problem> {
    let said = call.header(&LAST_EVENT_ID)?.filter(|text| !text.is_empty());
    let Some(text) = said.or(after) else { return Ok(None) };
    text.parse().map(Some).map_err(|error| bad_name(format!("what to go on after is {error}")))
}

impl Watcher {
    /// The next piece of the stream; none when the server stops, or can't read its store.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.sending.is_some() {
                match self.piece().await {
                    Ok(text) if text.is_empty() => continue,
                    Ok(text) => return Some(text),
                    Err(error) => return self.cut(&problem::chain(&error)),
                }
            }
            tokio::select! {
                () = self.watch.appended() => {}
                risen = self.epochs.changed() => risen.ok()?,
                _ = self.draining.wait_for(|draining| *draining) => return None,
                () = tokio::time::sleep(self.keep_alive) => return Some(": still here\n\n".to_owned()),
            }
            tokio::time::sleep_until(self.not_before).await;
            match self.control.states().watch_delta(&mut self.watch).await {
                Ok(delta) if delta.shown.is_empty() && delta.gone.is_empty() => {}
                Ok(delta) => self.sending = Some(Sending::of(delta)),
                Err(error) => return self.cut(&problem::chain(&error)),
            }
            self.not_before = Instant::now() + self.pause;
        }
    }

    /// A client that comes back is told what it missed.
    fn cut(&self, error: &str) -> Option<String> {
        tracing::error!(error, space = %self.space, "a watcher was cut off");
        None
    }

    /// The next events of the change that is being sent.
    async fn piece(&mut self) -> Result<String, StoreError> {
        let Some(sending) = &mut self.sending else { return Ok(String::new()) };
        let since = sending.since;
        if !sending.gone.is_empty() {
            let count = sending.gone.len().min(GONE_AT_ONCE);
            return Ok(sending.gone.drain(..count).map(gone).collect());
        }
        let count = sending.shown.len().min(RECORDS_AT_ONCE);
        let seqs: Vec<StateSeq> = sending.shown.drain(..count).collect();
        if seqs.is_empty() {
            let at = sending.at;
            self.sending = None;
            return Ok(format!(
                "event: current\nid: {at}\ndata: {}\n\n",
                json!({ "moment": at.to_string() })
            ));
        }
        let at = sending.at;
        let records = self.control.states().records(&seqs).await?;
        self.control.states().note_records(&self.reader, &self.space, at, seqs).await;
        Ok(records.into_iter().map(|record| came(record, since, &self.accepts)).collect())
    }
}

impl Sending {
    fn of(delta: pinrail_control::state::watch::Delta) -> Sending {
        Sending { at: delta.at, since: delta.since, gone: delta.gone.into(), shown: delta.shown.into() }
    }
}

/// The event of a record that came into the view.
fn came(record: Record, since: StateSeq, accepts: &Accepts) -> String {
    let fresh = record.operation.seq > since;
    if is_message(&record.operation.key) {
        let said = message_of(&record);
        return event(if fresh { "message" } else { "shown" }, &message(record, said, accepts));
    }
    let stored = stored(&record);
    event(if fresh { "put" } else { "shown" }, &value(record, stored, accepts))
}

/// The event of a key that shows nothing any more.
fn gone(gone: Gone) -> String {
    let name = match gone.why {
        Hidden::Deleted { .. } | Hidden::Delete => "delete",
        Hidden::AfterAsOf
        | Hidden::Uncommitted { .. }
        | Hidden::Aborted { .. }
        | Hidden::Retracted { .. }
        | Hidden::Derived { .. }
        | Hidden::Superseded { .. } => "hidden",
    };
    let key = Some(gone.key).filter(|key| !is_message(key));
    event(name, &ContextGone { key, version: gone.seq, hidden: gone.why })
}

fn event(name: &str, data: &impl Serialize) -> String {
    let data = serde_json::to_string(data).expect("an event is plain data");
    format!("event: {name}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests;
