//! The replicas: processes of this binary over one PostgreSQL, killed, paused and started again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use super::super::process;
use super::ask::{Ask, Said};

/// One replica, alive or dead.
pub struct Replica {
    pub name: String,
    pub port: u16,
    folder: PathBuf,
    store: String,
    child: Option<Child>,
    naps: Arc<Naps>,
}

/// When a replica was stopped: since when, and until when unless it still is.
#[derive(Default)]
pub struct Naps(Mutex<Vec<(Instant, Option<Instant>)>>);

/// How long a first start may take: the schema is made in it.
const START: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

impl Replica {
    /// A replica that isn't started yet.
    pub fn new(name: String, folder: PathBuf, store: &str) -> anyhow::Result<Replica> {
        std::fs::create_dir_all(&folder)?;
        let (port, store, naps) = (process::free_port()?, store.to_owned(), Arc::default());
        Ok(Replica { name, port, folder, store, child: None, naps })
    }

    pub fn start(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["up", "--listen"])
            .arg(format!("127.0.0.1:{}", self.port))
            .arg("--dir")
            .arg(&self.folder);
        command.args(["--store", &self.store, "--replica", &self.name]);
        // What this process was told of a store isn't meant for these.
        for name in
            ["PINRAIL_STORE", "PINRAIL_STORE_PASSWORD", "PINRAIL_REPLICA", "PINRAIL_KEY", "PINRAIL_URL"]
        {
            command.env_remove(name);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.child = Some(child.context("cannot start a replica")?);
        Ok(())
    }

    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Starts it again if it ended by itself, as whoever runs it would. Returns whether it had.
    pub fn revive(&mut self) -> anyhow::Result<bool> {
        let ended = self.has_ended();
        if ended {
            self.start()?;
        }
        Ok(ended)
    }

    fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)?;
        self.naps.lock().push((process::now(), None));
        Ok(())
    }

    pub fn wake(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)?;
        if let Some((_, until)) = self.naps.lock().last_mut() {
            *until = Some(process::now());
        }
        Ok(())
    }

    /// When it was stopped, whenever that is asked.
    pub fn naps(&self) -> Arc<Naps> {
        Arc::clone(&self.naps)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().context("the replica isn't running")?;
        let pid = Pid::from_raw(i32::try_from(child.id())?).context("a process id is positive")?;
        Ok(kill_process(pid, signal)?)
    }

    pub fn log(&self) -> PathBuf {
        self.folder.with_extension("log")
    }
}

impl Naps {
    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, Option<Instant>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long of this time the replica was stopped.
    pub fn between(&self, from: Instant, to: Instant) -> Duration {
        let naps = self.lock();
        let stopped = |(since, until): &(Instant, Option<Instant>)| {
            until.unwrap_or(to).min(to).saturating_duration_since((*since).max(from))
        };
        naps.iter().map(stopped).sum()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // One that sleeps can be killed, too.
        let _ = self.kill();
    }
}

/// Makes and starts replicas, one behind the other: the first makes what the others find.
pub async fn start(count: usize, folder: &Path, store: &str) -> anyhow::Result<Vec<Replica>> {
    let mut replicas = Vec::new();
    for n in 1..=count {
        let name = format!("replica-{n}");
        let mut replica = Replica::new(name.clone(), folder.join(&name), store)?;
        replica.start()?;
        let since = process::now();
        while !matches!(Ask::get("/readyz").send(replica.port).await, Said::Done(_)) {
            let waits = !replica.has_ended() && since.elapsed() < START;
            anyhow::ensure!(waits, "{name} doesn't start: {}", tail(&replica.log()));
            tokio::time::sleep(LOOK).await;
        }
        replicas.push(replica);
    }
    Ok(replicas)
}

/// Waits until all replicas are ready and show the same epoch; one that ended is started again. Gives how long it took,
/// or nothing if it took too long.
pub async fn ready(replicas: &mut [Replica], patience: Duration) -> anyhow::Result<Option<Duration>> {
    let since = process::now();
    while since.elapsed() < patience {
        let mut epochs = Vec::new();
        for replica in replicas.iter_mut() {
            replica.revive()?;
            let is_ready = matches!(Ask::get("/readyz").send(replica.port).await, Said::Done(_));
            if let (true, Said::Done(pointers)) =
                (is_ready, Ask::get("/api/v1/pointers").send(replica.port).await)
            {
                epochs.push(pointers["epoch"].as_u64());
            }
        }
        if epochs.len() == replicas.len() && epochs.windows(2).all(|two| two[0] == two[1]) {
            return Ok(Some(since.elapsed()));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(None)
}

/// The last lines that a process said.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

/// Asks replica after replica, each for as long as `patience`, until one says for certain what became of a request. `Lost` if none did in
/// time.
pub async fn insist(ask: &Ask, ports: &[u16], first: usize, patience: Duration, until: Instant) -> Said {
    let mut turn = first;
    loop {
        let said = ask.send_within(ports[turn % ports.len()], patience).await;
        // Whoever says that it can't now may be able to later, and another may now.
        let is_final = match &said {
            Said::Done(_) | Said::Untrue(_) => true,
            Said::Refused { status, .. } => *status < 500 && *status != 429,
            Said::Lost => false,
        };
        if is_final || process::now() >= until {
            return said;
        }
        turn += 1;
        tokio::time::sleep(LOOK * 2).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_falls_into_a_nap_was_slept() {
        let start = process::now();
        let at = |ms| start + Duration::from_millis(ms);
        let naps = Naps(Mutex::new(vec![(at(10), Some(at(20))), (at(50), None)]));
        for (from, to, slept) in
            [(0, 5, 0), (0, 15, 5), (12, 15, 3), (0, 30, 10), (21, 49, 0), (15, 70, 25), (60, 61, 1)]
        {
            assert_eq!(naps.between(at(from), at(to)), Duration::from_millis(slept), "{from}..{to}");
        }
    }
}
