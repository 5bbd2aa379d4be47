//! `pinrail webhook`: who is told of what the ledger says, and how that goes.

use pinrail_api::Page;
use pinrail_api::agents::Changed;
use pinrail_api::webhooks::{DeadLetter, LastError, Resent, Webhook, WebhookTest};
use pinrail_domain::id::{AgentName, WebhookName};
use pinrail_domain::webhook::{QUIET, WebhookSpec};
use serde_json::json;

use super::paging::{After, with_next};
use crate::cli::Context;
use crate::client::{Query, escape};
use crate::exit::Failed;
use crate::output::table::{or_dash, pairs, table};
use crate::output::{one_line, time};

/// Tell other programs of deployments, rollbacks and every other change, as signed CloudEvents
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail webhook put chat --url https://hooks.example.com/pinrail --secret-env CHAT_SECRET
  pinrail webhook put alarm --url https://alarm.example.com/in --event deployment_rolled_back --event 'hold_*'
  pinrail webhook test chat                send an event now, and see what the receiver says
  pinrail webhook list                     how far each is, and what keeps it
  pinrail webhook dead-letters chat
  pinrail webhook retry chat --all

Events are ledger entries: `pinrail ledger show` lists their kinds. pinrail.toml can hold webhooks too ([webhooks.NAME]), and
`pinrail apply` makes them so. docs/webhooks.md shows events and how to check signatures.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Add a webhook, or replace the settings of one
    Put(Put),
    /// List the webhooks: their place, what keeps them, their dead letters
    List(After),
    /// Show one webhook
    Show { name: WebhookName },
    /// Remove a webhook with its place and its dead letters
    Remove {
        name: WebhookName,
        /// Why; the ledger keeps it
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Send a test event now, and say what the receiver said
    Test { name: WebhookName },
    /// List the ledger entries that the receiver wouldn't take
    DeadLetters {
        name: WebhookName,
        #[command(flatten)]
        page: After,
    },
    /// Send dead letters again
    Retry {
        name: WebhookName,
        /// The ledger entry of one dead letter
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        seq: Option<u64>,
        /// All of them, oldest first, until the receiver takes none
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Put {
    name: WebhookName,
    /// Where events go: https://…, or http://… on the server's machine
    #[arg(long)]
    url: String,
    /// The variable, in the server's environment, that holds the secret to sign with; never the secret itself
    // A text, checked by the server: a refusal of the parser would show a secret in the wrong place (I15).
    #[arg(long, value_name = "VARIABLE")]
    secret_env: Option<String>,
    /// A kind of ledger entry, `*` for any letters [default: all but manifest_recorded]
    #[arg(long = "event", value_name = "KIND", value_delimiter = ',')]
    events: Vec<String>,
    /// Only what concerns this agent [default: everything]
    #[arg(long = "agent", value_name = "AGENT", value_delimiter = ',')]
    agents: Vec<AgentName>,
    /// Why; the ledger keeps it
    #[arg(long, default_value = "")]
    reason: String,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match args.what {
        What::Put(wish) => put(wish, context),
        What::List(page) => {
            let reply = context.client.get::<Page<Webhook>>(&page.on("/api/v1/webhooks"))?;
            let shown = |page: &Page<Webhook>| with_next(list(&page.items), "--after", page.next.as_ref());
            Ok(context.out.reply(&reply, shown)?)
        }
        What::Show { name } => {
            let reply = context.client.get::<Webhook>(&path(&name, ""))?;
            Ok(context.out.reply(&reply, |webhook| show(webhook, context))?)
        }
        What::Remove { name, reason } => {
            let path = Query::default().add("reason", Some(reason)).on(&path(&name, ""));
            let reply = context.client.delete::<Changed>(&path)?;
            Ok(context.out.reply(&reply, |_| format!("webhook {name} is removed"))?)
        }
        What::Test { name } => test(&name, context),
        What::DeadLetters { name, page } => {
            let reply = context.client.get::<Page<DeadLetter>>(&page.on(&path(&name, "/dead-letters")))?;
            let shown = |page: &Page<DeadLetter>| {
                with_next(letters(&page.items, context), "--after", page.next.as_ref())
            };
            Ok(context.out.reply(&reply, shown)?)
        }
        What::Retry { name, seq, all: _ } => retry(&name, seq, context),
    }
}

fn put(wish: Put, context: &Context) -> anyhow::Result<()> {
    let Put { name, url, secret_env, events, agents, reason } = wish;
    let spec = WebhookSpec { url, secret_env, events, agents };
    let path = Query::default().add("reason", Some(reason)).on(&path(&name, ""));
    let reply = context.client.put::<Changed>(&path, &spec)?;
    context.out.reply(&reply, |done| {
        let next = if done.change == "created" {
            format!("\nnext: pinrail webhook test {name}")
        } else {
            String::new()
        };
        format!("webhook {name} is {}{next}", done.change)
    })?;
    Ok(())
}

fn test(name: &WebhookName, context: &Context) -> anyhow::Result<()> {
    let reply = context.client.post::<WebhookTest>(&path(name, "/test"), &json!({}))?;
    let WebhookTest { id, delivered, status, said, why, took_us, .. } = &reply.value;
    let answer = status.map(|status| format!("it answered {status} after {}", time::millis(*took_us)));
    let said = if said.is_empty() { String::new() } else { format!(": {}", one_line(said, SAID_CHARS)) };
    context.out.reply(&reply, |_| match delivered {
        true => format!("{id} was taken; {}{said}", answer.unwrap_or_default()),
        false => answer.map(|answer| format!("{answer}{said}")).unwrap_or_default(),
    })?;
    if *delivered {
        return Ok(());
    }
    anyhow::bail!(Failed {
        code: "not_delivered",
        what: format!("{id} was not taken: {}", why.as_deref().unwrap_or("nobody knows why")),
        next_step: format!("mend the receiver, or the settings: `pinrail webhook show {name}`"),
        source: None,
    })
}

fn retry(name: &WebhookName, seq: Option<u64>, context: &Context) -> anyhow::Result<()> {
    let which = seq.map_or_else(|| "/retry".to_owned(), |seq| format!("/{seq}/retry"));
    let reply = context.client.post::<Resent>(&path(name, &format!("/dead-letters{which}")), &json!({}))?;
    context.out.reply(&reply, resent)?;
    let Resent { failed, left, .. } = reply.value;
    if failed == 0 {
        return Ok(());
    }
    anyhow::bail!(Failed {
        code: "not_delivered",
        what: format!("{failed} were not taken; {left} dead letters are left"),
        next_step: format!("`pinrail webhook test {name}` shows what the receiver says; then retry again"),
        source: None,
    })
}

fn list(webhooks: &[Webhook]) -> String {
    let rows = webhooks.iter().map(|webhook| {
        let trouble = webhook.last_error.as_ref();
        vec![
            webhook.webhook.to_string(),
            webhook.spec.url.clone(),
            one_line(&words(&webhook.spec.events, "all"), EVENTS_CHARS),
            webhook.lag.to_string(),
            webhook.dead_letters.to_string(),
            or_dash(trouble.map(|trouble| one_line(&trouble.what, SAID_CHARS))),
        ]
    });
    table(
        &["webhook", "url", "events", "behind", "dead letters", "last error"],
        rows.collect(),
        "no webhooks",
    )
}

fn show(webhook: &Webhook, context: &Context) -> String {
    let Webhook { webhook: name, spec, since, cursor, lag, delivered, last_error, dead_letters } = webhook;
    let signed = spec.secret_env.as_ref().map_or("no", String::as_str);
    let all = format!("all but {}", QUIET.join(", "));
    let agents: Vec<String> = spec.agents.iter().map(ToString::to_string).collect();
    let place = match lag {
        0 => format!("ledger entry {cursor}, the newest"),
        lag => format!("ledger entry {cursor}, {lag} behind"),
    };
    let delivered = delivered.as_ref().map(|delivered| {
        format!("ledger entry {}, {}", delivered.seq, time::both(context.now, delivered.at))
    });
    let error = last_error.as_ref().map(|LastError { seq, attempts, what, at, next_at }| {
        format!(
            "ledger entry {seq}, attempt {attempts}, {}: {what}; tried again at {}",
            time::both(context.now, *at),
            time::absolute(*next_at)
        )
    });
    let dead = match dead_letters {
        0 => "0".to_owned(),
        some => format!("{some}: `pinrail webhook dead-letters {name}`"),
    };
    pairs(&[
        ("webhook", Some(name.to_string())),
        ("url", Some(spec.url.clone())),
        ("secret variable", Some(signed.to_owned())),
        ("events", Some(words(&spec.events, &all))),
        ("agents", Some(words(&agents, "all"))),
        ("since", Some(format!("ledger entry {since}"))),
        ("done with", Some(place)),
        ("delivered last", delivered),
        ("last error", error),
        ("dead letters", Some(dead)),
    ])
}

fn letters(letters: &[DeadLetter], context: &Context) -> String {
    let rows = letters.iter().map(|DeadLetter { seq, attempts, why, at }| {
        vec![seq.to_string(), attempts.to_string(), time::both(context.now, *at), why.clone()]
    });
    table(&["ledger entry", "attempts", "last", "why"], rows.collect(), "no dead letters")
}

fn resent(resent: &Resent) -> String {
    let failed = resent.letters.iter().filter_map(|letter| Some((letter.seq, letter.why.as_ref()?)));
    let failed: String =
        failed.map(|(seq, why)| format!("ledger entry {seq} was not taken: {why}\n")).collect();
    format!("{failed}{} delivered, {} left", resent.delivered, resent.left)
}

fn words(list: &[String], none: &str) -> String {
    if list.is_empty() { none.to_owned() } else { list.join(", ") }
}

fn path(name: &WebhookName, rest: &str) -> String {
    format!("/api/v1/webhooks/{}{rest}", escape(name.as_str()))
}

/// What of a receiver's words is shown in a line.
const SAID_CHARS: usize = 200;
/// What of the patterns is shown in a table.
const EVENTS_CHARS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_webhook_is_said() {
        let webhook: Webhook = serde_json::from_value(json!({
            "webhook": "chat", "spec": { "url": "https://hooks.example/x", "events": ["hold_*"] },
            "since": 3, "cursor": 7, "lag": 2, "dead_letters": 1,
            "last_error": { "seq": 8, "attempts": 3, "what": "the receiver answered 503", "at": 0, "next_at": 4_000 }
        }))
        .unwrap();
        let shown = list(std::slice::from_ref(&webhook));
        assert!(shown.contains("hold_*") && shown.contains("the receiver answered 503"), "{shown}");
        assert_eq!(list(&[]), "no webhooks");
    }

    #[test]
    fn what_stays_a_dead_letter_is_named() {
        let value = json!({ "webhook": "chat", "delivered": 1, "failed": 1, "left": 1, "letters": [
            { "seq": 4, "delivered": true }, { "seq": 5, "delivered": false, "why": "no" }] });
        let text = resent(&serde_json::from_value(value).unwrap());
        assert_eq!(text, "ledger entry 5 was not taken: no\n1 delivered, 1 left");
    }
}
