//! The data plane: one request in, one stream out.
//!
//! It asks its port which release answers, applies that release, streams the provider's bytes through and
//! hands what happened to the journal. It must not name the store or the control plane: [`port::Runs`] is all it
//! knows of them. Start reading at [`port`].

pub mod port;
