//! Programming languages, JSON, TOML and HCL: one lexer, a [`Syntax`] each.

use super::syntax::{Quote, Syntax};
use super::{Kind, Out, line_end, quoted_end};

/// The longest nesting of `${ … }` that is followed in a template.
const TEMPLATE_DEPTH_MAX: usize = 64;

pub(super) fn lex(out: &mut Out<'_>, syntax: Syntax) {
    let text = out.text;
    let mut at = if text.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let (mut section_open, mut depth) = (false, 0_usize);
    while at < text.len() {
        let byte = text[at];
        if byte.is_ascii_whitespace() {
            if byte == b'\n' && syntax.sections && depth == 0 {
                out.implied(b',', at);
            }
            at += 1;
        } else if let Some(end) = comment(text, at, syntax) {
            out.comment(at..end);
            at = end;
        } else if let Some((content, end)) = string(text, at, syntax) {
            out.string(content);
            at = end;
        } else if is_name(byte, syntax) {
            let end = name_end(text, at, syntax);
            out.name(at..end);
            at = end;
        } else if syntax.sections && byte == b'[' && depth == 0 && begins_line(text, at) {
            at = section(out, at, &mut section_open);
        } else if byte == b'/' && syntax.regexes && may_begin_regex(out) {
            at = regex_end(text, at).unwrap_or_else(|| {
                out.mark(at);
                at + 1
            });
        } else {
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            out.mark(at);
            at += 1;
        }
    }
    if section_open {
        out.implied(b'}', text.len());
    }
}

fn comment(text: &[u8], at: usize, syntax: Syntax) -> Option<usize> {
    let rest = &text[at..];
    // `#[` is an attribute in PHP; `#!` and `#` are comments wherever `#` is one.
    let line = syntax.line_comments.iter().any(|mark| rest.starts_with(mark.as_bytes()));
    if line {
        return Some(line_end(text, at));
    }
    let (open, close) = syntax.block_comments.iter().find(|(open, _)| rest.starts_with(open.as_bytes()))?;
    if open.starts_with('=') && !begins_line(text, at) {
        return None;
    }
    let inside = &rest[open.len()..];
    let length = memchr::memmem::find(inside, close.as_bytes());
    Some(length.map_or(text.len(), |length| at + open.len() + length + close.len()))
}

/// The content of the string that begins here, and where the string ends.
fn string(text: &[u8], at: usize, syntax: Syntax) -> Option<(std::ops::Range<usize>, usize)> {
    let rest = &text[at..];
    if syntax.rust
        && let Some(raw) = rust_string(text, at)
    {
        return Some(raw);
    }
    if syntax.rust && rest[0] == b'\'' && !is_char(rest) {
        return None;
    }
    let quote = syntax.quotes.iter().find(|quote| rest.starts_with(quote.open.as_bytes()))?;
    let start = at + quote.open.len();
    let end = content_end(text, start, quote);
    let closed = text[end..].starts_with(quote.close.as_bytes());
    Some((start..end, if closed { end + quote.close.len() } else { end }))
}

fn content_end(text: &[u8], start: usize, quote: &Quote) -> usize {
    if quote.code {
        return template_end(text, start);
    }
    let close = quote.close.as_bytes();
    if let [one] = close {
        return quoted_end(text, start, *one, quote.escapes, quote.lines);
    }
    let mut at = start;
    while at < text.len() {
        if text[at..].starts_with(close) {
            return at;
        }
        at += if quote.escapes && text[at] == b'\\' { 2 } else { 1 };
    }
    text.len()
}

