//! `pinrail up`: everything in one process.
//!
//! In this order: configuration, data folder, lock, store (which recovers what a crash left), control plane,
//! simulated provider, gateway, listener, webhooks; and backwards on the way down: no new connections, requests in
//! flight finish, no more events go out, the journal's queue is written, the lock goes last.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, LazyLock};

use pinrail_api::status::MissingKey;
use pinrail_control::Control;
use pinrail_control::outbound::Outbound;
use pinrail_domain::time::Clock as _;
use pinrail_gate::statement::SigningKey;
use pinrail_gateway::Gateway;
use pinrail_gateway::connect::Net;
use pinrail_gateway::direct::Direct;
use pinrail_gateway::port::Secrets as _;
use pinrail_provider_sim::{SEED_DEFAULT, Script, Sim};
use pinrail_server::drift::{self, Drift};
use pinrail_server::gates::{self, Gates, models::GatewayModels};
use pinrail_server::lists::Daily;
use pinrail_server::mcp::Mcp;
use pinrail_server::warm::Warm;
use pinrail_server::{MissingKeys, Server};
use pinrail_telemetry::logs::Logs;
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::capacity::{self, Capacity, Wish};
use crate::config::{self, Settings};
use crate::data::{self, Data, Lock};
use crate::embeds::Providers;
use crate::exit::Failed;
use crate::observed::{LOGS, Observed};
use crate::system::{EnvSecrets, SystemClock};

mod first;

/// Run the server: gateway, API and simulated provider in one process.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail up                                  in an empty folder: an example agent to try
  pinrail up --dir /srv/pinrail               data in /srv/pinrail/.pinrail
  pinrail up --listen 0.0.0.0:7070            needs a key first: `pinrail key create ops --scope admin --offline .`

  pinrail up --store postgres://pinrail@db/pinrail --replica a
                                              one of several replicas; its password in PINRAIL_STORE_PASSWORD
  pinrail up --never-leads                    over a restored backup, to look at it: nothing goes out by itself

