//! OpenAI's responses, as its API reference has them: requests, answers, the typed events of a stream, and the responses
//! that are kept so that a later request can go on from them.

mod events;
mod history;
mod item;
mod read;
mod store;
#[cfg(test)]
mod tests;
mod write;

pub use events::{events, failed};
pub use read::{Wish, read};
pub use store::{Kept, Store};
pub use write::response;
