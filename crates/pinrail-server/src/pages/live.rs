//! The parts of a page that changed, as server-sent events.
//!
//! Nobody polls: a follower sleeps until the ledger, the journal, the approvals or the counters of traffic moved, looks again at most once a second, and
//! Nobody polls: a follower sleeps until the ledger, the journal or the approvals moved (a page of members also until one of
//! them acknowledged something), looks again at most once a second, and
//! Nobody polls: a follower sleeps until the ledger, the journal, the approvals or the gates moved, looks again at most once a second, and
//! sends the parts whose markup is another one than it sent last. Parts carry their times as such, so a time that only grew
//! older is no change. The first look is compared with what the page said that it shows. Where a page has other parts than
//! before (a new agent, say), it is told to load itself anew.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http::header::{AUTHORIZATION, CACHE_CONTROL};
use pinrail_api::problem::{Code, Problem};
use pinrail_dashboard::{Page, Part};
use pinrail_domain::id::LedgerSeq;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::serve;
use crate::api::watch::EVENT_STREAM;
use crate::call::Call;
use crate::reply::{self, Answer};

/// How often a follower looks at most: what people read changes no faster.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Look = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Vec<Part>, Problem>> + Send>> + Send + Sync>;

/// Somebody whose page is open.
struct Follower {
    call: Call,
    look: Look,
    /// What was sent of each part.
    sent: BTreeMap<String, u64>,
    moves: Moves,
    draining: watch::Receiver<bool>,
    looked: tokio::time::Instant,
    /// What the first piece of the stream says.
    first: Option<String>,
    _place: OwnedSemaphorePermit,
}

/// What a look may find changed.
struct Moves {
    heads: watch::Receiver<LedgerSeq>,
    journal: watch::Receiver<u64>,
    approvals: watch::Receiver<u64>,
    traffic: watch::Receiver<u64>,
    gates: watch::Receiver<u64>,
    members: watch::Receiver<u64>,
    /// Members acknowledge all the time, which few pages show.
    follows_members: bool,
}

/// What makes a page load itself anew.
const RELOAD: &str = "event: reload\ndata: \n\n";

/// Follows a page.
pub async fn follow<P, G, F>(call: Call, gather: G) -> Answer
where
    P: Page + 'static,
    G: Fn(Call) -> F + Send + Sync + 'static,
    F: Future<Output = Result<P, Problem>> + Send + 'static,
{
    let place = Arc::clone(&call.state.watchers).try_acquire_owned().map_err(|_| {
        let most = call.state.limits.watchers_max;
        Problem::new(Code::LimitReached, format!("{most} follow pages or spaces already"))
            .next_step("close some pages, and load this one anew")
            .fact("watchers_max", most)
    })?;
    // Subscribed before the first look, so that nothing falls between.
    let mut moves = Moves::of(&call);
    let draining = call.state.draining.subscribe();
    let asked = call.clone();
    let gather = Arc::new(gather);
    let gather_first = gather(call.clone());
    let look: Look = Box::new(move || {
        let (call, gather) = (asked.clone(), Arc::clone(&gather));
        Box::pin(async move {
            let page = gather(call.clone()).await?;
            Ok(page.parts(&serve::shell(&call.state, call.caller.as_ref(), &call.head)))
        })
    });
    let page = gather_first.await?;
    if !page.is_live() {
        // It was when it was loaded, or nobody's page asks.
        return Ok(reply::with_type(EVENT_STREAM, Body::from(RELOAD)));
    }
    moves.follows_members = page.follows_members();
    let parts = page.parts(&serve::shell(&call.state, call.caller.as_ref(), &call.head));
    let looked = tokio::time::Instant::now();
    let mut follower =
        Follower { call, look, sent: BTreeMap::new(), moves, draining, looked, first: None, _place: place };
    // Said at once, so that the page knows that it is followed.
    follower.first = Some(format!(": followed\n\n{}", follower.catch_up(parts)));
    let events = stream::unfold(follower, |mut follower| async move {
        let text = follower.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), follower))
    });
    let mut response = reply::with_type(EVENT_STREAM, Body::from_stream(events));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What the page that follows says that it shows: which parts, and what they say.
