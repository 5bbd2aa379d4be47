//! The ledger: every change, newest first, what each says in words, and whether the chain holds.

use askama::Template;
use pinrail_api::ledger::Verification;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::Actor;
use pinrail_domain::time::Timestamp;
use serde::Serialize;

use crate::page::{Nav, Page, Part};
use crate::shell::Shell;
use crate::ui::{self, Html};

pub mod entry;

pub use entry::{EntryPage, Holds, Link};

/// A page of the ledger.
#[derive(Clone, Debug, Serialize)]
pub struct Ledger {
    pub items: Vec<Line>,
    /// Pass as `before` for older ones; absent at the ledger's beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<LedgerSeq>,
    /// How far the search came; the entries between that and the newest were looked at.
    pub searched_to: LedgerSeq,
    pub entries: LedgerSeq,
    pub head: Digest,
    pub wish: Wish,
    /// Every kind that there is.
    #[serde(skip)]
    pub kinds: Vec<&'static str>,
    /// Of the whole chain, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// What can't be read of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// An entry in a line.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub seq: LedgerSeq,
    pub at: Timestamp,
    pub actor: Actor,
    pub kind: &'static str,
    /// What was done, in a sentence.
    pub what: String,
    pub reason: String,
    pub hash: Digest,
}

/// What is searched for, as it was typed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Wish {
    pub kind: String,
    pub agent: String,
    pub actor: String,
    pub text: String,
    pub since: String,
    pub until: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<LedgerSeq>,
}

/// What verifying the chain came to.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    #[serde(flatten)]
    pub verification: Verification,
    pub took_us: u64,
}

#[derive(Template)]
#[template(path = "ledger.html")]
struct Main<'a> {
    it: &'a Ledger,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "ledger/lines.html")]
struct Lines<'a> {
    it: &'a Ledger,
    shell: &'a Shell,
}

impl Page for Ledger {
    fn nav(&self) -> Nav {
        Nav::Ledger
    }

    fn title(&self) -> String {
        "Ledger".to_owned()
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, shell })
    }

    fn parts(&self, shell: &Shell) -> Vec<Part> {
        if !self.is_live() {
            return Vec::new();
        }
        vec![Part { id: "ledger-lines".to_owned(), html: ui::written(&Lines { it: self, shell }) }]
    }

    /// New entries come in at the newest page's top; a verdict is of the moment that it was asked for.
    fn is_live(&self) -> bool {
        self.wish.before.is_none() && self.verified.is_none() && !self.wish.is_some()
    }
}

impl Ledger {
    /// The address of the next page, with what is searched for.
    fn older(&self) -> Option<String> {
        let next = self.next?;
        let Wish { kind, agent, actor, text, since, until, before: _ } = &self.wish;
        let fields = [
            ("kind", kind),
            ("agent", agent),
            ("actor", actor),
            ("text", text),
            ("since", since),
            ("until", until),
        ];
        let typed = fields.into_iter().filter(|(_, value)| !value.is_empty());
        let typed: String = typed.map(|(name, value)| format!("&{name}={}", ui::url(value))).collect();
        Some(format!("/ledger?before={next}{typed}"))
    }
}

impl Wish {
    fn is_some(&self) -> bool {
        let Wish { kind, agent, actor, text, since, until, before: _ } = self;
        [kind, agent, actor, text, since, until].into_iter().any(|typed| !typed.is_empty())
    }
}

impl Main<'_> {
    fn lines(&self) -> Html {
        ui::written(&Lines { it: self.it, shell: self.shell })
    }

    fn words(&self, kind: &str) -> String {
        kind.replace('_', " ")
    }
}

impl Lines<'_> {
    fn lines(&self) -> Html {
        self::lines(&self.it.items, self.shell)
    }

    fn nothing(&self) -> Html {
        if self.it.wish.is_some() {
            let why = format!(
                "Nothing matches from entry {} on. Search for less, or go on to older entries.",
                self.it.searched_to
            );
            ui::empty(&why, "")
        } else {
            ui::empty("The ledger has no entries yet: every change becomes one.", "pinrail init")
        }
    }
}

/// Lines of the ledger as a table, with their reasons.
#[must_use]
pub fn lines(items: &[Line], shell: &Shell) -> Html {
    #[derive(Template)]
    #[template(path = "ledger/table.html")]
    struct Table<'a> {
        items: &'a [Line],
        shell: &'a Shell,
    }
    ui::written(&Table { items, shell })
}

/// Who made a change, by name; the key's id on hover.
#[must_use]
pub fn actor(actor: &Actor) -> Html {
    match actor {
        Actor::Key { id, name } => {
            Html::from_trusted(format!("<span title=\"key {}\">{}</span>", ui::plain(id), ui::plain(name)))
        }
        Actor::Open => ui::plain("anyone (no keys)"),
        Actor::System => ui::plain("Pinrail"),
    }
}

#[cfg(test)]
pub(crate) mod tests;
