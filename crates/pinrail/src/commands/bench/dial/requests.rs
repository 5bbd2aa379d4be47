//! What a dial costs each request in the gateway: answers with two tool calls, one of them with side effects.

use std::time::Duration;

use super::super::load::{Asks, Load, Outcome};
use super::super::members::Line;
use super::super::quantile;
use super::super::upstream::CHUNKS;
use super::{AGENT, Bench, OTHER, Row, turn};

/// How the dial stands while requests are made.
#[derive(Clone, Copy)]
enum Dial {
    Nowhere,
    On(&'static str),
}

const DIALS: [(&str, Dial); 3] = [
    ("no dial is set", Dial::Nowhere),
    ("read_only on another agent", Dial::On(OTHER)),
    ("read_only on this agent", Dial::On(AGENT)),
];
/// Each is measured several times in turn, so that what else the machine does hits all alike.
const ROUNDS: u32 = 5;
/// Connections and caches fill in well under a second.
const WARM_UP: Duration = Duration::from_millis(300);

pub(super) async fn measure(bench: &Bench, port: u16, operator: &mut Line) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for streams in [false, true] {
        let asks = if streams { Asks::Stream { pause_ms: 1 } } else { Asks::Whole };
        let load = |seconds| Load { port, model: AGENT, asks, concurrency: 1, seconds };
        load(WARM_UP).run().await?;
        let mut took: [Outcome; DIALS.len()] = Default::default();
        for _ in 0..ROUNDS {
            for ((_, dial), took) in DIALS.iter().zip(&mut took) {
                if let Dial::On(agent) = dial {
                    turn(operator, agent, "read_only").await?;
                }
                let part = load(bench.seconds / (2 * ROUNDS)).run().await?;
                took.whole_us.extend(part.whole_us);
                took.first_us.extend(part.first_us);
                if let Dial::On(agent) = dial {
                    turn(operator, agent, "full").await?;
                }
            }
        }
        rows.extend(compare(took, streams));
    }
    Ok(rows)
}

fn compare(took: [Outcome; DIALS.len()], streams: bool) -> Vec<Row> {
    let mut without = None;
    let row = |((dial, _), mut took): (&(&str, Dial), Outcome)| {
        took.whole_us.sort_unstable();
        took.first_us.sort_unstable();
        let (first, whole) = (quantile(&took.first_us, 0.5), quantile(&took.whole_us, 0.5));
        let (kind, measured) = match streams {
            true => (
                format!("stream of {CHUNKS} chunks with calls"),
                format!("first chunk {first} µs, last {whole} µs on the way"),
            ),
            false => ("answer with calls".to_owned(), format!("{whole} µs")),
        };
        let row = Row::new("dial", format!("{kind}, 1 connection, p50, {dial}"), measured);
        let Some((first_without, whole_without)) = without else {
            without = Some((first, whole));
            return row;
        };
        let added = |with: u64, without: u64| format!("{:+} µs", with.cast_signed() - without.cast_signed());
        row.against(match streams {
            true => format!("first {}, last {}", added(first, first_without), added(whole, whole_without)),
            false => format!("{} to no dial", added(whole, whole_without)),
        })
    };
    DIALS.iter().zip(took).map(row).collect()
}
