//! Reads a text far enough to tell strings from comments, and what stands around a string.
//!
//! Every language gives the same kind of [`Tokens`]: names, strings, single characters. Formats whose structure is in
//! their indentation or in headers (YAML, TOML) get brackets of no length, so that whoever looks at tokens sees a tree
//! everywhere. A string that isn't closed ends with its line where the language says so, so one mistake, here or in the
//! file, costs a line and not the rest of the file.

mod code;
mod lines;
mod shell;
mod syntax;
mod yaml;

use std::ops::Range;

use crate::language::Language;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name, a keyword or a number.
    Name,
    /// The content of a string, without its quotes.
    Text,
    /// One character of punctuation.
    Mark(u8),
}

/// A piece of the text. Structure that isn't written has no length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub start: u32,
    pub end: u32,
}

/// A text in tokens, and its comments.
#[derive(Debug)]
pub struct Tokens<'t> {
    pub text: &'t [u8],
    pub all: Vec<Token>,
    pub comments: Vec<Range<usize>>,
    /// Per token the bracket that it stands in, or [`NONE`].
    pub within: Vec<u32>,
    /// Per bracket its other half, or [`NONE`].
    pub pair: Vec<u32>,
}

/// No token.
pub const NONE: u32 = u32::MAX;

/// Reads a text as a language. Notebooks are taken apart elsewhere; their cells come here.
#[must_use]
pub fn lex(text: &[u8], language: Language) -> Tokens<'_> {
    let mut out = Out::new(text);
    match language {
        Language::Yaml => yaml::lex(&mut out),
        Language::Lines => lines::lex(&mut out),
        Language::Shell | Language::Dockerfile => shell::lex(&mut out),
        Language::Python
        | Language::JavaScript
        | Language::Go
        | Language::Java
        | Language::Kotlin
        | Language::CSharp
        | Language::Ruby
        | Language::Rust
        | Language::Php
        | Language::Braces
        | Language::Hashes
        | Language::Json
        | Language::Toml
        | Language::Terraform
        | Language::Notebook => code::lex(&mut out, syntax::of(language)),
    }
    out.finish()
}

impl<'t> Tokens<'t> {
    /// The bytes of a token.
    #[must_use]
    pub fn bytes(&self, index: usize) -> &'t [u8] {
        self.all.get(index).map_or(&[], |token| &self.text[token.start as usize..token.end as usize])
    }

    /// The bytes of a token as text; other encodings get replacement characters.
    #[must_use]
    pub fn str(&self, index: usize) -> std::borrow::Cow<'t, str> {
        String::from_utf8_lossy(self.bytes(index))
    }

    #[must_use]
    pub fn kind(&self, index: usize) -> Option<Kind> {
        self.all.get(index).map(|token| token.kind)
    }

    #[must_use]
    pub fn is_mark(&self, index: usize, mark: u8) -> bool {
        self.kind(index) == Some(Kind::Mark(mark))
    }

    #[must_use]
    pub fn is_text(&self, index: usize) -> bool {
        self.kind(index) == Some(Kind::Text)
    }

    #[must_use]
    pub fn is_name(&self, index: usize) -> bool {
        self.kind(index) == Some(Kind::Name)
    }

    /// The string that holds an offset.
    #[must_use]
    pub fn text_at(&self, offset: usize) -> Option<usize> {
        let after = self.all.partition_point(|token| token.start as usize <= offset);
        let index = (0..after).rev().take(3).find(|index| self.all[*index].end as usize > offset)?;
        self.is_text(index).then_some(index)
    }

    /// The bracket that a token stands in.
    #[must_use]
    pub fn opener(&self, index: usize) -> Option<usize> {
        self.within.get(index).copied().filter(|at| *at != NONE).map(|at| at as usize)
    }

    /// The other half of a bracket.
    #[must_use]
    pub fn other_half(&self, index: usize) -> Option<usize> {
        self.pair.get(index).copied().filter(|at| *at != NONE).map(|at| at as usize)
    }

    /// Whether a line ends between two offsets.
    #[must_use]
    pub fn breaks(&self, from: u32, to: u32) -> bool {
        from < to && memchr::memchr(b'\n', &self.text[from as usize..to as usize]).is_some()
    }
}

/// Where lexers write.
struct Out<'t> {
    text: &'t [u8],
    all: Vec<Token>,
    comments: Vec<Range<usize>>,
}

impl<'t> Out<'t> {
    fn new(text: &'t [u8]) -> Out<'t> {
        Out { text, all: Vec::with_capacity(text.len() / 6), comments: Vec::new() }
    }

    fn push(&mut self, kind: Kind, range: Range<usize>) {
        let offset = |at: usize| u32::try_from(at).unwrap_or(NONE);
        self.all.push(Token { kind, start: offset(range.start), end: offset(range.end) });
    }

    fn name(&mut self, range: Range<usize>) {
        self.push(Kind::Name, range);
    }

    fn string(&mut self, range: Range<usize>) {
        self.push(Kind::Text, range);
    }

    fn mark(&mut self, at: usize) {
        self.push(Kind::Mark(self.text[at]), at..at + 1);
    }

    /// Structure that isn't written.
    fn implied(&mut self, mark: u8, at: usize) {
        self.push(Kind::Mark(mark), at..at);
    }

    fn comment(&mut self, range: Range<usize>) {
        self.comments.push(range);
    }

    /// Finds which brackets belong together. One that closes nothing is left alone.
    fn finish(self) -> Tokens<'t> {
        let Out { text, all, comments } = self;
        let (mut within, mut pair) = (vec![NONE; all.len()], vec![NONE; all.len()]);
        let mut open: Vec<(u32, u8)> = Vec::new();
        for (index, token) in all.iter().enumerate() {
            let here = u32::try_from(index).unwrap_or(NONE);
            let closes = match token.kind {
                Kind::Mark(b')') => b'(',
                Kind::Mark(b']') => b'[',
                Kind::Mark(b'}') => b'{',
                Kind::Mark(_) | Kind::Name | Kind::Text => 0,
            };
            // What was left open inside of it is closed with it.
            if closes != 0
                && let Some(depth) = open.iter().rposition(|(_, mark)| *mark == closes)
            {
                pair[open[depth].0 as usize] = here;
                pair[index] = open[depth].0;
                open.truncate(depth);
            }
            within[index] = open.last().map_or(NONE, |(at, _)| *at);
            if let Kind::Mark(mark @ (b'(' | b'[' | b'{')) = token.kind {
                open.push((here, mark));
            }
        }
        Tokens { text, all, comments, within, pair }
    }
}

/// Where the line ends that `at` is in: before its line feed.
fn line_end(text: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length)
}

/// Where a backslash-escaped string ends: at `quote`, or at the end of the line if it may not go on, or of the text.
fn quoted_end(text: &[u8], mut at: usize, quote: u8, escapes: bool, may_go_on: bool) -> usize {
    while at < text.len() {
        match text[at] {
            byte if byte == quote => return at,
            b'\\' if escapes => at += 1,
            b'\n' if !may_go_on => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests;
