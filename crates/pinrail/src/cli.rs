//! The commands, composed: each is one file of [`crate::commands`].

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use pinrail_domain::time::{Clock as _, Timestamp};

use crate::client::{Client, ClientError};
use crate::commands::{
    agent, apply, approval, bench, catalogue, completions, context, demo, deploy, deployment, dial, doctor,
    drift, erase, gate, gc, health, hold, init, key, ledger, member, memory, migrate, model, pointers,
    provider, readiness, release, replica, run, scan, sim, state, store, tools, up, vectors, warm, watch,
    webhook,
};
use crate::config;
use crate::exit;
use crate::output::Output;
use crate::system::SystemClock;

/// Pins, stamps, routes and takes back the releases of AI agents.
#[derive(Debug, Parser)]
#[command(name = "pinrail", version, max_term_width = 110, subcommand_required = true)]
#[command(after_help = "Examples:
  pinrail demo                                   the whole story, in two minutes
  pinrail up                                     a server, the simulated provider and an example agent
  pinrail init && pinrail apply                  the same from files of your own
  pinrail deploy support=4f1c22                  a rollout, step by step
  pinrail deployment rollback 3 --reason 'wrong refunds'

Run `pinrail --help` for the environment and the exit codes.")]
#[command(after_long_help = concat!(
    "Environment:
  PINRAIL_URL   the server's address, where --server is not given
  PINRAIL_KEY   the key to send. There is no flag for it: it would stay in the shell's history
  NO_COLOR      no colours

Exit codes:
  0  done
  1  refused or failed: the server said no, or a file cannot be used; `agent explain` found something missing
  2  the arguments make no sense
  3  the server cannot be reached
  4  verification failed: `ledger verify` found a break, `store copy --final` or `store verify` a difference, `deployment verify` or `state verify` a difference, `doctor`
     errors, canary texts another embedder, `warm` a release that cannot be called, or `readiness` missed an objective
`scan` has its own: 0 nothing that --fail-on names, 1 something, 3 something could not be read
`deployment wait` has its own: 0 promoted, 1 rolled back, 2 stopped and asking, 3 not over in time"
))]
pub struct Cli {
    #[command(flatten)]
    pub globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
pub struct Globals {
    /// The server's address [default: $PINRAIL_URL, else http://127.0.0.1:7070]
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    server: Option<String>,
    /// Print the API's JSON on stdout
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
}

/// What a command has at hand.
pub struct Context {
    pub client: Client,
    pub out: Output,
    pub now: Timestamp,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Args),
    Migrate(migrate::Args),
    Init(init::Args),
    Demo(demo::Args),
    Sim(sim::Args),
    Scan(scan::Args),
    Apply(apply::Args),
    Release(release::Args),
    Replica(replica::Args),
    Deploy(deploy::Args),
    Deployment(deployment::Args),
    Pointers(pointers::Args),
    Hold(hold::Args),
    Dial(dial::Args),
    Approval(approval::Args),
    Gate(gate::Args),
    Drift(drift::Args),
    Run(run::Args),
    Vectors(vectors::Args),
    Tools(tools::Args),
    Agent(agent::Args),
    Provider(provider::Args),
    Model(model::Args),
    Catalogue(catalogue::Args),
    Key(key::Args),
    Memory(memory::Args),
    Context(context::Args),
    State(state::Args),
    Store(store::Args),
    Gc(gc::Args),
    Erase(erase::Args),
    Ledger(ledger::Args),
    Member(member::Args),
    Watch(watch::Args),
    Webhook(webhook::Args),
    Warm(warm::Args),
    Readiness(readiness::Args),
    Health(health::Args),
    Doctor(doctor::Args),
    Bench(bench::Args),
    Completions(completions::Args),
}

impl Cli {
    /// Does what was asked for.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let Cli { globals, command } = self;
        let done = |result: anyhow::Result<()>| result.map(|()| ExitCode::SUCCESS);
        match command {
            Command::Up(args) => up::run(args),
            Command::Store(args) => store::run(args, globals.output()),
            Command::Migrate(args) => done(migrate::run(&args, globals.output())),
            Command::Bench(args) => bench::run(args, globals.output()),
            Command::Demo(args) => demo::run(&args, globals.output()),
            Command::Init(args) => done(init::run(&args, globals.output())),
            Command::Sim(args) => done(sim::run(&args, globals.output())),
            Command::Scan(args) => scan::run(&args, globals.output(), now()),
            Command::Model(args) => done(model::run(&args, globals.output(), now())),
            Command::Completions(args) => {
                done(completions::run(&args, &mut Cli::command(), globals.output()))
            }
            Command::Apply(args) => done(apply::run(&args, &globals.context()?)),
            Command::Release(args) => done(release::run(args, &globals.context()?)),
            Command::Deploy(args) => done(deploy::run(args, &globals.context()?)),
            Command::Deployment(args) => deployment::run(args, &globals.context()?),
            Command::Pointers(args) => done(pointers::run(&args, &globals.context()?)),
            Command::Drift(args) => done(drift::run(args, &globals.context()?)),
            Command::Gate(args) => gate::run(args, &globals.context()?),
            Command::Hold(args) => done(hold::run(args, &globals.context()?)),
            Command::Dial(args) => done(dial::run(args, &globals.context()?)),
            Command::Approval(args) => done(approval::run(args, &globals.context()?)),
            Command::Run(args) => done(run::run(args, &globals.context()?)),
            Command::Tools(args) => tools::run(args, &globals.context()?),
            Command::Vectors(args) => verdict(vectors::run(&args, &globals.context()?)),
            Command::Agent(args) => agent::run(&args, &globals.context()?),
            Command::Warm(args) => verdict(warm::run(&args, &globals.context()?)),
            Command::Provider(args) => done(provider::run(&args, &globals.context()?)),
            Command::Catalogue(args) => done(catalogue::run(args, &globals.context()?)),
            Command::Key(args) => done(key::run(args, &globals.context()?)),
            Command::Memory(args) => done(memory::run(args, &globals.context()?)),
            Command::Context(args) => done(context::run(args, &globals.context()?)),
            Command::Replica(args) => done(replica::run(&args, &globals.context()?)),
            Command::Member(args) => done(member::run(args, &globals.context()?)),
            Command::Watch(args) => done(watch::run(&args, &globals.context()?)),
            Command::Webhook(args) => done(webhook::run(args, &globals.context()?)),
            Command::Readiness(args) => verdict(readiness::run(&args, &globals.context()?)),
            Command::State(args) => verdict(state::run(args, &globals.context()?)),
            Command::Gc(args) => done(gc::run(args, &globals.context()?)),
            Command::Erase(args) => done(erase::run(args, &globals.context()?)),
            Command::Health(args) => done(health::run(&args, &globals.context()?)),
            Command::Ledger(args) => verdict(ledger::run(&args, &globals.context()?)),
            Command::Doctor(args) => verdict(doctor::run(&args, &globals.context()?)),
        }
    }
}

impl Globals {
    fn output(&self) -> Output {
        Output::new(self.json)
    }

    fn context(&self) -> Result<Context, ClientError> {
        let client = Client::new(&config::server_url(self.server.as_deref()), config::key())?;
        Ok(Context { client, out: self.output(), now: now() })
    }
}

fn verdict(good: anyhow::Result<bool>) -> anyhow::Result<ExitCode> {
    good.map(exit::verdict)
}

/// The wall clock, for showing how long ago things were.
fn now() -> Timestamp {
    SystemClock::start().now()
}

#[cfg(test)]
mod tests;
