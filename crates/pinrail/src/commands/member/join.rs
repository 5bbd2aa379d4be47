//! `pinrail member join`: a member that does nothing but follow, for scripts and to try things out.
//!
//! One thread follows the stream and one waits for ctrl-c; both tell this one, which acknowledges.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use pinrail_api::members::{Acknowledge, Acknowledged, EpochEvent, MemberLeft, RegisterMember, Registered};
use pinrail_api::problem::Code;
use pinrail_domain::id::{Epoch, MemberName};
use serde_json::json;

use super::MemberKind;
use crate::cli::Context;
use crate::client::{Client, ClientError};
use crate::output::talk;

/// Who joins.
#[derive(Debug, clap::Args)]
pub struct Join {
    /// The member's name: a host or a pod, for example
    #[arg(long)]
    name: MemberName,
    /// What it is: gateway or worker
    #[arg(long, default_value = "worker")]
    kind: MemberKind,
    /// How long its lease lasts, in milliseconds [default: the server's]
    #[arg(long, value_name = "MS")]
    lease_ms: Option<u64>,
}

/// What the other threads tell.
enum News {
    Epoch(Epoch),
    Stop,
}

/// Why the lease is over.
enum End {
    Stopped,
    Fenced,
}

const MEMBERS: &str = "/api/v1/members";
/// Before a server that is away is asked again.
const PAUSE: Duration = Duration::from_secs(1);

impl Join {
    /// Follows until ctrl-c.
    pub fn run(self, context: &Context) -> anyhow::Result<()> {
        let (sender, news) = channel();
        wait_for_stop(sender.clone())?;
        let Join { name, kind, lease_ms } = self;
        let wish = RegisterMember { name, kind, lease_ms };
        let mut following = false;
        loop {
            let me = context.client.post::<Registered>(MEMBERS, &wish)?.value;
            let told = json!({ "event": "registered", "member": me.member, "generation": me.generation, "epoch": me.epoch });
            context.out.value(&told, || {
                format!("registered as {} (generation {}) at epoch {}", me.member, me.generation, me.epoch)
            })?;
            if !following {
                follow(context.client.clone(), me.watch.clone(), sender.clone());
                following = true;
            }
            match serve(&me, context, &news)? {
                End::Fenced => {}
                End::Stopped => {
                    context.client.delete::<MemberLeft>(&format!("{MEMBERS}/{}", me.member))?;
                    context
                        .out
                        .value(&json!({ "event": "left", "member": me.member }), || "left".to_owned())?;
                    return Ok(());
                }
            }
        }
    }
}

/// Acknowledges what comes, and renews the lease while nothing does.
fn serve(me: &Registered, context: &Context, news: &Receiver<News>) -> anyhow::Result<End> {
    let mut epoch = me.epoch;
    let path = format!("{MEMBERS}/{}/ack", me.member);
    let mut wait = Duration::from_millis(me.ack_every_ms);
    loop {
        let risen = match news.recv_timeout(wait) {
            Ok(News::Stop) => return Ok(End::Stopped),
            Ok(News::Epoch(newest)) if newest <= epoch => continue,
            Ok(News::Epoch(newest)) => {
                epoch = newest;
                true
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
        };
        let ack = Acknowledge { epoch, generation: Some(me.generation) };
        wait = Duration::from_millis(me.ack_every_ms);
        match context.client.post::<Acknowledged>(&path, &ack) {
            Ok(_) if risen => {
                let told = json!({ "event": "acknowledged", "epoch": epoch });
                context.out.value(&told, || format!("acknowledged epoch {epoch}"))?;
            }
            Ok(_) => {}
            // Two that take each other's name in turns would go on for ever.
            Err(ClientError::Refused(problem))
                if problem.code == Code::Fenced
                    && problem.facts.get("why").is_none_or(|why| why != "replaced") =>
            {
                let told = json!({ "event": "fenced", "why": problem.detail });
                context.out.value(&told, || format!("fenced: {}; registering again", problem.detail))?;
                return Ok(End::Fenced);
            }
            Err(error @ ClientError::Unreachable { .. }) => {
                talk(&format!("{error}; trying again"));
                wait = PAUSE;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Tells every epoch that the stream brings, whatever becomes of the lease, until nobody listens any more.
fn follow(client: Client, path: String, sender: Sender<News>) {
    std::thread::spawn(move || {
        let mut last: Option<String> = None;
        loop {
            if let Ok(mut events) = client.follow(&path, last.as_deref()) {
                while let Ok(Some(event)) = events.next() {
                    let Ok(said) = serde_json::from_str::<EpochEvent>(&event.data) else { break };
                    last = Some(event.id);
                    if sender.send(News::Epoch(said.epoch)).is_err() {
                        return;
                    }
                }
            }
            pause();
        }
    });
}

/// Tells when ctrl-c or SIGTERM comes.
fn wait_for_stop(sender: Sender<News>) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        // Nobody listens: then the command is over already.
        let _ = sender.send(News::Stop);
    });
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a server that is away can't be waited on")]
fn pause() {
    std::thread::sleep(PAUSE);
}
