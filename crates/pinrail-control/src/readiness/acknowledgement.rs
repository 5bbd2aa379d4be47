//! How fast members acknowledged the newest flips.

use super::Seen;
use crate::members::Took;
use crate::{Control, errors};

/// The budget, in microseconds.
const P99_US_MAX: u64 = 50_000;
/// Flips judged: enough for a p99 with a handful of members, few enough that one bad day doesn't show for weeks.
const FLIPS_JUDGED: usize = 20;

pub async fn look(control: &Control) -> Seen {
    let newest = control.members().newest_acknowledgements(FLIPS_JUDGED).await;
    let (took, flips) = match newest {
        Ok(newest) => newest,
        Err(error) => return Seen::unknown(format!("the members can't be read: {}", errors::chain(&error))),
    };
    let Some(Took { p50_us, p99_us, max_us }) = Took::of(&took) else {
        return match flips {
            0 => Seen::unknown("nothing was flipped since this server started"),
            _ => Seen::met("no members but this server's own gateway, which acknowledges with the flip"),
        };
    };
    let ms = |us: u64| us.div_ceil(1_000);
    let (p50, p99, max) = (ms(p50_us), ms(p99_us), ms(max_us));
    let count = took.len();
    let observed =
        format!("p99 {p99} ms, p50 {p50} ms, slowest {max} ms ({count} acknowledgements, {flips} flips)");
    if p99_us <= P99_US_MAX {
        return Seen::met(observed);
    }
    let why = vec![format!("the slowest of a hundred acts on what was taken back for {p99} ms or longer")];
    Seen::missed(
        observed,
        why,
        "see who is slow: `pinrail member acks`; look at its network, load and pauses",
    )
}
