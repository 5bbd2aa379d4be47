//! Building a graph from the codes of an arena, without asking the store for a vector.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use pinrail_domain::digest::Digest;
use pinrail_domain::state::bits::Bits;
use xxhash_rust::xxh3::xxh3_128;

use super::{Graph, Refused, empty, fill_dims, quantise, refused, width};
use crate::arena::{Arena, CODE_MAX, Shape};

/// How far a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub done: usize,
    pub of: usize,
}

/// Why there is no graph. Nothing was changed or written.
#[derive(Debug, thiserror::Error)]
pub enum NotBuilt {
    #[error("building the graph was stopped at {} of {} members", .0.done, .0.of)]
    Stopped(Progress),
    #[error("there is no vector at place {0}")]
    NoVector(usize),
    #[error("the graph can't be built")]
    Refused(#[from] Refused),
}

/// Members between two reports: some tens of milliseconds.
const REPORT_EVERY: usize = 256;

impl Graph {
    /// Builds a graph over `members` of an arena, on `threads` threads; takes minutes for hundreds of thousands.
    ///
    /// `progress` is called from time to time and may stop the work. On one thread the same members always give the
    /// same graph; on several, the order in which nodes find their neighbours varies.
    pub fn build(
        arena: &Arena,
        members: &Bits,
        embedder: Digest,
        threads: usize,
        progress: &(dyn Fn(Progress) -> ControlFlow<()> + Sync),
    ) -> Result<Graph, NotBuilt> {
        let places: Vec<usize> = members.iter().collect();
        if let Some(place) = places.iter().find(|place| !arena.filled().contains(**place)) {
            return Err(NotBuilt::NoVector(*place));
        }
        let coder = Coder::new(arena, &places);
        let (chosen, twins) = coder.nodes(&places);
        let nodes = empty(arena.shape(), chosen.len())?;
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None);
        let work = || {
            loop {
                let start = next.fetch_add(REPORT_EVERY, Ordering::Relaxed);
                let Some(rest) = chosen.get(start..) else { return Ok(()) };
                let report = Progress { done: start, of: chosen.len() };
                if progress(report).is_break() {
                    return Err(NotBuilt::Stopped(report));
                }
                for place in rest.iter().take(REPORT_EVERY) {
                    nodes.add(*place as u64, &coder.code(*place)).map_err(refused)?;
                }
            }
        };
        let run = || {
            if let Err(error) = work() {
                // The others find nothing left to do.
                next.store(chosen.len(), Ordering::Relaxed);
                failure.lock().expect("no holder panics").get_or_insert(error);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(run);
            }
            run();
        });
        if let Some(error) = failure.into_inner().expect("no holder panics") {
            return Err(error);
        }
        let content = arena.digest(members);
        let scale = coder.scale;
        Ok(Graph { shape: arena.shape(), members: members.clone(), nodes, twins, scale, content, embedder })
    }
}

/// Makes a graph's codes from an arena's.
struct Coder<'a> {
    arena: &'a Arena,
    shape: Shape,
    scale: f32,
    /// The greatest square of a length among the members, where they are brought to the same length.
    square_max: f64,
}

impl Coder<'_> {
    fn new<'a>(arena: &'a Arena, places: &[usize]) -> Coder<'a> {
        let mut coder = Coder { arena, shape: arena.shape(), scale: 0.0, square_max: 0.0 };
        let scale_max = places.iter().fold(0.0_f32, |largest, place| largest.max(arena.code(*place).1));
        coder.scale = scale_max;
        if fill_dims(coder.shape) > 0 {
            coder.square_max =
                places.iter().fold(0.0, |largest: f64, place| largest.max(coder.square(*place)));
            let fill_max = places.iter().fold(0.0, |largest: f64, place| largest.max(coder.fill(*place)));
            coder.scale = scale_max.max((fill_max / CODE_MAX) as f32);
        }
        coder
    }

    /// The members that get a node each, and those that share one.
    fn nodes(&self, places: &[usize]) -> (Vec<usize>, HashMap<usize, Vec<usize>>) {
        let mut first: HashMap<u128, usize> = HashMap::with_capacity(places.len());
        let mut twins: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut chosen = Vec::with_capacity(places.len());
        for place in places {
            let bytes: Vec<u8> = self.code(*place).iter().map(|number| number.cast_unsigned()).collect();
            let node = *first.entry(xxh3_128(&bytes)).or_insert(*place);
            if node == *place {
                chosen.push(*place);
            } else {
                twins.entry(node).or_default().push(*place);
            }
        }
        (chosen, twins)
    }

    fn code(&self, place: usize) -> Vec<i8> {
        let (code, scale) = self.arena.code(place);
        let scale = f64::from(scale);
        let mut made = Vec::with_capacity(width(self.shape));
        made.extend(code.iter().map(|number| quantise(f64::from(*number) * scale, self.scale)));
        if fill_dims(self.shape) > 0 {
            made.resize(width(self.shape), quantise(self.fill(place), self.scale));
        }
        made
    }

    /// What each added dimension holds, so that all members are equally long.
    fn fill(&self, place: usize) -> f64 {
        ((self.square_max - self.square(place)) / fill_dims(self.shape) as f64).sqrt()
    }

    fn square(&self, place: usize) -> f64 {
        let (code, scale) = self.arena.code(place);
        let square: i64 = code.iter().map(|number| i64::from(*number) * i64::from(*number)).sum();
        square as f64 * f64::from(scale) * f64::from(scale)
    }
}
