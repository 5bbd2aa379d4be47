//! Which files are read, and as what.

use std::path::Path;

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    Python,
    /// JavaScript, TypeScript and the components that hold them.
    JavaScript,
    Go,
    Java,
    Kotlin,
    CSharp,
    Ruby,
    Rust,
    Php,
    /// Swift, Scala, Dart, C, C++ and what else writes `//` and `"`.
    Braces,
    /// Elixir, R, Julia and what else writes `#` and `"`.
    Hashes,
    Yaml,
    Json,
    Toml,
    /// `.env`, `.properties`, `.ini`: a name and a value a line.
    Lines,
    Terraform,
    Shell,
    Dockerfile,
    Notebook,
}

/// Why a file isn't read, by its name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRead {
    /// Made by a package manager.
    Lock,
    /// Made by a bundler.
    Minified,
    /// Not source, configuration or a notebook.
    Other,
}

/// What a file is, by its name: `Ok(None)` when only its first line can tell.
///
/// # Errors
/// Why it isn't read.
pub fn of_path(path: &Path) -> Result<Option<Language>, NotRead> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    if is_lock(&lower) {
        return Err(NotRead::Lock);
    }
    if lower.contains(".min.") || lower.ends_with(".map") || lower.ends_with(".bundle.js") {
        return Err(NotRead::Minified);
    }
    if let Some(language) = of_name(&lower) {
        return Ok(Some(language));
    }
    match lower.rsplit_once('.') {
        Some(("", _)) | None => Ok(None),
        Some((_, extension)) => of_extension(extension).map(Some).ok_or(NotRead::Other),
    }
}

/// What a file without a telling name is, by its first line.
#[must_use]
pub fn of_first_line(bytes: &[u8]) -> Option<Language> {
    let line = bytes.strip_prefix(b"#!")?;
    let line = &line[..memchr::memchr(b'\n', line).unwrap_or(line.len()).min(120)];
    let line = String::from_utf8_lossy(line);
    let has = |word: &str| line.contains(word);
    if has("python") || has("uv run") {
        Some(Language::Python)
    } else if has("node") || has("deno") || has("bun") {
        Some(Language::JavaScript)
    } else if has("ruby") {
        Some(Language::Ruby)
    } else if has("php") {
        Some(Language::Php)
    } else if has("sh") {
        Some(Language::Shell)
    } else {
        None
    }
}

fn of_name(name: &str) -> Option<Language> {
    let language = match name {
        "dockerfile" | "containerfile" => Language::Dockerfile,
        "makefile" | "justfile" | "procfile" | ".bashrc" | ".zshrc" | ".profile" | ".envrc" => {
            Language::Shell
        }
        "rakefile" | "gemfile" | "vagrantfile" => Language::Ruby,
        "jenkinsfile" => Language::Braces,
        "env" | "dotenv" => Language::Lines,
        _ if name == ".env" || name.starts_with(".env.") || name.ends_with(".env") => Language::Lines,
        _ if name.starts_with("dockerfile.") || name.ends_with(".dockerfile") => Language::Dockerfile,
        _ => return None,
    };
    Some(language)
}

fn of_extension(extension: &str) -> Option<Language> {
    Some(match extension {
        "py" | "pyi" | "pyw" | "bzl" | "star" => Language::Python,
        "js" | "jsx" | "mjs" | "cjs" | "ts" | "tsx" | "mts" | "cts" | "vue" | "svelte" | "astro" => {
            Language::JavaScript
        }
        "go" => Language::Go,
        "java" | "groovy" | "gradle" => Language::Java,
        "kt" | "kts" => Language::Kotlin,
        "cs" | "fs" | "vb" | "razor" | "cshtml" => Language::CSharp,
        "rb" | "rake" | "gemspec" | "erb" => Language::Ruby,
        "rs" => Language::Rust,
        "php" | "phtml" => Language::Php,
        "swift" | "scala" | "sc" | "dart" | "c" | "h" | "cc" | "cpp" | "cxx" | "hpp" | "m" | "mm" | "zig"
        | "sol" | "proto" | "cue" | "prisma" => Language::Braces,
        "ex" | "exs" | "r" | "jl" | "nix" | "pl" | "pm" | "cr" | "nim" => Language::Hashes,
        "yaml" | "yml" => Language::Yaml,
        "json" | "jsonc" | "json5" | "jsonl" | "ndjson" | "webmanifest" => Language::Json,
        "toml" => Language::Toml,
        "ini" | "cfg" | "conf" | "properties" | "envrc" => Language::Lines,
        "tf" | "tfvars" | "hcl" | "bicep" => Language::Terraform,
        "sh" | "bash" | "zsh" | "fish" | "ps1" | "bats" | "mk" => Language::Shell,
        "ipynb" => Language::Notebook,
        _ => return None,
    })
}

fn is_lock(name: &str) -> bool {
    const NAMES: [&str; 10] = [
        "package-lock.json",
        "npm-shrinkwrap.json",
        "pnpm-lock.yaml",
        "bun.lock",
        "go.sum",
        "uv.lock",
        "packages.lock.json",
        "deno.lock",
        "mix.lock",
        "flake.lock",
    ];
    NAMES.contains(&name) || name.ends_with(".lock") || name.ends_with(".lockb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_how_a_file_is_read() {
        let check = |name: &str, expected| assert_eq!(of_path(Path::new(name)), expected, "{name}");
        check("a/b.py", Ok(Some(Language::Python)));
        check("b.d.TS", Ok(Some(Language::JavaScript)));
        check("Dockerfile.prod", Ok(Some(Language::Dockerfile)));
        check(".env.production", Ok(Some(Language::Lines)));
        check("docker-compose.yml", Ok(Some(Language::Yaml)));
        check("x.ipynb", Ok(Some(Language::Notebook)));
        check("poetry.lock", Err(NotRead::Lock));
        check("package-lock.json", Err(NotRead::Lock));
        check("app.min.js", Err(NotRead::Minified));
        check("app.js.map", Err(NotRead::Minified));
        check("README.md", Err(NotRead::Other));
        check("run", Ok(None));
        check(".hidden", Ok(None));
        assert_eq!(of_first_line(b"#!/usr/bin/env python3\n"), Some(Language::Python));
        assert_eq!(of_first_line(b"#!/bin/sh"), Some(Language::Shell));
        assert_eq!(of_first_line(b"hello"), None);
    }
}
