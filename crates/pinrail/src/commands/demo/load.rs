//! Customers who come by themselves, on threads of their own, until told that it is enough.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use pinrail_domain::time::Clock as _;

use super::halt::Halt;
use super::shop::{Shop, Wish};
use crate::system::SystemClock;

/// How many come, and why.
#[derive(Clone, Copy)]
pub struct Stream {
    /// The first customer's number: sessions are named by it.
    pub from: usize,
    /// None: as many as can be served.
    pub per_second: Option<u32>,
    pub wish: fn(usize) -> Wish,
    /// Whether they come again although somebody wasn't served.
    pub patient: bool,
}

/// Customers under way.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What came of them so far.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub visits: u64,
    /// By second since the first.
    pub seconds: Vec<u64>,
    /// What went wrong for a customer, the first of it.
    pub trouble: Option<String>,
}

struct Shared {
    shop: Shop,
    stream: Stream,
    next: AtomicUsize,
    stop: Halt,
    clock: SystemClock,
    counts: Mutex<Counts>,
}

/// Customers who are served at once.
const CLIENTS: u32 = 3;
const SECOND_NS: u64 = 1_000_000_000;

impl Load {
    pub fn start(shop: Shop, stream: Stream) -> Load {
        let shared = Arc::new(Shared {
            shop,
            stream,
            next: AtomicUsize::new(stream.from),
            stop: Halt::default(),
            clock: SystemClock::start(),
            counts: Mutex::default(),
        });
        let threads = (0..CLIENTS)
            .map(|_| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.serve())
            })
            .collect();
        Load { shared, threads }
    }

    pub fn counts(&self) -> Counts {
        self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets nobody in any more, waits until the last has left, and gives the number of the next customer.
    ///
    /// # Errors
    /// What went wrong for a customer: none of them should notice anything.
    pub fn stop(mut self) -> anyhow::Result<(usize, Counts)> {
        self.end();
        let counts = self.counts();
        if let Some(trouble) = &counts.trouble {
            anyhow::bail!("a customer wasn't served: {trouble}");
        }
        Ok((self.shared.next.load(Ordering::Relaxed), counts))
    }

    fn end(&mut self) {
        self.shared.stop.halt();
        for thread in self.threads.drain(..) {
            // A thread that panicked has told so on stderr; its visit is missing in the counts.
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn serve(&self) {
        let pause_ms = self.stream.per_second.map_or(0, |rate| u64::from(1_000 * CLIENTS / rate.max(1)));
        while self.stop.pause(pause_ms).is_ok() {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let visit = self.shop.visit((self.stream.wish)(n), n, &format!("customer-{n}"));
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            match visit {
                Ok(_) => {
                    counts.count(usize::try_from(self.clock.ticks().0 / SECOND_NS).unwrap_or(usize::MAX))
                }
                Err(error) => {
                    counts.trouble.get_or_insert(format!("{error:#}"));
                    if !self.stream.patient {
                        return;
                    }
                }
            }
        }
    }
}

impl Counts {
    fn count(&mut self, second: usize) {
        self.visits += 1;
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, 0);
        }
        self.seconds[second] += 1;
    }

    /// Visits in the last whole second.
    pub fn per_second(&self) -> u64 {
        let whole = self.seconds.len().saturating_sub(2);
        self.seconds.get(whole).copied().unwrap_or_default()
    }
}
