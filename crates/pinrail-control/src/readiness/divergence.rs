//! Members that don't act on what is true now.

use super::{Seen, span};
use crate::members::{Shown, State};
use crate::{Control, errors};

/// An acknowledgement takes milliseconds: after a whole second the member doesn't follow.
const BEHIND_MS_MAX: u64 = 1_000;

pub async fn look(control: &Control) -> Seen {
    match control.members().list().await {
        Ok(members) => judge(&members),
        Err(error) => Seen::unknown(format!("the members can't be read: {}", errors::chain(&error))),
    }
}

fn judge(members: &[Shown]) -> Seen {
    let why: Vec<String> = members.iter().filter_map(amiss).collect();
    if why.is_empty() {
        let count = members.len().saturating_sub(1);
        return Seen::met(match count {
            0 => "this server's own gateway is the only member".to_owned(),
            1 => "1 member beside this server's own gateway; it follows".to_owned(),
            _ => format!("{count} members beside this server's own gateway; all follow"),
        });
    }
    let observed = format!("{} of {} members don't follow", why.len(), members.len());
    Seen::missed(
        observed,
        why,
        "restart those members; of one that is gone for good: `pinrail member remove ID` (DELETE /api/v1/members/ID)",
    )
}

fn amiss(member: &Shown) -> Option<String> {
    let Shown { name, member: id, kind, acknowledged, fenced, .. } = member;
    let writes = if *fenced { "what it writes is refused" } else { "what it writes is still taken" };
    match member.state {
        State::Fresh => None,
        State::Behind { for_ms, .. } if for_ms <= BEHIND_MS_MAX => None,
        State::Behind { epochs, for_ms } => {
            let for_ = span(for_ms);
            Some(format!(
                "{kind} {name} ({id}) is {epochs} behind, at epoch {acknowledged}, for {for_}; {writes}"
            ))
        }
        State::Lapsed { for_ms } => {
            let ago = span(for_ms);
            Some(format!(
                "{kind} {name} ({id}) let its lease lapse {ago} ago, at epoch {acknowledged}; {writes}"
            ))
        }
    }
}
