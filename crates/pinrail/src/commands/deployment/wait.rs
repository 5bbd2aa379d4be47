//! `pinrail deployment wait`: follows a rollout until it is over, or asks.

use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use pinrail_api::deployments::rollout::Rollout;
use pinrail_domain::rollout::quantity::Span;
use pinrail_domain::time::{Clock as _, Timestamp};

use super::rollout;
use crate::cli::Context;
use crate::client::{ClientError, Query, Reply};
use crate::output::{clean, one_line, talk};
use crate::system::SystemClock;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail deployment wait 3
  pinrail deployment wait 3 --timeout 2h && echo promoted
  pinrail deployment wait 3 --json | jq -r .sentence

Exit codes: 0 promoted, 1 rolled back (or refused), 2 stopped and asking a person, 3 not over within the timeout (or the server
can't be reached). A step that waits for an approval or a verdict goes on waiting. On a terminal a line on stderr says where it stands.")]
pub struct Args {
    id: u64,
    /// How long to wait, such as 90s, 30m, 2h
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = |text: &str| text.parse::<Span>().map_err(|bad| bad.to_string()))]
    timeout: Span,
}

/// A rollout was taken back.
const ROLLED_BACK: u8 = 1;
/// A rollout stands still until somebody decides.
const ASKS: u8 = 2;
/// It isn't over yet.
const TIMEOUT: u8 = 3;

/// One question's longest wait: between two, the line on the terminal is written anew.
const POLL_MS: u64 = 5_000;
/// Before a server that is away is asked again.
const PAUSE: Duration = Duration::from_secs(1);

pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let clock = SystemClock::start();
    let until = clock.now().plus_ms(args.timeout.ms);
    let line = ProgressBar::new_spinner();
    line.set_style(
        ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    let mut last: Option<Reply<Rollout>> = None;
    loop {
        let left_ms = until.ms_since(clock.now());
        match ask(args.id, last.as_ref(), left_ms, context) {
            Ok(reply) => {
                line.set_message(clean(&one_line(&reply.value.sentence, LINE_CHARS)));
                line.tick();
                if let Some(code) = over(&reply.value) {
                    line.finish_and_clear();
                    return finish(&reply, code, clock.now(), context);
                }
                last = Some(reply);
            }
            // Whoever has reached it once goes on when the server is back.
            Err(ClientError::Unreachable { .. }) if last.is_some() && left_ms > 0 => pause(until, &clock),
            Err(error) => {
                line.finish_and_clear();
                return Err(error.into());
            }
        }
        if left_ms == 0 {
            line.finish_and_clear();
            talk(&format!("deployment {} is not over within {}", args.id, args.timeout));
            return match &last {
                Some(reply) => finish(reply, TIMEOUT, clock.now(), context),
                None => Ok(ExitCode::from(TIMEOUT)),
            };
        }
    }
}

/// What fits on a line of most terminals.
const LINE_CHARS: usize = 150;

fn ask(
    id: u64,
    last: Option<&Reply<Rollout>>,
    left_ms: u64,
    context: &Context,
) -> Result<Reply<Rollout>, ClientError> {
    let query = match last {
        Some(last) => Query::default()
            .add("seen", Some(last.value.generation))
            .add("wait_ms", Some(left_ms.min(POLL_MS))),
        None => Query::default(),
    };
    context.client.get(&query.on(&format!("/api/v1/deployments/{id}/rollout")))
}

/// The exit code of a rollout that is over or asks.
fn over(rollout: &Rollout) -> Option<u8> {
    match (&rollout.ended, &rollout.stopped) {
        (Some(ended), _) if ended.how == "promoted" => Some(0),
        (Some(_), _) => Some(ROLLED_BACK),
        (None, Some(_)) => Some(ASKS),
        (None, None) => None,
    }
}

fn finish(reply: &Reply<Rollout>, code: u8, now: Timestamp, context: &Context) -> anyhow::Result<ExitCode> {
    context.out.reply(reply, |rollout| rollout::show(rollout, now))?;
    Ok(ExitCode::from(code))
}

#[allow(clippy::disallowed_methods, reason = "there is no event of a server that is away")]
fn pause(until: Timestamp, clock: &SystemClock) {
    std::thread::sleep(PAUSE.min(Duration::from_millis(until.ms_since(clock.now()))));
}
