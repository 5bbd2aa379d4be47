//! How an id is used, and so how sure it is that a provider is sent it.
//!
//! What is asked, first answer wins:
//! 1. Does the string itself say it (`--model gpt-4o`, a request's body, `${MODEL:-gpt-4o}`)?
//! 2. Is it a table's key, compared, a type's value, a line of a list or of a price table, part of a recorded answer?
//!    Then it is data about models: low.
//! 3. Is it the value of something called model, or an argument of a call that makes or asks a model? Then high.
//! 4. Is it an alternative for a model that isn't set, a default of an option, a constant that is given as a model
//!    further down? Then high.
//! 5. Else it is medium where it is passed on, and low where nothing says what it is for.
//!
//! Afterwards: an id that other things are called by, too (`o1`), is low unless it is high; in tests and in type
//! declarations everything is low.

pub mod names;
pub mod walk;

use std::cell::OnceCell;
use std::collections::BTreeMap;

use crate::extract::{Candidate, Form};
use crate::finding::Confidence;
use crate::language::Language;
use crate::lex::{Kind, Tokens};
use names::Call;
use walk::{Before, callee, chain_start, inside, keys};

/// From so many ids in a row on, a list is a table of models.
const LIST_IDS_MIN: usize = 3;

/// From so many ids in all lists of a file on, the lists are a table, however short each one is.
const LISTED_IDS_MIN: usize = 12;

/// From so many constants that hold an id on, they are an enumeration.
const CONSTANTS_MIN: usize = 4;

/// How many brackets around an id are looked at.
const LEVELS_MAX: usize = 5;

/// How an id is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    pub confidence: Confidence,
    pub because: String,
    /// The catalogue's name of whoever is called.
    pub provider: Option<&'static str>,
}

/// A text whose ids are asked about.
pub struct Reader<'t> {
    pub tokens: &'t Tokens<'t>,
    pub language: Language,
    /// Why everything in this file is less sure, if it is.
    pub doubt: Option<&'static str>,
    /// Whether a token is an id and nothing else.
    pub is_id: &'t dyn Fn(usize) -> bool,
    given: OnceCell<BTreeMap<Vec<u8>, usize>>,
    lists: OnceCell<bool>,
}

type Verdict = (Confidence, String);

fn high(because: String) -> Option<Verdict> {
    Some((Confidence::High, because))
}

fn medium(because: String) -> Option<Verdict> {
    Some((Confidence::Medium, because))
}

fn low(because: &str) -> Option<Verdict> {
    Some((Confidence::Low, because.to_owned()))
}

