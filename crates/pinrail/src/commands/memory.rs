//! `pinrail memory`: what agents know of their conversations.

use std::io::Read as _;

use anyhow::Context as _;
use pinrail_api::memory::{Forgotten, Memory, NewTurn, Remember, Remembered, Turn};
use pinrail_domain::id::{AgentName, SessionId, StateSeq};
use pinrail_domain::state::StateKey;
use serde_json::Value;

use super::paging::with_next;
use super::state_by::{Reader, Writer, hidden};
use crate::cli::Context;
use crate::client::escape;
use crate::exit::Usage;
use crate::output::table::table;
use crate::output::{one_line, time};

/// Show and change what agents remember of their conversations
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail memory show support s-17                       what is committed
  pinrail memory show support s-17 --run run_01k…        what that run knows
  pinrail memory show support s-17 --as-of 15m           what was known then
  pinrail memory history support s-17                    every turn, with the reason why it is hidden
  pinrail memory replay support s-17 --json              what the user said, to run again
  pinrail memory append support s-17 'I moved to Lyon' --run run_01k… --role user
  pinrail memory append support s-17 --file turns.json --run run_01k…
  pinrail memory forget support s-17 plan --run run_01k…")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Remember a turn, or several from a file
    Append(Append),
    /// Show the last turns that a reader sees
    Show {
        #[command(flatten)]
        at: Conversation,
        #[command(flatten)]
        reader: Reader,
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Only turns before this one: the page before
        #[arg(long, value_name = "SEQ")]
        before: Option<u64>,
    },
    /// Show every turn that there ever was, with the reason why it is hidden
    History(Forward),
    /// Show what was said from outside, in order: what to run again on a good release
    Replay(Forward),
    /// Forget a turn; a rollback of the writer's deployment brings it back
    Forget {
        #[command(flatten)]
        at: Conversation,
        key: StateKey,
        #[command(flatten)]
        writer: Writer,
    },
}

#[derive(Debug, clap::Args)]
struct Conversation {
    agent: AgentName,
    session: SessionId,
}

#[derive(Debug, clap::Args)]
struct Forward {
    #[command(flatten)]
    at: Conversation,
    #[command(flatten)]
    reader: Reader,
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only turns after this one: the next page
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
}

#[derive(Debug, clap::Args)]
struct Append {
    #[command(flatten)]
    at: Conversation,
    /// What was said
    #[arg(required_unless_present = "file")]
    content: Option<String>,
    /// Who said it: user, assistant, tool
    #[arg(long, default_value = "assistant")]
    role: String,
    /// A later turn with the same key takes this one's place
    #[arg(long)]
    key: Option<StateKey>,
    /// The records that it was derived from, comma between them
    #[arg(long, value_name = "SEQ", value_delimiter = ',')]
    parents: Vec<u64>,
    /// A JSON list of turns as the API takes them; - is stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["content", "key", "parents"])]
    file: Option<String>,
    #[command(flatten)]
    writer: Writer,
}

/// As much of a turn as fits a line.
const CONTENT_CHARS: usize = 72;

