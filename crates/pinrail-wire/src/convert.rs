//! Carries requests from one dialect to another, and says of everything that can't be carried which field it was.
//!
//! Conditions: a request is read whole into one form (`turns`), in which every key of the source has its place, and written from
//! there. Nothing falls silently: a field without a counterpart is refused by its path, unless it is a *hint* (a field that changes
//! neither what is answered nor what is promised about it: marks for caches, names for a dashboard, defaults that are spelt out),
//! or its feature is one that the release's `lossy` names. All that is refused is told at once. `docs/conversion.md` has the tables.
//!
//! What goes over is what the client sent: the release (its model, parameters, prompt and tools) is applied afterwards, in the
//! provider's dialect. `pinrail` and the keys of `metadata` that speak to Pinrail are left out.

#[allow(dead_code, reason = "the readers and writers note what they lose here")]
mod losses;
#[allow(dead_code, reason = "answers and requests seal thinking in the same way")]
mod thinking;

pub use losses::{FEATURES, Feature, Field, Lossy, Refused, UnknownFeature};
