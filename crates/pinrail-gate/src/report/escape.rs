//! Strangers' text, made harmless for where it is shown.

/// Makes what can't be seen visible: control characters but line breaks and tabs, marks that turn text around, and
/// invisible ones that hide words from people but not from models.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// On one line.
pub(super) fn line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// For Markdown outside of code: nothing in it is markup, a link, a mention or a table's edge.
pub(super) fn markdown(text: &str) -> String {
    let text = line(text);
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // Sites link names and numbers in the finished text: an empty space keeps them apart.
            '@' | '#' => out.push_str(&format!("&#{};&#8203;", c as u32)),
            ':' if chars.peek() == Some(&'/') => out.push_str("&#58;"),
            '.' if out.ends_with("www") => out.push_str("&#46;"),
            '&' | '<' | '>' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '\\' | '!' | '{' | '}' | '$' => {
                out.push_str(&format!("&#{};", c as u32));
            }
            c => out.push(c),
        }
    }
    out
}

/// For HTML inside Markdown: on one line, so that nothing ends the block, line breaks kept for `<pre>`.
pub(super) fn html(text: &str) -> String {
    xml_with(text, |c| matches!(c, '\n' | '\r' | '\t'))
}

/// For XML text.
pub(super) fn xml(text: &str) -> String {
    xml_with(text, |_| false)
}

/// For an XML attribute's value.
pub(super) fn attribute(text: &str) -> String {
    html(text)
}

fn xml_with(text: &str, as_number: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if as_number(c) => out.push_str(&format!("&#{};", c as u32)),
            c => out.push(c),
        }
    }
    out
}

fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        c if c.is_control() => true,
        // Marks of direction, zero widths, separators of lines, annotations, tags, and what XML doesn't allow.
        '\u{61c}'
        | '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{fffe}'
        | '\u{ffff}'
        | '\u{e0000}'..='\u{e007f}' => true,
        _ => false,
    }
}