impl Conversation {
    fn path(&self) -> String {
        format!("/api/v1/memory/{}/{}", self.agent, escape(self.session.as_str()))
    }
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match args.what {
        What::Append(append) => remember(append, context),
        What::Show { at, reader, limit, before } => {
            let query = reader.query().add("limit", limit).add("before", before);
            let client = reader.client(context);
            let reply = client.get::<Memory>(&query.on(&at.path()))?;
            context.out.reply(&reply, |memory| {
                let count = memory.count.unwrap_or_default();
                let head = format!("{count} turns, as of {}", memory.moment);
                format!("{head}\n{}", shown(memory, "--before", context))
            })?;
            Ok(())
        }
        What::History(forward) => {
            let reply = forward.get("", true, context)?;
            context.out.reply(&reply, |memory| {
                let rows = memory.turns.iter().map(|turn| {
                    let op = turn.op.map_or_else(String::new, |op| format!("{op:?}").to_lowercase());
                    [row(turn, context), vec![op, hidden(turn.hidden.as_ref())]].concat()
                });
                let header = [&HEADER[..], &["op", "hidden"]].concat();
                let table = table(&header, rows.collect(), "nothing was ever remembered here");
                with_next(table, "--after", memory.next.map(|next| next.to_string()).as_ref())
            })?;
            Ok(())
        }
        What::Replay(forward) => {
            let reply = forward.get("/replay", false, context)?;
            Ok(context.out.reply(&reply, |memory| shown(memory, "--after", context))?)
        }
        What::Forget { at, key, writer } => {
            let path = writer.query().on(&format!("{}/{}", at.path(), escape(key.as_str())));
            let reply = writer.client(context).delete::<Forgotten>(&path)?;
            context.out.reply(&reply, |forgotten| {
                let Forgotten { key, seq, deployment, .. } = forgotten;
                format!("{key} is forgotten (record {seq}, deployment {deployment})")
            })?;
            Ok(())
        }
    }
}

impl Forward {
    fn get(
        &self,
        below: &str,
        history: bool,
        context: &Context,
    ) -> anyhow::Result<crate::client::Reply<Memory>> {
        let query = self.reader.query().add("history", history.then_some(true));
        let path = query.add("limit", self.limit).add("after", self.after);
        let path = path.on(&format!("{}{below}", self.at.path()));
        Ok(self.reader.client(context).get(&path)?)
    }
}

fn remember(append: Append, context: &Context) -> anyhow::Result<()> {
    let by = append.writer.by();
    let turns = match (append.file, append.content) {
        (Some(file), _) => turns_of(&file)?,
        (None, content) => vec![NewTurn {
            role: append.role,
            content: Value::String(content.unwrap_or_default()),
            key: append.key,
            external: None,
            parents: append.parents.into_iter().map(StateSeq).collect(),
            more: serde_json::Map::new(),
        }],
    };
    let wish = Remember { run: by.run, deployment: by.deployment, external: by.external, turns };
    let client = append.writer.client(context);
    let reply = client.post::<Remembered>(&append.at.path(), &wish)?;
    context.out.reply(&reply, |remembered| {
        let seqs: Vec<String> = remembered.turns.iter().map(|turn| turn.seq.to_string()).collect();
        let Remembered { moment, deployment, .. } = remembered;
        format!("remembered {} for deployment {deployment}, as of {moment}", seqs.join(", "))
    })?;
    Ok(())
}

fn turns_of(file: &str) -> anyhow::Result<Vec<NewTurn>> {
    let mut text = String::new();
    if file == "-" {
        std::io::stdin().read_to_string(&mut text).context("cannot read stdin")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    }
    serde_json::from_str(&text).map_err(|error| Usage(format!("{file} is no list of turns: {error}")).into())
}

const HEADER: [&str; 6] = ["seq", "at", "role", "deployment", "key", "content"];

fn row(turn: &Turn, context: &Context) -> Vec<String> {
    let text = |name: &str| match turn.said.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(value) => value.to_string(),
    };
    let content = if turn.erased { "(erased)".to_owned() } else { text("content") };
    let calls = turn.said.get("tool_calls").map(|calls| format!("calls {calls}")).unwrap_or_default();
    vec![
        turn.seq.to_string(),
        time::relative(context.now, turn.at),
        text("role"),
        turn.deployment.to_string(),
        one_line(turn.key.as_str(), 20),
        one_line(if content.is_empty() { &calls } else { &content }, CONTENT_CHARS),
    ]
}

fn shown(memory: &Memory, flag: &str, context: &Context) -> String {
    let rows = memory.turns.iter().map(|turn| row(turn, context)).collect();
    let next = memory.next.map(|next| next.to_string());
    with_next(table(&HEADER, rows, "nothing is remembered here"), flag, next.as_ref())
}
