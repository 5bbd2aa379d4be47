//! How connections to providers are made.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use tower_service::Service;

/// Makes connections. [`Net`] is the real one; tests and simulators bring their own.
#[async_trait]
pub trait Connect: Send + Sync {
    /// Connects to the host of `to`. The caller bounds the wait.
    async fn connect(&self, to: Uri) -> Result<Link, Box<dyn Error + Send + Sync>>;
}

/// A connection's bytes.
pub trait Wire: Read + Write + Unpin + Send {}

impl<T: Read + Write + Unpin + Send> Wire for T {}

/// A connection that was made.
pub struct Link {
    wire: Box<dyn Wire>,
    /// Both sides agreed on HTTP/2.
    h2: bool,
}

/// Connects over TCP, with TLS for `https`, trusting the public certificate authorities.
#[derive(Clone)]
pub struct Net {
    connector: HttpsConnector<HttpConnector>,
}

/// The operating system asks whether an idle connection's other side is still there.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

impl Link {
    pub fn new(wire: impl Wire + 'static, h2: bool) -> Link {
        Link { wire: Box::new(wire), h2 }
    }
}

impl Net {
    /// Sets up TLS.
    ///
    /// # Panics
    /// Never: the cryptography that is built in supports the protocol versions that are built in.
    #[must_use]
    pub fn new() -> Net {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // Small chunks must not wait for each other (40 ms a stream with Nagle's algorithm).
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(Arc::new(rustls::crypto::ring::default_provider()))
            .expect("ring supports TLS 1.2 and 1.3")
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        Net { connector }
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
        let mut connector = self.connector.clone();
        std::future::poll_fn(|cx| connector.poll_ready(cx)).await?;
        let stream = connector.call(to).await?;
        let h2 = stream.connected().is_negotiated_h2();
        Ok(Link::new(stream, h2))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("h2", &self.h2).finish_non_exhaustive()
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        if self.h2 { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.wire).poll_read(cx, buf)
    }
}

impl Write for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.wire).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.wire).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.wire).poll_write_vectored(cx, bytes)
    }
}
