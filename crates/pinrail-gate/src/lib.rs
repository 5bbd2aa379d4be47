//! The gate: a candidate and its incumbent answer the same cases, and what comes of it is a verdict.
//!
//! It knows no HTTP, no SQL and no control plane: models are asked through [`ask::Models`], rows are kept through
//! `pinrail_store`, and what a verdict is worth for a promotion is `pinrail_domain::gate`'s to say. Start reading at
//! [`suite`] (what is asked) and [`read`] (how it comes out of files), then [`case`](suite::Case), [`score`] (how good an
//! answer is) and [`row`] (what is kept of each).

pub mod answer;
pub mod ask;
pub mod import;
pub mod read;
pub mod report;
pub mod row;
pub mod run;
pub mod score;
pub mod statement;
pub mod suite;
pub mod verdict;
