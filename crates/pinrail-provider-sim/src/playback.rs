//! Plays an answer: waits, sends, cuts, stalls, and notices when the client goes away.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use crate::dialect::Event;
use crate::draw::Draw;
use crate::limits::HANG_MAX;
use crate::script::Latency;
use crate::sim::{Hanging, InFlight, Sim};

/// How long this answer takes to begin and per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    pub first: Duration,
    pub per_token: Duration,
}

/// One step of a streamed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Send {
        after: Duration,
        event: Bytes,
    },
    /// The connection breaks here.
    Cut,
    /// Nothing more comes, and the connection stays open.
    Stall,
}

/// What goes wrong in the middle of a stream, if anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mishap {
    None,
    Cut,
    Stall,
    /// This event, garbage or an error, is the last.
    Last(Bytes),
}

impl Pace {
    /// Draws the pace of one answer.
    pub fn draw(latency: &Latency, fate: &Draw) -> Self {
        let spread = 1.0 + latency.jitter.get() * (2.0 * fate.unit("jitter") - 1.0);
        let tail = if fate.happens("tail", latency.tail_rate) { f64::from(latency.tail_factor) } else { 1.0 };
        let scaled = |ms: u64| Duration::from_millis(ms).mul_f64(spread * tail);
        Self { first: scaled(latency.first_ms), per_token: scaled(latency.per_token_ms) }
    }
}

/// Plans a stream: each event after the time that its tokens take, up to the mishap, which strikes after half of all.
/// The wait for the first token lies before the response's head.
pub fn plan(events: Vec<Event>, per_token: Duration, mishap: Mishap) -> Vec<Frame> {
    let half = half(events.len());
    let send = |event: Event| Frame::Send { after: per_token * event.tokens, event: event.bytes };
    let first_half = |events: Vec<Event>| events.into_iter().take(half).map(send);
    match mishap {
        Mishap::None => events.into_iter().map(send).collect(),
        Mishap::Cut => first_half(events).chain([Frame::Cut]).collect(),
        Mishap::Stall => first_half(events).chain([Frame::Stall]).collect(),
        Mishap::Last(event) => first_half(events).chain([Frame::Send { after: per_token, event }]).collect(),
    }
}

/// Says how many of a stream's events come before a mishap.
pub fn half(events: usize) -> usize {
    (events / 2).max(1)
}

/// Turns frames into a response body. Dropped before the last frame, it counts as cancelled.
pub fn body(frames: Vec<Frame>, in_flight: InFlight, hanging: Option<Hanging>) -> Body {
    let play = Playing { frames: frames.into(), in_flight: Some(in_flight), _hanging: hanging };
    Body::from_stream(stream::unfold(play, |mut play| async move {
        let frame = play.frames.pop_front()?;
        let item = match frame {
            Frame::Send { after, event } => {
                wait(after).await;
                Ok(event)
            }
            Frame::Cut => {
                // An error drops what the connection still buffers; one yield lets the first half be sent.
                tokio::task::yield_now().await;
                Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut by the simulator's script"))
            }
            Frame::Stall => {
                wait(HANG_MAX).await;
                Err(io::Error::new(io::ErrorKind::TimedOut, "the simulated stall reached its limit"))
            }
        };
        if play.frames.is_empty()
            && let Some(in_flight) = play.in_flight.take()
        {
            in_flight.finish(|count| match item {
                Ok(_) => count.completed += 1,
                Err(_) => count.cut += 1,
            });
        }
        Some((item, play))
    }))
}

/// Waits, or doesn't even yield when there is nothing to wait for.
pub async fn wait(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// Hangs without a byte until the client leaves or the limit is reached.
pub async fn hang(sim: &Sim) -> Result<(), crate::failure::Failure> {
    let hanging = sim.hang()?;
    wait(HANG_MAX).await;
    drop(hanging);
    Ok(())
}

struct Playing {
    frames: VecDeque<Frame>,
    in_flight: Option<InFlight>,
    _hanging: Option<Hanging>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Rate;

    fn events(tokens: &[u32]) -> Vec<Event> {
        tokens
            .iter()
            .map(|tokens| Event { bytes: Bytes::from(tokens.to_string()), tokens: *tokens })
            .collect()
    }

    #[test]
    fn a_mishap_strikes_after_half_and_after_at_least_one() {
        let per_token = Duration::from_millis(1);
        let check = |count: usize, mishap: Mishap, want: usize| {
            let frames = plan(events(&vec![1; count]), per_token, mishap.clone());
            assert_eq!(frames.len(), want, "{count} {mishap:?}");
        };
        check(6, Mishap::None, 6);
        check(6, Mishap::Cut, 4);
        check(6, Mishap::Stall, 4);
        check(6, Mishap::Last(Bytes::from_static(b"{")), 4);
        check(1, Mishap::Cut, 2);
        let frames = plan(events(&[0, 1, 3, 0]), per_token, Mishap::None);
        let waits: Vec<u128> = frames
            .iter()
            .map(|frame| match frame {
                Frame::Send { after, .. } => after.as_millis(),
                Frame::Cut | Frame::Stall => panic!("nothing goes wrong here"),
            })
            .collect();
        assert_eq!(waits, [0, 1, 3, 0], "only tokens take time");
    }

    #[test]
    fn the_pace_stays_in_its_spread_and_the_tail_is_slow() {
        let latency = Latency {
            first_ms: 100,
            per_token_ms: 10,
            jitter: Rate::new(0.2).unwrap(),
            ..Latency::default()
        };
        let tail = Latency { tail_rate: Rate::always(), tail_factor: 10, ..latency };
        for case in 0..200 {
            let fate = Draw::new(1, "a", case, Some(0));
            let first = Pace::draw(&latency, &fate).first.as_millis();
            assert!((79..=120).contains(&first), "{first} ms");
            assert!(Pace::draw(&tail, &fate).first.as_millis() >= 790);
        }
    }
}
