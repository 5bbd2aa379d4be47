//! Traces: which calls are recorded, and the ids of their spans.

use std::sync::Arc;

use pinrail_domain::time::{Clock, Entropy};
use pinrail_gateway::telemetry::{Parent, SpanId, Trace, TraceId};

mod content;
pub mod spans;

/// Which calls are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampler {
    Always,
    Never,
    /// This share of all traces, 0 to 1, decided by their ids.
    Ratio(f64),
    /// As the client's own span is recorded or not; a trace that begins here as said.
    Parent(Root),
}

/// Which traces that begin here are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Root {
    Always,
    Never,
    Ratio(f64),
}

/// Says which calls are recorded, and draws ids.
pub struct Tracer {
    pub sampler: Sampler,
    pub entropy: Arc<dyn Entropy>,
    pub clock: Arc<dyn Clock>,
    /// Bytes of requests and of answers that spans keep; none keep any.
    pub content_bytes_max: usize,
}

impl Sampler {
    /// Reads `OTEL_TRACES_SAMPLER` and its argument, which is 1 where there is none.
    ///
    /// # Errors
    /// What is wrong with them, for a person.
    pub fn parse(name: &str, argument: Option<&str>) -> Result<Sampler, String> {
        let ratio = || match argument {
            None => Ok(1.0),
            Some(text) => text
                .trim()
                .parse()
                .ok()
                .filter(|ratio| (0.0..=1.0).contains(ratio))
                .ok_or_else(|| format!("`{text}` is no share from 0 to 1")),
        };
        Ok(match name.trim() {
            "always_on" => Sampler::Always,
            "always_off" => Sampler::Never,
            "traceidratio" => Sampler::Ratio(ratio()?),
            "parentbased_always_on" => Sampler::Parent(Root::Always),
            "parentbased_always_off" => Sampler::Parent(Root::Never),
            "parentbased_traceidratio" => Sampler::Parent(Root::Ratio(ratio()?)),
            other => {
                return Err(format!(
                    "`{other}` is no sampler; there are always_on, always_off, traceidratio, parentbased_always_on, \
                     parentbased_always_off and parentbased_traceidratio"
                ));
            }
        })
    }

    fn records(self, parent: Option<&Parent>, id: TraceId) -> bool {
        match (self, parent) {
            (Sampler::Always, _) => true,
            (Sampler::Never, _) => false,
            (Sampler::Ratio(ratio), _) => is_within(ratio, id),
            (Sampler::Parent(_), Some(parent)) => parent.sampled,
            (Sampler::Parent(Root::Always), None) => true,
            (Sampler::Parent(Root::Never), None) => false,
            (Sampler::Parent(Root::Ratio(ratio)), None) => is_within(ratio, id),
        }
    }
}

impl Tracer {
    /// The call's place in a trace; none where the call isn't recorded.
    pub fn trace(&self, parent: Option<&Parent>) -> Option<Trace> {
        // What can't be recorded needs no id.
        if parent.is_none() && matches!(self.sampler, Sampler::Never | Sampler::Parent(Root::Never)) {
            return None;
        }
        let id = parent.map_or_else(|| TraceId(self.draw()), |parent| parent.id);
        self.sampler.records(parent, id).then(|| Trace {
            id,
            span: self.span_id(),
            parent: parent.map(|parent| parent.span),
            state: parent.and_then(|parent| parent.state.clone()),
        })
    }

    pub fn span_id(&self) -> SpanId {
        SpanId(self.draw())
    }

    /// Bytes that nobody can guess, and not all zeros.
    fn draw<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        if bytes == [0; N] {
            bytes[N - 1] = 1;
        }
        bytes
    }
}

/// Whether a trace is among a share of all traces. Everyone who decides by the same share decides alike.
fn is_within(ratio: f64, id: TraceId) -> bool {
    let mut last = [0; 8];
    last.copy_from_slice(&id.0[8..]);
    let place = u64::from_be_bytes(last) >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let place = place as f64;
    place < ratio * (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_are_read_as_the_specification_has_them() {
        let check = |name: &str, argument: Option<&str>, expected: Option<Sampler>| {
            assert_eq!(Sampler::parse(name, argument).ok(), expected, "{name} {argument:?}");
        };
        check("always_on", None, Some(Sampler::Always));
        check("always_off", Some("x"), Some(Sampler::Never));
        check("traceidratio", Some("0.25"), Some(Sampler::Ratio(0.25)));
        check("parentbased_always_on", None, Some(Sampler::Parent(Root::Always)));
        check("parentbased_traceidratio", None, Some(Sampler::Parent(Root::Ratio(1.0))));
        check("parentbased_traceidratio", Some("1.5"), None);
        check("traceidratio", Some("much"), None);
        check("jaeger_remote", None, None);
    }

    #[test]
    fn what_is_recorded_follows_the_parent_or_the_share() {
        let id = |last: u64| {
            let mut bytes = [7; 16];
            bytes[8..].copy_from_slice(&last.to_be_bytes());
            TraceId(bytes)
        };
        let parent = |sampled| Parent { id: id(0), span: SpanId([1; 8]), sampled, state: None };
        let check = |sampler: Sampler, parent: Option<Parent>, last: u64, expected: bool| {
            assert_eq!(
                sampler.records(parent.as_ref(), id(last)),
                expected,
                "{sampler:?} {parent:?} {last:x}"
            );
        };
        check(Sampler::Always, Some(parent(false)), 0, true);
        check(Sampler::Never, Some(parent(true)), 0, false);
        check(Sampler::Parent(Root::Always), Some(parent(false)), 0, false);
        check(Sampler::Parent(Root::Never), Some(parent(true)), 0, true);
        check(Sampler::Parent(Root::Never), None, 0, false);
        check(Sampler::Ratio(0.5), Some(parent(true)), u64::MAX / 4, true);
        check(Sampler::Ratio(0.5), Some(parent(true)), u64::MAX / 4 * 3, false);
        check(Sampler::Ratio(1.0), None, u64::MAX, true);
        check(Sampler::Ratio(0.0), None, 0, false);
        check(Sampler::Parent(Root::Ratio(0.5)), None, u64::MAX / 4 * 3, false);
    }
}
