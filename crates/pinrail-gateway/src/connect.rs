//! How connections to providers are made.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use http::Uri;
use http::header::HeaderValue;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

mod net;
mod way;

pub use net::Net;
pub use way::{BadAuthorities, Proxies, Proxy, Via, Way, authorities};

use crate::upstream::kept::Kept;

/// Makes connections. [`Net`] is the real one; tests and simulators bring their own.
#[async_trait]
pub trait Connect: Send + Sync {
    /// Connects to the host of `to`. The caller bounds the wait.
    async fn connect(&self, to: Uri) -> Result<Link, Box<dyn Error + Send + Sync>>;

    /// Connects on one provider's own way; none where there is only one way.
    ///
    /// # Errors
    /// Where the certificates that the provider is to be trusted by can't be used.
    fn on(&self, way: &Way) -> Result<Option<Arc<dyn Connect>>, BadAuthorities> {
        let _ = way;
        Ok(None)
    }

    /// What requests to this address must show a proxy that reads them.
    fn proxy_authorization(&self, to: &Uri) -> Option<HeaderValue> {
        let _ = to;
        None
    }
}

/// A connection's bytes.
pub trait Wire: Read + Write + Unpin + Send {}

impl<T: Read + Write + Unpin + Send> Wire for T {}

/// A connection that was made.
pub struct Link {
    wire: Box<dyn Wire>,
    /// Both sides agreed on HTTP/2.
    h2: bool,
    /// A proxy reads the requests.
    proxied: bool,
    kept: Kept,
}

impl Link {
    pub fn new(wire: impl Wire + 'static, h2: bool) -> Link {
        Link { wire: Box::new(wire), h2, proxied: false, kept: Kept::default() }
    }

    /// A connection to a proxy that reads the requests and passes them on.
    pub fn through_proxy(wire: impl Wire + 'static) -> Link {
        Link { wire: Box::new(wire), h2: false, proxied: true, kept: Kept::default() }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("h2", &self.h2).finish_non_exhaustive()
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(self.kept.clone()).proxy(self.proxied);
        if self.h2 { connected.negotiated_h2() } else { connected }
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
