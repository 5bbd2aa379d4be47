//! What people and programs see: stdout is data, stderr is talk, and nothing relies on colour.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::client::Reply;
use crate::config;

pub mod diff;
pub mod event;
pub mod money;
pub mod progress;
pub mod spark;
pub mod table;
pub mod time;

/// Where answers go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

/// Nobody reads stdout, or it can't be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to stdout")]
pub struct Closed(#[source] io::Error);

impl Output {
    pub fn new(json: bool) -> Output {
        Output { json }
    }

    /// Whether a program reads.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Shows an answer: its JSON as it came, or what `human` makes of it.
    pub fn reply<T>(self, reply: &Reply<T>, human: impl FnOnce(&T) -> String) -> Result<(), Closed> {
        if self.json { print(reply.raw.get()) } else { print(&clean(&human(&reply.value))) }
    }

    /// Shows what this process itself found out.
    pub fn value(self, value: &impl Serialize, human: impl FnOnce() -> String) -> Result<(), Closed> {
        if self.json {
            print(&serde_json::to_string(value).expect("a value of ours is JSON"))
        } else {
            print(&clean(&human()))
        }
    }

    /// Shows a text that is data for programs and people alike.
    pub fn data(self, text: &str) -> Result<(), Closed> {
        print(text)
    }

    /// Shows a text that carries its own colours; whoever made it has cleaned what is not its own.
    pub fn styled(self, text: &str) -> Result<(), Closed> {
        print(text)
    }

    /// Whether stdout is a terminal that may be coloured.
    pub fn colours(self) -> bool {
        !self.json && io::stdout().is_terminal() && !config::no_colour()
    }
}

/// Says something that is not data.
pub fn talk(text: &str) {
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(io::stderr().lock(), "{}", clean(text));
}

/// Takes out what would steer a terminal: texts come from models, callers and other people.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{FFFD}' } else { c }).collect()
}

/// A text on one line of at most `chars_max` characters.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let flat = text.replace(['\n', '\r', '\t'], " ");
    if flat.chars().count() <= chars_max {
        return flat;
    }
    let mut cut: String = flat.chars().take(chars_max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

fn print(text: &str) -> Result<(), Closed> {
    let mut stdout = io::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    write!(stdout, "{text}{end}").and_then(|()| stdout.flush()).map_err(Closed)
}
