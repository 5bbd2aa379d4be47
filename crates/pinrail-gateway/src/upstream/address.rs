//! Where a provider's endpoints are. What doesn't depend on the model is worked out once.

use http::Uri;

use super::target::{Endpoint, Target};

/// The addresses of a provider's endpoints.
pub struct Addresses {
    chat: Uri,
    responses: Uri,
    messages: Uri,
    count_tokens: Uri,
    embeddings: Uri,
}

impl Addresses {
    /// All endpoints below one base; none where that is no address.
    pub fn below(base: &str) -> Option<Addresses> {
        let base = base.trim_end_matches('/');
        let at = |endpoint: Endpoint| {
            let uri = format!("{base}{}", endpoint.path()).parse::<Uri>().ok();
            uri.filter(|uri| uri.authority().is_some())
        };
        Some(Addresses {
            chat: at(Endpoint::Chat)?,
            responses: at(Endpoint::Responses)?,
            messages: at(Endpoint::Messages)?,
            count_tokens: at(Endpoint::CountTokens)?,
            embeddings: at(Endpoint::Embeddings)?,
        })
    }

    /// Where a target is.
    pub fn of(&self, target: &Target<'_>) -> Uri {
        match target.endpoint {
            Endpoint::Chat => self.chat.clone(),
            Endpoint::Responses => self.responses.clone(),
            Endpoint::Messages => self.messages.clone(),
            Endpoint::CountTokens => self.count_tokens.clone(),
            Endpoint::Embeddings => self.embeddings.clone(),
        }
    }
}
