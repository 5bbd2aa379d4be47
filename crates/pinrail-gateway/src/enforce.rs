//! What the dial does to a call: tools that aren't offered, tool calls that don't reach the client, and a fixed text in
//! the model's place. Without a dial none of this is touched: `Begun::dial` is none then.
//!
//! What may be called is asked of one function, `Dialled::tool`. A release that pins its tools is held to them as well: a
//! call of a tool that it doesn't pin is dropped while the dial takes anything away.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use pinrail_domain::dial::{Position, Ruling, ToolRule};
use pinrail_domain::journal::Event;
use pinrail_wire::dialect::{Canned, Request, StreamGuard};
use pinrail_wire::{Called, Dialect, Finished, Rule, Verdict};

use crate::body::Body;
use crate::gateway::Shared;
use crate::port::{Begun, Ruled, Wanted};
use crate::prepared::Prepared;
use crate::trail::Trail;

/// The dial's rules for one call.
#[derive(Clone)]
pub struct Rules {
    shared: Arc<Shared>,
    begun: Arc<Begun>,
    /// The tools that the release pins; none where it leaves them to the caller.
    pinned: Option<Arc<BTreeSet<String>>>,
}

/// A guard of a stream, with what is asked about its calls.
pub struct Guarded {
    rules: Rules,
    pub guard: StreamGuard,
    pub asking: Option<Asking>,
    /// What was decided so far, for the journal.
    ruled: Vec<Event>,
}

/// What is found out about calls.
pub type Asking = Pin<Box<dyn Future<Output = Vec<Ruled>> + Send>>;

impl Rules {
    /// The rules of a call; none where the dial takes nothing away.
    pub fn of(shared: &Arc<Shared>, begun: &Arc<Begun>, prepared: &Prepared) -> Option<Rules> {
        begun.dial.as_ref()?;
        let pinned = prepared.tool_names.clone();
        Some(Rules { shared: Arc::clone(shared), begun: Arc::clone(begun), pinned })
    }

    /// What becomes of calls of a tool.
    fn rule(&self, name: &str) -> Rule {
        let Some(standing) = &self.begun.dial else { return Rule::Pass };
        if self.pinned.as_ref().is_some_and(|pinned| !pinned.contains(name)) {
            return Rule::Drop(format!("The tool `{name}` was not called: the agent has no such tool."));
        }
        match tool_rule(&self.begun, name) {
            ToolRule::Allowed => Rule::Pass,
            ToolRule::NeedsApproval if standing.clients_authorize => Rule::Pass,
            ToolRule::NeedsApproval => Rule::Ask,
            ToolRule::Withheld => Rule::Drop(format!(
                "The tool `{name}` was not called: it is switched off at the moment{}.",
                self.reason(name)
            )),
        }
    }

    /// Asks about calls that need a person's approval.
    async fn ask(self, calls: Vec<Called>) -> Vec<Ruled> {
        let mut ruled = Vec::with_capacity(calls.len());
        for Called { id: _, name, arguments } in calls {
            let wanted = Wanted { stamp: Arc::clone(&self.begun.stamp), tool: name, arguments };
            ruled.push(self.shared.runs.rule_tool(wanted).await);
        }
        ruled
    }

    /// The answer without the calls that may not reach the client, and what was decided; none where it may stay.
    pub async fn whole(self, dialect: Dialect, body: &[u8]) -> (Option<Bytes>, Vec<Event>) {
        let Some(calls) = dialect.calls(body) else { return (None, Vec::new()) };
        let mut verdicts: Vec<Verdict> = Vec::new();
        let mut events = Vec::new();
        for called in calls.list() {
            verdicts.push(match self.rule(&called.name) {
                Rule::Pass => Ok(()),
                Rule::Drop(told) => {
                    events.push(self.dropped(called));
                    Err(told)
                }
                Rule::Ask => {
                    let ruled = self.clone().ask(vec![called.clone()]).await.pop();
                    let ruled = ruled.expect("as many answers as questions");
                    events.push(self.event(called, &ruled));
                    verdict(called, &ruled)
                }
            });
        }
        (calls.without(&verdicts).map(Bytes::from), events)
    }

    fn dropped(&self, called: &Called) -> Event {
        let why = self.reason(&called.name);
        let why = why.trim_start_matches(" (").trim_end_matches(')');
        let ruled = Ruled {
            ruling: Ruling::Withheld,
            approval: None,
            expires_at: None,
            why: (!why.is_empty()).then(|| why.to_owned()),
        };
        self.event(called, &ruled)
    }

    fn event(&self, called: &Called, ruled: &Ruled) -> Event {
        Event::ToolRuled {
            name: called.name.clone(),
            id: (!called.id.is_empty()).then(|| called.id.clone()),
            call: Some(self.begun.call),
            ruling: ruled.ruling,
            approval: ruled.approval,
            why: ruled.why.clone(),
        }
    }

