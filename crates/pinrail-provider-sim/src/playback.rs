//! Plays an answer: waits, sends, cuts, stalls, and notices when the client goes away.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    None,
    Cut,
    Stall,
    Garbage,
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

/// Plans a stream: the opening event at once, then `tokens` deltas at their pace, then the closing events at once, up
/// to the mishap, which strikes after half of all. The wait for the first token lies before the response's head.
pub fn plan(events: Vec<Bytes>, tokens: usize, per_token: Duration, mishap: Mishap) -> Vec<Frame> {
    let half = (events.len() / 2).max(1);
    let after = |at: usize| if (1..=tokens).contains(&at) { per_token } else { Duration::ZERO };
    let send = |(at, event)| Frame::Send { after: after(at), event };
    let first_half = |events: Vec<Bytes>| events.into_iter().take(half).enumerate().map(send);
    match mishap {
        Mishap::None => events.into_iter().enumerate().map(send).collect(),
        Mishap::Cut => first_half(events).chain([Frame::Cut]).collect(),
        Mishap::Stall => first_half(events).chain([Frame::Stall]).collect(),
        Mishap::Garbage => {
            let broken = Bytes::from_static(b"data: {\"id\": \"chatcmpl-\", \"choices\": [{\"del\n\n");
            first_half(events).chain([Frame::Send { after: per_token, event: broken }]).collect()
        }
    }
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

    fn events(count: usize) -> Vec<Bytes> {
        (0..count).map(|at| Bytes::from(at.to_string())).collect()
    }

    #[test]
    fn a_mishap_strikes_after_half_and_after_at_least_one() {
        let per_token = Duration::from_millis(1);
        let check = |count: usize, mishap: Mishap, want: usize| {
            assert_eq!(plan(events(count), count, per_token, mishap).len(), want, "{count} {mishap:?}");
        };
        check(6, Mishap::None, 6);
        check(6, Mishap::Cut, 4);
        check(6, Mishap::Stall, 4);
        check(6, Mishap::Garbage, 4);
        check(1, Mishap::Cut, 2);
        let frames = plan(events(3), 1, per_token, Mishap::None);
        let waits: Vec<u128> = frames
            .iter()
            .map(|frame| match frame {
                Frame::Send { after, .. } => after.as_millis(),
                Frame::Cut | Frame::Stall => panic!("nothing goes wrong here"),
            })
            .collect();
        assert_eq!(waits, [0, 1, 0], "only the one token takes time");
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
