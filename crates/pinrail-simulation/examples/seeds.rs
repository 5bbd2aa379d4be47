//! Plays many seeds on all cores and says what happened: `PINRAIL_SIM_SEEDS=200000 cargo run --release
//! -p pinrail-simulation --example seeds -- [FIRST]`. Plays every hundredth seed twice and compares the traces.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use pinrail_simulation::{Counts, Failure, Options, play};

/// Failures that are told in full.
const TOLD_MAX: usize = 5;

#[expect(
    clippy::disallowed_methods,
    reason = "how many seeds is the caller's to say; the library reads nothing"
)]
fn main() -> ExitCode {
    let seeds =
        std::env::var("PINRAIL_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(10_000);
    let first: u64 = std::env::args().nth(1).and_then(|first| first.parse().ok()).unwrap_or(0);
    let next = AtomicU64::new(first);
    let (counts, failures) = (Mutex::new(Counts::default()), Mutex::new(Vec::<Failure>::new()));
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    match play_one(seed) {
                        Ok(played) => counts.lock().expect("no thread panics").add(&played),
                        Err(failure) => failures.lock().expect("no thread panics").push(failure),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no thread panics");
    for failure in failures.iter().take(TOLD_MAX) {
        eprintln!("{failure}\n");
    }
    eprintln!("{seeds} seeds from {first}: {:?}", counts.into_inner().expect("no thread panics"));
    let failed: Vec<u64> = failures.iter().map(|failure| failure.seed).collect();
    eprintln!("{} failed: {:?}", failed.len(), &failed[..failed.len().min(50)]);
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn play_one(seed: u64) -> Result<Counts, Failure> {
    let played = play(seed, &Options::default())?;
    if seed.is_multiple_of(100) {
        let again = play(seed, &Options::default())?;
        if again.digest != played.digest {
            let what = format!("two plays differ: {:016x} and {:016x}", played.digest, again.digest);
            return Err(Failure { seed, what, trace: again.trace });
        }
    }
    Ok(played.counts)
}
