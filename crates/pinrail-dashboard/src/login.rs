//! The page that lets people in.

use askama::Template;

use crate::page;
use crate::shell::Shell;
use crate::ui::{self, Html};

#[derive(Template)]
#[template(path = "login.html")]
struct Main<'a> {
    wrong: Option<&'a str>,
    next: &'a str,
    insecure: bool,
    shell: &'a Shell,
}

/// The document that asks for a key. `insecure` says that the browser won't keep the cookie, as the connection isn't
/// encrypted.
#[must_use]
pub fn document(shell: &Shell, wrong: Option<&str>, next: &str, insecure: bool) -> String {
    let main: Html = ui::written(&Main { wrong, next, insecure, shell });
    page::bare("Sign in", &main, shell)
}
