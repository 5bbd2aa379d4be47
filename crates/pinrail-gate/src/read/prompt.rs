//! What is asked: a suite's prompt, or a test's turns.

use std::rc::Rc;

use serde_json::{Value, json};

use super::context::{Reading, extension};
use super::node::Node;
use super::options::Options;
use super::table::Table;
use super::value::{self, Depth};
use super::vars::{self, Vars};
use super::{Place, json as json_file, sources, yaml};
use crate::suite::Turn;

/// A suite's prompt.
#[derive(Clone, Debug)]
pub enum Prompt {
    /// None is given: the variable that is there to be asked.
    Default,
    /// One user message.
    Text(String, Place),
    /// Chat messages.
    Chat(Value, Place),
}

/// The variables that are asked where there is no prompt.
const ASKED: [&str; 5] = ["input", "question", "query", "message", "prompt"];

/// Reads `prompts`.
pub fn read(table: &Table<'_, '_>) -> Prompt {
    let place = table.place("prompts");
    let Some(node) = table.get("prompts") else { return Prompt::Default };
    let is_chat = node.list().is_some_and(|items| items.iter().any(is_message));
    let one = match node.list() {
        Some(items) if !is_chat => {
            if items.len() > 1 {
                let what = format!(
                    "lists {} prompts; a suite has one, as a gate compares releases and not prompts: \
                     write a suite for each, or put the prompt into the release",
                    items.len()
                );
                table.fault("prompts", &what);
            }
            items.first()
        }
        Some(_) | None => Some(node),
    };
    let Some(one) = one else { return Prompt::Default };
    from_node(table.reading, one, is_chat, &place).unwrap_or(Prompt::Default)
}

fn from_node(reading: &Reading<'_>, node: &Node, is_chat: bool, place: &Place) -> Option<Prompt> {
    if is_chat {
        return Some(Prompt::Chat(node.json(), place.clone()));
    }
    if let Some(text) = node.text() {
        let path = text.strip_prefix("file://").or_else(|| Some(text).filter(|text| is_path(text)));
        return match path {
            Some(path) => from_file(reading, path, place),
            None => Some(from_text(text, place)),
        };
    }
    let key = &place.key;
    let table = Table::open(reading, node, key)?;
    let (raw, id) = (table.text("raw"), table.text("id"));
    let _ = table.text("label");
    table.close(&[
        ("function", "a suite runs no code while it is read: write the prompt down"),
        ("config", "parameters are the release's"),
    ]);
    match (raw, id) {
        (Some(raw), _) => Some(from_text(&raw, place)),
        (None, Some(id)) => from_file(reading, id.strip_prefix("file://").unwrap_or(&id), place),
        (None, None) => {
            table.fault_here("must be a text, a file, or a list of chat messages");
            None
        }
    }
}

/// A text that promptfoo would take for a file.
fn is_path(text: &str) -> bool {
    !text.contains(['\n', ' ', '{'])
        && ["txt", "md", "json", "yaml", "yml", "j2"].contains(&extension(text).as_str())
}

fn from_file(reading: &Reading<'_>, path: &str, place: &Place) -> Option<Prompt> {
    let refuse = |what: &str| {
        reading.fault(&place.at, &place.key, &format!("names {path}, which {what}"));
        None
    };
    let paths = sources::paths(reading, path, place)?;
    let [path] = paths.as_slice() else {
        return refuse("are several prompts; a suite has one: write a suite for each");
    };
    match extension(path).as_str() {
        "txt" | "md" | "j2" | "json" | "yaml" | "yml" | "" => {}
        "js" | "cjs" | "mjs" | "ts" | "py" | "sh" | "rb" => {
            return refuse(
                "is a program; a suite runs no code while it is read: write down the prompt that it gives",
            );
        }
        _ => return refuse("is no prompt: .txt, .md, .j2, .json and .yaml are"),
    }
    let text = match reading.text(path) {
        Ok(text) => text,
        Err(what) => return refuse(&what),
    };
    if extension(path) == "txt" && text.lines().any(|line| line.trim() == "---") {
        return refuse("holds several prompts, parted by `---`; a suite has one: write a suite for each");
    }
    Some(from_text(&text, place))
}

fn from_text(text: &str, place: &Place) -> Prompt {
    match chat(text) {
        Some(messages) => Prompt::Chat(messages, place.clone()),
        None => Prompt::Text(text.to_owned(), place.clone()),
    }
}

/// A text that is a list of chat messages, in JSON or YAML.
fn chat(text: &str) -> Option<Value> {
    let file: Rc<str> = Rc::from("");
    let trimmed = text.trim_start();
    let node = if trimmed.starts_with('[') {
        json_file::read(text, &file, 0).ok()?
    } else if trimmed.starts_with("- role:") {
        yaml::read(text, &file).ok()?
    } else {
        return None;
    };
    let items = node.list()?;
    (!items.is_empty() && items.iter().all(is_message)).then(|| node.json())
}

fn is_message(node: &Node) -> bool {
    node.map().is_some_and(|entries| entries.iter().any(|entry| entry.key == "role"))
}

