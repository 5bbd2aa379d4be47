//! Templates are filled when a suite is read: what is stored holds none.
//!
//! nunjucks' everyday syntax is minijinja's. A variable that is missing is a fault, though asking whether it is there
//! (`{% if x %}`, `x is defined`, `x | default('…')`) isn't. Values other than texts are written as JSON, as promptfoo
//! does; `dump` and `load` are nunjucks' filters for JSON.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value as Filled};
use pinrail_domain::canonical;
use serde_json::Value;

/// Steps that one template may take: a loop over ten thousand items.
const FUEL: u64 = 1_000_000;
/// The longest text that a template may give, an eighth of what a suite may have.
const BYTES_MAX: usize = 8 << 20;

/// Fills templates.
pub struct Templates {
    environment: Environment<'static>,
}

/// Variables, ready to be put in.
pub struct Variables(Filled);

impl Variables {
    pub fn new(vars: &BTreeMap<String, Value>) -> Variables {
        Variables(Filled::from(Serde(vars)))
    }
}

impl Templates {
    pub fn new() -> Templates {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        // Else errors name the missing variable in builds for debugging only.
        environment.set_debug(true);
        environment.set_fuel(Some(FUEL));
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.expect("the delimiters are the defaults"));
        environment.set_formatter(|out: &mut Output<'_>, _: &mut State<'_, '_>, value| {
            let text = written(value)?;
            out.write_str(&text).map_err(Error::from)
        });
        environment.add_filter("dump", |value: Filled| json_text(&value));
        environment.add_filter("load", |text: String| {
            let value: Value = serde_json::from_str(&text).map_err(|error| {
                Error::new(ErrorKind::InvalidOperation, format!("`load` was given no JSON: {error}"))
            })?;
            Ok::<_, Error>(Filled::from(Serde(&value)))
        });
        Templates { environment }
    }

    /// Fills a template; the error is for a person.
    pub fn fill(&self, template: &str, variables: &Variables) -> Result<String, String> {
        if !is_template(template) {
            return Ok(template.to_owned());
        }
        let parsed = self.environment.template_from_str(template).map_err(|error| sentence(&error))?;
        let text = parsed.render(variables.0.clone()).map_err(|error| sentence(&error))?;
        if text.len() > BYTES_MAX {
            return Err(format!("is filled to more than {BYTES_MAX} bytes"));
        }
        Ok(text)
    }

    /// The variables that a template asks for.
    pub fn asks_for(&self, template: &str) -> Result<Vec<String>, String> {
        if !is_template(template) {
            return Ok(Vec::new());
        }
        let parsed = self.environment.template_from_str(template).map_err(|error| sentence(&error))?;
        Ok(parsed.undeclared_variables(false).into_iter().collect())
    }
}

/// Whether a text has anything to fill.
pub fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|open| text.contains(open))
}

/// The variable that a text is nothing but a place for.
pub fn only_variable(text: &str) -> Option<&str> {
    let name = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let mut letters = name.chars();
    let first = letters.next()?;
    let is_name = (first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    is_name.then_some(name)
}

fn written(value: &Filled) -> Result<String, Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(String::new());
    }
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => json_text(value),
    }
}

fn json_text(value: &Filled) -> Result<String, Error> {
    // A number that has no canonical form is told with its case.
    let bytes = canonical::to_vec(value).or_else(|_| serde_json::to_vec(value));
    let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    text.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

fn sentence(error: &Error) -> String {
    // The engine writes "`name` is undefined".
    let named = error.detail().and_then(|detail| detail.split('`').nth(1));
    match (error.kind(), named) {
        (ErrorKind::UndefinedError, Some(name)) => format!("uses `{name}`, which the test's vars don't have"),
        (ErrorKind::UndefinedError, None) => "uses something that the test's vars don't have".to_owned(),
        (ErrorKind::OutOfFuel, _) => format!("takes more than {FUEL} steps to fill"),
        (kind, _) => {
            let detail = error.detail().map_or_else(|| kind.to_string(), str::to_owned);
            format!(
                "is no template that can be filled: {detail}; {{% raw %}}…{{% endraw %}} keeps braces as they are"
            )
        }
    }
}
