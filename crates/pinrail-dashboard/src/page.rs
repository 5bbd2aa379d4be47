//! What a page is: a value, the main part of its document, and the pieces of it that live.

use askama::Template;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::shell::{Shell, Theme, Who};
use crate::ui::Html;
use crate::{assets, ui};

/// Where a time's words begin that say how long ago it was.
const AGE: &str = "data-ago>";

/// A page's value. Serialized, it is the page's `.json` twin.
pub trait Page: Serialize + Send + Sync {
    /// The entry of the navigation that is lit.
    fn nav(&self) -> Nav;

    /// What the window and the heading of the document are called.
    fn title(&self) -> String;

    /// What stands under the navigation: with a heading `<h1>`, and with every part of [`Page::parts`] in its place.
    fn main(&self, shell: &Shell) -> Html;

    /// The pieces that are sent again when they change, each an element with the part's id.
    fn parts(&self, _: &Shell) -> Vec<Part> {
        Vec::new()
    }

    /// Whether the page follows what happens, by server-sent events.
    fn is_live(&self) -> bool {
        false
    }

    /// Whether it also follows what members acknowledge, which is many times a second.
    fn follows_members(&self) -> bool {
        false
    }
}

/// A piece of a page that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The `id` of the piece's outer element.
    pub id: String,
    pub html: Html,
}

/// The navigation's entries, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nav {
    Rail,
    Deployments,
    Releases,
    Runs,
    State,
    Gates,
    Drift,
    Dial,
    Readiness,
    Ledger,
    Webhooks,
    Keys,
    /// None of them.
    Elsewhere,
}

#[derive(Template)]
#[template(path = "document.html")]
struct Document<'a> {
    title: String,
    nav: Nav,
    main: Html,
    live: Option<String>,
    shell: &'a Shell,
    version: &'static str,
}

#[derive(Template)]
#[template(path = "bare.html")]
struct Bare<'a> {
    title: &'a str,
    main: &'a Html,
    shell: &'a Shell,
    version: &'static str,
}

impl Part {
    /// What tells this markup from another one. How long ago something was is left out: that only grows, and the page itself
    /// lets it.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut bytes = Vec::with_capacity(self.html.as_str().len());
        let mut rest = self.html.as_str();
        while let Some((before, after)) = rest.split_once(AGE) {
            bytes.extend_from_slice(before.as_bytes());
            rest = after.split_once("</time>").map_or("", |(_, rest)| rest);
        }
        bytes.extend_from_slice(rest.as_bytes());
        xxh3_64(&bytes)
    }

    /// The markup that puts the part in its place in a page that is open.
    #[must_use]
    pub fn swap(&self) -> String {
        format!("<hx-partial hx-target=\"#{}\" hx-swap=\"outerMorph\">{}</hx-partial>", self.id, self.html)
    }
}

impl Nav {
    /// Those that are shown.
    pub const ALL: [Nav; 12] = [
        Nav::Rail,
        Nav::Deployments,
        Nav::Releases,
        Nav::Runs,
        Nav::State,
        Nav::Gates,
        Nav::Drift,
        Nav::Dial,
        Nav::Readiness,
        Nav::Ledger,
        Nav::Webhooks,
        Nav::Keys,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    #[must_use]
    pub fn path(self) -> &'static str {
        self.row().1
    }

    /// The letter that leads there, after `g`.
    #[must_use]
    pub fn letter(self) -> char {
        self.row().2
    }

    fn row(self) -> (&'static str, &'static str, char) {
        match self {
            Nav::Rail => ("Rail", "/", 'h'),
            Nav::Deployments => ("Deployments", "/deployments", 'd'),
            Nav::Releases => ("Releases", "/releases", 'r'),
            Nav::Runs => ("Runs", "/runs", 'u'),
            Nav::State => ("State", "/state", 's'),
            Nav::Gates => ("Gates", "/gates", 't'),
            Nav::Drift => ("Drift", "/drift", 'f'),
            Nav::Dial => ("Dial", "/dial", 'i'),
            Nav::Readiness => ("Readiness", "/readiness", 'y'),
            Nav::Ledger => ("Ledger", "/ledger", 'l'),
            Nav::Webhooks => ("Webhooks", "/webhooks", 'w'),
            Nav::Keys => ("Keys", "/keys", 'k'),
            Nav::Elsewhere => ("", "", ' '),
        }
    }
}

/// What tells these parts from others: which there are, and what they say.
#[must_use]
pub fn seen(parts: &[Part]) -> String {
    let ids: Vec<&str> = parts.iter().map(|part| part.id.as_str()).collect();
    let digests: Vec<u8> = parts.iter().flat_map(|part| part.digest().to_le_bytes()).collect();
    format!("{:x}.{:x}", xxh3_64(ids.join(" ").as_bytes()), xxh3_64(&digests))
}

/// The whole document of a page.
#[must_use]
pub fn document<P: Page + ?Sized>(page: &P, shell: &Shell) -> String {
    let live = page.is_live().then(|| {
        let address = shell.twin(".live");
        let mark = if address.contains('?') { '&' } else { '?' };
        format!("{address}{mark}seen={}", seen(&page.parts(shell)))
    });
    let document = Document {
        title: page.title(),
        nav: page.nav(),
        main: page.main(shell),
        live,
        shell,
        version: assets::version(),
    };
    ui::written(&document).into_string()
}

/// A document without navigation, for who isn't let in.
#[must_use]
pub fn bare(title: &str, main: &Html, shell: &Shell) -> String {
    ui::written(&Bare { title, main, shell, version: assets::version() }).into_string()
}
