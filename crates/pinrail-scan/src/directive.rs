//! Comments that ignore a finding: `pinrail: ignore RULE[, RULE] -- REASON`.
//!
//! One that stands behind code is for its own line, one that stands alone for the next line with code. Without a rule it
//! is for every rule; without a reason it isn't honoured.

use std::ops::Range;

use crate::family::DIRECTIVE;
use crate::lex::Tokens;
use crate::position::Lines;
use crate::rule::Rule;

/// A comment that ignores something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Where `pinrail: ignore` stands.
    pub bytes: Range<usize>,
    /// The line that it is for, in the lines of the text that it stands in.
    pub for_line: u32,
    pub said: Result<Said, String>,
}

/// What is ignored and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// None stands for all.
    pub rules: Vec<Rule>,
    pub reason: String,
}

impl Directive {
    /// Whether it is for this rule in this line.
    #[must_use]
    pub fn covers(&self, rule: Rule, line: u32) -> Option<&str> {
        let said = self.said.as_ref().ok()?;
        let named = said.rules.is_empty() || said.rules.contains(&rule);
        (self.for_line == line && named).then_some(said.reason.as_str())
    }
}

/// All directives of a text.
#[must_use]
pub fn directives(tokens: &Tokens<'_>, lines: &Lines<'_>) -> Vec<Directive> {
    let in_comment = |comment: &Range<usize>| {
        let text = &tokens.text[comment.clone()];
        let at = comment.start + memchr::memmem::find(text, DIRECTIVE.as_bytes())?;
        let line_end =
            memchr::memchr(b'\n', &tokens.text[at..comment.end]).map_or(comment.end, |length| at + length);
        let said = read(&String::from_utf8_lossy(&tokens.text[at + DIRECTIVE.len()..line_end]));
        let bytes = at..at + DIRECTIVE.len();
        Some(Directive { bytes, for_line: line_of(tokens, lines, comment), said })
    };
    tokens.comments.iter().filter_map(in_comment).collect()
}

fn line_of(tokens: &Tokens<'_>, lines: &Lines<'_>, comment: &Range<usize>) -> u32 {
    let own = lines.line(comment.start);
    let after = tokens.all.partition_point(|token| (token.start as usize) < comment.start);
    let written = |index: &usize| tokens.all[*index].end > tokens.all[*index].start;
    let behind_code = (0..after)
        .rev()
        .find(written)
        .is_some_and(|last| lines.line((tokens.all[last].end as usize).saturating_sub(1)) == own);
    if behind_code {
        return own;
    }
    (after..tokens.all.len()).find(written).map_or(own, |next| lines.line(tokens.all[next].start as usize))
}

fn read(rest: &str) -> Result<Said, String> {
    let rest = rest.trim().trim_end_matches("*/").trim_end_matches("-->").trim();
    let (names, reason) = rest.split_once("--").unwrap_or((rest, ""));
    let names = names.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty());
    let rules = names.map(str::parse).collect::<Result<Vec<Rule>, String>>()?;
    let reason = reason.trim();
    if reason.is_empty() {
        return Err("it gives no reason: write `pinrail: ignore RULE -- REASON`".to_owned());
    }
    Ok(Said { rules, reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;
    use crate::lex::lex;

    fn check(text: &str, language: Language, line: u32, said: Result<(&[Rule], &str), &str>) {
        let tokens = lex(text.as_bytes(), language);
        let found = directives(&tokens, &Lines::of(text.as_bytes()));
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!(found[0].for_line, line, "{text}");
        match (&found[0].said, said) {
            (Ok(found), Ok((rules, reason))) => {
                assert_eq!((found.rules.as_slice(), found.reason.as_str()), (rules, reason), "{text}");
            }
            (Err(why), Err(part)) => assert!(why.contains(part), "{text}: {why}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn a_comment_ignores_with_a_rule_and_a_reason() {
        let both = [Rule::FloatingModel, Rule::RetiredModel];
        check(
            "m = 1 # pinrail: ignore floating-model -- why\n",
            Language::Python,
            1,
            Ok((&both[..1], "why")),
        );
        check(
            "# pinrail: ignore floating, retired -- a -- b\n# more\nm = 1",
            Language::Python,
            3,
            Ok((&both, "a -- b")),
        );
        check("/* pinrail: ignore -- why */\nx", Language::Go, 2, Ok((&[], "why")));
        check("a: b # pinrail: ignore floating -- why", Language::Yaml, 1, Ok((&both[..1], "why")));
        check("A=b # pinrail: ignore floating -- why", Language::Lines, 1, Ok((&both[..1], "why")));
        check("// pinrail: ignore floating\nx", Language::Rust, 2, Err("no reason"));
        check("// pinrail: ignore everything -- why\nx", Language::Rust, 2, Err("no rule `everything`"));
        check("# pinrail: ignore floating --  \nx", Language::Toml, 2, Err("no reason"));
    }
}
