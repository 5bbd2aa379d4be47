//! `.env`, `.properties` and `.ini`: a name, `=` or `:`, and a value on each line.

use super::{Out, line_end, quoted_end};

pub(super) fn lex(out: &mut Out<'_>) {
    let text = out.text;
    let mut at = if text.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    while at < text.len() {
        let end = line_end(text, at);
        line(out, at, end);
        out.implied(b',', end);
        at = end + 1;
    }
}

fn line(out: &mut Out<'_>, from: usize, end: usize) {
    let text = out.text;
    let mut at = skip_blanks(text, from, end);
    if at == end {
        return;
    }
    if matches!(text[at], b'#' | b';' | b'!') {
        out.comment(at..end);
        return;
    }
    if text[at..end].starts_with(b"export ") {
        at = skip_blanks(text, at + b"export ".len(), end);
    }
    let Some(length) = text[at..end].iter().position(|byte| matches!(byte, b'=' | b':')) else { return };
    let sign = at + length;
    out.name(at..at + text[at..sign].trim_ascii_end().len());
    out.mark(sign);
    let start = skip_blanks(text, sign + 1, end);
    if start == end {
        return;
    }
    if matches!(text[start], b'"' | b'\'') {
        let close = quoted_end(text, start + 1, text[start], text[start] == b'"', false).min(end);
        out.string(start + 1..close.max(start + 1));
        if let Some(length) = memchr::memchr(b'#', &text[close..end]) {
            out.comment(close + length..end);
        }
        return;
    }
    let comment = memchr::memmem::find(&text[start..end], b" #").map(|length| start + length + 1);
    let value = text[start..comment.unwrap_or(end)].trim_ascii_end();
    out.string(start..start + value.len());
    if let Some(comment) = comment {
        out.comment(comment..end);
    }
}

fn skip_blanks(text: &[u8], at: usize, end: usize) -> usize {
    at + text[at..end].iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}
