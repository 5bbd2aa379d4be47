//! `pinrail demo`: the whole story in two minutes, played by the real server against the simulated provider.
//!
//! The server is the one of `pinrail up`, in this process, over a throwaway folder. Everything else goes over HTTP, as
//! any user's would: control by the API, customers by the gateway. Start reading at [`story`].

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use pinrail_domain::time::Clock as _;
use pinrail_provider_sim::Script;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::cli::Context;
use crate::client::Client;
use crate::commands::up::{self, LISTEN_DEFAULT, Up};
use crate::exit::Failed;
use crate::output::{Output, talk};
use crate::system::SystemClock;
use crate::{config, data};

mod api;
mod browser;
mod chart;
mod halt;
mod load;
mod members;
mod project;
mod shop;
mod story;
mod teller;

use api::Api;
use halt::{Halt, Halted};
use project::{Agent, Folder, Prompt};
use shop::Shop;
use story::Story;
use teller::Teller;

/// See it in two minutes: drift, a good candidate, a bad one taken back with its data, the dial
///
/// Plays a story in a throwaway folder, with the real server, gateway and controller and a simulated model provider. Every
/// number that it tells is the server's, and every claim is checked: one that doesn't hold ends the demo with code 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail demo                        about two minutes, with the dashboard open beside it
  pinrail demo --stay                 goes on serving afterwards, to look around
  pinrail demo --fast                 the same without pauses, for CI
  pinrail demo --fast --json          one JSON object per step
  pinrail demo --dir try --stay       keeps everything in ./try; `pinrail up --dir try` goes on with it

Needs no key, no network and no configuration. ctrl-c ends it at any time; the folder is removed.")]
pub struct Args {
    /// No pauses: for CI, and for those who know the story
    #[arg(long)]
    fast: bool,
    /// Go on serving after the story, with a few customers, until ctrl-c; keeps the folder
    #[arg(long)]
    stay: bool,
    /// Address to listen on [default: 127.0.0.1:7070 if it is free, else a free port]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Play in this folder, which must be empty, and keep it [default: a temporary one]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Don't open the dashboard in a browser
    #[arg(long)]
    no_open: bool,
}

/// What the simulated provider does.
const SCRIPT: &str = include_str!("demo/script.toml");
/// The exit code of a program that was told to stop by ctrl-c, as shells have it.
const INTERRUPTED: u8 = 130;
const ANY_PORT: &str = "127.0.0.1:0";

/// Plays the demo.
pub fn run(args: &Args, out: Output) -> anyhow::Result<ExitCode> {
    // What the server logs belongs to no story; PINRAIL_LOG shows it all the same.
    up::start_logging("off", false);
    let folder = Folder::take(args.dir.as_deref())?;
    let dir = folder.path().to_owned();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(up::workers()).enable_all().build()?;
    let played = runtime.block_on(play(args, out, dir));
    // Nothing writes into the folder any more when it is removed.
    drop(runtime);
    let halted = played.as_ref().is_err_and(anyhow::Error::is::<Halted>);
    let over = played.is_ok();
    let kept = if args.stay && over { folder.kept() } else { folder };
    if let (Folder::Given(dir), false) = (&kept, out.is_json()) {
        talk(&format!("the demo's folder is kept: `pinrail up --dir {}` goes on with it", dir.display()));
    }
    match played {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(_) if halted => {
            talk("stopped");
            Ok(ExitCode::from(INTERRUPTED))
        }
        Err(error) => Err(error),
    }
}

/// Starts the server, has the story told, and stops the server.
async fn play(args: &Args, out: Output, dir: PathBuf) -> anyhow::Result<()> {
    let halt = Halt::default();
    let (asked, told) = (up::stop_asked(), halt.clone());
    tokio::spawn(async move {
        asked.await;
        told.halt();
    });
    let listener = listen(args).await?;
    let url = format!("http://{}", listener.local_addr()?);
    project::write(&dir, Agent { tier: "standard", snapshot: "sim-1-2026-01-15", prompt: Prompt::Careful })?;
    let settings = config::server(&dir)?;
    let lock = data::lock(&dir)?;
    let script = Script::from_toml(SCRIPT).context("the demo's script is a script")?;
    let up = Up::open(&lock, &settings, up::capacity(&settings), script).await?;
    if !args.no_open && !out.is_json() && std::io::stdout().is_terminal() {
        browser::open(&url);
    }
    let story = stage(args, out, dir, &url, &halt)?;
    let (end, ended) = oneshot::channel::<()>();
    let telling = async {
        let told = tokio::task::spawn_blocking(move || story.tell()).await;
        // The server waits for this; it is only gone when it ended by itself.
        let _ = end.send(());
        told
    };
    let serving = Box::pin(up.serve(listener, async move {
        // An end that is dropped is an end.
        let _ = ended.await;
    }));
    let (served, told) = tokio::join!(serving, telling);
    told.context("the story broke off")??;
    served
}

fn stage(args: &Args, out: Output, dir: PathBuf, url: &str, halt: &Halt) -> anyhow::Result<Story> {
    let api = Api::new(url);
    let clock = SystemClock::start();
    let context = Context { client: Client::new(url, None)?, out, now: clock.now() };
    let teller = Teller::new(out.is_json(), !args.fast, url, halt.clone());
    Ok(Story {
        shop: Shop::new(api.clone()),
        api,
        context,
        teller,
        halt: halt.clone(),
        clock,
        dir,
        url: url.to_owned(),
        paced: !args.fast,
        stays: args.stay,
    })
}

/// The address that was asked for; without one the usual, or any that is free. It is one of this machine: nobody has keys.
async fn listen(args: &Args) -> anyhow::Result<TcpListener> {
    let Some(asked) = &args.listen else {
        return match TcpListener::bind(LISTEN_DEFAULT).await {
            Ok(listener) => Ok(listener),
            Err(_) => up::listen(ANY_PORT, true).await,
        };
    };
    let listener = up::listen(asked, true).await?;
    if !listener.local_addr()?.ip().is_loopback() {
        anyhow::bail!(Failed {
            code: "no_keys",
            what: format!(
                "refusing to play on {asked}: the demo has no keys, and anyone who reaches it could do anything"
            ),
            next_step: format!("pass --listen with an address of this machine, such as {ANY_PORT}"),
            source: None,
        });
    }
    Ok(listener)
}
