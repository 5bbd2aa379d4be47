//! Child processes, what they cost, and the stopwatch.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

/// A child that dies with its owner.
pub struct Process {
    child: Child,
}

impl Process {
    pub fn start(command: &mut Command) -> anyhow::Result<Process> {
        let program = command.get_program().to_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Process { child })
    }

    /// CPU time of the process and its children so far, in microseconds.
    pub fn cpu_us(&self) -> anyhow::Result<u64> {
        let mut total = stat_cpu_ticks(self.child.id())?;
        for child in children(self.child.id()) {
            total += stat_cpu_ticks(child).unwrap_or_default();
        }
        Ok(total * 1_000_000 / rustix::param::clock_ticks_per_second())
    }

    /// Resident memory in megabytes.
    pub fn resident_mb(&self) -> anyhow::Result<f64> {
        self.status_mb("VmRSS:")
    }

    /// The part of it that the process allocated, in megabytes; the rest are pages of its program and of files, which come as
    /// they are first used.
    pub fn allocated_mb(&self) -> anyhow::Result<f64> {
        self.status_mb("RssAnon:")
    }

    fn status_mb(&self, name: &'static str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let line = line.with_context(|| format!("no {name}"))?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked and not killed: nginx takes its workers along only then.
        let asked = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .map(|pid| kill_process(pid, Signal::TERM));
        if !matches!(asked, Some(Ok(()))) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Waits until something listens on the port.
pub async fn listening(port: u16) -> anyhow::Result<()> {
    for _ in 0..LISTEN_ATTEMPTS {
        if tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    anyhow::bail!("nothing listens on port {port} after {LISTEN_ATTEMPTS} attempts")
}

/// Ten seconds in steps of 50 ms.
const LISTEN_ATTEMPTS: u32 = 200;

#[allow(clippy::disallowed_methods, reason = "a benchmark's stopwatch")]
pub fn now() -> Instant {
    Instant::now()
}

/// The wall clock in microseconds; two processes of this machine agree on it.
#[allow(clippy::disallowed_methods, reason = "a benchmark's stopwatch")]
pub fn unix_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

pub fn us_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn stat_cpu_ticks(pid: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the name in parentheses and may hold spaces.
    let after_name = stat.rsplit_once(')').context("no name in stat")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    Ok(ticks(11).context("no utime")? + ticks(12).context("no stime")?)
}

fn children(pid: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}
