//! Notebooks: the code cells of a `.ipynb` file, and where their text stands in the file.

use std::ops::Range;

use crate::language::Language;
use crate::lex::{Tokens, lex};

/// The source of a code cell.
#[derive(Debug)]
pub struct CodeCell {
    /// Its place among all cells, from 1.
    pub number: u32,
    pub language: Language,
    pub text: Vec<u8>,
    /// Where pieces of the text stand in the file: the offset in the text, the offset in the file.
    pieces: Vec<(usize, usize)>,
}

impl CodeCell {
    /// Where an offset of the text stands in the file.
    #[must_use]
    pub fn in_file(&self, at: usize) -> usize {
        let piece = self.pieces.partition_point(|(start, _)| *start <= at).saturating_sub(1);
        self.pieces.get(piece).map_or(0, |(start, file)| file + (at - start))
    }

    /// Where a range stands in the file, if it is written there as it is here: no escape inside.
    #[must_use]
    pub fn range_in_file(&self, range: &Range<usize>, file: &[u8]) -> Option<Range<usize>> {
        let start = self.in_file(range.start);
        let there = start..start + range.len();
        (file.get(there.clone()) == self.text.get(range.clone())).then_some(there)
    }
}

/// The code cells of a notebook; none when it isn't one.
#[must_use]
pub fn code_cells(file: &[u8]) -> Vec<CodeCell> {
    let tokens = lex(file, Language::Json);
    let Some(root) = (0..tokens.all.len()).find(|at| tokens.is_mark(*at, b'{')) else { return Vec::new() };
    let Some(list) = value(&tokens, root, b"cells").filter(|at| tokens.is_mark(*at, b'[')) else {
        return Vec::new();
    };
    let language = language(file);
    let end = tokens.other_half(list).unwrap_or(tokens.all.len());
    let cells = (list + 1..end).filter(|at| tokens.is_mark(*at, b'{') && tokens.opener(*at) == Some(list));
    let mut found = Vec::new();
    for (open, number) in cells.zip(1..) {
        let is_code = value(&tokens, open, b"cell_type").is_some_and(|at| tokens.bytes(at) == b"code");
        // Version 3 calls the source of a cell `input`.
        let source = value(&tokens, open, b"source").or_else(|| value(&tokens, open, b"input"));
        if let Some(source) = source.filter(|_| is_code) {
            found.push(cell(&tokens, source, number, language));
        }
    }
    found
}

/// The token behind a key that stands directly in an object.
fn value(tokens: &Tokens<'_>, open: usize, key: &[u8]) -> Option<usize> {
    let end = tokens.other_half(open).unwrap_or(tokens.all.len());
    let mut at = open + 1;
    while at < end {
        if tokens.is_text(at) && tokens.is_mark(at + 1, b':') && tokens.bytes(at) == key {
            return (at + 2 < end).then_some(at + 2);
        }
        at = tokens.other_half(at).filter(|close| *close > at).unwrap_or(at) + 1;
    }
    None
}

fn cell(tokens: &Tokens<'_>, source: usize, number: u32, language: Language) -> CodeCell {
    let mut cell = CodeCell { number, language, text: Vec::new(), pieces: Vec::new() };
    let end = if tokens.is_text(source) { source + 1 } else { tokens.other_half(source).unwrap_or(source) };
    for at in (source..end).filter(|at| tokens.is_text(*at)) {
        cell.add(tokens.text, tokens.all[at].start as usize..tokens.all[at].end as usize);
    }
    cell.language = of_magic(&cell.text).unwrap_or(language);
    cell
}

impl CodeCell {
    /// Adds the content of a JSON string, its escapes undone.
    fn add(&mut self, file: &[u8], range: Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            let plain = memchr::memchr(b'\\', &file[at..range.end]).unwrap_or(range.end - at);
            if plain > 0 {
                self.pieces.push((self.text.len(), at));
                self.text.extend_from_slice(&file[at..at + plain]);
                at += plain;
                continue;
            }
            self.pieces.push((self.text.len(), at));
            let (byte, length) = match file.get(at + 1) {
                Some(b'n') => (b'\n', 2),
                Some(b't') => (b'\t', 2),
                Some(b'r') => (b'\r', 2),
                // No id holds such a character.
                Some(b'u') => (b'?', 6),
                Some(other) => (*other, 2),
                None => (b'\\', 1),
            };
            self.text.push(byte);
            at += length;
        }
    }
}

fn language(file: &[u8]) -> Language {
    let says =
        |name: &str| memchr::memmem::find(file, format!("\"language\": \"{name}\"").as_bytes()).is_some();
    if says("javascript") || says("typescript") {
        Language::JavaScript
    } else if says("csharp") || says("C#") {
        Language::CSharp
    } else if says("rust") {
        Language::Rust
    } else {
        Language::Python
    }
}

fn of_magic(text: &[u8]) -> Option<Language> {
    let word = text.trim_ascii_start().strip_prefix(b"%%")?;
    let word = &word[..word.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count()];
    match word {
        b"bash" | b"sh" | b"script" | b"cmd" => Some(Language::Shell),
        b"javascript" | b"js" => Some(Language::JavaScript),
        b"ruby" => Some(Language::Ruby),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_cells_are_read_and_their_text_is_found_in_the_file() {
        let file = br##"{"cells": [{"cell_type": "markdown", "source": ["model=\"gpt-4o\""]},
            {"cell_type": "code", "metadata": {"source": 1}, "source": ["# \u00e9\n", "llm = X(model=\"gpt-4o\")"]},
            {"cell_type": "code", "source": "%%bash\necho hi"}]}"##;
        let cells = code_cells(file);
        assert_eq!(cells.iter().map(|cell| cell.number).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(cells[0].text, b"# ?\nllm = X(model=\"gpt-4o\")");
        assert_eq!((cells[0].language, cells[1].language), (Language::Python, Language::Shell));
        let at = memchr::memmem::find(&cells[0].text, b"gpt-4o").unwrap();
        let there = cells[0].range_in_file(&(at..at + 6), file).unwrap();
        assert_eq!(&file[there.clone()], b"gpt-4o");
        assert!(there.start > 150);
        assert!(code_cells(b"[]").is_empty());
        assert!(code_cells(b"{\"cells\": 1}").is_empty());
        assert!(code_cells(b"{\"cells\": [{\"cell_type\": \"code\", \"source\": [").len() < 2);
    }
}
