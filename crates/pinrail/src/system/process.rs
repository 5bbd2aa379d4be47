//! What the operating system says about this process.

use pinrail_domain::time::Clock as _;
use pinrail_server::metrics::Process;

use super::SystemClock;

/// Looks at this process; what the system doesn't say is left out.
pub fn look(clock: &SystemClock) -> Process {
    let (cpu_seconds, resident_bytes) = stat().unwrap_or_default();
    Process {
        cpu_seconds,
        resident_bytes,
        open_fds: std::fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count() as u64),
        max_fds: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
        uptime_seconds: Some(seconds(clock.ticks().0, 1_000_000_000)),
    }
}

/// Processor time in seconds and resident bytes, from the process's line in `/proc`.
fn stat() -> Option<(Option<f64>, Option<u64>)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name is in parentheses and may hold anything; the third field follows it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let (user, system, pages) = (number(11), number(12), number(21));
    let ticks = user.zip(system).map(|(user, system)| user + system);
    let cpu = ticks.map(|ticks| seconds(ticks, rustix::param::clock_ticks_per_second()));
    Some((cpu, pages.map(|pages| pages * rustix::param::page_size() as u64)))
}

#[expect(clippy::cast_precision_loss, reason = "a process's life in ticks is far below 2^53")]
fn seconds(ticks: u64, per_second: u64) -> f64 {
    ticks as f64 / per_second as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_something_sensible() {
        let process = look(&SystemClock::start());
        assert!(process.cpu_seconds.is_some_and(|seconds| seconds >= 0.0), "{process:?}");
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{process:?}");
        assert!(process.open_fds.is_some_and(|fds| fds > 2), "{process:?}");
    }
}
