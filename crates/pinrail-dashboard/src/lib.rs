//! The dashboard's pages: values in, HTML out.
//!
//! It gathers nothing and decides nothing: `pinrail-server` asks the control plane for a page's value, and this crate
//! writes it down, as a whole document, as the parts of it that changed, or, since a value is plain data, as its `.json`
//! twin. It must not name the store, the control plane, clocks or sockets; what the time is, the [`Shell`] says.
//!
//! Start reading at [`page`] (what a page is), then [`ui`] (ids, times, numbers and text that may be hostile) and [`keys`], the
//! smallest page. The look is in `assets/pinrail.css`; `assets/pinrail.js` adds the keyboard and copying. Markup has no
//! inline script and no `style` attribute: the Content-Security-Policy forbids both.

pub mod assets;
pub mod back;
pub mod blast;
pub mod compare;
pub mod compensation;
pub mod confirm;
pub mod deployment;
pub mod deployments;
pub mod dial;
pub mod drift;
pub mod gates;
pub mod graph;
pub mod keys;
pub mod ledger;
pub mod login;
pub mod map;
pub mod members;
pub mod page;
pub mod pairs;
pub mod problem;
pub mod proof;
pub mod rail;
pub mod readiness;
pub mod releases;
pub mod run;
pub mod runs;
pub mod search;
mod shell;
pub mod space;
pub mod spaces;
pub mod ui;
pub mod webhooks;

pub use page::{Page, Part};
pub use shell::{Done, Shell, Theme, Who};
pub use ui::Html;
