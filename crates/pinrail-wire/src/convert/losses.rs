//! What may be lost on the way between dialects: the names that a release's `lossy` may list, and what is refused without them.

use std::fmt;

/// Something that a dialect has and another has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// As `lossy` names it. Stored in releases: never rename.
    pub name: &'static str,
    /// What is left out where `lossy` names it.
    pub about: &'static str,
}

/// All that `lossy` may name, by name.
pub const FEATURES: &[Feature] = &[
    feature("allowed_tools", "a tool choice among some of the tools: all of them may be chosen"),
    feature("audio", "audio in messages and as a form of the answer"),
    feature("background", "answering in the background"),
    feature("citations", "citing from documents, and the citations of earlier answers"),
    feature("context_management", "what the provider may do to a context that grows too long"),
    feature(
        "custom_tools",
        "tools that take free text; calls of the past become calls with the text as `input`",
    ),
    feature("files", "files that the other dialect can't name or hold: ids of uploads, addresses, kinds"),
    feature("functions", "the deprecated `functions` and `function_call`"),
    feature("images", "images in places where the other dialect has none, such as a tool's result in chat"),
    feature("inference_geo", "where the provider may compute"),
    feature("json_object", "the promise that the answer is JSON of any shape"),
    feature("logit_bias", "weights of single tokens"),
    feature("logprobs", "the probabilities of tokens in the answer"),
    feature("moderation", "moderation along with the answer"),
    feature("n", "several answers to one request: there is one"),
    feature("names", "names of the participants in messages"),
    feature("penalties", "`frequency_penalty` and `presence_penalty`"),
    feature("prediction", "a text that most of the answer is predicted to repeat"),
    feature("prefill", "an assistant's message at the end, which one vendor continues and the other answers"),
    feature("reasoning_mode", "modes of reasoning that one vendor has"),
    feature("reasoning_summary", "a summary of the reasoning in the answer"),
    feature("schema_description", "the description of a structured output's schema"),
    feature("search_results", "search results as content of messages"),
    feature("seed", "a seed that makes answers repeatable"),
    feature("server_tools", "tools that a provider runs itself, their calls and results"),
    feature("service_tier", "speed and price classes other than the usual"),
    feature("stop", "stop sequences"),
    feature("store", "keeping the answer at the provider"),
    feature(
        "stored_state",
        "what lies at the provider: earlier responses, conversations, prompts, containers",
    ),
    feature(
        "system_position",
        "the place of system messages in the middle: they join the system prompt at the front",
    ),
    feature(
        "temperature",
        "temperatures above 1, which become 1, and temperatures of models that think, which are left out",
    ),
    feature(
        "thinking",
        "thinking of earlier answers that only another vendor can read, and wishes for thinking that exclude others",
    ),
    feature(
        "tool_arguments",
        "calls of the past whose arguments are no JSON object: they become one with the text as `arguments`",
    ),
    feature("tool_options", "options of tools that one vendor has, such as deferred loading and examples"),
    feature("top_k", "choosing among the k likeliest tokens"),
    feature("truncation", "leaving out the oldest messages where they are too many"),
    feature("unknown_fields", "fields that Pinrail doesn't know"),
    feature("user_profile", "a profile that the request is attributed to"),
    feature("verbosity", "how long answers should be"),
    feature("web_search", "searching the web for the answer"),
];

/// The feature of a field that is not what its own dialect says it must be. Nothing makes up for that.
pub const MALFORMED: &str = "malformed";

/// What a conversion may leave out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lossy(Vec<&'static str>);

/// Says that there is no such feature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no feature `{name}` that a conversion could leave out; there are: {}", names())]
pub struct UnknownFeature {
    pub name: String,
}

/// One field that can't be carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where it stands in the client's body, such as `messages[3].content[1].input_audio`.
    pub path: String,
    /// One of [`FEATURES`], or [`MALFORMED`].
    pub feature: &'static str,
    pub why: String,
}

/// Says what of a request can't be carried to the provider's dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// At least one, and not more than a few hundred, in the order in which they were met.
    pub fields: Vec<Field>,
}

