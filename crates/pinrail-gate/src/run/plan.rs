//! Which answers a gate asks for, and in which order.

use std::collections::BTreeMap;

use pinrail_domain::canonical::NotCanonical;
use pinrail_domain::id::ReleaseId;
use pinrail_store::gates::RowKey;

use super::Job;
use crate::suite::Case;
use crate::verdict::Held;

/// The cases of a gate, each once, in the order of the suites.
pub(super) struct Cases {
    pub list: Vec<Planned>,
    /// The places in `list` of each suite's cases, a case for each time that the suite lists it.
    pub of_suite: Vec<Vec<usize>>,
}

/// A case and the first place where it stands.
pub(super) struct Planned {
    pub digest: pinrail_domain::digest::Digest,
    pub suite: usize,
    pub place: usize,
}

/// One answer to ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub key: RowKey,
    /// The place in [`Cases::list`].
    pub case: usize,
}

impl Planned {
    pub fn case<'a>(&self, held: &'a [Held]) -> &'a Case {
        &held[self.suite].suite.cases[self.place]
    }
}

pub(super) fn cases(held: &[Held]) -> Result<Cases, NotCanonical> {
    let mut known = BTreeMap::new();
    let mut cases = Cases { list: Vec::new(), of_suite: Vec::with_capacity(held.len()) };
    for (suite, held) in held.iter().enumerate() {
        let mut places = Vec::with_capacity(held.suite.cases.len());
        for (place, case) in held.suite.cases.iter().enumerate() {
            let digest = case.digest()?;
            let at = *known.entry(digest).or_insert_with(|| {
                cases.list.push(Planned { digest, suite, place });
                cases.list.len() - 1
            });
            if !places.contains(&at) {
                places.push(at);
            }
        }
        cases.of_suite.push(places);
    }
    Ok(cases)
}

/// How many answers there are to be.
pub(super) fn answers(job: &Job, cases: &Cases, repeats: u32) -> u64 {
    cases.list.len() as u64 * arms(job).count() as u64 * u64::from(repeats)
}

pub(super) fn arms(job: &Job) -> impl Iterator<Item = ReleaseId> {
    std::iter::once(job.candidate.release).chain(job.incumbent.as_ref().map(|arm| arm.release))
}

/// All answers in the order in which they are asked for: the arms of a case side by side, taking turns in who is first.
pub(super) fn order<'a>(job: &'a Job, cases: &'a Cases, repeats: u32) -> impl Iterator<Item = Ask> + 'a {
    (0..repeats).flat_map(move |repeat| {
        cases.list.iter().enumerate().flat_map(move |(case, planned)| {
            let mut arms: Vec<ReleaseId> = arms(job).collect();
            if (case + repeat as usize) % 2 == 1 {
                arms.reverse();
            }
            let ask = move |release| Ask { key: RowKey { case: planned.digest, repeat, release }, case };
            arms.into_iter().map(ask)
        })
    })
}
