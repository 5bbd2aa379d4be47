//! Ids in a string, and what the string itself says of their use.

use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;

use crate::family::{Families, Id};

/// How an id stands in a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// The string is the id.
    Whole,
    /// `--model gpt-4o` in a command.
    Flag,
    /// `NAME=gpt-4o`, with the name.
    Assigned(String),
    /// `${NAME:-gpt-4o}`, with the name.
    Default(String),
    /// `{"model": "gpt-4o"}`: a request in a string.
    Body,
    /// `…/models/gpt-4o:generateContent`.
    Url,
}

/// An id in a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub id: Id,
    pub form: Form,
}

/// Makes the form of what is named.
type Named = fn(String) -> Form;

/// How ids stand inside of longer strings, each with the group that holds the id.
static EMBEDDED: LazyLock<Vec<(Regex, Named)>> = LazyLock::new(|| {
    let shape = |text: &str| Regex::new(text).expect("a shape is a regular expression");
    let (flag, body, url): (Named, Named, Named) = (|_| Form::Flag, |_| Form::Body, |_| Form::Url);
    vec![
        (
            shape(
                r#"(?-u)--(?<name>[a-z-]*(?:model|deployment|engine)[a-z-]*)(?:\s+|=)\\?["']?(?<id>[A-Za-z0-9._:@/-]+)"#,
            ),
            flag,
        ),
        (
            shape(r"(?-u)\$\{(?:env:)?(?<name>[A-Za-z0-9_.]+)(?::-|-|:=|=|:)\s*(?<id>[A-Za-z0-9._:@/-]+)\}"),
            Form::Default,
        ),
        (
            shape(
                r#"(?-u)\\?["'](?<name>model|modelId|model_id|model_name)\\?["']\s*:\s*\\?["'](?<id>[A-Za-z0-9._:@/-]+)\\?["']"#,
            ),
            body,
        ),
        (
            shape(
                r"(?-u)[/:](?<name>models?|deployments|foundation-model|inference-profile)/(?<id>[A-Za-z0-9.@_-]+(?::\d+)?)(?:[:/?]|$)",
            ),
            url,
        ),
        (
            shape(
                r#"(?-u)^\s*(?:export\s+)?(?<name>[A-Za-z_][A-Za-z0-9_.]*)=["']?(?<id>[A-Za-z0-9._:@/-]+)["']?\s*$"#,
            ),
            Form::Assigned,
        ),
    ]
});

/// The ids in `text[range]`, the content of a string, in order.
#[must_use]
pub fn extract(families: &Families, text: &[u8], range: Range<usize>) -> Vec<Candidate> {
    if let Some(id) = families.read(text, range.clone()) {
        return vec![Candidate { id, form: Form::Whole }];
    }
    let content = &text[range.clone()];
    let mut found: Vec<Candidate> = Vec::new();
    for (shape, form) in EMBEDDED.iter() {
        for captures in shape.captures_iter(content) {
            let (Some(name), Some(id)) = (captures.name("name"), captures.name("id")) else { continue };
            let at = range.start + id.start()..range.start + id.end();
            let Some(id) = families.read(text, at) else { continue };
            let form = form(String::from_utf8_lossy(name.as_bytes()).into_owned());
            if found.iter().all(|other| other.id.range != id.range) {
                found.push(Candidate { id, form });
            }
        }
    }
    found.sort_by_key(|candidate| candidate.id.range.start);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinrail_domain::model::Catalogue;

    #[test]
    fn ids_are_found_in_commands_defaults_bodies_and_addresses() {
        let families = Families::of(Catalogue::embedded());
        let check = |text: &str, expected: &[(&str, Form)]| {
            let found = extract(&families, text.as_bytes(), 0..text.len());
            let found: Vec<_> = found.into_iter().map(|one| (&text[one.id.range], one.form)).collect();
            assert_eq!(found, expected, "{text}");
        };
        let named = |name: &str| name.to_owned();
        check("gpt-4o", &[("gpt-4o", Form::Whole)]);
        check("serve --model gpt-4o --port 1", &[("gpt-4o", Form::Flag)]);
        check("--deployment-name=\"gpt-4o\"", &[("gpt-4o", Form::Flag)]);
        check("${OPENAI_MODEL:-gpt-4o}", &[("gpt-4o", Form::Default(named("OPENAI_MODEL")))]);
        check("OPENAI_MODEL=openai/gpt-4o", &[("gpt-4o", Form::Assigned(named("OPENAI_MODEL")))]);
        check(r#"{"model": "gpt-4o", "n": 1}"#, &[("gpt-4o", Form::Body)]);
        check(r#"{\"model\":\"gpt-4o\"}"#, &[("gpt-4o", Form::Body)]);
        check("https://x/v1beta/models/gemini-2.0-flash:generateContent", &[("gemini-2.0-flash", Form::Url)]);
        check("/openai/deployments/gpt-4o/chat/completions?v=1", &[("gpt-4o", Form::Url)]);
        let arn = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0";
        check(arn, &[("anthropic.claude-3-haiku-20240307-v1:0", Form::Url)]);
        check("we like gpt-4o a lot", &[]);
        check("model gpt-4o is not supported", &[]);
        check("{provider}/gpt-4o", &[]);
    }
}
