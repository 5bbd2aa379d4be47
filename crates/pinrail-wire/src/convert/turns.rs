//! The form that all requests have in between: who said what, with which tools, and how the answer is wanted.
//!
//! It borrows from the source. What may still turn out not to fit in the target carries its path in the source.

use std::borrow::Cow;
use std::collections::HashSet;

use super::thinking::Thought;

/// A whole request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Form<'a> {
    /// JSON, as it came; so are `stream` and the numbers.
    pub model: Option<&'a str>,
    pub stream: Option<&'a str>,
    /// The texts before all turns.
    pub system: Vec<Cow<'a, str>>,
    pub turns: Vec<Turn<'a>>,
    pub tools: Option<Vec<Tool<'a>>>,
    pub choice: Option<Said<Choice<'a>>>,
    /// Whether several tools may be called at once.
    pub parallel: Option<bool>,
    pub tokens_max: Option<&'a str>,
    pub temperature: Option<Said<&'a str>>,
    pub top_p: Option<&'a str>,
    pub top_k: Option<Said<&'a str>>,
    pub stop: Option<Said<Vec<Cow<'a, str>>>>,
    pub format: Option<Said<Format<'a>>>,
    pub reasoning: Option<Said<Reasoning>>,
    pub user: Option<Cow<'a, str>>,
    pub tier: Option<Said<Cow<'a, str>>>,
    pub verbosity: Option<Said<Cow<'a, str>>>,
    pub store: Option<Said<bool>>,
    /// OpenAI's `metadata` without what speaks to Pinrail.
    pub metadata: Vec<(Cow<'a, str>, &'a str)>,
    /// Hints that both of OpenAI's dialects have under the same name.
    pub hints: Vec<(&'static str, &'a str)>,
}

