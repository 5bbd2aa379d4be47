//! The responses format of OpenAI.
//!
//! TEMPORARY SKELETON: being written.
#![allow(clippy::all, clippy::pedantic, unused, reason = "being written")]

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::answer::{AnswerError, Finished, Gathered, Limits, Observed};
use crate::dialect::{Canned, Told};
use crate::edit::Edit;
use crate::guard::{Called, Rule, Verdict};
use crate::pin::{Mismatch, Pin};
use crate::request::RequestError;
use crate::sse::EventTooLong;

#[derive(Clone, Debug)]
pub struct ResponsesRequest<'a> {
    at: &'a [u8],
}
impl<'a> ResponsesRequest<'a> {
    pub fn parse(body: &'a [u8]) -> Result<ResponsesRequest<'a>, RequestError> {
        unimplemented!()
    }
    pub fn model(&self) -> &str {
        unimplemented!()
    }
    pub fn stream(&self) -> bool {
        unimplemented!()
    }
    pub fn param(&self, name: &str) -> Option<&'a RawValue> {
        unimplemented!()
    }
    pub fn metadata(&self, key: &str) -> Option<Cow<'a, str>> {
        unimplemented!()
    }
    pub fn rewrite(&self, edit: &Edit<'_>) -> Vec<u8> {
        unimplemented!()
    }
    pub fn verify(&self, pin: &Pin<'_>) -> Vec<Mismatch> {
        unimplemented!()
    }
}
pub const PARAMS_RESERVED: [&str; 0] = [];
pub fn observe_answer_text(body: &[u8], text_bytes_max: usize) -> Result<(Observed, Gathered), AnswerError> {
    unimplemented!()
}
#[derive(Debug)]
pub struct StreamObserver {}
impl StreamObserver {
    pub fn new(limits: Limits) -> StreamObserver {
        unimplemented!()
    }
    pub fn feed(&mut self, chunk: Bytes) -> Result<Bytes, EventTooLong> {
        unimplemented!()
    }
    pub fn finish(self) -> Finished {
        unimplemented!()
    }
}
pub struct StreamGuard {}
impl StreamGuard {
    pub fn new(event_bytes_max: usize, rule: Box<dyn Fn(&str) -> Rule + Send>) -> StreamGuard {
        unimplemented!()
    }
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Bytes, EventTooLong> {
        unimplemented!()
    }
    pub fn asking(&self) -> Option<&[Called]> {
        unimplemented!()
    }
    pub fn answer(&mut self, verdicts: Vec<Verdict>) -> Bytes {
        unimplemented!()
    }
    pub fn finish(&mut self) -> Bytes {
        unimplemented!()
    }
    pub fn dropped(&mut self) -> Vec<Called> {
        unimplemented!()
    }
}
pub struct Calls {
    calls: Vec<Called>,
}
impl Calls {
    pub fn of(body: &[u8]) -> Option<Calls> {
        unimplemented!()
    }
    pub fn iter(&self) -> impl Iterator<Item = &Called> {
        self.calls.iter()
    }
    pub fn without(self, verdicts: &[Verdict]) -> Option<Vec<u8>> {
        unimplemented!()
    }
}
pub fn canned(canned: &Canned<'_>) -> Vec<u8> {
    unimplemented!()
}
pub fn canned_stream(canned: &Canned<'_>) -> Vec<u8> {
    unimplemented!()
}
pub fn stream_error_event(told: &Told<'_>, mid_event: bool) -> Vec<u8> {
    unimplemented!()
}
