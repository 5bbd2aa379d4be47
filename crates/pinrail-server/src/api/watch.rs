//! `GET /api/v1/watch?after=`: the epoch, as server-sent events.
//!
//! The first event comes at once with the current epoch, so whoever comes late is right; then one whenever the epoch
//! rises. A watcher that is slow gets the newest epoch next, with all changes in between, and never a queue of old ones.
//! After a break, `Last-Event-ID` (or `after`) brings what changed meanwhile. The stream ends with the server.

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, HeaderName};
use pinrail_api::members::EpochEvent;
use pinrail_api::problem::{Code, Problem};
use pinrail_control::Control;
use pinrail_control::keys::Caller;
use pinrail_domain::id::Epoch;
use pinrail_domain::key::Tenants;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::call::{Call, bad_name};
use crate::reply::{Answer, with_type};

/// The content type of server-sent events.
pub const EVENT_STREAM: &str = "text/event-stream";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells reverse proxies that an event must not wait for others.
const NO_BUFFERING: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
/// Browsers come back after this.
const RETRY: &str = "retry: 1000\n";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    after: Option<Epoch>,
}

/// One that follows.
struct Watcher {
    control: Control,
    epochs: watch::Receiver<Epoch>,
    draining: watch::Receiver<bool>,
    keep_alive: std::time::Duration,
    /// One that is limited to tenants doesn't see what changed: nothing of that belongs to a tenant (I11).
    caller: Caller,
    /// The newest epoch that it was told, or says that it knows.
    told: Option<Epoch>,
    begun: bool,
    _place: OwnedSemaphorePermit,
}

pub async fn follow(call: Call) -> Answer {
    let Query { after } = call.query()?;
    let told = last_event_id(&call)?.or(after);
    if call.state.is_draining() {
        return Err(Problem::new(Code::NotReady, "the server is shutting down")
            .next_step("connect again in a second"));
    }
    let place = call.state.epoch_watchers.clone().try_acquire_owned().map_err(|_| {
        let most = call.state.limits.epoch_watchers_max;
        Problem::new(Code::LimitReached, format!("{most} watch already"))
            .next_step("look at `x-pinrail-epoch`, which every answer carries, and connect again later")
            .fact("epoch_watchers_max", most)
    })?;
    let watcher = Watcher {
        control: call.control().clone(),
        epochs: call.control().epochs(),
        draining: call.state.draining.subscribe(),
        keep_alive: call.state.limits.keep_alive,
        caller: call.caller().clone(),
        told,
        begun: false,
        _place: place,
    };
    let events = stream::unfold(watcher, |mut watcher| async move {
        let text = watcher.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), watcher))
    });
    let mut response = with_type(EVENT_STREAM, Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let (name, value) = NO_BUFFERING;
    headers.insert(name, value);
    Ok(response)
}

/// What a client that comes back has seen; it knows better than the address that it was first given.
fn last_event_id(call: &Call) -> Result<Option<Epoch>, Problem> {
    let Some(text) = call.header(&LAST_EVENT_ID)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let epoch = text.parse().map_err(|_| bad_name(format!("header {LAST_EVENT_ID}: not an epoch")))?;
    Ok(Some(Epoch(epoch)))
}

impl Watcher {
    /// The next piece of the stream; none when the server stops, or the watcher's key was revoked.
    async fn next(&mut self) -> Option<String> {
        if !self.begun {
            self.begun = true;
            self.epochs.mark_unchanged();
            return Some(format!("{RETRY}{}", self.event()));
        }
        loop {
            tokio::select! {
                risen = self.epochs.changed() => risen.ok()?,
                _ = self.draining.wait_for(|draining| *draining) => return None,
                () = tokio::time::sleep(self.keep_alive) => {
                    return self.control.is_let_in(&self.caller).then(|| ": still here\n\n".to_owned());
                }
            }
            if !self.control.is_let_in(&self.caller) {
                return None;
            }
            if self.told.is_none_or(|told| self.control.members().since(None).epoch > told) {
                return Some(self.event());
            }
        }
    }

    fn event(&mut self) -> String {
        let since = self.control.members().since(self.told);
        self.told = Some(since.epoch);
        let mut event = EpochEvent {
            epoch: since.epoch,
            seq: since.seq,
            at: since.changes.last().map(|change| change.at),
            changed: since.changed(),
            more: since.more,
            changes: since.changes,
        };
        if self.caller.tenants != Tenants::All {
            event.changes.clear();
        }
        let data = serde_json::to_string(&event).expect("an event is plain data");
        format!("event: epoch\nid: {}\ndata: {data}\n\n", event.epoch)
    }
}

#[cfg(test)]
mod tests;
