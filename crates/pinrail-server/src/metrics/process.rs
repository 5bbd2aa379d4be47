//! The process, as the operating system sees it.

use pinrail_telemetry::metrics::{Page, table};

use super::number;

/// What the operating system says about the process; nothing where it doesn't say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    pub cpu_seconds: Option<f64>,
    pub resident_bytes: Option<u64>,
    pub open_fds: Option<u64>,
    pub max_fds: Option<u64>,
    pub uptime_seconds: Option<f64>,
}

/// Puts it on the page.
pub fn gather(page: &mut Page, process: &Process) {
    let Process { cpu_seconds, resident_bytes, open_fds, max_fds, uptime_seconds } = *process;
    if let Some(seconds) = cpu_seconds {
        page.amount(&table::PROCESS_CPU, &[], seconds);
    }
    let gauges = [
        (&table::PROCESS_MEMORY, resident_bytes.map(number)),
        (&table::PROCESS_FDS, open_fds.map(number)),
        (&table::PROCESS_FDS_LIMIT, max_fds.map(number)),
        (&table::PROCESS_UPTIME, uptime_seconds),
    ];
    for (def, value) in gauges {
        if let Some(value) = value {
            page.gauge(def, &[], value);
        }
    }
}
