//! Adopted tables on a real PostgreSQL: what readers see, what writers may do, and that the way back is whole.

#![expect(clippy::unwrap_used, reason = "test code: a surprise must panic")]

mod adopting {
    mod bench;
    mod end;
    mod model;
    mod refusals;
    mod rights;
    mod visible;
    mod writers;
}