The store is a SQLite database in DIR/.pinrail, unless told otherwise. Stop with ctrl-c or SIGTERM: requests in flight
finish first.")]
pub struct Args {
    /// Folder of pinrail.toml; the data is in its .pinrail folder
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Address to listen on [default: the file's, else 127.0.0.1:7070]
    #[arg(long)]
    listen: Option<String>,
    /// Where everything is kept: postgres://… for several replicas [default: PINRAIL_STORE, else `[store] url`,
    /// else SQLite in the data folder]
    #[arg(long)]
    store: Option<String>,
    /// Its address around a transaction-mode pooler, for what needs a session [default: PINRAIL_STORE_DIRECT, else
    /// `[store] direct_url`]
    #[arg(long, value_name = "URL")]
    store_direct: Option<String>,
    /// What to call this process among others [default: PINRAIL_REPLICA, else the machine's name]
    #[arg(long, value_name = "NAME")]
    replica: Option<String>,
    /// Never lead: conduct no rollout, run no gate, probe nothing, deliver no webhook. For a copy of a store whose original
    /// lives on
    #[arg(long)]
    never_leads: bool,
    /// Print events as JSON lines on stderr
    #[arg(long)]
    log_json: bool,
}

/// Where `up` listens unless told otherwise.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:7070";

/// Names the variable with what the dashboard's sessions are signed with.
const SESSION_SECRET: &str = "PINRAIL_SESSION_SECRET";

/// Runs the server until it is told to stop.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    start_logging("info", args.log_json);
    let settings = config::server(&args.dir)?.kept_in(args.store, args.store_direct, args.replica)?;
    let settings = settings.leading(args.never_leads);
    let listen = args.listen.or(settings.listen.clone()).unwrap_or_else(|| LISTEN_DEFAULT.to_owned());
    let lock = data::lock(&args.dir)?;
    let capacity = capacity(&settings);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers()).enable_all().build()?;
    runtime.block_on(async {
        let up = Up::open(&lock, &settings, capacity, Script::builtin()).await?;
        let example = !settings.has_file && up.control.snapshot().world.agents.is_empty();
        first::register_simulator(&up.control).await?;
        if example {
            first::make_example(&up.control).await?;
        }
        let listener = self::listen(&listen, up.control.is_keyed()).await?;
        // Before anyone is told that the server is up: whoever starts it may stop it at once.
        let stop = stop_asked();
        up.welcome(listener.local_addr()?, lock.folder());
        up.serve(listener, stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// How much is taken on at once. Says so when the process may open fewer files than that takes.
pub fn capacity(settings: &Settings) -> Capacity {
    let descriptors = capacity::raise_descriptors();
    let capacity = settings.limits.settle(descriptors);
    let Capacity { calls_max, connections_max, short_of } = capacity;
    if let Some(wanted) = short_of {
        let text = format!(
            "this process may open {descriptors} files: it takes {calls_max} calls and {connections_max} connections at \
             once; for all that it is meant to take, raise the hard limit to {wanted} (`ulimit -Hn`, LimitNOFILE=)"
        );
        match settings.limits == Wish::default() {
            true => tracing::info!("{text}"),
            false => tracing::warn!("{text}, or lower [limits] in pinrail.toml"),
        }
    }
    capacity
}

/// Threads that answer requests: one core less than there are, which the store's writer needs. A request that stays on
/// one thread also costs less than one that is handed to and fro (docs/bench.md).
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}

/// The assembled parts: the whole server, ready to serve.
pub struct Up {
    control: Control,
    gateway: Gateway,
    gates: Gates,
    warm: Warm,
    drift: Drift,
    mcp: Mcp,
    clock: Arc<SystemClock>,
    lists: Arc<Providers>,
    capacity: Capacity,
    half_close: bool,
    observed: Observed,
}

impl Up {
    /// Opens the store in the locked folder, recovers what a crash left, and puts the parts together. `script` is what
    /// the simulated provider does.
    pub async fn open(
        lock: &Lock,
        settings: &Settings,
        capacity: Capacity,
        script: Script,
    ) -> anyhow::Result<Up> {
        let Data { control, clock, recovered } = Data::open(lock, settings).await?;
        if recovered.entries > 0 {
            tracing::info!(
                ledger_entries = recovered.entries,
                calls_closed = recovered.calls_closed,
                "opened the store of an earlier run"
            );
        }
        let sim = start_simulator(&clock, script).await?;
        control.conduct_rollouts();
        control.recall_traffic();
        control.ask_metrics(Arc::new(pinrail_server::Prometheus::new(Arc::new(EnvSecrets))));
        let net = Arc::new(Net::behind(config::proxies()));
        let direct = Direct::new(
            Arc::clone(&net) as _,
            Some(sim.clone()),
            Arc::new(EnvSecrets),
            Arc::clone(&clock) as _,
        );
        let providers = Arc::new(Providers::new(direct));
        control.states().embed_with(Arc::clone(&providers) as _);
        let drift = Drift::new(drift::Options {
            control: control.clone(),
            questions: Arc::clone(&providers) as _,
            clock: Arc::clone(&clock) as _,
            settings: settings.drift,
        });
        let observed = Observed::start(&settings.observe, &clock)?;
        let runs = pinrail_server::Port { control: control.clone(), notices: Some(drift.notices()) };
        let options = gateway_options(runs, &clock, sim, capacity, &observed);
        let gateway = Gateway::with_connect(options, net);
        let models = GatewayModels {
            control: control.clone(),
            gateway: gateway.clone(),
            clock: Arc::clone(&clock) as _,
            embeds: Arc::clone(&providers) as _,
            embedder: settings.gate.embedder.clone(),
        };
        let gates = Gates::new(gates::Options {
            control: control.clone(),
            models: Arc::new(models),
            clock: Arc::clone(&clock) as _,
            python: settings.gate.python.clone(),
            signing_key: signing_key(settings)?,
        });
        let warm = Warm::new(pinrail_server::warm::Options {
            control: control.clone(),
            calls: Arc::clone(&providers) as _,
            clock: Arc::clone(&clock) as _,
            every_ms: settings.warm_every_ms.unwrap_or(pinrail_server::warm::EVERY_MS),
        });
        let mcp = Mcp::new(pinrail_server::mcp::Options {
            control: control.clone(),
            clock: Arc::clone(&clock) as _,
            secrets: Arc::new(EnvSecrets),
            commands_allowed: settings.mcp_commands.clone(),
        });
        let half_close = settings.half_close;
        let lists = providers;
        Ok(Up { control, gateway, gates, warm, drift, mcp, clock, lists, capacity, half_close, observed })
    }

    /// Serves until `stop` ends, and then until what is in flight is through.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let control = self.control.clone();
        let gateway = self.gateway.clone();
        let telemetry = self.observed.telemetry.clone();
        let gates = self.gates.clone();
        let taken_up = gates.take_up().await?;
        if taken_up > 0 {
            tracing::info!(gates = taken_up, "went on with gates of an earlier run");
        }
        gates.start_by_themselves();
        gates.conduct_by_itself();
        let warm = self.warm.clone();
        warm.probe_by_itself();
        let drift = self.drift.clone();
        drift.start();
        let mcp = self.mcp.clone();
        mcp.watch();
        let daily = self.read_lists_daily();
        let outbound: Arc<dyn Outbound> = Arc::new(pinrail_server::Webhooks::new(Arc::new(EnvSecrets)));
        let webhooks = control.deliver_webhooks(Arc::clone(&outbound));
        let server = self.into_server(outbound);
        let drained = server.serve(listener, stop).await?;
        if drained.requests_cut > 0 {
            tracing::warn!(
                requests = drained.requests_cut,
                "still in flight after the drain's deadline, and cut"
            );
        }
        drift.stop().await;
        gates.stop().await;
        warm.stop().await;
        mcp.stop().await;
        daily.stop().await;
        gateway.stop_copies().await;
        gateway.drained().await;
        webhooks.stop().await;
        control.resign().await;
        control.drain().await;
        tracing::info!("stopped");
        telemetry.stop().await;
        Ok(())
    }

    fn into_server(self, outbound: Arc<dyn Outbound>) -> Server {
        Server::new(pinrail_server::Options {
            missing_keys: missing_keys(self.control.clone()),
            outbound,
            lists: self.lists,
            mcp: self.mcp,
            session_secret: EnvSecrets.secret(SESSION_SECRET),
            control: self.control,
            gateway: self.gateway,
            gates: self.gates,
            warm: self.warm,
            drift: self.drift,
            clock: self.clock,
            limits: pinrail_server::Limits {
                connections_max: self.capacity.connections_max,
                half_close: self.half_close,
                ..pinrail_server::Limits::default()
            },
            version: env!("CARGO_PKG_VERSION").to_owned(),
            metrics: self.observed.metrics,
        })
    }

    /// Reads providers' own lists from now on, once a day.
    fn read_lists_daily(&self) -> Daily {
        let daily = Daily::new(pinrail_server::lists::Options {
            control: self.control.clone(),
            lists: Arc::clone(&self.lists) as _,
            clock: Arc::clone(&self.clock) as _,
            missing_keys: missing_keys(self.control.clone()),
        });
        daily.read_by_itself();
        daily
    }

    /// Says where it listens and what to try next: the address on stdout, the talk on stderr.
    fn welcome(&self, address: SocketAddr, data: &Path) {
        let url = format!("http://{address}");
        let mut text = format!("pinrail {} listens on {url}\n", env!("CARGO_PKG_VERSION"));
        text.push_str(&format!("  dashboard at {url}/\n  data in {}\n", data.display()));
        if self.control.never_leads() {
            text.push_str("  never leads: rollouts, gates, probes and webhooks wait\n");
        }
        if !self.control.snapshot().world.keyed {
            text.push_str(
                "  open: anyone on this machine may do anything; `pinrail key create ops --scope admin` closes it\n",
            );
        }
        text.push('\n');
        for line in self.next_steps(&url) {
            text.push_str(&line);
            text.push('\n');
        }
        let mut out = std::io::stdout().lock();
        // Who has seen enough (`pinrail up | head -1`) doesn't stop the server with it.
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            tracing::debug!(%error, "nobody reads stdout");
        }
    }

    fn next_steps(&self, url: &str) -> Vec<String> {
        let snapshot = self.control.snapshot();
        let server = if url.ends_with(":7070") { String::new() } else { format!(" --server {url}") };
        let next = snapshot.world.next_deployment();
        if let Some(release) = first::undeployed_release(&self.control) {
            let body = format!(
                r#"{{"model": "{}", "messages": [{{"role": "user", "content": "What is 12 + 30?"}}]}}"#,
                first::EXAMPLE
            );
            return vec![
                "Try next, in another terminal:".to_owned(),
                format!(
                    "  curl -s {url}/v1/chat/completions -H 'content-type: application/json' -d '{body}'"
                ),
                format!("  pinrail deploy {}={} --weight 20%{server}", first::EXAMPLE, release.short()),
                format!("  pinrail deployment rollback {next} --reason 'trying it'{server}"),
            ];
        }
        if snapshot.world.releases.is_empty() {
            let steps = in_columns(&[
                ("pinrail init".to_owned(), "scaffold an agent, unless you have one"),
                (format!("pinrail apply{server}"), "make agents and releases equal to the files"),
                (format!("pinrail release list{server}"), "the ids to deploy"),
            ]);
            return [vec!["Try next, in another terminal:".to_owned()], steps].concat();
        }
        in_columns(&[
            (format!("pinrail pointers{server}"), "what every agent runs"),
            (format!("pinrail run tail{server}"), "runs as they happen"),
        ])
    }
}

