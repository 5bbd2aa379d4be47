//! State that belongs to deployments: memory, shared context and vectors.

pub mod bits;
