//! One entry of the ledger, with all that it says.

use askama::Template;
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::{Actor, Entry};
use serde::Serialize;

use crate::page::{Nav, Page};
use crate::shell::Shell;
use crate::ui::{self, Html};

/// One entry, whole.
#[derive(Clone, Debug, Serialize)]
pub struct EntryPage {
    pub entry: Entry,
    /// What was done, in a sentence.
    pub what: String,
    pub holds: Holds,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer: Option<LedgerSeq>,
    /// What it is about.
    pub concerns: Vec<Link>,
}

/// Whether the entry fits its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "holds", rename_all = "snake_case")]
pub enum Holds {
    /// Its hash is that of its content, and its neighbours name it as they should.
    Yes,
    /// It doesn't.
    No { what: String },
    /// A neighbour can't be read.
    Unknown { what: String },
}

/// Where something has its page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    pub label: String,
    pub href: String,
}

#[derive(Template)]
#[template(path = "ledger/entry.html")]
struct Main<'a> {
    it: &'a EntryPage,
    shell: &'a Shell,
}

impl Page for EntryPage {
    fn nav(&self) -> Nav {
        Nav::Ledger
    }

    fn title(&self) -> String {
        format!("Ledger entry {}", self.entry.seq)
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, shell })
    }
}

impl Main<'_> {
    fn body(&self) -> Html {
        let text = serde_json::to_string_pretty(&self.it.entry.body).unwrap_or_default();
        ui::block(&text)
    }
}
