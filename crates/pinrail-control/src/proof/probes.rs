//! The probes of a manifest: what a space answered when a deployment was opened, and that it answers so again.

use pinrail_domain::state::manifest::{Probe, Verdict};
use pinrail_domain::state::{Moment, Space};
use pinrail_store::StoreError;

use crate::state::{AsOf, ReadError, Reader, States};

/// What became of a probe.
pub(super) enum Asked<'a> {
    /// The same answer, byte for byte.
    Same,
    Differs(&'a Probe),
    /// Its vector is gone or can't be read, which the records themselves show.
    Impossible,
}

/// Asks a space's probes as of then.
pub(super) async fn ask(states: &States, space: &Space, at: Moment) -> Result<Vec<Probe>, StoreError> {
    or_none(states.probes(space, &everybody(AsOf::Moment(at))).await).map(Option::unwrap_or_default)
}

/// Asks them again: everybody's view of now where nothing was changed since, else as of then.
pub(super) async fn ask_again<'a>(
    states: &States,
    space: &Space,
    at: Moment,
    verdict: &Verdict,
    probes: &'a [Probe],
) -> Result<Vec<Asked<'a>>, StoreError> {
    let mut asked = Vec::with_capacity(probes.len());
    for probe in probes {
        let answer = async |as_of| {
            let again = states.probes_again(space, &everybody(as_of), std::slice::from_ref(probe)).await;
            or_none(again).map(|answers| answers?.pop()?)
        };
        // Somebody may write while this is asked: then only the view of then is what it was.
        let is_now = verdict.accounts.is_empty() && answer(AsOf::Now).await? == Some(probe.digest);
        asked.push(if is_now {
            Asked::Same
        } else {
            match answer(AsOf::Moment(at)).await? {
                Some(digest) if digest == probe.digest => Asked::Same,
                Some(_) => Asked::Differs(probe),
                None => Asked::Impossible,
            }
        });
    }
    Ok(asked)
}

/// Nobody in particular: nothing is noted.
fn everybody(as_of: AsOf) -> Reader {
    Reader { as_of, ..Reader::everybody() }
}

/// None where the view can't be had, or what it needs is damaged.
fn or_none<T>(answer: Result<T, ReadError>) -> Result<Option<T>, StoreError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ReadError::Moment(_) | ReadError::Store(StoreError::Damaged(_))) => Ok(None),
        Err(ReadError::Store(error)) => Err(error),
    }
}