    /// Why the dial stands where it does, in brackets.
    fn reason(&self, name: &str) -> String {
        let setting = self.begun.dial.as_ref().and_then(|standing| standing.dialled.why_tool(name));
        match setting {
            Some((_, setting)) if !setting.reason.is_empty() => format!(" ({})", setting.reason),
            Some(_) | None => String::new(),
        }
    }
}

impl Guarded {
    pub fn new(rules: Rules, dialect: Dialect, event_bytes_max: usize) -> Guarded {
        let ruling = rules.clone();
        let guard = dialect.guard(event_bytes_max, Box::new(move |name| ruling.rule(name)));
        Guarded { rules, guard, asking: None, ruled: Vec::new() }
    }

    /// Begins to ask, where the guard holds calls that somebody must be asked about.
    pub fn ask(&mut self) {
        if let Some(calls) = self.guard.asking() {
            self.asking = Some(Box::pin(self.rules.clone().ask(calls.to_vec())));
        }
    }

    /// Goes on with what was said of the calls.
    pub fn answer(&mut self, ruled: &[Ruled]) -> Bytes {
        self.asking = None;
        let calls: Vec<Called> = self.guard.asking().unwrap_or_default().to_vec();
        let verdicts = calls.iter().zip(ruled).map(|(called, ruled)| verdict(called, ruled)).collect();
        let events = calls.iter().zip(ruled).map(|(called, ruled)| self.rules.event(called, ruled));
        self.ruled.extend(events);
        let out = self.guard.answer(verdicts);
        self.ask();
        out
    }

    /// Ends the stream: what is still held is dropped, and what the client got ends between two events.
    pub fn end(&mut self, finished: &mut Finished) {
        self.asking = None;
        let mut tail = self.guard.feed(&finished.forward).unwrap_or_default().to_vec();
        tail.extend_from_slice(&self.guard.finish());
        finished.forward = Bytes::from(tail);
        finished.mid_event = false;
    }

    /// What was decided in all, for the journal.
    pub fn decided(&mut self) -> Vec<Event> {
        let dropped = self.guard.dropped();
        let dropped = dropped.iter().map(|called| self.rules.dropped(called));
        let mut events: Vec<Event> = dropped.collect();
        events.append(&mut self.ruled);
        events
    }
}

/// Whether the model isn't offered a tool.
pub fn is_withheld(begun: &Begun, name: &str) -> bool {
    tool_rule(begun, name) == ToolRule::Withheld
}

/// The event that says what the dial took away; none where it took nothing.
pub fn dialled(begun: &Begun, withheld: Vec<String>) -> Option<Event> {
    let dialled = &begun.dial.as_ref()?.dialled;
    let position = dialled.position;
    if position == Position::Full && withheld.is_empty() {
        return None;
    }
    let first = withheld.first().and_then(|name| dialled.why_tool(name));
    let place = dialled.by.as_ref().or(first).map(|(place, _)| place.to_string()).unwrap_or_default();
    Some(Event::Dialled { call: begun.call, position, place, withheld })
}

/// Answers with the dial's text, in the client's format. Nobody is asked.
pub async fn canned(shared: &Shared, trail: Trail, request: &Request<'_>, text: &str) -> Response<Body> {
    let dialect = request.dialect();
    let id = trail.begun.stamp.run.to_string();
    let created = shared.clock.now().0 / 1_000;
    let canned = Canned { id: &id, created, model: request.model(), text };
    let (body, kind) = match request.stream() {
        true => (dialect.canned_stream(&canned, request.include_usage()), "text/event-stream"),
        false => (dialect.canned(&canned), "application/json"),
    };
    trail.canned().await;
    let mut response = Response::new(Body::whole(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn tool_rule(begun: &Begun, name: &str) -> ToolRule {
    let Some(standing) = &begun.dial else { return ToolRule::Allowed };
    standing.dialled.tool(name, begun.contract.has_side_effects(name))
}

/// Whether a call passes, and what the client is told where it doesn't.
fn verdict(called: &Called, ruled: &Ruled) -> Verdict {
    let name = &called.name;
    let why = ruled.why.as_deref().unwrap_or("nobody may call it now");
    match (ruled.ruling, ruled.approval) {
        (Ruling::Allowed, _) => Ok(()),
        (Ruling::NeedsApproval, Some(approval)) => {
            let until = ruled.expires_at.map(|at| format!(", until {}", at.rfc3339())).unwrap_or_default();
            Err(format!(
                "The tool `{name}` was not called yet: the call waits for a person's approval as {approval}{until}. Once \
                 it is approved (`pinrail approval approve {approval}`), ask for the same again."
            ))
        }
        (Ruling::NeedsApproval | Ruling::Denied | Ruling::Withheld, _) => {
            Err(format!("The tool `{name}` was not called: {why}."))
        }
    }
}
