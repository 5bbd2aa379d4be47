//! The small language in which the catalogue describes the shape of model ids.
//!
//! A pattern always spans the whole text. Everything stands for itself except:
//!
//! | written | matches |
//! |---|---|
//! | `*` | one or more letters, digits, `.`, `_` or `-` |
//! | `{word}` | one or more lower-case letters or digits |
//! | `{name}` | one or more lower-case letters |
//! | `{N}` | one or more digits; `{NNN}` exactly three |
//! | `{6+}`, `{0-5}` | a number of at most two digits in that range, without leading zeros |
//! | `{YYYY-MM-DD}`, `{YYYYMMDD}`, `{YYMM}`, `{MMDD}`, `{MM-DD}`, `{MM-YYYY}` | a date that exists, years 2020–2049 |
//!
//! Matching follows every reading at once (a set of positions), so it takes time in proportion to
//! tokens × length² and no pattern can make it blow up.

use super::date::{day_exists, digits};

/// The longest pattern that a file may hold, in bytes: no real shape needs more.
const PATTERN_BYTES_MAX: usize = 200;

/// Date shapes; `Y`, `M` and `D` stand for digits.
const DATE_SHAPES: [&str; 6] = ["YYYY-MM-DD", "YYYYMMDD", "YYMM", "MMDD", "MM-DD", "MM-YYYY"];

