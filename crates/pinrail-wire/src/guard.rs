//! Tool calls of an answer that may not reach the client: what the caller says of them. Each dialect holds its own back.

/// What becomes of calls of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    Pass,
    /// Each call is asked about.
    Ask,
    /// No call passes; the client is told this.
    Drop(String),
}

/// A call in an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Called {
    pub id: String,
    pub name: String,
    /// JSON text as the model wrote it.
    pub arguments: String,
}

/// What of a call that was asked about: it passes, or the client is told this.
pub type Verdict = Result<(), String>;
