//! `pinrail health`: does the server answer, and should it get traffic?
//!
//! For whoever restarts or routes to it: a container's health check where there is no shell and no curl.

use pinrail_api::status::Health;

use crate::cli::Context;

/// Say whether a server is alive, or with --ready whether it should get traffic
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail health                            GET /healthz: the process serves
  pinrail health --ready                    GET /readyz: it can do its work, or why not
  pinrail health --server http://10.0.0.7:7070

No key is needed. Exit code 0: yes. 1: it answers, but isn't ready. 3: it can't be reached.")]
pub struct Args {
    /// Ask whether it should get traffic, too
    #[arg(long)]
    ready: bool,
}

/// Fails with the server's reasons unless all is well.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let (path, said) = match args.ready {
        true => ("/readyz", "ready"),
        false => ("/healthz", "alive"),
    };
    let reply = context.client.get::<Health>(path)?;
    context.out.reply(&reply, |health| format!("{said}: pinrail {}", health.version))?;
    Ok(())
}
