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
  pinrail health --ready --for calls        GET /readyz?for=calls: it takes model calls, maybe without its database
  pinrail health --server http://10.0.0.7:7070

No key is needed. Exit code 0: yes. 1: it answers, but isn't ready. 3: it can't be reached.")]
pub struct Args {
    /// Ask whether it should get traffic, too
    #[arg(long)]
    ready: bool,
    /// Ask about this traffic alone: the gateway goes on where the rest can't
    #[arg(long = "for", value_name = "WHAT", requires = "ready")]
    sends: Option<Sends>,
}

/// What would be sent.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Sends {
    /// Model calls
    Calls,
}

/// Fails with the server's reasons unless all is well.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let (path, said) = match (args.ready, args.sends) {
        (true, None) => ("/readyz", "ready"),
        (true, Some(Sends::Calls)) => ("/readyz?for=calls", "ready for calls"),
        (false, _) => ("/healthz", "alive"),
    };
    let reply = context.client.get::<Health>(path)?;
    context.out.reply(&reply, |health| shown(said, health))?;
    Ok(())
}

fn shown(said: &str, health: &Health) -> String {
    let mut text = format!("{said}: pinrail {}", health.version);
    for trouble in &health.troubles {
        text.push_str(&format!("\n  but {trouble}"));
    }
    text
}
