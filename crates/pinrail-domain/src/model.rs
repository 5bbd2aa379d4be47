//! Which model a release names, and whether that name can move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    Pinned { why: String },
    Floating { why: String, pins: Vec<String> },
    Unknown { why: String, pins: Vec<String> },
}