/// Where a template ends. What stands in `${ … }` may hold templates of its own.
fn template_end(text: &[u8], start: usize) -> usize {
    let (mut at, mut braces) = (start, Vec::new());
    while at < text.len() {
        match text[at] {
            b'\\' => at += 1,
            b'`' if braces.is_empty() => return at,
            // A template inside of a template's code is skipped whole.
            b'`' if braces.len() < TEMPLATE_DEPTH_MAX => {
                at = memchr::memchr(b'`', &text[at + 1..]).map_or(text.len(), |length| at + 1 + length);
            }
            b'$' if text.get(at + 1) == Some(&b'{') && braces.len() < TEMPLATE_DEPTH_MAX => {
                braces.push(b'$');
                at += 1;
            }
            b'{' if !braces.is_empty() && braces.len() < TEMPLATE_DEPTH_MAX => braces.push(b'{'),
            b'}' => {
                braces.pop();
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// `r"…"`, `r#"…"#`, `br"…"`.
fn rust_string(text: &[u8], at: usize) -> Option<(std::ops::Range<usize>, usize)> {
    let rest = text[at..].strip_prefix(b"b").unwrap_or(&text[at..]);
    let rest = rest.strip_prefix(b"r")?;
    let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let start = text.len() - rest.len() + hashes + 1;
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let length = memchr::memmem::find(&text[start..], &close);
    let end = length.map_or(text.len(), |length| start + length);
    Some((start..end, (end + close.len()).min(text.len())))
}

/// Whether `'` begins a character and not a lifetime.
fn is_char(rest: &[u8]) -> bool {
    rest.get(1) == Some(&b'\\') || rest.iter().skip(2).take(4).any(|byte| *byte == b'\'')
}

/// `[a.b]` and `[[a.b]]` become `b: {`, closed where the next one begins.
fn section(out: &mut Out<'_>, at: usize, is_open: &mut bool) -> usize {
    let text = out.text;
    let end = line_end(text, at);
    let close = memchr::memchr(b']', &text[at..end]).map_or(end, |length| at + length);
    let inside = &text[at..close];
    let dot = memchr::memrchr(b'.', inside).map_or(0, |dot| dot + 1);
    let trimmed = inside[dot..].iter().take_while(|byte| b"[ \"'\t".contains(byte)).count();
    let start = at + dot + trimmed;
    let length = text[start..close].iter().take_while(|byte| !b" \"'\t".contains(byte)).count();
    if *is_open {
        out.implied(b'}', at);
        out.implied(b',', at);
    }
    out.name(start..start + length);
    out.implied(b':', start + length);
    out.implied(b'{', start + length);
    *is_open = true;
    close + text[close..end].iter().take_while(|byte| **byte == b']').count()
}

fn begins_line(text: &[u8], at: usize) -> bool {
    text[..at].iter().rev().take_while(|byte| **byte != b'\n').all(u8::is_ascii_whitespace)
}

fn is_name(byte: u8, syntax: Syntax) -> bool {
    byte.is_ascii_alphanumeric()
        || byte == b'_'
        || byte == b'$'
        || byte >= 0x80
        || (syntax.dashes && byte == b'-')
}

fn name_end(text: &[u8], at: usize, syntax: Syntax) -> usize {
    at + text[at..].iter().take_while(|byte| is_name(**byte, syntax)).count()
}

/// Whether a `/` here divides or begins a regular expression: it divides what a value ends with.
fn may_begin_regex(out: &Out<'_>) -> bool {
    let Some(last) = out.all.last() else { return true };
    match last.kind {
        Kind::Text | Kind::Mark(b')' | b']' | b'}') => false,
        // `<` is a tag's: `</div>`.
        Kind::Mark(mark) => mark != b'<',
        Kind::Name => {
            let name = &out.text[last.start as usize..last.end as usize];
            matches!(name, b"return" | b"case" | b"typeof" | b"in" | b"of" | b"do" | b"else")
        }
    }
}

/// Where a regular expression ends; `None` when it doesn't end on its line.
fn regex_end(text: &[u8], at: usize) -> Option<usize> {
    let (mut here, mut class) = (at + 1, false);
    while let Some(byte) = text.get(here) {
        match byte {
            b'\n' => return None,
            b'\\' => here += 1,
            b'[' => class = true,
            b']' => class = false,
            b'/' if !class => return Some(here + 1),
            _ => {}
        }
        here += 1;
    }
    None
}
