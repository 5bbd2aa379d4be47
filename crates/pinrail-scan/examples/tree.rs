//! Scans folders as `pinrail scan` does and prints each finding as a line of JSON, so that a scan can be measured and its
//! findings judged without the rest of the program: `tree NOW_MS MIN_CONFIDENCE PATH…`.

#![allow(clippy::print_stdout, reason = "this program's output is its purpose")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use pinrail_domain::model::Catalogue;
use pinrail_domain::time::Timestamp;
use pinrail_scan::walk::Walk;
use pinrail_scan::{Options, Rule, scan};

fn main() {
    let mut args = std::env::args().skip(1);
    let now = args
        .next()
        .and_then(|now| now.parse().ok())
        .expect("the first argument is the time in Unix milliseconds");
    let min_confidence =
        args.next().and_then(|word| word.parse().ok()).expect("the second one is low, medium or high");
    let roots: Vec<PathBuf> = args.map(PathBuf::from).collect();
    let report = scan(&Options {
        walk: Walk {
            roots,
            no_ignore: false,
            hidden: false,
            vendored: false,
            file_bytes_max: pinrail_scan::scan::FILE_BYTES_MAX,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        },
        base: std::env::current_dir().unwrap_or_default(),
        leave_out: BTreeSet::new(),
        catalogue: Catalogue::embedded(),
        now: Timestamp(now),
        within_days: 90,
        rules: Rule::ALL.into_iter().collect::<BTreeSet<_>>(),
        provider: None,
        min_confidence,
        tests: false,
    });
    for finding in &report.findings {
        println!("{}", serde_json::to_string(finding).expect("a finding is JSON"));
    }
    eprintln!("{:?}, {} less sure", report.skipped, report.less_sure);
}
