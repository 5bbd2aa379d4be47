//! `pinrail context`: what agents tell each other.

use pinrail_api::context::{
    AskResync, ContextChanged, ContextList, ContextValue, MessageSent, Messages, PutContext, SendMessage,
};
use pinrail_domain::id::{AgentName, CollectionName, StateSeq};
use pinrail_domain::state::StateKey;
use serde_json::value::RawValue;

use super::paging::with_next;
use super::state_by::{Reader, Writer, hidden};
use crate::cli::Context;
use crate::client::{Query, escape};
use crate::output::table::{or_dash, table};
use crate::output::{one_line, time};

mod watch;

/// Show and change what agents share: versioned keys and messages
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail context list orders                            the keys that are committed
  pinrail context get orders address --run run_01k…      the value that this run sees
  pinrail context put orders address '{\"city\": \"Lyon\"}' --run run_01k… --expect 17
  pinrail context history orders address                 every version, with the reason why it is hidden
  pinrail context send orders '{\"sku\": 4}' --kind picked --to planner --run run_01k…
  pinrail context messages orders --run run_01k…         those for the run's agent
  pinrail context resync orders --key address --run run_01k…")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the keys that a reader sees
    List {
        space: CollectionName,
        /// Only keys that begin with this
        #[arg(long)]
        prefix: Option<String>,
        #[command(flatten)]
        read: Read,
        /// Only keys after this one: the next page
        #[arg(long, value_name = "KEY")]
        after: Option<String>,
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Print the value of a key
    Get {
        space: CollectionName,
        key: StateKey,
        /// This version, or nothing
        #[arg(long, value_name = "SEQ")]
        version: Option<u64>,
        #[command(flatten)]
        read: Read,
    },
    /// Put a value
    Put {
        space: CollectionName,
        key: StateKey,
        /// JSON
        #[arg(value_parser = json)]
        value: Box<RawValue>,
        /// Only over this version; 0 for a key without a value
        #[arg(long, value_name = "VERSION")]
        expect: Option<u64>,
        #[command(flatten)]
        write: Write,
    },
    /// Delete a value; a rollback of the writer's deployment brings it back
    Delete {
        space: CollectionName,
        key: StateKey,
        /// Only this version
        #[arg(long, value_name = "VERSION")]
        expect: Option<u64>,
        #[command(flatten)]
        writer: Writer,
    },
    /// Show every version of a key, with the reason why it is hidden
    History {
        space: CollectionName,
        key: StateKey,
        #[command(flatten)]
        read: Read,
        /// Only versions after this one: the next page
        #[arg(long, value_name = "SEQ")]
        after: Option<u64>,
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Send a message
    Send {
        space: CollectionName,
        /// JSON
        #[arg(value_parser = json)]
        body: Box<RawValue>,
        /// What it is about, in a word
        #[arg(long)]
        kind: String,
        /// The agent that it is for; all, when absent
        #[arg(long, value_name = "AGENT")]
        to: Option<AgentName>,
        #[command(flatten)]
        write: Write,
    },
    /// List the messages that a reader sees
    Messages {
        space: CollectionName,
        /// me, all, or an agent; me when a run reads
        #[arg(long)]
        to: Option<String>,
        /// Only these kinds, comma between them
        #[arg(long)]
        kinds: Option<String>,
        #[command(flatten)]
        read: Read,
        /// Only messages after this one: the next page
        #[arg(long, value_name = "SEQ")]
        after: Option<u64>,
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Follow what comes into a reader's view and goes out of it, until ctrl-c
    Watch {
        space: CollectionName,
        #[command(flatten)]
        read: Read,
        /// The moment to go on after; else the whole view comes first
        #[arg(long, value_name = "MOMENT")]
        after: Option<String>,
    },
    /// Ask the writers to write again in a protocol that the reader accepts
    Resync {
        space: CollectionName,
        /// Only this key
        #[arg(long)]
        key: Option<StateKey>,
        /// Protocol versions, comma between them; else what the run's release accepts
        #[arg(long, value_delimiter = ',')]
        accepts: Option<Vec<u32>>,
        #[command(flatten)]
        writer: Writer,
    },
}

#[derive(Debug, clap::Args)]
struct Read {
    #[command(flatten)]
    reader: Reader,
    /// Protocol versions that the reader accepts, comma between them; else what the run's release says
    #[arg(long, value_name = "LIST")]
    accepts: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Write {
    #[command(flatten)]
    writer: Writer,
    /// Its protocol version; else the one of the run's release, or 1
    #[arg(long, value_name = "N")]
    protocol: Option<u32>,
    /// The records that it was derived from, comma between them
    #[arg(long, value_name = "SEQ", value_delimiter = ',')]
    parents: Vec<u64>,
}

/// As much of a value as fits a line.
const VALUE_CHARS: usize = 72;

impl Read {
    fn query(&self) -> Query {
        self.reader.query().add("accepts", self.accepts.as_ref())
    }

    fn get<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        context: &Context,
    ) -> anyhow::Result<crate::client::Reply<T>> {
        Ok(self.reader.client(context).get(path)?)
    }
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match args.what {
        What::List { space, prefix, read, after, limit } => {
            let query = read.query().add("prefix", prefix).add("after", after).add("limit", limit);
            let reply = read.get::<ContextList>(&query.on(&path(&space)), context)?;
            Ok(context.out.reply(&reply, |list| keys(list, context))?)
        }
        What::Get { space, key, version, read } => {
            let query = read.query().add("version", version);
            let reply = read.get::<ContextValue>(&query.on(&key_path(&space, &key)), context)?;
            Ok(context
                .out
                .reply(&reply, |got| got.value.as_ref().map_or("", |value| value.get()).to_owned())?)
        }
        What::Put { space, key, value, expect, write } => {
            let (expected, path) = (expect.map(StateSeq), key_path(&space, &key));
            put(&path, value, expected, write, context)
        }
        What::Delete { space, key, expect, writer } => {
            let path = writer.query().add("expected", expect).on(&key_path(&space, &key));
            let reply = writer.client(context).delete::<ContextChanged>(&path)?;
            Ok(context.out.reply(&reply, |changed| format!("deleted {}", written(changed)))?)
        }
        What::History { space, key, read, after, limit } => {
            let query = read.query().add("history", Some(true)).add("after", after).add("limit", limit);
            let reply = read.get::<ContextList>(&query.on(&key_path(&space, &key)), context)?;
            Ok(context.out.reply(&reply, |list| versions(list, context))?)
        }
        What::Send { space, body, kind, to, write } => send(&space, (body, kind, to), write, context),
        What::Messages { space, to, kinds, read, after, limit } => {
            let query = read.query().add("to", to).add("kinds", kinds);
            let query = query.add("after", after).add("limit", limit);
            let reply = read.get::<Messages>(&query.on(&format!("{}/messages", path(&space))), context)?;
            Ok(context.out.reply(&reply, |messages| listed(messages, context))?)
        }
        What::Watch { space, read, after } => watch::run(&space, &read, after.as_ref(), context),
        What::Resync { space, key, accepts, writer } => {
            let (by, accepts) = (writer.by(), accepts.map(|these| these.into_iter().collect()));
            let wish =
                AskResync { run: by.run, deployment: by.deployment, external: by.external, key, accepts };
            let path = format!("{}/resync", path(&space));
            let reply = writer.client(context).post::<MessageSent>(&path, &wish)?;
            Ok(context.out.reply(&reply, |sent| format!("asked for a resync (message {})", sent.seq))?)
        }
    }
}

fn put(
    path: &str,
    value: Box<RawValue>,
    expected: Option<StateSeq>,
    write: Write,
    context: &Context,
) -> anyhow::Result<()> {
    let Write { writer, protocol, parents } = write;
    let by = writer.by();
    let wish = PutContext {
        run: by.run,
        deployment: by.deployment,
        external: by.external,
        value,
        protocol,
        expected,
        parents: parents.into_iter().map(StateSeq).collect(),
    };
    let reply = writer.client(context).put::<ContextChanged>(path, &wish)?;
    Ok(context.out.reply(&reply, |changed| format!("put {}", written(changed)))?)
}

fn send(
    space: &CollectionName,
    what: (Box<RawValue>, String, Option<AgentName>),
    write: Write,
    context: &Context,
) -> anyhow::Result<()> {
    let Write { writer, protocol, parents } = write;
    let (by, (body, kind, to)) = (writer.by(), what);
    let wish = SendMessage {
        run: by.run,
        deployment: by.deployment,
        external: by.external,
        kind,
        to,
        body,
        protocol,
        parents: parents.into_iter().map(StateSeq).collect(),
    };
    let path = format!("{}/messages", path(space));
    let reply = writer.client(context).post::<MessageSent>(&path, &wish)?;
    context.out.reply(&reply, |sent| {
        format!("sent message {} for deployment {}, as of {}", sent.seq, sent.deployment, sent.moment)
    })?;
    Ok(())
}

fn path(space: &CollectionName) -> String {
    format!("/api/v1/context/{space}")
}

fn key_path(space: &CollectionName, key: &StateKey) -> String {
    format!("{}/{}", path(space), escape(key.as_str()))
}

fn json(text: &str) -> Result<Box<RawValue>, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}; a text needs quotes: '\"text\"'"))
}

