//! The way out: how messages reach other people's programs. The server implements it; the control plane knows no HTTP
//! and no secret (I15).

use std::time::Duration;

use async_trait::async_trait;
use pinrail_domain::agent::Compensation;
use pinrail_domain::time::Timestamp;
use pinrail_domain::webhook::WebhookSpec;

/// Sends messages.
#[async_trait]
pub trait Outbound: Send + Sync {
    /// Sends one message, signed where the address names a secret. The wait is bounded.
    async fn send(&self, to: &Address, message: &Message) -> Result<Receipt, SendError>;
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub url: String,
    /// The environment variable that holds the secret that messages are signed with; none: not signed.
    pub secret_env: Option<String>,
}

/// One message, ready to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The same in every attempt, so that a receiver that gets it twice knows it.
    pub id: String,
    /// When this attempt was made: it is signed with the body.
    pub at: Timestamp,
    /// A CloudEvent in structured mode.
    pub body: Vec<u8>,
}

/// What a receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The HTTP status.
    pub status: u16,
    /// How its answer's body begins, as far as that is text.
    pub said: String,
}

/// Why a message wasn't taken.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}")]
pub struct SendError {
    /// Holds no secret, and nothing of what the receiver said.
    pub what: String,
    pub fault: Fault,
    /// What the receiver answered, where it did.
    pub answer: Option<Receipt>,
}

/// Whose fault it is, and so whether sending again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never left: something is missing on this side, such as the variable of a secret.
    Here,
    /// Nobody answered, or the receiver can't take it now.
    Later {
        /// How long it asks to be left alone.
        after: Option<Duration>,
    },
    /// The receiver will never take it.
    Refused,
}

impl SendError {
    /// Whether sending the same again soon may help.
    #[must_use]
    pub fn may_help(&self) -> bool {
        match self.fault {
            Fault::Later { .. } => true,
            Fault::Here | Fault::Refused => false,
        }
    }
}

impl From<&Compensation> for Address {
    fn from(to: &Compensation) -> Address {
        Address { url: to.url.clone(), secret_env: to.secret_env.clone() }
    }
}

impl From<&WebhookSpec> for Address {
    fn from(to: &WebhookSpec) -> Address {
        Address { url: to.url.clone(), secret_env: to.secret_env.clone() }
    }
}
