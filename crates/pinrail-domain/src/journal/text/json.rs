//! JSON that may end anywhere: the journal keeps long bodies cut.
//!
//! Reads tokens from left to right and never fails: what is no JSON is passed over, and a string that isn't closed ends
//! with the text.

use std::borrow::Cow;

/// A part of a JSON text.
#[derive(Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `}` or `]`
    Close,
    /// A member's name.
    Name(Cow<'a, str>),
    /// A string without its escapes.
    Text(Cow<'a, str>),
    /// A number as it is written.
    Number(&'a str),
}

/// What is left of a text.
pub(super) struct Tokens<'a>(&'a str);

impl<'a> Tokens<'a> {
    pub(super) fn of(text: &'a str) -> Tokens<'a> {
        Tokens(text)
    }

    /// Reads a string whose opening quote is gone.
    fn string(&mut self) -> Cow<'a, str> {
        let text = self.0;
        let plain = text.bytes().position(|byte| byte == b'"' || byte == b'\\').unwrap_or(text.len());
        let (read, rest) = text.split_at(plain);
        self.0 = rest;
        if !rest.starts_with('\\') {
            self.0 = rest.get(1..).unwrap_or_default();
            return Cow::Borrowed(read);
        }
        let mut read = read.to_owned();
        while let Some(first) = self.take() {
            match first {
                '"' => break,
                '\\' => self.escape(&mut read),
                other => {
                    read.push(other);
                    let plain = self.0.bytes().position(|byte| byte == b'"' || byte == b'\\');
                    let (more, rest) = self.0.split_at(plain.unwrap_or(self.0.len()));
                    read.push_str(more);
                    self.0 = rest;
                }
            }
        }
        Cow::Owned(read)
    }

    /// Reads an escape whose backslash is gone.
    fn escape(&mut self, read: &mut String) {
        match self.take() {
            Some('n') => read.push('\n'),
            Some('t') => read.push('\t'),
            Some('r') => read.push('\r'),
            Some('b') => read.push('\u{8}'),
            Some('f') => read.push('\u{c}'),
            Some('u') => {
                let c = self.unicode();
                read.push(c);
            }
            Some(other) => read.push(other),
            None => {}
        }
    }

    /// Reads what follows `\u`; half a character becomes U+FFFD.
    fn unicode(&mut self) -> char {
        let Some(first) = self.unit() else { return char::REPLACEMENT_CHARACTER };
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        let before = self.0;
        let second = before.strip_prefix("\\u").and_then(|rest| {
            self.0 = rest;
            self.unit().filter(|unit| (0xdc00..0xe000).contains(unit))
        });
        let Some(second) = second else {
            self.0 = before;
            return char::REPLACEMENT_CHARACTER;
        };
        let point = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// Reads four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        let digits = self.0.get(..4)?;
        let unit = u32::from_str_radix(digits, 16).ok()?;
        self.0 = &self.0[4..];
        Some(unit)
    }

    fn take(&mut self) -> Option<char> {
        let mut chars = self.0.chars();
        let first = chars.next()?;
        self.0 = chars.as_str();
        Some(first)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let before = self.0;
            match self.take()? {
                '{' => return Some(Token::Object),
                '[' => return Some(Token::Array),
                '}' | ']' => return Some(Token::Close),
                '"' => {
                    let read = self.string();
                    let name = self.0.trim_ascii_start().starts_with(':');
                    return Some(if name { Token::Name(read) } else { Token::Text(read) });
                }
                '-' | '0'..='9' => {
                    let is_more = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                    let length = before.bytes().take_while(|byte| is_more(byte)).count();
                    self.0 = &before[length..];
                    return Some(Token::Number(&before[..length]));
                }
                _ => {}
            }
        }
    }
}
