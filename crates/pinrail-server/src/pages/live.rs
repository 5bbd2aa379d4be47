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
use http::header::CACHE_CONTROL;
use pinrail_api::problem::{Code, Problem};
use pinrail_dashboard::{Page, Part};
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
    heads: watch::Receiver<pinrail_domain::id::LedgerSeq>,
    journal: watch::Receiver<u64>,
    approvals: watch::Receiver<u64>,
    traffic: watch::Receiver<u64>,
    members: watch::Receiver<u64>,
    follows_members: bool,
    gates: watch::Receiver<u64>,
    draining: watch::Receiver<bool>,
    looked: tokio::time::Instant,
    first: Option<Vec<Part>>,
    _place: OwnedSemaphorePermit,
}

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
    let control = call.control().clone();
    // Subscribed before the first look, so that nothing falls between.
    let (heads, journal) = (control.heads(), control.runs().changes());
    let (approvals, traffic) = (control.approval_changes(), control.traffic_changed());
    let draining = call.state.draining.subscribe();
    let members = control.members().changes();
    let gates = call.state.gates.changes();
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
    let follows_members = page.follows_members();
    let first = page.parts(&serve::shell(&call.state, call.caller.as_ref(), &call.head));
    let looked = tokio::time::Instant::now();
    let sent = match seen(&call) {
        Some(seen) if seen == pinrail_dashboard::page::seen(&first) => {
            first.iter().map(|part| (part.id.clone(), part.digest())).collect()
        }
        Some(_) | None => BTreeMap::new(),
    };
    let first = Some(first);
    let follower = Follower {
        call,
        look,
        sent,
        heads,
        journal,
        approvals,
        traffic,
        members,
        follows_members,
        gates,
        draining,
        looked,
        first,
        _place: place,
    };
    let events = stream::unfold(follower, |mut follower| async move {
        let text = follower.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), follower))
    });
    let mut response = reply::with_type(EVENT_STREAM, Body::from_stream(events));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What the page that follows says that it shows.
fn seen(call: &Call) -> Option<u64> {
    let pairs = call.head.uri.query()?.split('&');
    let text = pairs.filter_map(|pair| pair.strip_prefix("seen=")).next_back()?;
    u64::from_str_radix(text, 16).ok()
}

impl Follower {
    /// The next piece of the stream; none when the server stops, or the one who looks was shut out.
    async fn next(&mut self) -> Option<String> {
        if let Some(parts) = self.first.take() {
            // Said at once, so that the page knows that it is followed.
            return Some(format!(": followed\n\n{}", self.changed(parts).unwrap_or_default()));
        }
        loop {
            let mut quiet = false;
            tokio::select! {
                moved = self.heads.changed() => moved.ok()?,
                moved = self.journal.changed() => moved.ok()?,
                moved = self.approvals.changed() => moved.ok()?,
                moved = self.traffic.changed() => moved.ok()?,
                moved = self.members.changed(), if self.follows_members => moved.ok()?,
                moved = self.gates.changed() => moved.ok()?,
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
            self.heads.mark_unchanged();
            self.journal.mark_unchanged();
            self.approvals.mark_unchanged();
            self.traffic.mark_unchanged();
            self.members.mark_unchanged();
            self.gates.mark_unchanged();
            self.looked = tokio::time::Instant::now();
            match (self.look)().await {
                Ok(parts) => {
                    if let Some(event) = self.changed(parts) {
                        return Some(event);
                    }
                }
                // The page itself says why, when it is loaded anew.
                Err(_) => return Some("event: reload\ndata: \n\n".to_owned()),
            }
        }
    }

    fn is_let_in(&self) -> bool {
        self.call.caller.as_ref().is_some_and(|caller| self.call.control().is_let_in(caller))
    }

    /// The event with the parts that aren't what was sent of them.
    fn changed(&mut self, parts: Vec<Part>) -> Option<String> {
        let known =
            parts.iter().all(|part| self.sent.contains_key(&part.id)) && parts.len() == self.sent.len();
        let began = self.sent.is_empty();
        if !known && !began {
            return Some("event: reload\ndata: \n\n".to_owned());
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
