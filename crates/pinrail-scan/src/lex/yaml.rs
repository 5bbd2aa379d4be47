//! YAML, line by line: enough to know the keys above a scalar. Indentation becomes brackets of no length.

use super::{Out, line_end, quoted_end};

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Map(usize),
    List(usize),
}

impl Level {
    fn column(self) -> usize {
        match self {
            Level::Map(column) | Level::List(column) => column,
        }
    }
}

struct Reader<'o, 't> {
    out: &'o mut Out<'t>,
    levels: Vec<Level>,
}

pub(super) fn lex(out: &mut Out<'_>) {
    let length = out.text.len();
    let mut at = if out.text.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let mut reader = Reader { out, levels: Vec::new() };
    while at < length {
        at = reader.line(at);
    }
    while reader.levels.pop().is_some() {
        reader.out.implied(b'}', length);
    }
}

impl Reader<'_, '_> {
    /// Reads the line that begins at `from`, with what belongs to it; says where the next one begins.
    fn line(&mut self, from: usize) -> usize {
        let text = self.out.text;
        let end = line_end(text, from);
        let mut at = blanks(text, from, end);
        if at >= end || text[at] == b'\r' {
            return end + 1;
        }
        if text[at] == b'#' {
            self.out.comment(at..end);
            return end + 1;
        }
        if text[from..end].starts_with(b"---") || text[from..end].starts_with(b"...") {
            self.close_to(0, true);
            return end + 1;
        }
        while text[at] == b'-' && text.get(at + 1).is_none_or(u8::is_ascii_whitespace) {
            self.list_item(at - from, at);
            at = blanks(text, at + 1, end);
            if at >= end {
                return end + 1;
            }
        }
        let Some((name, after)) = key(text, at, end) else { return self.value(at, end, at - from) };
        let column = at - from;
        self.map_entry(column, at);
        self.out.name(name);
        self.out.mark(after);
        let at = blanks(text, after + 1, end);
        if at >= end { end + 1 } else { self.value(at, end, column) }
    }

    /// What stands behind a key or a dash. `column` is where its owner begins: a block is indented deeper.
    fn value(&mut self, at: usize, end: usize, column: usize) -> usize {
        let text = self.out.text;
        let at = skip_marks(text, at, end);
        if at >= end {
            return end + 1;
        }
        match text[at] {
            b'#' => {
                self.out.comment(at..end);
                end + 1
            }
            b'|' | b'>' => self.block(end + 1, column),
            b'[' | b'{' => self.flow(at),
            quote @ (b'"' | b'\'') => {
                let close = quoted_end(text, at + 1, quote, quote == b'"', false).min(end);
                self.out.string(at + 1..close.max(at + 1));
                self.comment_in((close + 1).min(end), end);
                end + 1
            }
            _ => {
                let comment = memchr::memmem::find(&text[at..end], b" #").map_or(end, |length| at + length);
                let value = text[at..comment].trim_ascii_end();
                self.out.string(at..at + value.len());
                self.comment_in(comment, end);
                end + 1
            }
        }
    }

    fn comment_in(&mut self, from: usize, end: usize) {
        if let Some(length) = memchr::memchr(b'#', &self.out.text[from..end]) {
            self.out.comment(from + length..end);
        }
    }

    /// A block of text: every line that is indented deeper than its owner is a string.
    fn block(&mut self, mut from: usize, column: usize) -> usize {
        let text = self.out.text;
        while from < text.len() {
            let end = line_end(text, from);
            let at = blanks(text, from, end);
            let is_blank = text[at..end].trim_ascii().is_empty();
            if !is_blank && at - from <= column {
                return from;
            }
            if !is_blank {
                self.out.string(at..at + text[at..end].trim_ascii_end().len());
            }
            from = end + 1;
        }
        from
    }

