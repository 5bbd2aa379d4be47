//! Shell scripts and Dockerfiles: words, `NAME=value`, quotes, comments.
//!
//! Each word is a string, as every word may be an argument. `NAME=value` is a name, `=` and a string. A word in quotes
//! that `:` or `,` follows is a piece of JSON in a here-document, and its `:` is a mark.

use super::{Out, line_end, quoted_end};

pub(super) fn lex(out: &mut Out<'_>) {
    let text = out.text;
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        match byte {
            b'\n' => {
                out.implied(b';', at);
                at += 1;
            }
            b'\\' => at += 2,
            b'#' => {
                let end = line_end(text, at);
                out.comment(at..end);
                at = end;
            }
            b'"' | b'\'' => at = quoted(out, at),
            b';' | b'|' | b'&' | b'(' | b')' | b'<' | b'>' | b'[' | b']' | b',' | b'{' | b'}' | b':' => {
                out.mark(at);
                at += 1;
            }
            _ if byte.is_ascii_whitespace() => at += 1,
            _ => at = word(out, at),
        }
    }
}

fn quoted(out: &mut Out<'_>, at: usize) -> usize {
    let text = out.text;
    let close = quoted_end(text, at + 1, text[at], text[at] == b'"', true);
    out.string(at + 1..close.max(at + 1));
    (close + 1).min(text.len())
}

/// A bare word up to a blank; `NAME=` in front of it, or of a quoted one, is a name.
fn word(out: &mut Out<'_>, at: usize) -> usize {
    let text = out.text;
    let named = text[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    if named > 0 && text.get(at + named) == Some(&b'=') {
        out.name(at..at + named);
        out.mark(at + named);
        let value = at + named + 1;
        return match text.get(value) {
            Some(b'"' | b'\'') => quoted(out, value),
            Some(byte) if !ends_word(*byte) => word_rest(out, value),
            Some(_) | None => value,
        };
    }
    word_rest(out, at)
}

fn word_rest(out: &mut Out<'_>, at: usize) -> usize {
    let text = out.text;
    let mut end = at;
    let mut braces = 0_usize;
    while end < text.len() {
        match text[end] {
            b'{' if end > at && text[end - 1] == b'$' => braces += 1,
            b'}' if braces > 0 => braces -= 1,
            b'\\' if text.get(end + 1) != Some(&b'\n') => end += 1,
            byte if (braces == 0 || byte == b'\n') && ends_word(byte) => break,
            _ => {}
        }
        end += 1;
    }
    let end = end.min(text.len());
    // Something is taken in any case, so that the lexer goes on.
    let end = end.max(at + 1).min(text.len());
    out.string(at..end);
    end
}

fn ends_word(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"\"';|&()<>\\,}]".contains(&byte)
}
