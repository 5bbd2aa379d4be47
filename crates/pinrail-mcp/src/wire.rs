//! What both transports are to the protocol: a way to send, and an inbox.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rmcp::RoleClient;
use rmcp::model::{ClientJsonRpcMessage, JsonRpcMessage, RequestId, ServerJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::sync::mpsc;

use crate::http_transport::HttpOut;
use crate::stdio::ProgramOut;

/// A transport of ours, as the protocol drives it.
pub struct Wire {
    out: Out,
    inbox: mpsc::Receiver<ServerJsonRpcMessage>,
    closed: Arc<AtomicBool>,
}

/// A way to send.
#[derive(Clone)]
pub enum Out {
    Http(Arc<HttpOut>),
    Program(Arc<ProgramOut>),
}

/// Why a message wasn't sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotSent(pub String);

/// A message on its way out.
pub struct Outgoing {
    pub bytes: Vec<u8>,
    /// What waits for an answer has one.
    pub id: Option<RequestId>,
    pub is_initialized: bool,
}

/// Messages that wait to be looked at; with more, the server waits.
pub const INBOX: usize = 64;

impl Wire {
    pub fn new(out: Out, inbox: mpsc::Receiver<ServerJsonRpcMessage>, closed: Arc<AtomicBool>) -> Wire {
        Wire { out, inbox, closed }
    }
}

impl Transport<RoleClient> for Wire {
    type Error = NotSent;

    fn send(
        &mut self,
        item: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), NotSent>> + Send + 'static {
        let out = self.out.clone();
        async move {
            let outgoing = Outgoing::of(&item)?;
            match out {
                Out::Http(http) => http.send(outgoing).await,
                Out::Program(program) => program.send(outgoing).await,
            }
        }
    }

    fn receive(&mut self) -> impl Future<Output = Option<ServerJsonRpcMessage>> + Send {
        self.inbox.recv()
    }

    async fn close(&mut self) -> Result<(), NotSent> {
        self.closed.store(true, Ordering::Relaxed);
        self.inbox.close();
        match &self.out {
            Out::Http(http) => http.close().await,
            Out::Program(program) => program.close().await,
        }
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl Outgoing {
    fn of(item: &ClientJsonRpcMessage) -> Result<Outgoing, NotSent> {
        let bytes = serde_json::to_vec(item).map_err(|error| NotSent(error.to_string()))?;
        let id = match item {
            JsonRpcMessage::Request(request) => Some(request.id.clone()),
            JsonRpcMessage::Response(_) | JsonRpcMessage::Notification(_) | JsonRpcMessage::Error(_) => None,
        };
        let is_initialized = matches!(item, JsonRpcMessage::Notification(notification)
            if matches!(notification.notification, rmcp::model::ClientNotification::InitializedNotification(_)));
        Ok(Outgoing { bytes, id, is_initialized })
    }
}
