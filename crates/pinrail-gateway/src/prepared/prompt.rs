//! The system prompt: text, or a template whose variables the caller gives.
//!
//! A template is strict: a variable that is missing is an error, never an empty place in the prompt. It can't
//! include other templates or reach anything but its variables. The release's author is trusted as an author of
//! code is; the caller's variables are data. What rendering takes is bounded all the same.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::Value;

use crate::limits::Limits;

/// A release's system prompt, ready to be rendered.
pub enum Prompt {
    /// It holds no variables.
    Text(Arc<str>),
    Template {
        environment: Box<Environment<'static>>,
        bytes_max: usize,
    },
}

/// Why a prompt can't be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PromptError {
    Missing {
        variable: String,
    },
    TooLong {
        bytes_max: usize,
    },
    TooMuchWork {
        fuel: u64,
    },
    /// The variables don't fit the template, such as a text where it wants a list.
    Unfit {
        why: String,
    },
}

const NAME: &str = "system";

/// Collects the prompt up to its bound.
struct Bounded {
    text: Vec<u8>,
    bytes_max: usize,
    over: bool,
}

impl Prompt {
    /// Compiles a prompt.
    pub fn new(text: &Arc<str>, limits: &Limits) -> Result<Prompt, minijinja::Error> {
        if !["{{", "{%", "{#"].iter().any(|open| text.contains(open)) {
            return Ok(Prompt::Text(Arc::clone(text)));
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // Else errors name the missing variable in builds for debugging only.
        environment.set_debug(true);
        environment.set_fuel(Some(limits.prompt_fuel));
        // A prompt's last line feed is part of what was pinned.
        environment.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build()?);
        environment.add_template_owned(NAME, text.to_string())?;
        Ok(Prompt::Template { environment: Box::new(environment), bytes_max: limits.prompt_bytes_max })
    }

    /// Puts the variables in.
    pub fn render(&self, variables: &BTreeMap<String, Value>) -> Result<Arc<str>, PromptError> {
        let (environment, bytes_max) = match self {
            Prompt::Text(text) => return Ok(Arc::clone(text)),
            Prompt::Template { environment, bytes_max } => (environment, *bytes_max),
        };
        let template = environment.get_template(NAME).expect("it was added when this was made");
        let mut out =
            Bounded { text: Vec::with_capacity(template.source().len() * 2), bytes_max, over: false };
        let rendered = template.render_captured_to(minijinja::value::Serde(variables), &mut out);
        match rendered {
            Ok(_) => Ok(Arc::from(String::from_utf8(out.text).expect("templates write whole characters"))),
            Err(_) if out.over => Err(PromptError::TooLong { bytes_max }),
            Err(error) => Err(PromptError::from_minijinja(&error, environment.fuel().unwrap_or_default())),
        }
    }
}

impl PromptError {
    fn from_minijinja(error: &minijinja::Error, fuel: u64) -> PromptError {
        let kind = error.kind();
        if kind == ErrorKind::OutOfFuel {
            return PromptError::TooMuchWork { fuel };
        }
        // The engine writes "`name` is undefined".
        let named = error.detail().and_then(|detail| detail.split('`').nth(1));
        match named {
            Some(variable) if kind == ErrorKind::UndefinedError => {
                PromptError::Missing { variable: variable.to_owned() }
            }
            Some(_) | None => {
                let line = error.line().map_or_else(String::new, |line| format!(" in line {line}"));
                let detail = error.detail().map_or_else(String::new, |detail| format!(": {detail}"));
                PromptError::Unfit { why: format!("{kind}{detail}{line}") }
            }
        }
    }
}

impl io::Write for &mut Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > self.bytes_max {
            self.over = true;
            return Err(io::Error::other("the prompt is too long"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rendered(template: &str, variables: &Value) -> Result<String, PromptError> {
        let limits = Limits { prompt_bytes_max: 1_000, prompt_fuel: 2_000, ..Limits::default() };
        let prompt = Prompt::new(&Arc::from(template), &limits).unwrap();
        let variables = serde_json::from_value(variables.clone()).unwrap();
        prompt.render(&variables).map(|text| text.to_string())
    }

    #[test]
    fn variables_are_put_in_as_they_are() {
        let check = |template: &str, variables: Value, want: &str| {
            assert_eq!(rendered(template, &variables), Ok(want.to_owned()), "{template}");
        };
        check("plain { text }\n", json!({}), "plain { text }\n");
        check("Hi {{ name }}.\n", json!({"name": "<Zoë> {{ x }}"}), "Hi <Zoë> {{ x }}.\n");
        check(
            "{% if vip %}V{% endif %}{{ user.plan }}",
            json!({"vip": true, "user": {"plan": "pro"}}),
            "Vpro",
        );
        check("{{ list | join(', ') }}", json!({"list": [1, "b"]}), "1, b");
        check("{{ name | default('friend') }}", json!({}), "friend");
        check("{{ a }}", json!({"a": "x", "unused": [1]}), "x");
    }

    #[test]
    fn what_cannot_be_rendered_says_why() {
        let check = |template: &str, variables: Value, want: PromptError| {
            assert_eq!(rendered(template, &variables), Err(want), "{template}");
        };
        let missing = |variable: &str| PromptError::Missing { variable: variable.to_owned() };
        check("{{ name }}", json!({}), missing("name"));
        check("a {{ a }}\nb {{ b | upper }}", json!({"a": 1}), missing("b"));
        check("{{ user.plan }}", json!({"user": {}}), missing("user.plan"));
        check("{% for x in list %}{{ x }}{% endfor %}", json!({}), missing("list"));
        check("{{ a }}{{ a }}", json!({"a": "x".repeat(600)}), PromptError::TooLong { bytes_max: 1_000 });
        let work = "{% for x in range(1000) %}{% if x %}{% endif %}{% endfor %}";
        check(work, json!({}), PromptError::TooMuchWork { fuel: 2_000 });
        assert!(matches!(rendered("{{ a.b() }}", &json!({"a": {}})), Err(PromptError::Unfit { .. })));
    }

    #[test]
    fn templates_reach_nothing_else() {
        for template in ["{% include 'system' %}", "{% extends 'x' %}", "{% import 'x' as x %}"] {
            assert!(Prompt::new(&Arc::from(template), &Limits::default()).is_err(), "{template}");
        }
    }
}