fn seen(call: &Call) -> Option<(&str, &str)> {
    let pairs = call.head.uri.query()?.split('&');
    pairs.filter_map(|pair| pair.strip_prefix("seen=")).next_back()?.split_once('.')
}

impl Moves {
    fn of(call: &Call) -> Moves {
        let control = call.control();
        Moves {
            heads: control.heads(),
            journal: control.runs().changes(),
            approvals: control.approval_changes(),
            traffic: control.traffic_changed(),
            gates: call.state.gates.changes(),
            members: control.members().changes(),
            follows_members: false,
        }
    }

    /// Waits until something moved; none when nothing will any more.
    async fn next(&mut self) -> Option<()> {
        tokio::select! {
            moved = self.heads.changed() => moved.ok(),
            moved = self.journal.changed() => moved.ok(),
            moved = self.approvals.changed() => moved.ok(),
            moved = self.traffic.changed() => moved.ok(),
            moved = self.gates.changed() => moved.ok(),
            moved = self.members.changed(), if self.follows_members => moved.ok(),
        }
    }

    /// Whatever moved until now is about to be looked at.
    fn seen(&mut self) {
        self.heads.mark_unchanged();
        for counted in
            [&mut self.journal, &mut self.approvals, &mut self.traffic, &mut self.gates, &mut self.members]
        {
            counted.mark_unchanged();
        }
    }
}

impl Follower {
    /// The next piece of the stream; none when the server stops, or the one who looks was shut out.
    async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            let mut quiet = false;
            tokio::select! {
                moved = self.moves.next() => moved?,
                _ = self.draining.wait_for(|draining| *draining) => return None,
                () = tokio::time::sleep(self.call.state.limits.keep_alive) => quiet = true,
            }
            if quiet {
                return self.is_let_in().then(|| ": still here\n\n".to_owned());
            }
            tokio::time::sleep_until(self.looked + LOOK_EVERY).await;
            if !self.is_let_in() {
                return None;
            }
            self.moves.seen();
            self.looked = tokio::time::Instant::now();
            match (self.look)().await {
                Ok(parts) => {
                    if let Some(event) = self.changed(parts) {
                        return Some(event);
                    }
                }
                // The page itself says why, when it is loaded anew.
                Err(_) => return Some(RELOAD.to_owned()),
            }
        }
    }

    /// What the page lacks of the first look. A page that was open while the server restarted may lack much.
    fn catch_up(&mut self, parts: Vec<Part>) -> String {
        let now = pinrail_dashboard::page::seen(&parts);
        let shown = seen(&self.call);
        if shown.is_some_and(|(which, _)| now.split('.').next() != Some(which)) {
            return RELOAD.to_owned();
        }
        if shown.is_some_and(|(_, said)| now.ends_with(&format!(".{said}"))) {
            self.sent = parts.iter().map(|part| (part.id.clone(), part.digest())).collect();
        }
        self.changed(parts).unwrap_or_default()
    }

    fn is_let_in(&self) -> bool {
        let (state, headers) = (&self.call.state, &self.call.head.headers);
        let by_cookie = self.call.control().is_keyed() && !headers.contains_key(AUTHORIZATION);
        let goes_on = !by_cookie || state.sessions.of(headers, state.clock.now()).is_some();
        goes_on && self.call.caller.as_ref().is_some_and(|caller| self.call.control().is_let_in(caller))
    }

    /// The event with the parts that aren't what was sent of them.
    fn changed(&mut self, parts: Vec<Part>) -> Option<String> {
        let known =
            parts.iter().all(|part| self.sent.contains_key(&part.id)) && parts.len() == self.sent.len();
        let began = self.sent.is_empty();
        if !known && !began {
            return Some(RELOAD.to_owned());
        }
        let mut data = String::new();
        for part in parts {
            let digest = part.digest();
            if self.sent.insert(part.id.clone(), digest) != Some(digest) {
                data.push_str(&part.swap());
            }
        }
        if data.is_empty() {
            return None;
        }
        // A line of data each; the browser joins them again.
        let lines: String = data.split('\n').map(|line| format!("data: {line}\n")).collect();
        Some(format!("{lines}\n"))
    }
}

#[cfg(test)]
mod tests;
