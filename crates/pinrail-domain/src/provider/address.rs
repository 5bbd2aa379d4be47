//! Where a provider is, as far as its settings alone say.

use std::borrow::Cow;

use super::{Format, ProviderSpec};

impl ProviderSpec {
    /// The base of its addresses: the one in the settings, or that of its region; without a slash at the end.
    #[must_use]
    pub fn base(&self) -> Cow<'_, str> {
        if !self.base_url.is_empty() {
            let base = self.base_url.trim_end_matches('/');
            let bare = base.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
            // Anthropic's own clients take the address without its version, so that is what many have at hand.
            return match self.format {
                Format::Anthropic if bare => Cow::Owned(format!("{base}/v1")),
                Format::Anthropic | Format::Openai | Format::Azure | Format::Bedrock | Format::Vertex => {
                    Cow::Borrowed(base)
                }
            };
        }
        match (self.format, &self.aws, &self.vertex) {
            (Format::Bedrock, Some(aws), _) => {
                // China's regions are a partition of their own.
                let suffix = if aws.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
                Cow::Owned(format!("https://bedrock-runtime.{}.{suffix}", aws.region))
            }
            (Format::Vertex, _, Some(vertex)) => Cow::Owned(match vertex.region.as_str() {
                "global" => "https://aiplatform.googleapis.com/v1".to_owned(),
                several @ ("us" | "eu") => format!("https://aiplatform.{several}.rep.googleapis.com/v1"),
                one => format!("https://{one}-aiplatform.googleapis.com/v1"),
            }),
            (Format::Openai | Format::Azure | Format::Anthropic | Format::Bedrock | Format::Vertex, _, _) => {
                Cow::Borrowed("")
            }
        }
    }

    /// The host of its base URL, as it is written there.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let (_, rest) = self.base_url.split_once("://")?;
        let authority = rest.split('/').next()?;
        match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => Some(host),
            Some(_) | None => Some(authority),
        }
    }
}
