//! Scripts in files become scripts that stand for themselves.
//!
//! What is stored of a file is its text: JavaScript as a module in the CommonJS form that exports the function, Python as
//! a file that defines `get_assert`. A function of another name is exported, or called, by lines put at the end.

use super::Place;
use super::context::{Reading, extension};
use super::table::Table;

/// The language of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    JavaScript,
    Python,
}

/// The script in the file that `named` (`path` or `path:function`) names.
pub fn in_file(reading: &Reading<'_>, named: &str, language: Language, place: &Place) -> Option<String> {
    let (path, function) = split(named);
    let refuse = |what: &str| {
        reading.fault(&place.at, &place.key, &format!("names {path}, which {what}"));
        None
    };
    let found = match extension(path).as_str() {
        "js" | "cjs" | "mjs" => Language::JavaScript,
        "py" => Language::Python,
        "ts" | "mts" | "cts" => return refuse("is TypeScript: name what it compiles to, a .js file"),
        "rb" => return refuse("is Ruby, which isn't run: write it in JavaScript or Python"),
        _ => return refuse("is no script: .js and .py are"),
    };
    if found != language {
        return refuse(match language {
            Language::JavaScript => "is Python where JavaScript is needed; type `python` runs it",
            Language::Python => "is JavaScript where Python is needed; type `javascript` runs it",
        });
    }
    let text = match reading.text(path) {
        Ok(text) => text,
        Err(what) => return refuse(&what),
    };
    let script = match language {
        Language::JavaScript => javascript(&text, function),
        Language::Python => python(&text, function),
    };
    script.map_or_else(|what| refuse(&what), Some)
}

/// The `transform` of options or of an assertion.
pub fn transform(table: &Table<'_, '_>) -> Option<String> {
    let text = table.text("transform")?;
    match text.strip_prefix("file://") {
        Some(named) => in_file(table.reading, named, Language::JavaScript, &table.place("transform")),
        None => Some(text),
    }
}

/// A path and the function behind its colon.
fn split(named: &str) -> (&str, Option<&str>) {
    match named.rsplit_once(':') {
        Some((path, function)) if !function.is_empty() && !function.contains('/') => (path, Some(function)),
        Some(_) | None => (named, None),
    }
}

/// A module that exports the function, in the CommonJS form.
fn javascript(text: &str, function: Option<&str>) -> Result<String, String> {
    let mut module = String::with_capacity(text.len() + 128);
    let mut exported = Vec::new();
    let mut exports = false;
    for line in text.lines() {
        let code = line.trim_start();
        if code.starts_with("import ") || code.starts_with("import{") || code.contains("require(") {
            return Err(
                "takes other modules in: a suite's script stands alone, without files and network".to_owned()
            );
        }
        exports |= code.starts_with("module.exports") || code.starts_with("exports.");
        match code.strip_prefix("export ").filter(|_| code.len() == line.len()) {
            Some(rest) if rest.starts_with("default ") => {
                exports = true;
                module.push_str("module.exports = ");
                module.push_str(&rest["default ".len()..]);
            }
            Some(rest) if rest.starts_with('{') || rest.starts_with('*') => {
                return Err("has an `export {…}` list: write `export` in front of the function".to_owned());
            }
            Some(rest) => {
                exported.extend(declared(rest));
                module.push_str(rest);
            }
            None => module.push_str(line),
        }
        module.push('\n');
    }
    if !exports && exported.is_empty() {
        return Err("exports nothing: write `module.exports = (output, context) => …`".to_owned());
    }
    for name in exported {
        module.push_str(&format!("module.exports.{name} = {name};\n"));
    }
    if let Some(name) = function {
        module.push_str(&format!("module.exports = module.exports.{name};\n"));
    }
    Ok(module)
}

/// The name that a declaration declares.
fn declared(code: &str) -> Option<String> {
    let rest = code.strip_prefix("async ").unwrap_or(code);
    let rest = ["function* ", "function ", "const ", "let ", "var ", "class "]
        .iter()
        .find_map(|word| rest.strip_prefix(word))?;
    let name: String =
        rest.chars().take_while(|letter| letter.is_alphanumeric() || "_$".contains(*letter)).collect();
    (!name.is_empty()).then_some(name)
}

/// A file whose function is `get_assert`.
fn python(text: &str, function: Option<&str>) -> Result<String, String> {
    let defines = |name: &str| text.lines().any(|line| line.trim_start().contains(&format!("def {name}(")));
    match function {
        Some(name) if name != "get_assert" => {
            if !defines(name) {
                return Err(format!("defines no `{name}(output, context)`"));
            }
            if defines("get_assert") {
                return Err(
                    "defines `get_assert` too, which is what would be called: put it into a file of its own"
                        .to_owned(),
                );
            }
            Ok(format!(
                "{}\n\n\ndef get_assert(output, context):\n    return {name}(output, context)\n",
                text.trim_end()
            ))
        }
        Some(_) | None if defines("get_assert") => Ok(text.to_owned()),
        Some(_) | None => {
            Err("defines no `get_assert(output, context)`; `file://path.py:name` names another".to_owned())
        }
    }
}
