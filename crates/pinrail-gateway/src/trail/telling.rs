//! What is told of a call on its way, and at its end, for metrics and traces. Nothing here waits (I13).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::Uri;
use pinrail_domain::journal::Outcome;
use pinrail_domain::time::Ticks;
use pinrail_wire::{Dialect, Gathered};

use super::Trail;
use crate::telemetry::{Attempted, Ended, Parent, Seen, Traced, Tried};
use crate::upstream::Credential;

/// Larger requests are kept in no trace, not even in part: they stay in memory for as long as their answer streams.
const REQUEST_BYTES_MAX: usize = 256 << 10;

impl Trail {
    /// The client's request was whole at `at`: what went by until then was its own time.
    pub fn taken_in(&mut self, dialect: Dialect, at: Ticks, parent: Option<&Parent>) {
        let trace = self.shared.telemetry.trace(parent);
        let waited_us = at.us_since(self.arrived);
        self.seen = Seen { waited_us, trace, ..Seen::new(dialect, self.arrived) };
    }

    /// An attempt begins at an address.
    pub fn tries(&mut self, at: &Uri) {
        let endpoint = self.endpoint();
        let traced = self.seen.trace.is_some().then(|| Traced {
            span: self.shared.telemetry.span_id(),
            spec: Arc::clone(self.elsewhere.as_ref().map_or(&self.begun.provider, |to| &to.spec)),
            snapshot: endpoint.snapshot.to_owned(),
            address: at.authority().map(ToString::to_string).unwrap_or_default(),
        });
        let tried = Tried {
            provider: endpoint.provider.clone(),
            began: self.shared.clock.ticks(),
            first_byte: None,
            ended: None,
            how: Attempted::Other,
            status: None,
            traced,
        };
        self.seen.tried.push(tried);
    }

    /// The provider answers the attempt under way.
    pub fn answers_with(&mut self, status: u16) {
        if let Some(tried) = self.seen.tried.last_mut() {
            tried.status = Some(status);
        }
    }

    /// The attempt under way ended, if there is one still.
    pub fn tried(&mut self, how: Attempted) {
        let Some(tried) = self.seen.tried.last_mut().filter(|tried| tried.ended.is_none()) else { return };
        tried.ended = Some(self.shared.clock.ticks());
        tried.how = how;
        self.shared.telemetry.attempted(tried);
    }

    /// Keeps the request for the call's trace, where traces keep any, secrets removed.
    pub fn keep_request(&mut self, body: &Bytes, credential: &Credential) {
        let bytes_max = self.traced_bytes_max();
        if bytes_max > 0 && body.len() <= REQUEST_BYTES_MAX {
            self.seen.request = Some(credential.clean(body.clone()));
        }
    }

    /// The bytes of an answer's text that the call's trace keeps.
    pub(super) fn traced_bytes_max(&self) -> usize {
        self.seen.trace.as_ref().map_or(0, |_| self.shared.telemetry.content_bytes_max())
    }

    pub(super) fn keep_answer(&mut self, text: &Gathered) {
        let bytes_max = self.traced_bytes_max();
        if bytes_max > 0 {
            self.seen.answer = Some(text.text[..text.text.floor_char_boundary(bytes_max)].to_owned());
        }
    }

    /// Tells what the call came to.
    pub(super) fn tell(&mut self, outcome: Outcome) {
        if self.seen.streams {
            self.shared.streams.fetch_sub(1, Ordering::Relaxed);
        }
        self.tried(Attempted::Cancelled);
        let clock = &self.shared.clock;
        self.shared.telemetry.ended(&Ended {
            begun: &self.begun,
            seen: &self.seen,
            at: clock.now(),
            ticks: clock.ticks(),
            outcome,
            events: &self.events,
            retries: self.attempts,
            elsewhere: self.elsewhere.is_some() && !self.seen.embeds,
        });
    }
}
