//! Compares a request with the pinned release, for agents that send prompt and tools themselves.
//!
//! Conditions: the leading system text must be the pinned one, character by character, and no system or
//! developer message may come later, since it would steer the agent as much as the prompt does. Tools must be
//! the pinned ones as JSON values; neither their order nor that of object keys counts. A parameter must be equal
//! where it is sent. What the pin leaves out (`None`, an unnamed parameter) is not compared.

use std::borrow::Cow;

use super::request::ChatRequest;
use super::rewrite::{PARAMS_RESERVED, twin};
use crate::pin::{
    ABSENT, MISMATCHES_MAX, Mismatch, Pin, PinnedTools, compare_param, compare_system, compare_tools, excerpt,
};

impl ChatRequest<'_> {
    /// Lists how the request differs from the pin; nothing means that it may go.
    #[must_use]
    pub fn verify(&self, pin: &Pin<'_>) -> Vec<Mismatch> {
        let mut found = Vec::new();
        if let Some(system) = pin.system {
            self.verify_system(system, &mut found);
        }
        if let Some(tools) = pin.tools {
            self.verify_tools(tools, &mut found);
        }
        for (name, value) in pin.params.iter().filter(|(name, _)| !PARAMS_RESERVED.contains(&name.as_str())) {
            for sent_as in [Some(name.as_str()), twin(name)].into_iter().flatten() {
                if let Some(sent) = self.param(sent_as) {
                    compare_param(sent_as, value, sent, &mut found);
                }
            }
        }
        found.truncate(MISMATCHES_MAX);
        found
    }

    fn verify_system(&self, pinned: &str, found: &mut Vec<Mismatch>) {
        let field = || "messages".to_owned();
        match self.system_text() {
            Ok(sent) => {
                let text = sent.unwrap_or(Cow::Borrowed(""));
                compare_system("messages", pinned, &text, found);
            }
            Err(error) => found.push(Mismatch {
                field: error.param().map_or_else(field, str::to_owned),
                expected: "the pinned system text".to_owned(),
                got: error.to_string(),
            }),
        }
        let messages = self.messages().iter().enumerate();
        for (at, message) in messages.skip_while(|(_, m)| m.is_system()).filter(|(_, m)| m.is_system()) {
            found.push(Mismatch {
                field: format!("messages[{at}].role"),
                expected: "`user`, `assistant` or `tool` once the conversation has begun".to_owned(),
                got: format!("`{}`", message.role),
            });
        }
    }

    fn verify_tools(&self, pinned: &PinnedTools, found: &mut Vec<Mismatch>) {
        if let Some(functions) = self.param("functions") {
            let got = excerpt(functions.get(), 0);
            found.push(Mismatch { field: "functions".to_owned(), expected: ABSENT.to_owned(), got });
        }
        compare_tools(pinned, self.tools(), found);
    }
}

#[cfg(test)]
mod tests;
