//! Compares a request with the pinned release, for agents that send prompt and tools themselves.
//!
//! Conditions: the instructions and the leading system and developer messages, joined by line feeds, must be the
//! pinned text, character by character. No system or developer message may come later and no stored prompt may be
//! named, since they would steer the agent as much as the prompt does. Tools must be the pinned ones as JSON values;
//! neither their order nor that of object keys counts, and no input item may add tools. A parameter must be equal where
//! it is sent. What the pin leaves out (`None`, an unnamed parameter) is not compared.

use std::borrow::Cow;

use super::request::ResponsesRequest;
use super::rewrite::PARAMS_RESERVED;
use crate::pin::{
    ABSENT, MISMATCHES_MAX, Mismatch, Pin, PinnedTools, compare_param, compare_system, compare_tools, excerpt,
};

impl ResponsesRequest<'_> {
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
        if let Some(prompt) = self.param("prompt").filter(|_| pin.system.is_some() || pin.tools.is_some()) {
            let got = excerpt(prompt.get(), 0);
            found.push(Mismatch { field: "prompt".to_owned(), expected: ABSENT.to_owned(), got });
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
        let field = || "instructions".to_owned();
        match self.system_text() {
            Ok(sent) => {
                let text = sent.unwrap_or(Cow::Borrowed(""));
                compare_system("instructions", pinned, &text, found);
            }
            Err(error) => found.push(Mismatch {
                field: error.param().map_or_else(field, str::to_owned),
                expected: "the pinned system text".to_owned(),
                got: error.to_string(),
            }),
        }
        let items = self.input().items().iter().enumerate();
        for (at, item) in items.skip_while(|(_, item)| item.is_system()).filter(|(_, item)| item.is_system())
        {
            found.push(Mismatch {
                field: format!("input[{at}].role"),
                expected: "`user` or `assistant` once the conversation has begun".to_owned(),
                got: format!("`{}`", item.role.as_deref().unwrap_or_default()),
            });
        }
    }

    fn verify_tools(&self, pinned: &PinnedTools, found: &mut Vec<Mismatch>) {
        let items = self.input().items().iter().enumerate();
        for (at, item) in items.filter(|(_, item)| item.adds_tools()) {
            let (expected, got) = (ABSENT.to_owned(), excerpt(item.raw, 0));
            found.push(Mismatch { field: format!("input[{at}]"), expected, got });
        }
        compare_tools(pinned, self.tools(), found);
    }
}

#[cfg(test)]
mod tests;