    /// `[…]` and `{…}`, over as many lines as they take.
    fn flow(&mut self, from: usize) -> usize {
        let text = self.out.text;
        let (mut at, mut depth) = (from, 0_usize);
        while at < text.len() {
            match text[at] {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                b',' | b':' => {}
                quote @ (b'"' | b'\'') => {
                    let close = quoted_end(text, at + 1, quote, quote == b'"', true);
                    self.out.string(at + 1..close.max(at + 1));
                    at = close + 1;
                    continue;
                }
                b'#' if at > 0 && text[at - 1].is_ascii_whitespace() => {
                    let end = line_end(text, at);
                    self.out.comment(at..end);
                    at = end;
                    continue;
                }
                byte if byte.is_ascii_whitespace() => {
                    at += 1;
                    continue;
                }
                _ => {
                    at = self.flow_scalar(at);
                    continue;
                }
            }
            self.out.mark(at);
            at += 1;
            if depth == 0 {
                let end = line_end(text, at);
                self.comment_in(at, end);
                return end + 1;
            }
        }
        at
    }

    fn flow_scalar(&mut self, at: usize) -> usize {
        let text = self.out.text;
        let mut end = at;
        while end < text.len() {
            let ends_key =
                || text.get(end + 1).is_none_or(|next| next.is_ascii_whitespace() || b",]}".contains(next));
            match text[end] {
                b',' | b']' | b'}' | b'[' | b'{' | b'\n' => break,
                b':' if ends_key() => break,
                _ => end += 1,
            }
        }
        let end = end.max(at + 1);
        self.out.string(at..at + text[at..end].trim_ascii_end().len().max(1));
        end
    }

    fn list_item(&mut self, column: usize, at: usize) {
        self.close_to(column, false);
        if self.levels.last() == Some(&Level::List(column)) {
            self.out.implied(b',', at);
        } else {
            self.levels.push(Level::List(column));
            self.out.implied(b'[', at);
        }
    }

    fn map_entry(&mut self, column: usize, at: usize) {
        self.close_to(column, false);
        if self.levels.last() == Some(&Level::List(column)) {
            self.levels.pop();
            self.out.implied(b']', at);
        }
        if self.levels.last() == Some(&Level::Map(column)) {
            self.out.implied(b',', at);
        } else {
            self.levels.push(Level::Map(column));
            self.out.implied(b'{', at);
        }
    }

    /// Closes what is deeper than `column`, or everything.
    fn close_to(&mut self, column: usize, all: bool) {
        let at = self.out.all.last().map_or(0, |token| token.end as usize);
        while let Some(level) = self.levels.last().copied().filter(|level| all || level.column() > column) {
            self.levels.pop();
            self.out.implied(if matches!(level, Level::Map(_)) { b'}' } else { b']' }, at);
        }
    }
}

/// The key that a line begins with, and where its colon is.
fn key(text: &[u8], at: usize, end: usize) -> Option<(std::ops::Range<usize>, usize)> {
    if matches!(text[at], b'"' | b'\'') {
        let close = quoted_end(text, at + 1, text[at], text[at] == b'"', false);
        let colon = blanks(text, (close + 1).min(end), end);
        let is_key = colon < end && text[colon] == b':';
        return is_key.then_some((at + 1..close, colon));
    }
    if matches!(text[at], b'[' | b'{' | b'#' | b'|' | b'>') {
        return None;
    }
    let ends = |colon: usize| text.get(colon + 1).is_none_or(u8::is_ascii_whitespace);
    let colon =
        memchr::memchr_iter(b':', &text[at..end]).map(|length| at + length).find(|colon| ends(*colon))?;
    let name = text[at..colon].trim_ascii_end();
    (!name.is_empty() && !name.windows(2).any(|two| two == b" #")).then_some((at..at + name.len(), colon))
}

/// Skips `&anchor` and `!tag`.
fn skip_marks(text: &[u8], mut at: usize, end: usize) -> usize {
    while at < end && matches!(text[at], b'&' | b'!') {
        let length = text[at..end].iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
        at = blanks(text, at + length, end);
    }
    at
}

fn blanks(text: &[u8], at: usize, end: usize) -> usize {
    let at = at.min(end);
    at + text[at..end].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count()
}
