//! Which model a release names, and whether that name can move.