/// A value and where it stood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Said<T> {
    pub path: String,
    pub value: T,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Turn<'a> {
    pub path: String,
    pub role: Role,
    pub parts: Vec<Part<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Instructions in the middle. Those at the front are no turns.
    System,
    /// The user, and the results of tools.
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part<'a> {
    pub path: String,
    pub what: What<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum What<'a> {
    Text(Cow<'a, str>),
    /// The assistant's refusal, in its words.
    Refusal(Cow<'a, str>),
    Image(Image<'a>),
    File(File<'a>),
    Thought(Thought),
    Call(Call<'a>),
    Result(Output<'a>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Image<'a> {
    pub source: ImageSource<'a>,
    /// How closely to look; OpenAI's dialects have it.
    pub detail: Option<Cow<'a, str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ImageSource<'a> {
    Url(Cow<'a, str>),
    /// Base64 of this media type.
    Data {
        media: Cow<'a, str>,
        data: Cow<'a, str>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct File<'a> {
    pub name: Option<Cow<'a, str>>,
    pub source: FileSource<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum FileSource<'a> {
    /// The id of an upload at OpenAI.
    Id(Cow<'a, str>),
    Url(Cow<'a, str>),
    /// Base64 of this media type.
    Data {
        media: Cow<'a, str>,
        data: Cow<'a, str>,
    },
    Text(Cow<'a, str>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call<'a> {
    pub id: Cow<'a, str>,
    pub name: Cow<'a, str>,
    pub arguments: Arguments<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Arguments<'a> {
    /// JSON, as the model wrote it; possibly broken.
    Json(Cow<'a, str>),
    /// The text for a tool that takes free text.
    Free(Cow<'a, str>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Output<'a> {
    /// Of the call.
    pub id: Cow<'a, str>,
    /// Texts, images and files.
    pub content: Vec<Part<'a>>,
    /// The tool failed.
    pub failed: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tool<'a> {
    pub path: String,
    pub name: Cow<'a, str>,
    pub description: Option<Cow<'a, str>>,
    pub takes: Takes<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Takes<'a> {
    /// Arguments by a JSON schema.
    Schema { schema: &'a str, strict: bool },
    /// Free text, in a grammar or not.
    Free(Option<Grammar<'a>>),
}

/// A grammar's parts, as JSON.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grammar<'a> {
    pub syntax: &'a str,
    pub definition: &'a str,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Choice<'a> {
    Auto,
    Never,
    /// Some tool.
    Any,
    Tool(Named<'a>),
    /// Some of these only.
    Among {
        any: bool,
        tools: Vec<Named<'a>>,
    },
}

/// A tool by its name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named<'a> {
    pub name: Cow<'a, str>,
    /// It takes free text.
    pub free: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Format<'a> {
    /// JSON of any shape.
    Object,
    Schema {
        name: Option<Cow<'a, str>>,
        description: Option<Said<Cow<'a, str>>>,
        /// JSON.
        schema: &'a str,
        strict: bool,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reasoning {
    pub wish: Wish,
    pub summary: Option<Said<Cow<'static, str>>>,
}

/// How much to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing is said of it.
    Unsaid,
    Off,
    On(Effort),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effort {
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

impl<'a> Form<'a> {
    /// Adds to the assistant's turn: what it says, thinks and calls in one go is one turn in every dialect.
    pub fn assistant(&mut self, path: &str, parts: Vec<Part<'a>>) {
        match self.turns.last_mut() {
            Some(turn) if turn.role == Role::Assistant => turn.parts.extend(parts),
            Some(_) | None => self.turn(path, Role::Assistant, parts),
        }
    }

    /// Adds a tool's result to those before it.
    pub fn result(&mut self, path: &str, part: Part<'a>) {
        match self.turns.last_mut() {
            Some(turn) if turn.is_results() => turn.parts.push(part),
            Some(_) | None => self.turn(path, Role::User, vec![part]),
        }
    }

    /// Adds a turn.
    pub fn turn(&mut self, path: &str, role: Role, parts: Vec<Part<'a>>) {
        self.turns.push(Turn { path: path.to_owned(), role, parts });
    }

    /// Adds instructions: at the front they are the system prompt.
    pub fn instruct(&mut self, path: &str, parts: Vec<Part<'a>>) {
        let texts = parts.iter().all(|part| matches!(part.what, What::Text(_)));
        if !self.turns.is_empty() || !texts {
            return self.turn(path, Role::System, parts);
        }
        let text = |part: Part<'a>| if let What::Text(text) = part.what { Some(text) } else { None };
        self.system.extend(parts.into_iter().filter_map(text));
    }

    /// The ids of the calls with free text.
    pub fn free_calls(&self) -> HashSet<&str> {
        let mut ids = HashSet::new();
        for part in self.turns.iter().flat_map(|turn| &turn.parts) {
            if let What::Call(call) = &part.what
                && call.is_free()
            {
                ids.insert(call.id.as_ref());
            }
        }
        ids
    }

    /// The first turn after which nothing has been said by the user: the assistant is still at work in it, and thinking before it
    /// is of no more use to anybody.
    pub fn running_from(&self) -> usize {
        let said = |turn: &Turn<'_>| turn.role == Role::User && !turn.is_results();
        self.turns.iter().rposition(said).unwrap_or(0)
    }
}

impl Call<'_> {
    pub fn is_free(&self) -> bool {
        matches!(self.arguments, Arguments::Free(_))
    }
}

impl Turn<'_> {
    /// Says whether it holds results of tools and nothing else.
    pub fn is_results(&self) -> bool {
        self.role == Role::User && self.parts.iter().all(|part| matches!(part.what, What::Result(_)))
    }
}

impl<'a> Part<'a> {
    pub fn new(path: impl Into<String>, what: What<'a>) -> Part<'a> {
        Part { path: path.into(), what }
    }

    pub fn text(path: impl Into<String>, text: Cow<'a, str>) -> Part<'a> {
        Part::new(path, What::Text(text))
    }
}

impl Effort {
    /// Reads OpenAI's and Anthropic's words, which are the same where both have one.
    pub fn of(word: &str) -> Option<Effort> {
        Some(match word {
            "minimal" => Effort::Minimal,
            "low" => Effort::Low,
            "medium" => Effort::Medium,
            "high" => Effort::High,
            "xhigh" => Effort::Xhigh,
            "max" => Effort::Max,
            _ => return None,
        })
    }

    pub fn word(self) -> &'static str {
        match self {
            Effort::Minimal => "minimal",
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::Xhigh => "xhigh",
            Effort::Max => "max",
        }
    }
}