/// What the gateway is made of.
fn gateway_options(
    runs: pinrail_server::Port,
    clock: &Arc<SystemClock>,
    sim: http::Uri,
    capacity: Capacity,
    observed: &Observed,
) -> pinrail_gateway::Options {
    pinrail_gateway::Options {
        catalogue: runs.control.catalogue_handle(),
        runs: Arc::new(runs),
        secrets: Arc::new(EnvSecrets),
        clock: Arc::clone(clock) as _,
        sim_base: Some(sim),
        limits: pinrail_gateway::Limits {
            calls_max: capacity.calls_max,
            ..pinrail_gateway::Limits::default()
        },
        telemetry: Arc::new(observed.telemetry.clone()),
    }
}

/// Takes an address: one of this machine, or any other once there are keys.
pub async fn listen(listen: &str, is_keyed: bool) -> anyhow::Result<TcpListener> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(listen)
        .await
        .map_err(|error| Failed {
            code: "cannot_listen",
            what: format!("cannot resolve {listen}"),
            next_step: "pass --listen with an address and a port, such as 127.0.0.1:7070".to_owned(),
            source: Some(Box::new(error)),
        })?
        .collect();
    let beyond_loopback = addresses.iter().any(|address| !address.ip().is_loopback());
    if beyond_loopback && !is_keyed {
        anyhow::bail!(no_keys(listen));
    }
    let listener = TcpListener::bind(&addresses[..]).await.map_err(|error| cannot_listen(listen, error))?;
    Ok(listener)
}