fn written(changed: &ContextChanged) -> String {
    let ContextChanged { key, version, moment, deployment, .. } = changed;
    format!("{key} (version {version}, deployment {deployment}), as of {moment}")
}

fn keys(list: &ContextList, context: &Context) -> String {
    let rows = list.items.iter().map(|item| {
        let accepted = if item.unaccepted { " (not accepted)" } else { "" };
        vec![
            item.key.to_string(),
            item.version.to_string(),
            time::relative(context.now, item.at),
            item.deployment.to_string(),
            format!("{}{accepted}", or_dash(item.protocol)),
            or_dash(item.run),
        ]
    });
    let header = ["key", "version", "at", "deployment", "protocol", "run"];
    with_next(table(&header, rows.collect(), "no keys here"), "--after", list.next.as_ref())
}

fn versions(list: &ContextList, context: &Context) -> String {
    let rows = list.items.iter().map(|item| {
        let value = match (&item.value, item.erased, item.unaccepted) {
            (Some(value), _, _) => one_line(value.get(), VALUE_CHARS),
            (None, true, _) => "(erased)".to_owned(),
            (None, _, true) => "(not accepted)".to_owned(),
            (None, false, false) => String::new(),
        };
        vec![
            item.version.to_string(),
            time::relative(context.now, item.at),
            item.deployment.to_string(),
            item.op.map_or_else(String::new, |op| format!("{op:?}").to_lowercase()),
            or_dash(item.protocol),
            value,
            hidden(item.hidden.as_ref()),
        ]
    });
    let header = ["version", "at", "deployment", "op", "protocol", "value", "hidden"];
    with_next(table(&header, rows.collect(), "the key was never written"), "--after", list.next.as_ref())
}

fn listed(messages: &Messages, context: &Context) -> String {
    let rows = messages.items.iter().map(|message| {
        let body = match (&message.body, message.unaccepted) {
            (Some(body), _) => one_line(body.get(), VALUE_CHARS),
            (None, true) => "(not accepted: pinrail context resync)".to_owned(),
            (None, false) => "(erased)".to_owned(),
        };
        vec![
            message.seq.to_string(),
            time::relative(context.now, message.at),
            or_dash(message.kind.as_ref()),
            or_dash(message.from.as_ref()),
            message.to.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string),
            or_dash(message.protocol),
            or_dash(message.deployment),
            body,
        ]
    });
    let header = ["seq", "at", "kind", "from", "to", "protocol", "deployment", "body"];
    let next = messages.more.then(|| messages.next.to_string());
    with_next(table(&header, rows.collect(), "no messages here"), "--after", next.as_ref())
}
