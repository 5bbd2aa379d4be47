//! The dialects that a provider may speak, and which one it is asked in.
//!
//! A provider is asked in the client's own dialect where it speaks that, since bytes then pass untouched. Else it is asked
//! in the first that its settings list; a list that follows from the format names `chat` before `responses` before
//! `messages`.

use serde::{Deserialize, Serialize};

use super::{Format, ProviderSpec, SIM_URL};

/// One wire format of requests and answers. Stored: never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// OpenAI chat completions.
    Chat,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Messages,
}

/// Where OpenAI itself answers, which speaks more than those who are compatible with it.
const OPENAI_HOST: &str = "api.openai.com";

impl Api {
    pub const ALL: [Api; 3] = [Api::Chat, Api::Responses, Api::Messages];

    /// The name in settings and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Api::Chat => "chat",
            Api::Responses => "responses",
            Api::Messages => "messages",
        }
    }
}

impl Format {
    /// The dialects that may be spoken at an address of this format.
    #[must_use]
    pub fn possible(self) -> &'static [Api] {
        match self {
            Format::Openai => &Api::ALL,
            Format::Azure => &[Api::Chat, Api::Responses],
            // Anthropic answers in OpenAI's format too, for trying it out.
            Format::Anthropic => &[Api::Messages, Api::Chat],
            Format::Bedrock | Format::Vertex => &[Api::Messages],
        }
    }
}

impl ProviderSpec {
    /// The dialects it is spoken to in, the preferred one first; never empty.
    #[must_use]
    pub fn spoken(&self) -> &[Api] {
        if !self.apis.is_empty() {
            return &self.apis;
        }
        match self.format {
            Format::Openai if self.base_url == SIM_URL => &Api::ALL,
            Format::Openai if self.host() == Some(OPENAI_HOST) => &[Api::Chat, Api::Responses],
            Format::Openai => &[Api::Chat],
            Format::Azure => &[Api::Chat, Api::Responses],
            Format::Anthropic | Format::Bedrock | Format::Vertex => &[Api::Messages],
        }
    }

    #[must_use]
    pub fn speaks(&self, api: Api) -> bool {
        self.spoken().contains(&api)
    }

    /// The dialect in which it is asked on behalf of a client who speaks `client`.
    #[must_use]
    pub fn api_for(&self, client: Api) -> Api {
        let spoken = self.spoken();
        if spoken.contains(&client) { client } else { spoken[0] }
    }
}
