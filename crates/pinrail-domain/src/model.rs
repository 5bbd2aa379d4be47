//! Which model a release names, whether that name can move, how long it lives and what it costs.
//!
//! A model id gets one of three answers: [`Identity::Pinned`], [`Identity::Floating`] or
//! [`Identity::Unknown`]. The facts behind them are data, one TOML file per [`Catalogue`]: Pinrail brings
//! one ([`Catalogue::embedded`]) and a user may lay their own over it ([`Catalogue::overlaid`]).
//!
//! How an id is judged, first rule that speaks wins:
//! 1. its own entry, when that states an identity;
//! 2. the user's patterns, in the order they were written;
//! 3. the catalogue's floating patterns, then its pinned ones, then its unknown ones;
//! 4. where the provider says so, a bare name with a dated sibling in the catalogue is floating;
//! 5. else the answer is unknown. A shape that no rule describes proves nothing.
//!
//! Start reading at [`Catalogue`]; the data is in `model/catalogue.toml`.

mod catalogue;
mod date;
mod file;
mod judge;
mod layers;
mod learn;
mod lifecycle;
mod newer;
mod pattern;
mod price;
mod served;
mod snapshots;
mod suggest;
#[cfg(test)]
mod tests;

pub use catalogue::{CATALOGUE_BYTES_MAX, Catalogue, CatalogueError, FORMAT_VERSION};
pub use judge::{ID_BYTES_MAX, Identity};
pub use layers::Layers;
pub use learn::{
    Added, Changed, Changes, Fact, Listed, Named, PerToken, STALE_DAYS, Source, difference, is_stale, learn,
};
pub use lifecycle::{Lifecycle, RETIRING_SOON_DAYS};
pub use newer::Newer;
pub use price::{NanoUsd, Price, Tokens};
pub use served::Served;
pub use suggest::PINS_MAX;

/// The first millisecond of a day that is written `YYYY-MM-DD`; none where that day doesn't exist.
pub(crate) fn start_of_day(text: &str) -> Option<crate::time::Timestamp> {
    date::Date::parse(text).map(date::Date::start)
}