/// Commands, and behind them, aligned, what each is for.
fn in_columns(steps: &[(String, &str)]) -> Vec<String> {
    let width = steps.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    steps.iter().map(|(command, what)| format!("  {command:width$}  {what}")).collect()
}

fn no_keys(listen: &str) -> Failed {
    Failed {
        code: "no_keys",
        what: format!("refusing to listen on {listen} without keys: anyone who reaches it could do anything"),
        next_step: "make one with `pinrail key create ops --scope admin --offline DIR`, then listen there"
            .to_owned(),
        source: None,
    }
}

fn cannot_listen(listen: &str, error: std::io::Error) -> Failed {
    use std::io::ErrorKind;
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "of the standard library's many kinds, two are usual here"
    )]
    let next_step = match error.kind() {
        ErrorKind::AddrInUse => {
            let port = listen.rsplit_once(':').map_or(listen, |(_, port)| port);
            format!(
                "another server listens on {listen} (`ss -ltnp 'sport = :{port}'` or `lsof -i :{port}` names its \
                 process): stop it, or pass --listen with another port"
            )
        }
        ErrorKind::PermissionDenied => "pass --listen with a port of 1024 or above".to_owned(),
        _ => "pass --listen with an address of this machine, such as 127.0.0.1:7070".to_owned(),
    };
    let what = format!("cannot listen on {listen}");
    Failed { code: "cannot_listen", what, next_step, source: Some(Box::new(error)) }
}

