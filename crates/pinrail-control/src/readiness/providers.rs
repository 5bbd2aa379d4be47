//! Whether calls reach the models that serve or that a rollback may return to.

use std::collections::BTreeSet;

use super::{Called, Seen, Surroundings};
use crate::Control;

pub fn look(control: &Control, around: &Surroundings) -> Seen {
    let wanted = control.probes_wanted(None);
    let wanted: BTreeSet<_> =
        wanted.iter().map(|wanted| (&wanted.model.provider, wanted.model.snapshot.as_str())).collect();
    let is_wanted = |called: &&Called| wanted.contains(&(&called.provider, called.snapshot.as_str()));
    let called: Vec<&Called> = around.called.iter().filter(is_wanted).collect();
    let why: Vec<String> = called
        .iter()
        .filter_map(|called| {
            let why = called.left_alone.as_ref()?;
            Some(format!("calls are kept away from {} of {} {why}", called.snapshot, called.provider))
        })
        .collect();
    match (called.len(), why.is_empty()) {
        (0, _) => Seen::unknown("no model that serves was called since the server began"),
        (count, true) => Seen::met(format!("{count} of {} models were called, and answer", wanted.len())),
        (_, false) => Seen::missed(
            format!("{} of {} models that were called are in trouble", why.len(), called.len()),
            why,
            "`pinrail provider show NAME` says what fails; `failover` and [[model.fallbacks]] say who answers meanwhile",
        ),
    }
}
