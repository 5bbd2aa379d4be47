//! Replays one seed and prints all that happens: `cargo run -p pinrail-simulation --example replay -- SEED`.

use std::process::ExitCode;

use pinrail_simulation::{Options, play};

fn main() -> ExitCode {
    let Some(seed) = std::env::args().nth(1).and_then(|seed| seed.parse().ok()) else {
        eprintln!("usage: replay SEED");
        return ExitCode::from(2);
    };
    let (trace, verdict, code) = match play(seed, &Options { keep_all: true, tamper: None }) {
        Ok(played) => {
            let held =
                format!("seed {seed}: everything held, trace {:016x}, {:?}", played.digest, played.counts);
            (played.trace, held, ExitCode::SUCCESS)
        }
        Err(failure) => (failure.trace, format!("seed {seed}: {}", failure.what), ExitCode::FAILURE),
    };
    for line in trace {
        eprintln!("{line}");
    }
    eprintln!("{verdict}");
    code
}
