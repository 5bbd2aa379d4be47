//! `[providers.NAME]` in `pinrail.toml`.

use std::path::{Path, PathBuf};

use pinrail_domain::id::ProviderName;
use pinrail_domain::model::Catalogue;
use pinrail_domain::provider::{CA_BYTES_MAX, Format, ProviderSpec, Timeouts};
use pinrail_gateway::connect::authorities;

use super::section::{Section, read_text};
use super::trouble;

/// Reads a provider's settings; `dir` is where its files are.
pub fn read(
    name: &str,
    section: &Section<'_>,
    catalogue: &Catalogue,
    dir: &Path,
) -> Option<(ProviderName, ProviderSpec)> {
    let format: Format = section.get("format").unwrap_or_default();
    let base_url = match format {
        Format::Openai | Format::Azure | Format::Anthropic => section.need("base_url"),
        // It follows from the region.
        Format::Bedrock | Format::Vertex => Some(section.get("base_url").unwrap_or_default()),
    };
    let listed = section.get::<String>("catalogue");
    let known = ProviderName::new(name).map_err(|bad| section.refuse_whole(&bad.to_string())).ok();
    if listed.is_none() && !catalogue.providers().any(|known| known == name) {
        let names: Vec<&str> = catalogue.providers().collect();
        section.refuse(
            "catalogue",
            &format!("is missing: say which part of the catalogue judges its models ({})", names.join(", ")),
        );
    }
    let defaults = ProviderSpec::new(format, String::new(), listed.unwrap_or_else(|| name.to_owned()));
    let spec = ProviderSpec {
        key_env: section.get("key_env"),
        timeouts: section.table("timeouts", timeouts).unwrap_or_default(),
        retries_max: section.get("retries_max").unwrap_or(defaults.retries_max),
        apis: section.get("apis").unwrap_or_default(),
        models: section.get("models").unwrap_or_default(),
        key_header: section.get("key_header"),
        headers: section.get("headers").unwrap_or_default(),
        headers_env: section.get("headers_env").unwrap_or_default(),
        azure: section.get("azure"),
        aws: section.get("aws"),
        vertex: section.get("vertex"),
        proxy: section.get("proxy"),
        proxy_auth_env: section.get("proxy_auth_env"),
        ca_pem: ca_file(section, dir),
        http: section.get("http").unwrap_or_default(),
        ..defaults
    };
    let mut spec = ProviderSpec { base_url: base_url?, ..spec };
    trouble::read(section, &mut spec);
    if let Err(bad) = spec.check() {
        section.refuse_whole(&bad.to_string());
        return None;
    }
    Some((known?, spec))
}

fn timeouts(timeouts: &Section<'_>) -> Option<Timeouts> {
    let or = |key, default| timeouts.get(key).unwrap_or(default);
    let Timeouts { connect_ms, first_byte_ms, idle_ms } = Timeouts::default();
    Some(Timeouts {
        connect_ms: or("connect_ms", connect_ms),
        first_byte_ms: or("first_byte_ms", first_byte_ms),
        idle_ms: or("idle_ms", idle_ms),
    })
}

/// The certificates of the file that `ca_file` names.
fn ca_file(section: &Section<'_>, dir: &Path) -> Option<String> {
    let named = section.get::<PathBuf>("ca_file")?;
    let text = read_text(&dir.join(&named), CA_BYTES_MAX as u64).and_then(|text| match authorities(&text) {
        _ if text.contains("PRIVATE KEY") => {
            Err("holds a private key: name a file with the certificates of the authority alone".to_owned())
        }
        Ok(_) => Ok(text),
        Err(bad) => Err(format!("holds no certificates (PEM) that could be trusted: {bad}")),
    });
    match text {
        Ok(text) => Some(text),
        Err(what) => {
            section.refuse("ca_file", &format!("names {}, which {what}", named.display()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::section::read_text_of;
    use super::*;

    const CA: &str = include_str!("provider/example-ca.pem");

    /// The providers that a text gives, and what is at fault with it.
    fn check(text: &str, dir: &Path) -> (Vec<ProviderName>, Vec<String>) {
        let mut faults = Vec::new();
        let catalogue = Catalogue::embedded();
        let read = read_text_of(text, Path::new("pinrail.toml"), &mut faults, |file| {
            Some(file.each("providers", |name, section| super::read(name, section, catalogue, dir)))
        });
        let names = read.into_iter().flatten().map(|(name, _)| name).collect();
        (names, faults.into_iter().map(|fault| fault.what).collect())
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("certs")).unwrap();
        fs::write(dir.path().join("certs/company-ca.pem"), CA).unwrap();
        fs::write(dir.path().join("key.pem"), format!("{CA}-----BEGIN PRIVATE KEY-----")).unwrap();
        fs::write(dir.path().join("no.pem"), "no").unwrap();
        dir
    }

    #[test]
    fn every_example_in_the_documentation_can_be_applied() {
        let dir = folder();
        let text = include_str!("../../../../docs/providers.md");
        let examples: Vec<&str> =
            text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        assert!(examples.len() >= 9, "{}", examples.len());
        for example in examples {
            // Those of a release stand beside them.
            if !example.contains("[providers.") {
                continue;
            }
            let (names, faults) = check(example, dir.path());
            assert!(faults.is_empty() && !names.is_empty(), "{example}\n{faults:?}");
        }
    }

    #[test]
    fn certificates_come_from_a_file_that_holds_nothing_else() {
        let dir = folder();
        let refused = |file: &str, says: &str| {
            let text = format!("[providers.openai]\nbase_url = \"https://x/v1\"\nca_file = \"{file}\"\n");
            let (_, faults) = check(&text, dir.path());
            assert!(faults.iter().any(|fault| fault.contains(says)), "{file}: {faults:?}");
        };
        refused("key.pem", "holds a private key");
        refused("no.pem", "holds no certificates (PEM)");
        refused("absent.pem", "cannot be read");
    }
}
