//! Money as people read it.

use pinrail_domain::model::NanoUsd;

/// A cost in nano-dollars; a dash for none.
pub fn cost(nano_usd: u64) -> String {
    if nano_usd == 0 { "-".to_owned() } else { NanoUsd(nano_usd).to_string() }
}