impl Prompt {
    /// The messages of a case.
    pub fn messages(
        &self,
        reading: &Reading<'_>,
        vars: &Vars,
        options: &Options,
        test: &Place,
    ) -> Option<Vec<Value>> {
        let around = |text: &str| {
            let prefix = options.prefix.as_deref().unwrap_or_default();
            let suffix = options.suffix.as_deref().unwrap_or_default();
            format!("{prefix}{text}{suffix}")
        };
        match self {
            Prompt::Default => {
                let name = asked(reading, vars, test)?;
                let text = around(&format!("{{{{ {name} }}}}"));
                Some(vec![user(value::fill_text(reading, &text, (vars, test))?)])
            }
            Prompt::Text(text, place) => {
                let text = value::fill_text(reading, &around(text), (vars, place))?;
                match chat(&text) {
                    Some(messages) => messages_of(reading, messages, place),
                    None => Some(vec![user(text)]),
                }
            }
            Prompt::Chat(messages, place) => {
                let mut messages = messages.clone();
                if options.prefix.is_some() || options.suffix.is_some() {
                    let last = messages.as_array_mut().and_then(|items| items.last_mut());
                    let content = last.and_then(|message| message.get_mut("content"));
                    match content {
                        Some(Value::String(text)) => *text = around(text),
                        Some(_) | None => {
                            reading.fault(
                                &test.at,
                                &test.key,
                                "has a prefix or suffix, and the last message is no text",
                            );
                        }
                    }
                }
                let filled = value::fill(reading, &messages, Depth::All, (vars, place))?;
                messages_of(reading, filled, place)
            }
        }
    }
}

fn asked(reading: &Reading<'_>, vars: &Vars, test: &Place) -> Option<&'static str> {
    let there: Vec<&str> = ASKED.into_iter().filter(|name| vars.values.contains_key(*name)).collect();
    match there.as_slice() {
        [one] => Some(*one),
        names if names.contains(&"prompt") => Some("prompt"),
        names => {
            let found = if names.is_empty() { "none".to_owned() } else { names.join(" and ") };
            let what = format!(
                "asks nothing: give the suite `prompts`, the test `turns`, or exactly one of the vars {}; it has {found}",
                ASKED.join(", ")
            );
            reading.fault(&test.at, &test.key, &what);
            None
        }
    }
}

/// Chat messages, checked.
pub fn messages_of(reading: &Reading<'_>, value: Value, place: &Place) -> Option<Vec<Value>> {
    const ROLES: [&str; 5] = ["user", "assistant", "system", "developer", "tool"];
    let refuse = |what: &str| {
        reading.fault(&place.at, &place.key, what);
        None
    };
    let Value::Array(messages) = value else { return refuse("must be a list of chat messages") };
    if messages.is_empty() {
        return refuse("must hold at least one message");
    }
    for message in &messages {
        let role = message.get("role").and_then(Value::as_str);
        if !role.is_some_and(|role| ROLES.contains(&role)) {
            return refuse(&format!("holds a message whose role is none of {}", ROLES.join(", ")));
        }
        if matches!(role, Some("system" | "developer")) {
            reading.warn(format!(
                "{place} has a {} message; the release's own prompt is sent as well",
                role.unwrap_or_default()
            ));
        }
        let content = message.get("content");
        let has_content = content.is_some_and(|content| content.is_string() || content.is_array());
        if !has_content && message.get("tool_calls").is_none() {
            return refuse("holds a message without content: a text, or a list of parts");
        }
    }
    Some(messages)
}

/// One message of a user.
pub fn user(text: String) -> Value {
    json!({ "role": "user", "content": text })
}

/// A turn as it is written.
#[derive(Clone, Debug)]
pub struct WrittenTurn {
    messages: Value,
    depth: Depth,
    asserts: Vec<Rc<super::assertion::Written>>,
    place: Place,
}

/// Reads `turns`.
pub fn turns(table: &Table<'_, '_>, templates: &super::assertion::Templates<'_>) -> Option<Vec<WrittenTurn>> {
    let items = table.list("turns")?;
    if items.is_empty() {
        table.fault("turns", "must hold at least one turn");
    }
    Some(items.iter().filter_map(|(node, key)| turn(table.reading, node, key, templates)).collect())
}

fn turn(
    reading: &Reading<'_>,
    node: &Node,
    key: &str,
    templates: &super::assertion::Templates<'_>,
) -> Option<WrittenTurn> {
    let here = Place { at: node.at.clone(), key: key.to_owned() };
    let said = |text: &str, place: Place| {
        let (text, depth) = match text.strip_prefix("file://") {
            Some(path) => {
                let content = vars::content(reading, path, &place)?;
                (content.as_str().map_or_else(|| content.to_string(), str::to_owned), Depth::None)
            }
            None => (text.to_owned(), Depth::All),
        };
        Some(WrittenTurn { messages: json!([user(text)]), depth, asserts: Vec::new(), place })
    };
    if let Some(text) = node.text() {
        return said(text, here);
    }
    let table = Table::open(reading, node, key)?;
    let asserts = super::assertion::read_list(&table, "assert", templates);
    let (text, messages) = (table.text("user"), table.get("messages"));
    table.close(&[
        ("assistant", "the agent answers by itself; `messages` may put words into its mouth"),
        ("content", "write `user: …`"),
        ("role", "write `user: …`, or `messages` with roles"),
    ]);
    let turn = match (text, messages) {
        (Some(text), None) => said(&text, table.place("user")),
        (None, Some(messages)) => {
            let place = table.place("messages");
            Some(WrittenTurn { messages: messages.json(), depth: Depth::All, asserts: Vec::new(), place })
        }
        (Some(_), Some(_)) => {
            table.fault_here("has `user` and `messages`: it is one or the other");
            None
        }
        (None, None) => {
            table.fault_here("says nothing: write `user: …` or `messages`");
            None
        }
    };
    Some(WrittenTurn { asserts, ..turn? })
}

impl WrittenTurn {
    /// The turn of one case.
    pub fn fill(&self, reading: &Reading<'_>, vars: &Vars) -> Option<Turn> {
        let messages = value::fill(reading, &self.messages, self.depth, (vars, &self.place))?;
        let asserts = self.asserts.iter().map(|written| written.fill(reading, vars));
        Some(Turn {
            messages: messages_of(reading, messages, &self.place)?,
            asserts: asserts.collect::<Option<Vec<_>>>()?,
        })
    }
}
