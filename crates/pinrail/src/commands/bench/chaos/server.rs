//! A throwaway PostgreSQL: made, started, killed, filled up, followed by a standby.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use super::super::process;
use crate::exit::Failed;

/// Where the programs are, and as whom they run.
#[derive(Clone, Debug)]
pub struct Programs {
    bin: PathBuf,
    /// Whom to be where this process is root, as whom PostgreSQL refuses to run.
    as_user: Option<(u32, u32)>,
}

/// One server, alive or dead.
pub struct Postgres {
    programs: Programs,
    data: PathBuf,
    pub port: u16,
    child: Option<Child>,
}

/// Looks until a server counts as dead: a minute in steps of 100 ms.
const LOOKS_MAX: u32 = 600;
const LOOK: Duration = Duration::from_millis(100);
/// Small segments, so that a full disk is felt at once.
const SEGMENT_MB: &str = "1";

impl Programs {
    /// Finds `initdb` and the others: on the PATH, or where Debian has them.
    pub fn find(path: Option<&str>) -> anyhow::Result<Programs> {
        let on_path = path.unwrap_or_default().split(':').map(PathBuf::from);
        let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .map(|found| found.flatten().map(|version| version.path().join("bin")).collect())
            .unwrap_or_default();
        debian.sort();
        let has_all = |bin: &PathBuf| {
            ["initdb", "postgres", "psql", "pg_basebackup", "pg_isready"]
                .iter()
                .all(|name| bin.join(name).is_file())
        };
        let bin = on_path.chain(debian.into_iter().rev()).find(has_all).ok_or_else(|| Failed {
            code: "no_postgres",
            what: "there is no PostgreSQL to break: no initdb on the PATH or in /usr/lib/postgresql".to_owned(),
            next_step: "install the server, for example `apt-get install postgresql-15`, or put its programs on the PATH"
                .to_owned(),
            source: None,
        })?;
        let as_user = if rustix::process::geteuid().is_root() { Some(unprivileged()?) } else { None };
        Ok(Programs { bin, as_user })
    }

    /// Gives a folder to whom the servers run as.
    pub fn give(&self, folder: &Path) -> anyhow::Result<()> {
        if let Some((user, group)) = self.as_user {
            chown(folder, Some(user), Some(group))?;
        }
        Ok(())
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        // Its working folder may be one that this user can't enter.
        command.current_dir("/").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        if let Some((user, group)) = self.as_user {
            command.uid(user).gid(group);
        }
        command
    }

    async fn run(&self, command: &mut Command) -> anyhow::Result<String> {
        let name = command.get_program().display().to_string();
        let mut child = tokio::process::Command::from(std::mem::replace(command, Command::new("true")));
        let output = child.output().await.with_context(|| format!("cannot run {name}"))?;
        anyhow::ensure!(
            output.status.success(),
            "{name} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Postgres {
    /// Makes a server's folder with what replicas need, and starts it.
    pub async fn make(programs: &Programs, data: &Path) -> anyhow::Result<Postgres> {
        let mut initdb = programs.command("initdb");
        initdb.arg("-D").arg(data).args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--wal-segsize",
            SEGMENT_MB,
        ]);
        programs.run(&mut initdb).await?;
        let settings = "fsync = on\nsynchronous_commit = on\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n\
                        max_connections = 200\nwal_level = replica\nmax_wal_senders = 8\nwal_keep_size = 64MB\n\
                        min_wal_size = 8MB\nmax_wal_size = 32MB\nshared_buffers = 64MB\nhot_standby = on\n\
                        wal_sender_timeout = 5s\nwal_receiver_timeout = 5s\nlog_min_messages = warning\n";
        append(&data.join("postgresql.conf"), settings)?;
        append(&data.join("pg_hba.conf"), "host replication all 127.0.0.1/32 trust\n")?;
        let mut server = Postgres {
            programs: programs.clone(),
            data: data.to_owned(),
            port: process::free_port()?,
            child: None,
        };
        server.start().await?;
        Ok(server)
    }

    /// Makes a standby of this server in a folder, and waits until commits wait for it.
    pub async fn followed_in(&self, data: &Path, port: u16) -> anyhow::Result<Postgres> {
        let mut copy = self.programs.command("pg_basebackup");
        copy.args(["-h", "127.0.0.1", "-U", "postgres", "-X", "stream", "-R", "-c", "fast", "-p"]);
        copy.arg(self.port.to_string()).arg("-D").arg(data);
        self.programs.run(&mut copy).await?;
        let mut standby =
            Postgres { programs: self.programs.clone(), data: data.to_owned(), port, child: None };
        // What the first server was told of its own standbys came along with the copy.
        append(&data.join("postgresql.auto.conf"), "synchronous_standby_names = ''\n")?;
        standby.start().await?;
        self.sql("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'").await?;
        self.sql("SELECT pg_reload_conf()").await?;
        for _ in 0..LOOKS_MAX {
            let streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'quorum'";
            if self.sql(streaming).await.is_ok_and(|count| count != "0") {
                return Ok(standby);
            }
            tokio::time::sleep(LOOK).await;
        }
        anyhow::bail!("the standby doesn't follow")
    }

    /// Starts it, and waits until it takes connections.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        for _ in 0..LOOKS_MAX {
            if !self.is_running() {
                // Right after a kill, its processes may still hold the memory: then it ends at once, and is tried again.
                let log = File::options().create(true).append(true).open(self.data.with_extension("log"))?;
                let mut command = self.programs.command("postgres");
                command.arg("-D").arg(&self.data).arg("-p").arg(self.port.to_string());
                self.child = Some(
                    command.stdout(log.try_clone()?).stderr(log).spawn().context("cannot start postgres")?,
                );
            }
            tokio::time::sleep(LOOK).await;
            if self.answers().await {
                return Ok(());
            }
        }
        anyhow::bail!("PostgreSQL in {} doesn't start: see {}.log", self.data.display(), self.data.display())
    }

    /// Whether its first process is there.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    async fn answers(&self) -> bool {
        let mut ask = self.programs.command("pg_isready");
        ask.args(["-q", "-h", "127.0.0.1", "-p"]).arg(self.port.to_string());
        self.programs.run(&mut ask).await.is_ok()
    }

    /// `kill -9` of its first process; the others notice and end.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Closes all connections of the replicas, whatever they are doing.
    pub async fn cut_connections(&self) -> anyhow::Result<u64> {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'pinrail' \
                   AND application_name LIKE 'pinrail%'";
        Ok(self.sql(sql).await?.parse()?)
    }

    /// Makes a standby the server that takes writes.
    pub async fn promote(&self) -> anyhow::Result<()> {
        self.sql("SELECT pg_promote(true, 30)").await.map(drop)
    }

    /// Runs a statement as the superuser; gives what it says.
    pub async fn sql(&self, sql: &str) -> anyhow::Result<String> {
        let mut psql = self.programs.command("psql");
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-d",
            "postgres",
        ]);
        psql.arg("-p").arg(self.port.to_string()).arg("-c").arg(sql);
        self.programs.run(&mut psql).await
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Nothing of it is needed any more.
        let _ = self.kill();
    }
}

fn append(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    Ok(File::options().create(true).append(true).open(file)?.write_all(text.as_bytes())?)
}

/// The user that PostgreSQL's package made, or the one who owns nothing.
fn unprivileged() -> anyhow::Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres")
        .or_else(|| of("nobody"))
        .context("there is no user `postgres` or `nobody` to run PostgreSQL as")
}
