//! A PostgreSQL of one test's own: to be killed, stopped and started again.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Cluster;

/// A server with a data folder of its own; `fsync` is on. Ends, and its folder goes, with this.
pub struct Server {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);
/// How often a start is tried again: what a killed server left in memory goes a moment later.
const STARTS_MAX: u32 = 100;

impl Server {
    /// Makes and starts a server; where PostgreSQL's programs aren't found, says loudly that the test is skipped.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "whoever runs the tests is told")]
    pub fn start() -> Option<Server> {
        let Some(programs) = programs() else {
            let test = std::thread::current().name().unwrap_or("a test").to_owned();
            eprintln!(
                "SKIPPED: {test} needs PostgreSQL's programs (initdb, pg_ctl) under /usr/lib/postgresql or in the PATH"
            );
            return None;
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("pinrail-server-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Server { folder, programs, port };
        if is_root() {
            run(Command::new("chown").arg("nobody").arg(&server.folder));
        }
        let data = server.data();
        run(server
            .command("initdb")
            .args(["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"])
            .arg("--locale=C"));
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\nfsync = on\n\
             shared_buffers = '32MB'\nmax_connections = 60\n",
            server.folder.display()
        );
        let configuration = format!("{data}/postgresql.conf");
        let with = std::fs::read_to_string(&configuration).unwrap() + &settings;
        std::fs::write(&configuration, with).unwrap();
        server.start_again();
        Some(server)
    }

    /// The server as a cluster in which databases can be made.
    #[must_use]
    pub fn cluster(&self) -> Cluster {
        Cluster::at(&format!("postgres://postgres@127.0.0.1:{}/postgres", self.port))
    }

    /// Kills the server's first process, which takes the others along: what a crash leaves.
    pub fn kill(&self) {
        run(Command::new("kill").args(["-9", &self.pid()]));
    }

    /// A handle that kills from anywhere.
    pub fn killer(&self) -> impl Fn() + Send + Sync + 'static {
        let pid = self.pid();
        // It may be dead already.
        move || drop(Command::new("kill").args(["-9", &pid]).output())
    }

    /// Starts it again, and waits until it has recovered.
    pub fn start_again(&self) {
        let log = format!("{}/log", self.folder.display());
        let mut last = None;
        for _ in 0..STARTS_MAX {
            let mut start = self.command("pg_ctl");
            // Its output would hold the pipe open for as long as the server lives.
            let started = start.args(["-D", &self.data(), "-l", &log, "-w", "-t", "60", "start"]);
            let started =
                started.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status();
            if started.as_ref().is_ok_and(|status| status.success()) {
                return;
            }
            last = Some(started);
        }
        panic!("{last:?}: {}", std::fs::read_to_string(log).unwrap_or_default());
    }

    fn pid(&self) -> String {
        let file = std::fs::read_to_string(format!("{}/postmaster.pid", self.data())).unwrap();
        file.lines().next().unwrap().to_owned()
    }

    fn data(&self) -> String {
        format!("{}/data", self.folder.display())
    }

    /// Where its data and its log are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A command that runs as the server's user, which isn't root.
    #[must_use]
    pub fn as_its_user(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(program).current_dir("/");
        command
    }

    fn command(&self, program: &str) -> Command {
        self.as_its_user(self.programs.join(program))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.command("pg_ctl").args(["-D", &self.data(), "-m", "immediate", "stop"]).output();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The newest programs that are installed.
fn programs() -> Option<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = installed.map(|version| version.path().join("bin")).collect();
    found.retain(|folder| folder.join("initdb").is_file());
    found.sort();
    found.pop().or_else(|| {
        let listed = Command::new("pg_config").arg("--bindir").output().ok()?;
        let folder = PathBuf::from(String::from_utf8(listed.stdout).ok()?.trim());
        folder.join("initdb").is_file().then_some(folder)
    })
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|process| process.uid() == 0)
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