impl<'t> Reader<'t> {
    #[must_use]
    pub fn new(
        tokens: &'t Tokens<'t>,
        language: Language,
        doubt: Option<&'static str>,
        is_id: &'t dyn Fn(usize) -> bool,
    ) -> Reader<'t> {
        Reader { tokens, language, doubt, is_id, given: OnceCell::new(), lists: OnceCell::new() }
    }

    /// How the candidate in the token `at` is used.
    #[must_use]
    pub fn usage(&self, at: usize, candidate: &Candidate) -> Usage {
        let before = walk::before(self.tokens, at);
        let (mut confidence, mut because) = self
            .by_form(at, candidate)
            .or_else(|| self.as_data(at, &before))
            .or_else(|| self.by_key(at, &before))
            .or_else(|| self.by_place(at, &before))
            .unwrap_or_else(|| (Confidence::Low, "nothing around it says what it is for".to_owned()));
        if candidate.id.weak && confidence == Confidence::Medium {
            confidence = Confidence::Low;
            because = format!("{because}, and other things are called so, too");
        }
        if let Some(doubt) = self.doubt
            && confidence > Confidence::Low
        {
            confidence = Confidence::Low;
            because = format!("{because}, but {doubt}");
        }
        Usage { confidence, because, provider: candidate.id.provider.or_else(|| self.provider(at, &before)) }
    }

    /// Whether a string is only there to be read: Python's docstrings.
    #[must_use]
    pub fn is_documentation(&self, at: usize) -> bool {
        let tokens = self.tokens;
        let Some(token) = tokens.all.get(at).filter(|_| self.language == Language::Python) else {
            return false;
        };
        // A prefix such as `r` stands right in front.
        let first = at.checked_sub(1).filter(|before| {
            tokens.is_name(*before)
                && tokens.all[*before].end + 3 >= token.start
                && tokens.bytes(*before).len() <= 2
        });
        let first = first.unwrap_or(at);
        let start = tokens.all[first].start;
        let in_statement = tokens.opener(first).is_none_or(|open| tokens.is_mark(open, b'{'));
        let begins = first == 0
            || (tokens.breaks(tokens.all[first - 1].end, start)
                && !matches!(tokens.all[first - 1].kind, Kind::Mark(b'=' | b',' | b'\\' | b'+' | b'(')));
        let ends = tokens.all.get(at + 1).is_none_or(|next| tokens.breaks(token.end, next.start));
        in_statement && begins && ends
    }

    /// What the string itself says.
    fn by_form(&self, at: usize, candidate: &Candidate) -> Option<Verdict> {
        match &candidate.form {
            Form::Whole => None,
            Form::Flag => high("given to a command's model option".to_owned()),
            Form::Body => high("the model of a request that is written out".to_owned()),
            Form::Assigned(name) | Form::Default(name) => {
                let named = format!("the value of `{name}`");
                if names::is_model(&names::plain(name)) { high(named) } else { medium(named) }
            }
            Form::Url => {
                let content = self.tokens.bytes(at);
                let text = String::from_utf8_lossy(content);
                let calls = [
                    ":generate",
                    ":stream",
                    ":predict",
                    ":embed",
                    ":raw",
                    "/chat/",
                    "/completions",
                    "/invoke",
                    "/converse",
                    "/embeddings",
                    "/responses",
                ];
                if calls.iter().any(|call| text.contains(call)) {
                    high("in the address of a call".to_owned())
                } else if text.starts_with("arn:") {
                    medium("in the name of a resource".to_owned())
                } else {
                    low("in an address")
                }
            }
        }
    }

    /// Whether it is data about models rather than one that is used.
    fn as_data(&self, at: usize, before: &Before) -> Option<Verdict> {
        let tokens = self.tokens;
        if self.is_key(at) {
            return low("a key of a table");
        }
        let compares = |next: usize| {
            (tokens.is_mark(next, b'=') || tokens.is_mark(next, b'!')) && tokens.is_mark(next + 1, b'=')
        };
        if before.compared || compares(at + 1) || (tokens.is_name(at + 1) && tokens.bytes(at + 1) == b"in") {
            return low("compared with something");
        }
        let pipe = tokens.is_mark(at + 1, b'|') && !tokens.is_mark(at + 2, b'|');
        if (before.of_type || pipe) && matches!(self.language, Language::JavaScript | Language::Python) {
            return low("one of the names that a type allows");
        }
        let open = tokens.opener(at);
        let indexed = open.filter(|open| tokens.is_mark(*open, b'[')).and_then(|open| callee(tokens, open));
        if indexed.is_some_and(|name| tokens.bytes(name) == b"Literal") {
            return low("one of the names that a type allows");
        }
        if before.key.is_some_and(|key| tokens.is_text(key) && (self.is_id)(key)) {
            return low("what a table says of another id");
        }
        if let Some(open) = open.filter(|open| before.key.is_none() && self.ids_in(*open) >= LIST_IDS_MIN) {
            let is_lookup = tokens.is_mark(open, b'(');
            return low(if is_lookup { "one of several ids in a call" } else { "one of a list of models" });
        }
        let plain_keys = |open: usize| keys(tokens, open).map(|(key, _)| names::plain(&tokens.str(key)));
        let describes = |open: usize| plain_keys(open).any(|key| names::describes_a_model(&key));
        let list_in = open.filter(|open| tokens.is_mark(*open, b'[')).and_then(|open| tokens.opener(open));
        if open.is_some_and(describes) || list_in.is_some_and(describes) {
            return low("part of a description of a model: its price, its limits");
        }
        if open.is_some_and(|open| plain_keys(open).any(|key| names::is_of_an_answer(&key))) {
            return low("part of a recorded answer");
        }
        let called = open.filter(|open| tokens.is_mark(*open, b'(')).and_then(|open| callee(tokens, open));
        if called.is_some_and(|name| names::counts(&names::plain(&tokens.str(name)))) {
            return low("given to a call that counts or prices tokens");
        }
        if open.is_some_and(|open| tokens.is_mark(open, b'['))
            && before.key.is_none()
            && self.is_full_of_lists()
        {
            return low("one of many ids in lists");
        }
        self.is_example(at).then(|| (Confidence::Low, "an example for readers".to_owned()))
    }

    /// Whether the lists of the file together are a table of models.
    fn is_full_of_lists(&self) -> bool {
        *self.lists.get_or_init(|| {
            let tokens = self.tokens;
            let in_list = |at: &usize| {
                tokens.is_text(*at)
                    && tokens.opener(*at).is_some_and(|open| tokens.is_mark(open, b'['))
                    && (self.is_id)(*at)
            };
            (0..tokens.all.len()).filter(in_list).take(LISTED_IDS_MIN).count() == LISTED_IDS_MIN
        })
    }

    /// Whether something around it is called an example.
    fn is_example(&self, at: usize) -> bool {
        let tokens = self.tokens;
        let mut open = tokens.opener(at);
        for _ in 0..LEVELS_MAX {
            let Some(here) = open else { return false };
            let named = walk::before(tokens, here).key.map(|key| names::plain(&tokens.str(key)));
            if named.is_some_and(|name| matches!(name.as_str(), "example" | "examples" | "jsonschemaextra")) {
                return true;
            }
            open = tokens.opener(here);
        }
        false
    }

    /// What the name says that it is the value of.
    fn by_key(&self, at: usize, before: &Before) -> Option<Verdict> {
        let tokens = self.tokens;
        let key = before.key?;
        let written = tokens.str(key);
        let plain = names::plain(&written);
        if names::is_model(&plain) {
            return high(format!("the value of `{written}`"));
        }
        if before.for_model {
            return high("what is taken where no model is given".to_owned());
        }
        if let Some(line) = self.given_as_model(key) {
            return high(format!("`{written}` is given as a model in line {line}"));
        }
        let called = tokens
            .opener(at)
            .filter(|open| tokens.is_mark(*open, b'('))
            .and_then(|open| callee(tokens, open));
        if let Some(called) = called.filter(|_| plain == "id").map(|called| tokens.str(called))
            && names::call(&called) == Call::Uses
        {
            return high(format!("the `{written}` given to `{called}`"));
        }
        if names::is_value(&plain)
            && let Some(owner) = self.owner_names_model(at)
        {
            return high(format!("the {written} of `{owner}`"));
        }
        if let Some(open) = tokens.opener(at)
            && self.constants_in(open, at) >= CONSTANTS_MIN
        {
            return low("one of several constants with ids");
        }
        if self.is_plain_block(at) && self.constants_in(usize::MAX, at) >= CONSTANTS_MIN {
            return low("one of several constants with ids");
        }
        if names::is_label(&plain) {
            return low("a name or a text for people");
        }
        if names::is_near_model(&plain) {
            return medium(format!("the value of `{written}`"));
        }
        if names::is_value(&plain) {
            return low("the value of something that isn't called a model");
        }
        medium(format!("the value of `{written}`, which doesn't say that it is a model"))
    }

    /// What the brackets around it say, where it has no name of its own.
    fn by_place(&self, at: usize, before: &Before) -> Option<Verdict> {
        let tokens = self.tokens;
        if before.for_model {
            return high("what is taken where no model is given".to_owned());
        }
        if self.follows_model_flag(at) {
            return high("given to a command's model option".to_owned());
        }
        if before.returned {
            return match self.function_around(at) {
                Some(name) if names::is_model(&names::plain(&name)) => high(format!("what `{name}` returns")),
                Some(_) | None => medium("returned by a function".to_owned()),
            };
        }
        let open = tokens.opener(at)?;
        if tokens.is_mark(open, b'(') {
            return self.as_argument(at, open);
        }
        let owner = walk::before(tokens, open);
        let named = owner.key.map(|key| tokens.str(key));
        let is_lookup = tokens.is_mark(open, b'[') && owner.key.is_none() && callee(tokens, open).is_some();
        if is_lookup {
            return low("looked up in a table");
        }
        if tokens.is_mark(open, b'[') && owner.compared {
            return low("compared with something");
        }
        match named {
            Some(name) if names::is_near_model(&names::plain(&name)) => {
                // Settings and arguments list what is used; a variable of a program mostly lists what there is.
                let is_given = tokens.opener(open).is_some() || self.is_settings();
                if is_given {
                    medium(format!("in the list `{name}`"))
                } else {
                    low("in a list that a program keeps")
                }
            }
            Some(_) | None => None,
        }
    }

    /// What the call says that it is an argument of.
    fn as_argument(&self, at: usize, open: usize) -> Option<Verdict> {
        let tokens = self.tokens;
        let others = inside(tokens, open).filter(|other| *other != at && tokens.is_text(*other));
        if others.into_iter().any(|other| walk::names_model(tokens, other)) {
            return high("the default of an option or a variable that names a model".to_owned());
        }
        let Some(called) = callee(tokens, open) else {
            let owner = walk::before(tokens, open);
            return match owner.key {
                Some(key) if walk::names_model(tokens, key) => {
                    high(format!("the value of `{}`", tokens.str(key)))
                }
                Some(_) | None if owner.compared => low("compared with something"),
                Some(_) | None => None,
            };
        };
        let name = tokens.str(called);
        match names::call(&name) {
            Call::Uses => return high(format!("given to `{name}`")),
            Call::Talks => return low("given to a call that counts, compares, prints or looks up"),
            Call::Unclear => {}
        }
        let owner = walk::before(tokens, chain_start(tokens, called));
        match owner.key {
            Some(key) if walk::names_model(tokens, key) => {
                high(format!("the value of `{}`", tokens.str(key)))
            }
            Some(_) | None => medium(format!("an argument of `{name}`")),
        }
    }

    fn is_key(&self, at: usize) -> bool {
        let tokens = self.tokens;
        let begins = at == 0
            || matches!(tokens.all[at - 1].kind, Kind::Mark(b'{' | b',' | b';' | b'['))
            || tokens.breaks(tokens.all[at - 1].end, tokens.all[at].start);
        let computed = at > 0
            && tokens.is_mark(at - 1, b'[')
            && tokens.is_mark(at + 1, b']')
            && tokens.is_mark(at + 2, b':');
        let arrow = tokens.is_mark(at + 1, b'=') && tokens.is_mark(at + 2, b'>');
        computed || arrow || (begins && tokens.is_mark(at + 1, b':'))
    }

    /// How many ids stand directly in a bracket, as elements.
    fn ids_in(&self, open: usize) -> usize {
        let tokens = self.tokens;
        let is_element = |at: &usize| {
            tokens.is_text(*at)
                && !tokens.is_mark(at - 1, b':')
                && !tokens.is_mark(at - 1, b'=')
                && (self.is_id)(*at)
        };
        inside(tokens, open).filter(is_element).take(LIST_IDS_MIN).count()
    }

    /// How many names near `at`, in the same bracket, hold an id.
    fn constants_in(&self, open: usize, at: usize) -> usize {
        let tokens = self.tokens;
        let near = at.saturating_sub(60)..(at + 60).min(tokens.all.len());
        near.filter(|other| {
            tokens.is_text(*other)
                && tokens.opener(*other).unwrap_or(usize::MAX) == open
                && *other > 0
                && (tokens.is_mark(other - 1, b'=')
                    || tokens.is_mark(other - 1, b':')
                    || tokens.is_mark(other - 1, b'('))
                && (self.is_id)(*other)
        })
        .take(CONSTANTS_MIN)
        .count()
    }

    fn is_settings(&self) -> bool {
        matches!(
            self.language,
            Language::Yaml
                | Language::Json
                | Language::Toml
                | Language::Lines
                | Language::Terraform
                | Language::Shell
        )
    }

    fn is_plain_block(&self, at: usize) -> bool {
        self.tokens.opener(at).is_none()
    }

    /// The name of a model's option, parameter or variable whose value or default stands at `at`.
    fn owner_names_model(&self, at: usize) -> Option<String> {
        let tokens = self.tokens;
        let open = tokens.opener(at)?;
        // `add_argument("--model", default=…)`, `variable "model" { default = … }`, `- name: MODEL` with its value.
        let is_call = tokens.is_mark(open, b'(');
        let said = |other: &usize| {
            *other != at && tokens.is_text(*other) && (is_call || self.names_its_owner(*other))
        };
        if let Some(other) = inside(tokens, open).filter(said).find(|other| walk::names_model(tokens, *other))
        {
            return Some(tokens.str(other).into_owned());
        }
        let labels = (open.saturating_sub(2)..open)
            .rev()
            .take_while(|other| tokens.is_text(*other) || tokens.is_name(*other));
        if let Some(label) = labels.into_iter().find(|other| walk::names_model(tokens, *other)) {
            return Some(tokens.str(label).into_owned());
        }
        let from = callee(tokens, open).map_or(open, |called| chain_start(tokens, called));
        let key = walk::before(tokens, from).key?;
        walk::names_model(tokens, key).then(|| tokens.str(key).into_owned())
    }

    /// Whether a text is the value of a key that names what stands around it.
    fn names_its_owner(&self, at: usize) -> bool {
        let tokens = self.tokens;
        let Some(key) = walk::before(tokens, at).key else { return false };
        matches!(
            names::plain(&tokens.str(key)).as_str(),
            "name" | "key" | "var" | "variable" | "env" | "param" | "parameter"
        )
    }

    /// Whether the word in front is `--model`, or the two in front are `ENV MODEL`.
    fn follows_model_flag(&self, at: usize) -> bool {
        let tokens = self.tokens;
        let mut last = at;
        for _ in 0..2 {
            let Some(here) = last.checked_sub(1) else { return false };
            last = here;
            if tokens.is_text(here) {
                let word = tokens.bytes(here);
                let named = walk::names_model(tokens, here);
                let is_env = here > 0 && matches!(tokens.bytes(here - 1), b"ENV" | b"ARG");
                return named && (word.starts_with(b"--") || is_env);
            }
            if !tokens.is_mark(here, b',') {
                return false;
            }
        }
        false
    }

    /// The name of the function that returns what stands at `at`.
    fn function_around(&self, at: usize) -> Option<String> {
        let tokens = self.tokens;
        let is_keyword =
            |at: &usize| matches!(tokens.bytes(*at), b"def" | b"function" | b"func" | b"fn" | b"fun");
        let keyword = (at.saturating_sub(120)..at).rev().find(|at| tokens.is_name(*at) && is_keyword(at))?;
        tokens.is_name(keyword + 1).then(|| tokens.str(keyword + 1).into_owned())
    }

    /// The line where a name is given as a model.
    fn given_as_model(&self, key: usize) -> Option<usize> {
        let given = self.given.get_or_init(|| self.names_given());
        let at = *given.get(self.tokens.bytes(key))?;
        Some(memchr::memchr_iter(b'\n', &self.tokens.text[..self.tokens.all[at].start as usize]).count() + 1)
    }

    /// All names that are given as a model: `model=NAME`, `ChatOpenAI(NAME)`.
    fn names_given(&self) -> BTreeMap<Vec<u8>, usize> {
        let tokens = self.tokens;
        let mut given = BTreeMap::new();
        for at in 2..tokens.all.len() {
            let signed = tokens.is_mark(at - 1, b'=') || tokens.is_mark(at - 1, b':');
            let called = tokens.is_mark(at - 1, b'(') && !tokens.is_mark(at + 1, b'=');
            if !tokens.is_name(at) || !(signed || called) {
                continue;
            }
            let named = signed && walk::names_model(tokens, at - 2);
            let uses = called
                && callee(tokens, at - 1).is_some_and(|name| names::call(&tokens.str(name)) == Call::Uses);
            if named || uses {
                given.entry(tokens.bytes(at).to_vec()).or_insert(at);
            }
        }
        given
    }

    /// Who is called: said by a key, a call or a provider that is named beside it.
    fn provider(&self, at: usize, before: &Before) -> Option<&'static str> {
        let tokens = self.tokens;
        let of = |token: usize| names::provider(&names::plain(&tokens.str(token)));
        if let Some(found) = before.key.and_then(of) {
            return Some(found);
        }
        let mut open = tokens.opener(at);
        for _ in 0..LEVELS_MAX {
            let here = open?;
            let beside = keys(tokens, here).find(|(key, value)| {
                let name = names::plain(&tokens.str(*key));
                tokens.is_text(*value)
                    && matches!(
                        name.as_str(),
                        "provider" | "modelprovider" | "llmprovider" | "customllmprovider"
                    )
            });
            if let Some(found) = beside.and_then(|(_, value)| of(value)) {
                return Some(found);
            }
            let called = callee(tokens, here);
            let chain = called.map(|called| chain_start(tokens, called)..called + 1).unwrap_or_default();
            let whole = |at: &usize| tokens.is_name(*at);
            if let Some(found) = chain.rev().filter(whole).find_map(of) {
                return Some(found);
            }
            open = tokens.opener(here);
        }
        None
    }
}

#[cfg(test)]
mod tests;
