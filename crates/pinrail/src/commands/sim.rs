//! `pinrail sim`: the simulated provider alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use pinrail_domain::time::Clock as _;
use pinrail_provider_sim::{SCRIPT_BYTES_MAX, SEED_DEFAULT, Script, Sim};
use serde_json::json;

use crate::files::section::read_text;
use crate::output::{Output, talk};
use crate::system::SystemClock;

/// Run the simulated model provider alone, in OpenAI's and Anthropic's formats
///
/// No model is behind it: a script decides what it says, how long it takes and how it fails. Any key will do,
/// unless the script demands one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail sim
  pinrail sim --script mine.toml --seed 42 --listen 127.0.0.1:0

docs/simulated-provider.md explains the script. Stop with ctrl-c or SIGTERM.")]
pub struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7071")]
    listen: SocketAddr,
    /// Script of its behaviour [default: the one that is built in]
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Seed of its luck: the same seed and script give the same answers
    #[arg(long, default_value_t = SEED_DEFAULT)]
    seed: u64,
}

pub fn run(args: &Args, out: Output) -> anyhow::Result<()> {
    let script = match &args.script {
        None => Script::builtin(),
        Some(path) => {
            let shown = path.display();
            let text = read_text(path, SCRIPT_BYTES_MAX).map_err(|what| anyhow::anyhow!("{shown} {what}"))?;
            Script::from_toml(&text).with_context(|| format!("{shown} cannot be used"))?
        }
    };
    let clock = SystemClock::start();
    let sim = Sim::new(script, args.seed, Arc::new(move || clock.now().0 / 1_000));
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(sim, args.listen, out))
}

async fn serve(sim: Sim, listen: SocketAddr, out: Output) -> anyhow::Result<()> {
    let listener =
        tokio::net::TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let stop = super::up::stop_asked();
    let base_url = format!("http://{}/v1", listener.local_addr()?);
    out.value(&json!({ "base_url": base_url }), || base_url.clone())?;
    talk(&format!(
        "the simulated provider listens; any key will do. Try it:\n  curl -s {base_url}/chat/completions \
         -H 'content-type: application/json' \\\n    -d '{{\"model\": \"sim-1-2026-01-15\", \"messages\": \
         [{{\"role\": \"user\", \"content\": \"What is 17 + 25?\"}}]}}'\nctrl-c stops it"
    ));
    axum::serve(listener, sim.router()).with_graceful_shutdown(stop).await?;
    Ok(())
}
