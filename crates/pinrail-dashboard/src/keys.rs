//! Who may do what: the keys.

use askama::Template;
use pinrail_api::keys::Key;
use serde::Serialize;

use crate::page::{Nav, Page};
use crate::shell::Shell;
use crate::ui::{self, Html};

/// The keys, by name.
#[derive(Clone, Debug, Serialize)]
pub struct Keys {
    pub items: Vec<Key>,
    /// The server has none, and everyone may do everything.
    pub open: bool,
}

#[derive(Template)]
#[template(path = "keys.html")]
struct Main<'a> {
    it: &'a Keys,
    shell: &'a Shell,
}

impl Page for Keys {
    fn nav(&self) -> Nav {
        Nav::Keys
    }

    fn title(&self) -> String {
        "Keys".to_owned()
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, shell })
    }
}

impl Main<'_> {
    /// Whose runs and state a key reaches.
    fn tenants(&self, key: &Key) -> String {
        match &key.tenants {
            None => "all".to_owned(),
            Some(names) => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        }
    }

    fn scopes(&self, key: &Key) -> String {
        key.scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_listed_with_what_they_may_do() {
        let key = Key {
            key: "0123456789ab".parse().unwrap(),
            name: "<b>ops</b>".to_owned(),
            scopes: [pinrail_domain::key::Scope::Read].into(),
            tenants: Some(["acme".parse().unwrap()].into()),
        };
        let html = Keys { items: vec![key], open: false }.main(&Shell::of("/keys")).into_string();
        assert!(html.contains("&lt;b&gt;ops&lt;/b&gt;") && !html.contains("<b>ops"), "{html}");
        assert!(html.contains("/keys/0123456789ab/revoke") && html.contains("acme"), "{html}");
        let html = Keys { items: Vec::new(), open: true }.main(&Shell::of("/keys")).into_string();
        assert!(html.contains("pinrail key create"), "{html}");
    }
}
