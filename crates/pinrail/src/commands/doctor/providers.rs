//! The providers: are their keys set, can they be reached, do the models live on.

use std::collections::BTreeMap;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use pinrail_api::catalogue::Catalogue as Known;
use pinrail_domain::id::ProviderName;
use pinrail_domain::model::{Catalogue, Lifecycle, STALE_DAYS, is_stale};
use pinrail_domain::provider::{NO_PROXY, ProviderSpec, SIM_URL};

use super::Check;
use super::server::Seen;
use crate::cli::Context;
use crate::commands::model::lifecycle;
use crate::commands::provider::troubles;
use crate::config;
use crate::files::Project;

/// A provider that takes longer to take a connection has trouble.
const CONNECT: Duration = Duration::from_secs(3);

/// Looks at the server's providers, or at the files' when no server answers.
pub fn look(context: &Context, project: Option<&Project>, seen: Option<&Seen>, checks: &mut Vec<Check>) {
    let providers: BTreeMap<ProviderName, ProviderSpec> = match (seen, project) {
        (Some(seen), _) => seen.providers.iter().map(|p| (p.provider.clone(), p.spec.clone())).collect(),
        (None, Some(project)) => project.providers.clone(),
        (None, None) => BTreeMap::new(),
    };
    for (name, spec) in &providers {
        for variable in spec.env_names() {
            checks.push(key(name, variable, seen));
        }
        checks.push(reach(name, spec));
    }
    let catalogue =
        project.map_or_else(|| Catalogue::embedded().clone(), |project| project.catalogue.clone());
    // What the server learnt counts where it can be asked.
    let known = seen.and_then(|_| context.client.get::<Known>("/api/v1/catalogue?provider=-").ok());
    let as_of = known.map_or(catalogue.as_of(), |known| known.value.as_of);
    if is_stale(as_of, context.now) {
        let found = format!(
            "what is known about models is of {}, older than {STALE_DAYS} days",
            &as_of.rfc3339()[..10]
        );
        checks.push(Check::warn("catalogue", found, "`pinrail catalogue update` learns anew"));
    }
    for provider in seen.iter().flat_map(|seen| &seen.providers) {
        for trouble in troubles(provider.health.as_ref(), context.now) {
            let next = format!("`pinrail provider show {}` says more", provider.provider);
            checks.push(Check::warn("provider", format!("{}: {trouble}", provider.provider), next));
        }
    }
    for release in seen.iter().flat_map(|seen| &seen.releases).filter(|release| release.live) {
        let agents = release.agents.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        for (index, model) in release.manifest.model.models().enumerate() {
            let Some(spec) = providers.get(model.provider) else { continue };
            let stands = catalogue.lifecycle(&spec.catalogue, model.snapshot, context.now);
            let runs = if index == 0 { "runs" } else { "falls back to" };
            let stand = lifecycle(stands, context.now);
            let found = format!("{agents}={} {runs} {}: {stand}", release.short, model.snapshot);
            let next = "prove a successor and deploy it";
            match stands {
                Lifecycle::Retired { .. } => checks.push(Check::error("model", found, next)),
                Lifecycle::RetiringSoon { .. } | Lifecycle::Deprecated { .. } => {
                    checks.push(Check::warn("model", found, next));
                }
                Lifecycle::Active | Lifecycle::Unlisted => checks.push(Check::ok("model", found)),
            }
        }
    }
}

/// The server's own environment counts; this one's only where no server can tell.
fn key(name: &ProviderName, variable: &str, seen: Option<&Seen>) -> Check {
    let (missing, whose) = match seen {
        Some(seen) => {
            let missing = &seen.status.missing_provider_keys;
            (
                missing.iter().any(|key| key.provider == name.as_str() && key.key_env == variable),
                "the server's environment",
            )
        }
        None => (!config::is_set(variable), "this environment"),
    };
    if missing {
        let next = format!("set {variable} and start `pinrail up` again");
        Check::error("key", format!("{name}: {variable} is not set in {whose}"), next)
    } else {
        Check::ok("key", format!("{name}: {variable} is set in {whose}"))
    }
}

fn reach(name: &ProviderName, spec: &ProviderSpec) -> Check {
    if spec.base_url == SIM_URL {
        return Check::ok("provider", format!("{name} is simulated, inside the server"));
    }
    let base = spec.base();
    let proxy = spec.proxy.as_deref().filter(|proxy| *proxy != NO_PROXY);
    let Some((host, port)) = host_and_port(proxy.unwrap_or(&base)) else {
        return Check::error("provider", format!("{name}: {base} names no host"), "correct base_url");
    };
    let found = (host.as_str(), port).to_socket_addrs().map_err(|error| error.to_string());
    let reached = found.and_then(|addresses| {
        let mut why = "the name has no address".to_owned();
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(_) => return Ok(()),
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    });
    match reached {
        Ok(()) => {
            let what = if proxy.is_some() { "its proxy " } else { "" };
            Check::ok("provider", format!("{name}: {what}{host}:{port} takes connections"))
        }
        Err(why) => {
            let found = format!("{name}: {host}:{port} cannot be reached from here: {why}");
            Check::error("provider", found, "check base_url, the network and the proxy")
        }
    }
}

fn host_and_port(url: &str) -> Option<(String, u16)> {
    let (rest, default) = match url.strip_prefix("https://") {
        Some(rest) => (rest, 443),
        None => (url.strip_prefix("http://")?, 80),
    };
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        Some(_) | None => (authority, default),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_names_a_host_and_a_port() {
        let check = |url: &str, expected: Option<(&str, u16)>| {
            assert_eq!(host_and_port(url), expected.map(|(host, port)| (host.to_owned(), port)), "{url}");
        };
        check("https://api.example.com/v1", Some(("api.example.com", 443)));
        check("http://127.0.0.1:7071/v1", Some(("127.0.0.1", 7071)));
        check("http://[::1]:80", Some(("::1", 80)));
        check("http://[::1]/v1", Some(("::1", 80)));
        check("http://x:99999", None);
        check("sim:", None);
    }
}
