//! Compares a request with the pinned release, for agents that send prompt and tools themselves.
//!
//! Conditions: the text of `system` must be the pinned one, character by character, and no message may be of role
//! `system`, since it would steer the agent as much as the prompt does. Tools must be the pinned ones as JSON values;
//! neither their order nor that of object keys counts. A parameter must be equal where it is sent. What the pin leaves
//! out (`None`, an unnamed parameter) is not compared.

use super::request::MessagesRequest;
use super::rewrite::PARAMS_RESERVED;
use crate::pin::{MISMATCHES_MAX, Mismatch, Pin, compare_param, compare_system, compare_tools};

impl MessagesRequest<'_> {
    /// Lists how the request differs from the pin; nothing means that it may go.
    #[must_use]
    pub fn verify(&self, pin: &Pin<'_>) -> Vec<Mismatch> {
        let mut found = Vec::new();
        if let Some(system) = pin.system {
            self.verify_system(system, &mut found);
        }
        if let Some(tools) = pin.tools {
            compare_tools(tools, self.tools(), &mut found);
        }
        for (name, value) in pin.params.iter().filter(|(name, _)| !PARAMS_RESERVED.contains(&name.as_str())) {
            if let Some(sent) = self.param(name) {
                compare_param(name, value, sent, &mut found);
            }
        }
        found.truncate(MISMATCHES_MAX);
        found
    }

    fn verify_system(&self, pinned: &str, found: &mut Vec<Mismatch>) {
        match self.system_text() {
            Ok(sent) => compare_system("system", pinned, &sent.unwrap_or_default(), found),
            Err(error) => found.push(Mismatch {
                field: "system".to_owned(),
                expected: "the pinned system text".to_owned(),
                got: error.to_string(),
            }),
        }
        for (at, message) in self.messages().iter().enumerate().filter(|(_, message)| message.is_system()) {
            found.push(Mismatch {
                field: format!("messages[{at}].role"),
                expected: "`user` or `assistant`".to_owned(),
                got: format!("`{}`", message.role),
            });
        }
    }
}

#[cfg(test)]
mod tests;
