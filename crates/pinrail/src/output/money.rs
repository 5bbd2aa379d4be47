//! Money as people read it.

use pinrail_domain::model::NanoUsd;

/// A cost that is only estimated: to the cent, where it is more than that.
pub fn about(nano_usd: u64) -> String {
    const CENT: u64 = 10_000_000;
    if nano_usd < CENT { cost(nano_usd) } else { NanoUsd((nano_usd + CENT / 2) / CENT * CENT).to_string() }
}

/// A cost in nano-dollars; a dash for none.
pub fn cost(nano_usd: u64) -> String {
    if nano_usd == 0 { "-".to_owned() } else { NanoUsd(nano_usd).to_string() }
}
