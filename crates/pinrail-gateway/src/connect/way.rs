//! How one provider is reached, and which proxies the server's own environment asks for.

use std::fmt;

use http::Uri;
use http::header::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use pinrail_domain::provider::Http;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// What a provider's settings say of the way to it.
#[derive(Clone, Debug, Default)]
pub struct Way {
    pub proxy: Via,
    pub http: Http,
    /// Certificates trusted besides the public authorities.
    pub authorities: Vec<CertificateDer<'static>>,
}

/// Through what a provider is reached.
#[derive(Clone, Debug, Default)]
pub enum Via {
    /// What the server's environment says for its address.
    #[default]
    Environment,
    /// Nothing, whatever the environment says.
    Nothing,
    Proxy(Proxy),
}

/// An HTTP proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub at: Uri,
    /// `Basic …`; never shown.
    pub authorization: Option<HeaderValue>,
}

/// Which proxies the environment asks for; by default none.
#[derive(Clone, Default)]
pub struct Proxies {
    matcher: Option<std::sync::Arc<Matcher>>,
}

/// Why certificates can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BadAuthorities {
    #[error("they cannot be read")]
    Unreadable(#[source] rustls_pki_types::pem::Error),
    #[error("there are none in them")]
    None,
    #[error("one of them is no certificate of an authority")]
    Refused(#[source] rustls::Error),
}

impl Proxies {
    /// What `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say; empty texts say nothing.
    #[must_use]
    pub fn new(https: &str, http: &str, all: &str, none: &str) -> Proxies {
        if [https, http, all].iter().all(|text| text.trim().is_empty()) {
            return Proxies::default();
        }
        let own = |text: &str| text.trim().to_owned();
        let builder = Matcher::builder().https(own(https)).http(own(http)).all(own(all)).no(own(none));
        Proxies { matcher: Some(std::sync::Arc::new(builder.build())) }
    }

    /// The proxy on the way to an address. There is none to this machine itself.
    pub(super) fn to(&self, to: &Uri) -> Option<Proxy> {
        if to.host().is_none_or(is_loopback) {
            return None;
        }
        let found = self.matcher.as_ref()?.intercept(to)?;
        Some(Proxy { at: found.uri().clone(), authorization: found.basic_auth().cloned() })
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Their addresses may hold passwords (I15).
        f.debug_struct("Proxies").field("any", &self.matcher.is_some()).finish()
    }
}

/// Reads certificates of authorities (PEM).
///
/// # Errors
/// [`BadAuthorities`] where a text holds none, or one that no connection could trust.
pub fn authorities(pem: &str) -> Result<Vec<CertificateDer<'static>>, BadAuthorities> {
    let read = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let list = read.map_err(BadAuthorities::Unreadable)?;
    if list.is_empty() {
        return Err(BadAuthorities::None);
    }
    let mut roots = rustls::RootCertStore::empty();
    for certificate in &list {
        roots.add(certificate.clone()).map_err(BadAuthorities::Refused)?;
    }
    Ok(list)
}

/// Whether a host is this machine, by its name alone.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => {
            let name = host.to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_a_proxy_but_never_for_this_machine() {
        let proxies =
            Proxies::new("http://u:p@secure:1", "http://plain:2", "", "internal.example,10.0.0.0/8");
        let check = |to: &'static str, want: Option<&str>| {
            let found = proxies.to(&Uri::from_static(to));
            assert_eq!(found.map(|proxy| proxy.at.to_string()).as_deref(), want, "{to}");
        };
        check("https://api.openai.com/v1", Some("http://secure:1/"));
        check("http://api.example.com/v1", Some("http://plain:2/"));
        check("https://a.internal.example/v1", None);
        check("http://10.1.2.3:8000/v1", None);
        for own in ["http://127.0.0.1:1/", "http://[::1]:1/", "https://localhost/", "http://a.localhost:1/"] {
            check(own, None);
        }
        let auth = proxies.to(&Uri::from_static("https://x/")).unwrap().authorization.unwrap();
        assert_eq!(auth, "Basic dTpw");
        assert!(auth.is_sensitive() && !format!("{proxies:?} {auth:?}").contains("dTpw"));
        assert!(Proxies::new("", " ", "", "x").to(&Uri::from_static("https://x/")).is_none());
    }
}
