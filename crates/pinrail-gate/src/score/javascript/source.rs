//! What a script's text is: an expression, a function's body, or a module.

/// A script in the form that the engine takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// The body of a function with parameters of these names.
    Function { body: String, names: [&'static str; 2] },
    /// One line that begins with a declaration: what stands behind the last `;` that separates statements is what it is
    /// about. Which that is, only the engine can say: the first of these that it compiles, with the part before it.
    Declaration { splits: Vec<(String, String)> },
    /// A module in the CommonJS form that exports a function.
    Module { body: String },
}

/// An assertion: one line is an expression, maybe after declarations; several are a function's body.
pub(super) fn assertion(code: &str) -> Form {
    let code = code.trim_end();
    if let Some(module) = module(code) {
        return module;
    }
    if code.contains('\n') {
        return function(code);
    }
    let line = code.trim().trim_end_matches(';').trim_end();
    if ["const ", "let ", "var "].iter().any(|word| line.starts_with(word)) {
        return Form::Declaration { splits: splits(line) };
    }
    function(&format!("return {line}"))
}

/// A transform: one line is an expression; several are a function's body.
pub(super) fn transform(code: &str) -> Form {
    if let Some(module) = module(code) {
        return module;
    }
    let code = code.trim_end();
    if code.contains('\n') { function(code) } else { function(&format!("return {}", code.trim())) }
}

/// Semicolons that are tried, from the last on: a line with more before its result is no line any more.
const SPLITS_MAX: usize = 64;

fn function(body: &str) -> Form {
    Form::Function { body: body.to_owned(), names: ["output", "context"] }
}

fn splits(line: &str) -> Vec<(String, String)> {
    let at = line.match_indices(';').map(|(at, _)| at).collect::<Vec<_>>();
    let split = |at: usize| (line[..=at].to_owned(), format!("return {}", line[at + 1..].trim()));
    at.into_iter().rev().take(SPLITS_MAX).map(split).collect()
}

/// A file's text, where it is a module. `export default` is read as `module.exports =`.
fn module(code: &str) -> Option<Form> {
    let begins = |line: &&str, with: &str| line.trim_start().starts_with(with);
    let mut lines: Vec<&str> = code.lines().collect();
    if lines.iter().any(|line| begins(line, "module.exports") || begins(line, "exports.")) {
        return Some(Form::Module { body: code.to_owned() });
    }
    let at = lines.iter().position(|line| begins(line, "export default "))?;
    let line = lines[at].replacen("export default ", "module.exports = ", 1);
    lines[at] = &line;
    Some(Form::Module { body: lines.join("\n") })
}