#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Literal(String),
    Any,
    Word,
    Name,
    Digits,
    ThreeDigits,
    Number { low: u32, high: u32 },
    Date(&'static str),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// One sentence that says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Pattern, String> {
        if text.is_empty() || text.len() > PATTERN_BYTES_MAX {
            return Err(format!("pattern `{text}` must have 1 to {PATTERN_BYTES_MAX} characters"));
        }
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let used = match first {
                '*' => {
                    tokens.push(Token::Any);
                    1
                }
                '{' => {
                    let end =
                        rest.find('}').ok_or_else(|| format!("pattern `{text}` lacks a closing `}}`"))?;
                    let inner = &rest[1..end];
                    tokens.push(
                        Token::parse(inner)
                            .ok_or_else(|| format!("pattern `{text}` has the unknown part `{{{inner}}}`"))?,
                    );
                    end + 1
                }
                _ => {
                    let end = rest.find(['*', '{']).unwrap_or(rest.len());
                    tokens.push(Token::Literal(rest[..end].to_owned()));
                    end
                }
            };
            rest = &rest[used..];
        }
        Ok(Pattern { text: text.to_owned(), tokens })
    }

    /// Whether the whole of `text` has this shape.
    pub(super) fn matches(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        if !self.fits_the_ends(bytes) {
            return false;
        }
        let mut reached = vec![false; bytes.len() + 1];
        reached[0] = true;
        for token in &self.tokens {
            let mut next = vec![false; bytes.len() + 1];
            for from in (0..reached.len()).filter(|&at| reached[at]) {
                for length in token.lengths(&bytes[from..]) {
                    next[from + length] = true;
                }
            }
            reached = next;
        }
        reached[bytes.len()]
    }

    /// What can't match is told by its first or last part in nearly every case, without following any reading.
    fn fits_the_ends(&self, text: &[u8]) -> bool {
        let begins = match self.tokens.first() {
            Some(Token::Literal(literal)) => text.starts_with(literal.as_bytes()),
            Some(first) => !first.lengths(text).is_empty(),
            None => text.is_empty(),
        };
        let tail = |length: usize| text.len().checked_sub(length).map(|start| &text[start..]);
        begins
            && match self.tokens.last() {
                Some(Token::Literal(literal)) => text.ends_with(literal.as_bytes()),
                Some(Token::Date(shape)) => tail(shape.len()).is_some_and(|end| is_date(shape, end)),
                Some(Token::ThreeDigits) => tail(3).and_then(digits).is_some(),
                Some(Token::Any | Token::Word | Token::Name | Token::Digits | Token::Number { .. })
                | None => true,
            }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl Token {
    fn parse(inner: &str) -> Option<Token> {
        if let Some(shape) = DATE_SHAPES.iter().find(|shape| **shape == inner) {
            return Some(Token::Date(shape));
        }
        match inner {
            "word" => Some(Token::Word),
            "name" => Some(Token::Name),
            "N" => Some(Token::Digits),
            "NNN" => Some(Token::ThreeDigits),
            range => {
                let (low, high) = match range.strip_suffix('+') {
                    Some(low) => (low, "99"),
                    None => range.split_once('-')?,
                };
                let (low, high) = (low.parse().ok()?, high.parse().ok()?);
                (low <= high && high <= 99).then_some(Token::Number { low, high })
            }
        }
    }

    /// The lengths that this part may take at the beginning of `rest`.
    fn lengths(&self, rest: &[u8]) -> std::ops::Range<usize> {
        let run = |accepts: fn(&u8) -> bool| 1..rest.iter().take_while(|byte| accepts(byte)).count() + 1;
        let exactly = |length: usize, fits: bool| if fits { length..length + 1 } else { 0..0 };
        match self {
            Token::Literal(text) => exactly(text.len(), rest.starts_with(text.as_bytes())),
            Token::Any => run(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')),
            Token::Word => run(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
            Token::Name => run(u8::is_ascii_lowercase),
            Token::Digits => run(u8::is_ascii_digit),
            Token::ThreeDigits => exactly(3, rest.get(..3).and_then(digits).is_some()),
            Token::Number { low, high } => {
                // The number ends where the digits end: `4-5` isn't read out of `4-52`.
                let length = rest.iter().take_while(|b| b.is_ascii_digit()).count();
                let plain = length == 1 || (length == 2 && rest[0] != b'0');
                let fits = plain && digits(&rest[..length]).is_some_and(|n| (*low..=*high).contains(&n));
                exactly(length, fits)
            }
            Token::Date(shape) => {
                exactly(shape.len(), rest.get(..shape.len()).is_some_and(|t| is_date(shape, t)))
            }
        }
    }
}

/// Whether `text`, as long as `shape`, spells a date of that shape.
fn is_date(shape: &str, text: &[u8]) -> bool {
    let part = |letter: char| {
        let chosen: Vec<u8> =
            shape.bytes().zip(text).filter(|(s, _)| *s == letter as u8).map(|(_, t)| *t).collect();
        (chosen.len(), digits(&chosen))
    };
    let dashes = shape.bytes().zip(text).all(|(s, t)| (s == b'-') == (*t == b'-'));
    let year = match part('Y') {
        (0, _) => Some(2024), // No year in the shape: a leap year, so that 02-29 may stand.
        (2, year) => year.map(|y| 2000 + y),
        (_, year) => year,
    };
    let day = match part('D') {
        (0, _) => Some(1),
        (_, day) => day,
    };
    let (_, month) = part('M');
    match (year, month, day) {
        (Some(year), Some(month), Some(day)) => {
            dashes && (2020..2050).contains(&year) && day_exists(year, month, day)
        }
        (None, _, _) | (_, None, _) | (_, _, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn check(pattern: &str, text: &str, expected: bool) {
        let parsed = Pattern::parse(pattern).unwrap();
        assert_eq!(parsed.matches(text), expected, "`{pattern}` against `{text}`");
    }

    #[test]
    fn shapes_match_whole_ids_only() {
        check("gpt-4o", "gpt-4o", true);
        check("gpt-4o", "gpt-4o-mini", false);
        check("*-latest", "-latest", false);
        check("*-latest", "a-latest-latest", true);
        check("*", "ft:gpt", false);
        check("{word}.*-v{N}:{N}", "us.anthropic.claude-3-v1:0", true);
        check("{word}.*-v{N}:{N}", "anthropic.claude-3-v1", false);
        check("*-{YYYY-MM-DD}", "gpt-4o-2024-08-06", true);
        check("*-{YYYY-MM-DD}", "gpt-4o-2024-02-30", false);
        check("*-{YYYY-MM-DD}", "gpt-4o-1999-01-01", false);
        check("*-{YYYYMMDD}", "claude-x-20241022", true);
        check("*-{YYYYMMDD}", "claude-x-120241022", false);
        check("*-{YYMM}", "mistral-large-2411", true);
        check("*-{YYMM}", "mistral-large-2413", false);
        check("gpt-{MMDD}", "gpt-0229", true);
        check("gpt-{MMDD}", "gpt-0230", false);
        check("{MM-YYYY}", "09-2025", true);
        check("{MM-DD}", "09_25", false);
        check("{NNN}", "001", true);
        check("{NNN}", "0001", false);
        check("claude-{name}-4-{6+}", "claude-opus-4-6", true);
        check("claude-{name}-4-{6+}", "claude-opus-4-12", true);
        check("claude-{name}-4-{6+}", "claude-opus-4-06", false);
        check("claude-{name}-4-{6+}", "claude-opus-4-5", false);
        check("claude-{name}-4-{6+}", "claude-opus-4-20250514", false);
        check("claude-{name}-4-{0-5}", "claude-opus-4-5", true);
        check("a*é", "abé", true);
    }

    #[test]
    fn a_pattern_of_many_stars_stays_cheap() {
        let pattern = Pattern::parse(&"*-".repeat(99)).unwrap();
        assert!(!pattern.matches(&"a".repeat(256)));
    }

    #[test]
    fn bad_patterns_say_what_is_wrong() {
        for (text, expected) in [
            ("", "1 to 200"),
            ("a{N", "closing"),
            ("a{date}", "`{date}`"),
            ("{9-2}", "`{9-2}`"),
            ("{1-100}", "`{1-100}`"),
        ] {
            let error = Pattern::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
