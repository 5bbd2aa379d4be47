//! Where a server is, with the values that its settings only name.

use std::fmt;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use pinrail_domain::mcp::McpServerSpec;

/// How a server is reached: its settings, with the variables' values filled in.
#[derive(Clone, Debug)]
pub enum Reach {
    Http { url: Uri, headers: Vec<(HeaderName, HeaderValue)>, timeout: Duration },
    Program { command: Vec<String>, env: Vec<(String, Secret)>, timeout: Duration },
}

/// A variable's value. It is in no log and no error (I15).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

/// Why a server can't be reached as its settings say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReach {
    #[error("environment variable {0} is not set")]
    NotSet(String),
    #[error("header `{0}` cannot be sent")]
    Header(String),
    #[error("`{0}` is no address")]
    Address(String),
}

/// What a program gets of the environment besides the variables that its settings name.
const ALWAYS: [&str; 2] = ["PATH", "HOME"];

impl Reach {
    /// Fills in the variables' values.
    pub fn of(spec: &McpServerSpec, variable: impl Fn(&str) -> Option<String>) -> Result<Reach, NoReach> {
        let needed = |name: &String| variable(name).ok_or_else(|| NoReach::NotSet(name.clone()));
        let timeout = Duration::from_millis(spec.timeout().ms);
        let Some(url) = &spec.url else {
            let always = ALWAYS.iter().filter_map(|name| Some(((*name).to_owned(), Secret(variable(name)?))));
            let mut env: Vec<(String, Secret)> = always.collect();
            for name in &spec.env {
                env.push((name.clone(), Secret(needed(name)?)));
            }
            return Ok(Reach::Program { command: spec.command.clone(), env, timeout });
        };
        let mut headers = Vec::with_capacity(spec.headers_env.len());
        for (name, variable) in &spec.headers_env {
            let bad = || NoReach::Header(name.clone());
            let mut value = HeaderValue::try_from(needed(variable)?).map_err(|_| bad())?;
            value.set_sensitive(true);
            headers.push((HeaderName::try_from(name).map_err(|_| bad())?, value));
        }
        let url = url.parse().map_err(|_| NoReach::Address(url.clone()))?;
        Ok(Reach::Http { url, headers, timeout })
    }

    #[must_use]
    pub fn timeout(&self) -> Duration {
        match self {
            Reach::Http { timeout, .. } | Reach::Program { timeout, .. } => *timeout,
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reach(spec: serde_json::Value) -> Result<Reach, NoReach> {
        let spec: McpServerSpec = serde_json::from_value(spec).unwrap();
        spec.check().unwrap();
        Reach::of(&spec, |name| match name {
            "PATH" => Some("/bin".into()),
            "TOKEN" => Some("Bearer planted-secret".into()),
            "BROKEN" => Some("a\nb".into()),
            _ => None,
        })
    }

    #[test]
    fn variables_are_filled_in_or_missed_by_name() {
        let http =
            reach(json!({ "url": "https://t.example/mcp", "headers_env": { "authorization": "TOKEN" } }));
        let http = http.unwrap();
        assert!(!format!("{http:?}").contains("planted"), "{http:?}"); // I15
        let program = reach(json!({ "command": ["x"], "env": ["TOKEN"] })).unwrap();
        assert!(!format!("{program:?}").contains("planted"), "{program:?}"); // I15
        let Reach::Program { env, .. } = program else { panic!("a program") };
        let names: Vec<&str> = env.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["PATH", "TOKEN"]);
        let missing = reach(json!({ "command": ["x"], "env": ["NOT_THERE"] })).unwrap_err();
        assert_eq!(missing, NoReach::NotSet("NOT_THERE".into()));
        let broken = reach(json!({ "url": "https://t.example/mcp", "headers_env": { "x-key": "BROKEN" } }));
        assert_eq!(broken.unwrap_err(), NoReach::Header("x-key".into()));
    }
}
