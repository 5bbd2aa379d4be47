//! The kinds of suites as arguments.

use pinrail_domain::gate::SuiteKind;

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Kind {
    Success,
    Regression,
    Safety,
}

impl From<Kind> for SuiteKind {
    fn from(kind: Kind) -> SuiteKind {
        match kind {
            Kind::Success => SuiteKind::Success,
            Kind::Regression => SuiteKind::Regression,
            Kind::Safety => SuiteKind::Safety,
        }
    }
}
