//! Tells the story: chapters, sentences, and below them what moves just now.
//!
//! In a terminal the sentences come at reading pace and the live area is drawn below them. Elsewhere there are only the
//! sentences; with `--json` each is one object with the facts that it rests on.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::halt::Halt;
use crate::config;
use crate::output::{Output, clean, one_line};

/// Who listens, and how fast it goes.
pub struct Teller {
    form: Form,
    halt: Halt,
    /// Whether it stops for as long as reading takes.
    paced: bool,
    columns: usize,
    colours: bool,
    live: Option<ProgressBar>,
    chapter: u8,
    url: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Terminal,
    Plain,
    Json,
}

/// Narrower than this, lines are cut instead of squeezed.
const COLUMNS_MIN: usize = 60;
/// Wider lines are hard to read.
const COLUMNS_MAX: usize = 100;
const COLUMNS_DEFAULT: usize = 90;
/// How long a sentence stays: for looking at it, and for each of its characters.
const LOOK_MS: u64 = 350;
const CHARACTER_MS: u64 = 15;
const HEADING_MS: u64 = 900;
const BOLD: &str = "1";
const DIM: &str = "2";
const GOOD: &str = "32";
const BLUE: &str = "1;36";

impl Teller {
    pub fn new(json: bool, paced: bool, url: &str, halt: Halt) -> Teller {
        let terminal = io::stdout().is_terminal();
        let form = match (json, terminal) {
            (true, _) => Form::Json,
            (false, true) => Form::Terminal,
            (false, false) => Form::Plain,
        };
        let columns = if form == Form::Terminal { columns() } else { COLUMNS_DEFAULT };
        let colours = form == Form::Terminal && !config::no_colour();
        Teller { form, halt, paced, columns, colours, live: None, chapter: 0, url: url.to_owned() }
    }

    /// How wide a line may be.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether anybody sees the live area.
    pub fn is_live(&self) -> bool {
        self.form == Form::Terminal
    }

    /// Begins a chapter.
    pub fn chapter(&mut self, number: u8, title: &str) -> anyhow::Result<()> {
        self.hide();
        self.chapter = number;
        if self.form == Form::Json {
            return self.object("chapter", title, json!({}));
        }
        let rule = "─".repeat(self.columns.saturating_sub(title.chars().count() + 6));
        let heading =
            format!("\n{} {}\n", self.paint(BLUE, &format!("{number}  {title}")), self.paint(DIM, &rule));
        self.print(&heading)?;
        self.wait(HEADING_MS)
    }

    /// Says a sentence; `facts` are what it rests on, for programs.
    pub fn say(&mut self, step: &str, sentence: &str, facts: Value) -> anyhow::Result<()> {
        if self.form == Form::Json {
            return self.object(step, sentence, facts);
        }
        let mut text = String::new();
        for line in wrapped(&clean(sentence), self.columns - 2) {
            text.push_str(&format!("  {line}\n"));
        }
        self.print(&text)?;
        self.wait(LOOK_MS + CHARACTER_MS * sentence.chars().count() as u64)
    }

    /// As [`Self::say`], for what was proven.
    pub fn proven(&mut self, step: &str, sentence: &str, facts: Value) -> anyhow::Result<()> {
        if self.form == Form::Json {
            return self.object(step, sentence, facts);
        }
        let mut text = String::new();
        for (n, line) in wrapped(&clean(sentence), self.columns - 4).iter().enumerate() {
            let mark = if n == 0 { self.paint(GOOD, "✓") } else { " ".to_owned() };
            text.push_str(&format!("  {mark} {line}\n"));
        }
        self.print(&text)?;
        self.wait(LOOK_MS + CHARACTER_MS * sentence.chars().count() as u64)
    }

    /// Shows lines of who said what, aligned.
    pub fn lines(&mut self, rows: &[(&str, String)]) -> anyhow::Result<()> {
        if self.form == Form::Json {
            return Ok(());
        }
        let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default();
        let room = self.columns.saturating_sub(width + 6);
        let mut text = String::new();
        for (label, said) in rows {
            let pad = " ".repeat(width - label.chars().count());
            let said = one_line(&clean(said), room);
            text.push_str(&format!("    {}{pad}  {said}\n", self.paint(DIM, label)));
        }
        self.print(&text)?;
        self.wait(LOOK_MS * 4)
    }

    /// Says where the dashboard shows it.
    pub fn look(&mut self, path: &str) -> anyhow::Result<()> {
        if self.form == Form::Json {
            return Ok(());
        }
        let text = format!("  {} {}{path}\n", self.paint(DIM, "in the dashboard:"), self.url);
        self.print(&text)?;
        self.wait(LOOK_MS)
    }

    /// Shows commands and what they are for.
    pub fn commands(&mut self, rows: &[(String, &str)]) -> anyhow::Result<()> {
        if self.form == Form::Json {
            return Ok(());
        }
        let width = rows.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
        let room = self.columns.saturating_sub(width + 6);
        let mut text = String::from("\n");
        for (command, what) in rows {
            let pad = " ".repeat(width - command.chars().count());
            let what = one_line(what, room);
            text.push_str(&format!("    {}{pad}  {what}\n", self.paint(BOLD, command)));
        }
        self.print(&text)
    }

    /// Draws what moves just now, in place of what was drawn before.
    pub fn show(&mut self, lines: &[String]) {
        if self.form != Form::Terminal {
            return;
        }
        let cut: Vec<String> = lines.iter().map(|line| one_line(line, self.columns - 1)).collect();
        let live = self.live.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
            bar.with_style(
                ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
        });
        live.set_message(cut.join("\n"));
    }

    /// Takes away what was drawn.
    pub fn hide(&mut self) {
        if let Some(live) = self.live.take() {
            live.finish_and_clear();
        }
    }

    /// Waits as long as it takes to see something, where anybody reads along.
    pub fn wait(&self, ms: u64) -> anyhow::Result<()> {
        if self.paced {
            self.halt.pause(ms)?;
        }
        Ok(self.halt.check()?)
    }

    /// Says, to programs alone, that it is over.
    pub fn ended(&mut self, step: &str, facts: Value) -> anyhow::Result<()> {
        self.hide();
        if self.form == Form::Json { self.object(step, "", facts) } else { Ok(()) }
    }

    fn object(&self, step: &str, sentence: &str, facts: Value) -> anyhow::Result<()> {
        let mut object = json!({ "chapter": self.chapter, "step": step, "sentence": sentence });
        if let (Some(object), Value::Object(facts)) = (object.as_object_mut(), facts) {
            object.extend(facts);
        }
        self.print(&format!("{object}\n"))?;
        Ok(self.halt.check()?)
    }

    fn print(&self, text: &str) -> anyhow::Result<()> {
        let out = Output::new(self.form == Form::Json);
        let written = match &self.live {
            Some(live) => live.suspend(|| out.styled(text)),
            None => out.styled(text),
        };
        Ok(written?)
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

impl Drop for Teller {
    /// What was drawn is taken away, however the story ends.
    fn drop(&mut self) {
        self.hide();
    }
}

/// The terminal's width, within reason.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
    if size == 0 { COLUMNS_DEFAULT } else { size.clamp(COLUMNS_MIN, COLUMNS_MAX) }
}

/// A text in lines of at most `width` characters, where its words allow it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a first line");
        let long = line.chars().count() + 1 + word.chars().count() > width;
        if line.is_empty() {
            line.push_str(word);
        } else if long {
            lines.push(word.to_owned());
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("http://127.0.0.1:7070/deployments is long", 10).len(), 2);
        assert_eq!(wrapped("", 7), [""]);
    }
}
