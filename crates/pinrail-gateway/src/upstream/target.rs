//! What is asked of a provider: which endpoint, for which model, as a stream or whole.

use pinrail_domain::provider::Api;

/// One of a provider's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// OpenAI chat completions.
    Chat,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Messages,
    /// How many tokens a request in Anthropic's format has.
    CountTokens,
    /// OpenAI embeddings.
    Embeddings,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    pub endpoint: Endpoint,
    /// As the provider calls it: [`model_name`](super::Upstream::model_name).
    pub model: &'a str,
    /// Whether a stream is asked for.
    pub stream: bool,
}

impl Endpoint {
    /// The end of its address at a provider that has all of them below one base.
    pub fn path(self) -> &'static str {
        match self {
            Endpoint::Chat => "/chat/completions",
            Endpoint::Responses => "/responses",
            Endpoint::Messages => "/messages",
            Endpoint::CountTokens => "/messages/count_tokens",
            Endpoint::Embeddings => "/embeddings",
        }
    }
}

impl From<Api> for Endpoint {
    fn from(api: Api) -> Endpoint {
        match api {
            Api::Chat => Endpoint::Chat,
            Api::Responses => Endpoint::Responses,
            Api::Messages => Endpoint::Messages,
        }
    }
}
