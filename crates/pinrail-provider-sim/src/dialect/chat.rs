//! OpenAI's chat completions, as its API reference has them.

mod history;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{read, read_object, read_temperature};
pub use write::{completion, events};
