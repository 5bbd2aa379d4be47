//! Real connections: TCP, TLS, through a proxy where one is set.
//!
//! To `https` the proxy is asked for a tunnel (CONNECT), and sees nothing of what passes. To `http` it gets the requests
//! themselves, in the form that proxies take.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use http::header::HeaderValue;
use http::uri::Scheme;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use pinrail_domain::provider::Http;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use super::way::{BadAuthorities, Proxies, Proxy, Via, Way};
use super::{Connect, Link};

/// Connects over TCP, with TLS for `https`, trusting the public certificate authorities.
#[derive(Clone)]
pub struct Net {
    tcp: HttpConnector,
    tls: Arc<ClientConfig>,
    proxies: Proxies,
    via: Via,
}

/// Says that a proxy can't be spoken to.
#[derive(Debug, thiserror::Error)]
#[error("the proxy {at} is none that is spoken to over plain HTTP; name one as http://host:port")]
struct OtherProxy {
    at: String,
}

/// The operating system asks whether an idle connection's other side is still there.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

impl Net {
    /// Sets up TLS.
    #[must_use]
    pub fn new() -> Net {
        Net::behind(Proxies::default())
    }

    /// Does as [`Net::new`], through the proxies that the environment asks for.
    #[must_use]
    pub fn behind(proxies: Proxies) -> Net {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // Small chunks must not wait for each other (40 ms a stream with Nagle's algorithm).
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        let tls = Arc::new(tls(&Way::default(), public()));
        Net { tcp, tls, proxies, via: Via::Environment }
    }

    fn proxy(&self, to: &Uri) -> Option<Proxy> {
        match &self.via {
            Via::Environment => self.proxies.to(to),
            Via::Nothing => None,
            Via::Proxy(proxy) => Some(proxy.clone()),
        }
    }
}

impl Default for Net {
    fn default() -> Net {
        Net::new()
    }
}

#[async_trait]
impl Connect for Net {
    async fn connect(&self, to: Uri) -> Result<Link, Box<dyn Error + Send + Sync>> {
        let Some(Proxy { at, authorization }) = self.proxy(&to) else {
            let stream = ready(HttpsConnector::from((self.tcp.clone(), Arc::clone(&self.tls))), to).await?;
            let h2 = stream.connected().is_negotiated_h2();
            return Ok(Link::new(stream, h2));
        };
        if at.scheme() != Some(&Scheme::HTTP) {
            // Without what else its address holds, which may be a password (I15).
            let at = at.host().unwrap_or_default().to_owned();
            return Err(OtherProxy { at }.into());
        }
        if to.scheme() == Some(&Scheme::HTTPS) {
            let tunnel = Tunnel::new(at, self.tcp.clone());
            let tunnel = match authorization {
                Some(authorization) => tunnel.with_auth(authorization),
                None => tunnel,
            };
            let stream = ready(HttpsConnector::from((tunnel, Arc::clone(&self.tls))), to).await?;
            let h2 = stream.connected().is_negotiated_h2();
            return Ok(Link::new(stream, h2));
        }
        Ok(Link::through_proxy(ready(self.tcp.clone(), at).await?))
    }

    fn on(&self, way: &Way) -> Result<Option<Arc<dyn Connect>>, BadAuthorities> {
        let mut roots = public();
        for certificate in &way.authorities {
            roots.add(certificate.clone()).map_err(BadAuthorities::Refused)?;
        }
        let tls = Arc::new(tls(way, roots));
        let Net { tcp, proxies, .. } = self.clone();
        Ok(Some(Arc::new(Net { tcp, tls, proxies, via: way.proxy.clone() })))
    }

    fn proxy_authorization(&self, to: &Uri) -> Option<HeaderValue> {
        (to.scheme() == Some(&Scheme::HTTP)).then(|| self.proxy(to)?.authorization).flatten()
    }
}

/// The public certificate authorities.
fn public() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

fn tls(way: &Way, roots: RootCertStore) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = match way.http {
        Http::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Http::Http1 => vec![b"http/1.1".to_vec()],
        Http::Http2 => vec![b"h2".to_vec()],
    };
    config
}

/// Waits until a connector takes calls, and calls it.
async fn ready<C>(mut connector: C, to: Uri) -> Result<C::Response, Box<dyn Error + Send + Sync>>
where
    C: Service<Uri>,
    C::Error: Into<Box<dyn Error + Send + Sync>>,
{
    std::future::poll_fn(|cx| connector.poll_ready(cx)).await.map_err(Into::into)?;
    connector.call(to).await.map_err(Into::into)
}
