//! How far something is, on stderr, for whoever looks at a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `total` of something. It draws nothing where stderr is no terminal.
pub fn bar(what: &str, total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len}  {eta}");
    let bar = ProgressBar::new(total).with_message(what.to_owned());
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
