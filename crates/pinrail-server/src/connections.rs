//! The listener: connections taken, bounded, served and drained.
//!
//! Bounds against clients that hold on to what they don't use: a connection whose first request didn't come within
//! [`Limits::head_wait`] is closed (telling HTTP/1 from HTTP/2 has no bound of its own), as is one whose next head takes
//! longer; connections beyond the limit are not taken; idle HTTP/2 connections must answer pings.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::dispatch::Dispatch;
use crate::limits::Limits;
use crate::server::Drained;

/// Pause after the system had no descriptor or memory for a connection: trying at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often an idle HTTP/2 connection is asked whether its client is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long it may take to answer.
const PING_WAIT: Duration = Duration::from_secs(20);

/// Serves until `shutdown` is ready, then drains.
pub async fn serve(
    dispatch: Arc<Dispatch>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let limits = dispatch.state.limits;
    let builder = Arc::new(builder(&limits));
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => log_end(ended),
            (stream, place) = accept(&listener, &places) => {
                let watcher = graceful.watcher();
                let (builder, dispatch) = (Arc::clone(&builder), Arc::clone(&dispatch));
                connections.spawn(connection(stream, place, watcher, builder, dispatch));
            }
        }
    }
    drop(listener);
    dispatch.state.draining.send_replace(true);
    let ended = async {
        graceful.shutdown().await;
        while let Some(ended) = connections.join_next().await {
            log_end(ended);
        }
    };
    if tokio::time::timeout(limits.drain_wait, ended).await.is_ok() {
        return Drained::default();
    }
    let cut = Drained { connections_cut: connections.len(), requests_cut: dispatch.in_flight.count() };
    connections.shutdown().await;
    cut
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .half_close(limits.half_close)
        .header_read_timeout(limits.head_wait)
        .max_headers(limits.headers_max)
        .max_buf_size(limits.head_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_WAIT);
    builder
}

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The client was gone before its connection was taken.
fn is_the_clients(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionReset)
}

async fn connection(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    watcher: hyper_util::server::graceful::Watcher,
    builder: Arc<Builder<TokioExecutor>>,
    dispatch: Arc<Dispatch>,
) {
    // Small chunks must not wait for each other (40 ms a stream with Nagle's algorithm).
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays with Nagle's algorithm");
    }
    let head_wait = dispatch.state.limits.head_wait;
    let asked = Arc::new(AtomicBool::new(false));
    let service = {
        let asked = Arc::clone(&asked);
        service_fn(move |request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            let dispatch = Arc::clone(&dispatch);
            // Boxed, so that a stream doesn't hold on to the 7 kB that the call before it took.
            Box::pin(async move { Ok::<_, Infallible>(dispatch.answer(request).await) })
        })
    };
    let served = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let silent = async {
        tokio::time::sleep(head_wait).await;
        if asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        served = watcher.watch(served) => {
            if let Err(error) = served {
                tracing::debug!(error = %crate::problem::chain(&*error), "a connection broke");
            }
        }
        () = silent => tracing::debug!("a connection that asked for nothing was closed"),
    }
    drop(place);
}

fn log_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed: this is a bug in Pinrail");
    }
}
