//! Whether what is known about the models that serve is fresh, and whether providers' own lists can be read.

use std::collections::BTreeSet;

use pinrail_domain::model::{STALE_DAYS, is_stale};

use super::{Seen, Surroundings};
use crate::Control;

pub fn look(control: &Control, around: &Surroundings) -> Seen {
    let snapshot = control.snapshot();
    let (catalogue, now) = (control.catalogue(), control.inner.clock.now());
    let (mut why, mut unread, mut models) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for wanted in control.probes_wanted(None) {
        let (pin, part) = (&wanted.model, &wanted.provider.catalogue);
        if !models.insert((pin.provider.clone(), pin.snapshot.clone())) {
            continue;
        }
        let read = catalogue.read_at(part, &pin.snapshot).unwrap_or_else(|| catalogue.as_of());
        let listed = control.list_seen(&pin.provider);
        // The provider's own list said the same since, or it would be a finding.
        let seen = listed.as_ref().filter(|seen| seen.failed.is_none() && seen.had.contains(&pin.snapshot));
        if is_stale(seen.map_or(read, |seen| seen.at.max(read)), now) {
            let day = &read.rfc3339()[..10];
            why.push(format!("what is known of {} at {} is of {day}", pin.snapshot, pin.provider));
        }
        if let Some(failed) = listed.and_then(|seen| seen.failed) {
            unread.insert(format!("the list of {} cannot be read: {failed}", pin.provider));
        }
    }
    unread.extend(
        snapshot
            .world
            .providers
            .keys()
            .filter(|name| around.keyless_providers.contains(*name))
            .map(|name| format!("the list of {name} is not read: its key is not set where the server runs")),
    );
    if models.is_empty() {
        return Seen::unknown("nothing is deployed");
    }
    if !why.is_empty() {
        let observed = format!("what is known of {} of {} models is older", why.len(), models.len());
        return Seen::missed(observed, why, "learn anew: `pinrail catalogue update --provider NAME`");
    }
    let mut seen =
        Seen::met(format!("{} models, nothing known of them is older than {STALE_DAYS} days", models.len()));
    seen.why = unread.into_iter().collect();
    seen
}