/// Fields that a message names before it counts the rest.
const FIELDS_TOLD: usize = 4;

/// Fields that a refusal lists at most: a body may be wrong in a million places.
const FIELDS_MAX: usize = 256;

/// Gathers what can't be carried while a request is read and written.
#[derive(Debug)]
pub(super) struct Losses<'l> {
    lossy: &'l Lossy,
    dropped: Vec<&'static str>,
    refused: Vec<Field>,
}

impl Lossy {
    /// Lets features be left out.
    ///
    /// # Errors
    /// [`UnknownFeature`] for a name that is not in [`FEATURES`].
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Lossy, UnknownFeature> {
        let known = |name: &str| {
            let found = FEATURES.iter().find(|feature| feature.name == name);
            found.map(|feature| feature.name).ok_or_else(|| UnknownFeature { name: name.to_owned() })
        };
        Ok(Lossy(names.into_iter().map(known).collect::<Result<_, _>>()?))
    }

    #[must_use]
    pub fn allows(&self, feature: &str) -> bool {
        self.0.contains(&feature)
    }
}

impl<'l> Losses<'l> {
    pub fn new(lossy: &'l Lossy) -> Losses<'l> {
        Losses { lossy, dropped: Vec::new(), refused: Vec::new() }
    }

    /// Says whether a feature may be left out.
    pub fn allows(&self, feature: &str) -> bool {
        self.lossy.allows(feature)
    }

    /// Notes a field that can't be carried.
    pub fn add(&mut self, path: impl Into<String>, feature: &'static str, why: impl Into<String>) {
        debug_assert!(
            feature == MALFORMED || FEATURES.iter().any(|known| known.name == feature),
            "{feature}"
        );
        if self.lossy.allows(feature) {
            if !self.dropped.contains(&feature) {
                self.dropped.push(feature);
            }
        } else if self.refused.len() < FIELDS_MAX {
            self.refused.push(Field { path: path.into(), feature, why: why.into() });
        }
    }

    /// Notes a field that isn't what its own dialect says.
    pub fn malformed(&mut self, path: impl Into<String>, expected: &str) {
        self.add(path, MALFORMED, format!("must be {expected}"));
    }

    /// Settles what was noted: the features that were dropped, or what is refused.
    pub fn settle(self) -> Result<Vec<&'static str>, Refused> {
        let Losses { dropped, refused: fields, .. } = self;
        if !fields.is_empty() {
            return Err(Refused { fields });
        }
        let names = FEATURES.iter().map(|feature| feature.name);
        Ok(names.filter(|name| dropped.contains(name)).collect())
    }
}

impl Refused {
    /// Names the first field at fault, for the `param` of an error answer.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        self.fields.first().map(|field| field.path.as_str())
    }
}

impl fmt::Display for Field {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Field { path, why, .. } = self;
        if path.is_empty() { write!(to, "the body {why}") } else { write!(to, "`{path}` {why}") }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("the request can't be carried to the provider's format: ")?;
        for (at, field) in self.fields.iter().take(FIELDS_TOLD).enumerate() {
            write!(to, "{}{field}", if at == 0 { "" } else { "; " })?;
        }
        if let Some(more @ 1..) = self.fields.len().checked_sub(FIELDS_TOLD) {
            write!(to, "; and {more} more")?;
        }
        let wrong = self.fields.iter().any(|field| field.feature == MALFORMED);
        if wrong {
            return to.write_str(". Correct the request");
        }
        let mut features: Vec<&str> = Vec::new();
        for field in &self.fields {
            if !features.contains(&field.feature) {
                features.push(field.feature);
            }
        }
        let features: Vec<String> = features.into_iter().map(|name| format!("\"{name}\"")).collect();
        write!(
            to,
            ". Leave out what can't be carried, pin a model whose provider speaks the client's format, or let the release lose it: lossy = [{}]",
            features.join(", ")
        )
    }
}

impl std::error::Error for Refused {}

const fn feature(name: &'static str, about: &'static str) -> Feature {
    Feature { name, about }
}

fn names() -> String {
    let names: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
    names.join(", ")
}