/// The simulated provider on a loopback port of its own. Returns its base URL.
async fn start_simulator(clock: &Arc<SystemClock>, script: Script) -> anyhow::Result<http::Uri> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    let base = format!("http://{}/v1", listener.local_addr()?).parse()?;
    let clock = Arc::clone(clock);
    let sim = Sim::new(script, SEED_DEFAULT, Arc::new(move || clock.now().0 / 1_000));
    // It ends with the process: what it still had to say concerns nobody then.
    tokio::spawn(async move { axum::serve(listener, sim.router()).await });
    Ok(base)
}

/// The key that statements are signed with, where one is configured.
fn signing_key(settings: &Settings) -> anyhow::Result<Option<SigningKey>> {
    let Some(name) = &settings.gate.signing_key_env else { return Ok(None) };
    let failed = |what: String, source: Option<Box<dyn std::error::Error + Send + Sync>>| Failed {
        code: "no_signing_key",
        what,
        next_step: format!(
            "make a key with `pinrail gate keygen`, set it as {name}, or take gate.signing_key_env out of pinrail.toml"
        ),
        source,
    };
    let text = EnvSecrets.secret(name).ok_or_else(|| failed(format!("{name} is not set"), None))?;
    let key =
        SigningKey::parse(&text).map_err(|bad| failed(format!("{name} holds no key"), Some(bad.into())))?;
    Ok(Some(key))
}

/// The providers whose key variable isn't set here; the value itself is never looked at (I15).
fn missing_keys(control: Control) -> MissingKeys {
    Arc::new(move || {
        let snapshot = control.snapshot();
        let providers = snapshot.world.providers.iter();
        let named =
            providers.flat_map(|(name, spec)| spec.env_names().into_iter().map(move |env| (name, env)));
        let missing = named.filter(|(_, key_env)| !config::is_set(key_env));
        missing
            .map(|(name, key_env)| MissingKey { provider: name.to_string(), key_env: key_env.to_owned() })
            .collect()
    })
}

/// Tells on stderr what happens, at `level` unless `PINRAIL_LOG` says otherwise.
pub fn start_logging(level: &str, json: bool) {
    let level = config::variable("PINRAIL_LOG").unwrap_or_else(|| level.to_owned());
    let filter = tracing_subscriber::EnvFilter::new(level);
    let colours = std::io::stderr().is_terminal() && !config::no_colour();
    let beside = Logs::through(LazyLock::force(&LOGS));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        // A stderr that nobody reads must not stop the server.
        .log_internal_errors(false)
        .with_target(false);
    match json {
        true => logs.json().finish().with(beside).init(),
        false => logs.finish().with(beside).init(),
    }
}

/// Ends with the first SIGTERM or ctrl-c after this call.
pub fn stop_asked() -> impl Future<Output = ()> + Send + 'static {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("a handler for SIGTERM can be installed");
    let mut interrupt = signal(SignalKind::interrupt()).expect("a handler for SIGINT can be installed");
    async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: no new connections, requests in flight finish");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_aligned_whatever_is_appended() {
        let steps =
            in_columns(&[("pinrail init".to_owned(), "a"), ("pinrail apply --server x".to_owned(), "b")]);
        assert_eq!(steps, ["  pinrail init              a", "  pinrail apply --server x  b"]);
    }

    #[test]
    fn an_address_that_is_taken_comes_with_what_to_do() {
        let taken = std::io::Error::from(std::io::ErrorKind::AddrInUse);
        let failed = cannot_listen("127.0.0.1:7070", taken);
        assert!(
            failed.next_step.starts_with("another server listens on 127.0.0.1:7070"),
            "{}",
            failed.next_step
        );
        assert!(format!("{:#}", anyhow::Error::from(failed)).contains("in use"));
    }
}
