//! Watches how long a provider says nothing.
//!
//! The time runs only while we wait for the provider: a client that reads slowly doesn't count against it. One
//! timer serves the whole stream; bytes that come don't touch it, it looks when it fires.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Says when nothing came for too long.
pub struct Idle {
    longest: Duration,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    pub fn new(longest: Duration) -> Idle {
        Idle { longest, waiting_since: None, timer: None }
    }

    /// Something came.
    pub fn came(&mut self) {
        self.waiting_since = None;
    }

    /// Waits no longer than this from now on.
    pub fn shorten(&mut self, longest: Duration) {
        if longest < self.longest {
            self.longest = longest;
            self.timer = None;
        }
    }

    /// Nothing is there yet. Ready when that has lasted too long.
    pub fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = *self.waiting_since.get_or_insert_with(Instant::now) + self.longest;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        loop {
            std::task::ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= until {
                return Poll::Ready(());
            }
            timer.as_mut().reset(until);
        }
    }
}
