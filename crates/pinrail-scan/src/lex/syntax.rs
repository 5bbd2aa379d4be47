//! How languages write strings and comments.

use crate::language::Language;

/// How a language writes strings and comments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Syntax {
    pub line_comments: &'static [&'static str],
    pub block_comments: &'static [(&'static str, &'static str)],
    /// Longest first: `"""` before `"`.
    pub quotes: &'static [Quote],
    /// Whether names may hold `-`.
    pub dashes: bool,
    /// Whether `/` may begin a regular expression.
    pub regexes: bool,
    /// Whether `'` may begin a lifetime, and `r#"` a raw string.
    pub rust: bool,
    /// Whether `[name]` at the beginning of a line is a section.
    pub sections: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Quote {
    pub open: &'static str,
    pub close: &'static str,
    pub escapes: bool,
    pub lines: bool,
    /// Whether `${ … }` inside holds code with quotes of its own.
    pub code: bool,
}

const fn quote(open: &'static str, close: &'static str, escapes: bool, lines: bool) -> Quote {
    Quote { open, close, escapes, lines, code: false }
}

const TRIPLE_DOUBLE: Quote = quote("\"\"\"", "\"\"\"", true, true);
const TRIPLE_SINGLE: Quote = quote("'''", "'''", true, true);
const DOUBLE: Quote = quote("\"", "\"", true, false);
const SINGLE: Quote = quote("'", "'", true, false);
const TRIPLE_RAW: Quote = quote("\"\"\"", "\"\"\"", false, true);
const TRIPLE_LITERAL: Quote = quote("'''", "'''", false, true);
const SINGLE_LITERAL: Quote = quote("'", "'", false, false);
const VERBATIM: Quote = quote("@\"", "\"", false, true);
const VERBATIM_FILLED: Quote = quote("$@\"", "\"", false, true);
const DOUBLE_LINES: Quote = quote("\"", "\"", true, true);
const SINGLE_LINES: Quote = quote("'", "'", true, true);
const RAW_TICK: Quote = quote("`", "`", false, true);
const TEMPLATE: Quote = Quote { open: "`", close: "`", escapes: true, lines: true, code: true };
const SLASHES: (&str, &str) = ("/*", "*/");

const BASE: Syntax = Syntax {
    line_comments: &["//"],
    block_comments: &[SLASHES],
    quotes: &[DOUBLE, SINGLE],
    dashes: false,
    regexes: false,
    rust: false,
    sections: false,
};

pub(super) fn of(language: Language) -> Syntax {
    match language {
        Language::Python | Language::Notebook => Syntax {
            line_comments: &["#"],
            block_comments: &[],
            quotes: &[TRIPLE_DOUBLE, TRIPLE_SINGLE, DOUBLE, SINGLE],
            ..BASE
        },
        Language::JavaScript => Syntax {
            block_comments: &[SLASHES, ("<!--", "-->")],
            quotes: &[DOUBLE, SINGLE, TEMPLATE],
            regexes: true,
            ..BASE
        },
        Language::Go => Syntax { quotes: &[DOUBLE, SINGLE, RAW_TICK], ..BASE },
        Language::Java | Language::Kotlin => {
            Syntax { quotes: &[TRIPLE_DOUBLE, TRIPLE_SINGLE, DOUBLE, SINGLE], ..BASE }
        }
        Language::CSharp => {
            Syntax { quotes: &[TRIPLE_RAW, VERBATIM, VERBATIM_FILLED, DOUBLE, SINGLE], ..BASE }
        }
        Language::Ruby => {
            Syntax { line_comments: &["#"], block_comments: &[("=begin", "=end"), ("<!--", "-->")], ..BASE }
        }
        Language::Rust => Syntax { quotes: &[DOUBLE_LINES, SINGLE], rust: true, ..BASE },
        Language::Php => Syntax {
            line_comments: &["//", "#"],
            block_comments: &[SLASHES, ("<!--", "-->")],
            quotes: &[DOUBLE_LINES, SINGLE_LINES],
            ..BASE
        },
        Language::Hashes => Syntax {
            line_comments: &["#"],
            block_comments: &[],
            quotes: &[TRIPLE_DOUBLE, DOUBLE, SINGLE],
            ..BASE
        },
        Language::Json => Syntax { quotes: &[DOUBLE, SINGLE], ..BASE },
        Language::Toml => Syntax {
            line_comments: &["#"],
            block_comments: &[],
            quotes: &[TRIPLE_DOUBLE, TRIPLE_LITERAL, DOUBLE, SINGLE_LITERAL],
            dashes: true,
            sections: true,
            ..BASE
        },
        Language::Terraform => {
            Syntax { line_comments: &["#", "//"], quotes: &[DOUBLE, SINGLE], dashes: true, ..BASE }
        }
        Language::Braces | Language::Yaml | Language::Lines | Language::Shell | Language::Dockerfile => BASE,
    }
}
