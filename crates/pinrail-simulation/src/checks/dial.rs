//! What must hold of the dial: what was said to be in force is, whatever breaks, and takes away what it says.
//!
//! What a call met may have changed while it was under way. So it is compared with everything that was in force at some
//! time between its beginning and its answer: the ledger's entries from then to now, and what was noted without it.

use pinrail_control::dial::Turned;
use pinrail_domain::deployment::Status;
use pinrail_domain::dial::{Caller, Position, Ruling, ToolRule, Turn, turn};
use pinrail_domain::id::{ApprovalId, LedgerSeq, SegmentName, TenantId};
use pinrail_domain::journal::Stamp;
use pinrail_domain::ledger::{Actor, Body};
use pinrail_domain::routes::{Routes, Via};

use super::{Fault, Floor};
use crate::dials::Dials;
use crate::notebook::Noted;
use crate::op::{Change, Done, NewRun, Op, RunWork, Told, ToolWish, What};
use crate::setting::SETTING;
use crate::truth::Truth;

/// What is in force is what the ledger and the notebook say, at each place the more restrictive (I7, I9).
pub(crate) fn check_in_force(
    truth: &Truth,
    routes: &Routes,
    notes: &[Noted],
    before: &[Noted],
    since: LedgerSeq,
) -> Result<(), Fault> {
    let shown = routes.dials().iter().map(|(place, setting)| (place.clone(), setting.position));
    let shown = Dials::of(shown);
    let expected = truth.dials_at(routes.seq).with(notes);
    must!(shown == expected, "I9: the dials {shown:?} are in force, and must be {expected:?}");
    for gone in before.iter().filter(|note| !notes.contains(note)) {
        let Turn { place, position, .. } = &gone.turn;
        let kept = notes.iter().any(|note| note.turn.place == *place && note.position() >= *position);
        let in_ledger = truth.dials_since(since).any(|dials| dials.at(place) >= *position);
        let makes_no_sense =
            truth.worlds_since(since).any(|world| turn(world, &gone.turn, &Actor::Open).is_err());
        must!(kept || in_ledger || makes_no_sense, "I9: {gone:?} was in force, and was forgotten");
    }
    Ok(())
}

/// Whether a turn may wait for the ledger: it doesn't go down from where the dial stood at some time.
pub(crate) fn may_wait(truth: &Truth, wish: &Turn, floor: &Floor, notes: &[Noted]) -> bool {
    in_force(truth, floor, notes).any(|dials| dials.at(&wish.place) >= wish.position)
}

/// Checks what somebody was told who turned the dial, wanted a run, or asked for a tool.
pub(super) fn check_told(
    truth: &Truth,
    op: &Op,
    floor: &Floor,
    notes: &[Noted],
    told: &Told,
) -> Result<(), Fault> {
    match (&op.what, told) {
        (What::Change(Change::Turn(wish)), told) => check_turn(truth, op, wish, floor, notes, told),
        (What::Run(work), Told::Done(done)) => check_run(truth, work, floor, notes, done),
        (What::Run(_) | What::Change(_) | What::Write(_) | What::Read(_) | What::Conduct, _) => Ok(()),
    }
}

fn check_turn(
    truth: &Truth,
    op: &Op,
    wish: &Turn,
    floor: &Floor,
    notes: &[Noted],
    told: &Told,
) -> Result<(), Fault> {
    let tag = op.tag();
    let entry = truth.entries.iter().find(|entry| entry.reason == tag);
    let noted = notes.iter().any(|note| note.reason == tag && note.turn == *wish);
    let stood = |holds: &dyn Fn(Position) -> bool| {
        truth.dials_since(floor.ledger).any(|dials| holds(dials.at(&wish.place)))
    };
    match told {
        Told::Done(Done::Turned { turned: Turned { changed: true, recorded: true, epoch } }) => {
            let body = entry.map(|entry| &entry.body);
            let is_it = body.is_some_and(|body| {
                matches!(body, Body::DialSet { place, position, .. }
                    if *place == wish.place && *position == wish.position)
            });
            must!(is_it, "I9: {tag} turned the dial, and its entry is {body:?}");
            let known = entry.map(|entry| truth.worlds[entry.seq.0 as usize].epoch);
            must!(known == Some(*epoch), "I5: {tag} made epoch {known:?}, and was told {epoch}");
        }
        Told::Done(Done::Turned { turned: Turned { changed: false, recorded: true, .. } }) => {
            must!(stood(&|known| known >= wish.position), "{tag} changed nothing, and it never stood there");
        }
        Told::Done(Done::Turned { turned: Turned { recorded: false, .. } }) => {
            let holds = noted || entry.is_some() || stood(&|known| known >= wish.position);
            must!(holds, "I9: {tag} is in force without the ledger, and noted nowhere");
        }
        Told::Done(done) => return Err(format!("{tag} was answered with {done:?}")),
        Told::Refused(why) => must!(!noted, "I9: {tag} was refused ({why}) and is in force"),
        Told::Unknown(why) => {
            must!(may_wait(truth, wish, floor, notes), "I7: {tag} could not turn the dial down: {why}");
        }
    }
    Ok(())
}

fn check_run(
    truth: &Truth,
    work: &RunWork,
    floor: &Floor,
    notes: &[Noted],
    done: &Done,
) -> Result<(), Fault> {
    match (work, done) {
        (RunWork::Create(new) | RunWork::Call(new), Done::Begun { stamp, replayed: false })
        | (RunWork::Create(new) | RunWork::Call(new), Done::Called { stamp }) => {
            check_begun(truth, new, stamp, floor, notes)
        }
        (RunWork::Join { run }, Done::Joined { stamp }) => {
            let caller = Caller { agent: &run.agent, segment: &run.segment, tenant: &run.tenant };
            let is_on = in_force(truth, floor, notes).any(|dials| dials.position(caller) != Position::Off);
            must!(is_on, "{stamp:?} went on, and the dial was off for it");
            Ok(())
        }
        (RunWork::Authorize { run, wish }, Done::Ruled { ruling, approval }) => {
            check_ruled(truth, run, wish, floor, notes, (*ruling, *approval))
        }
        _ => Ok(()),
    }
}

/// No run begins while the dial is off for it; the fallback answers exactly while the dial stands there.
fn check_begun(
    truth: &Truth,
    new: &NewRun,
    stamp: &Stamp,
    floor: &Floor,
    notes: &[Noted],
) -> Result<(), Fault> {
    let segment = segment_of(&new.tenant);
    let caller = Caller { agent: &new.agent, segment: &segment, tenant: &new.tenant };
    let positions: Vec<Position> =
        in_force(truth, floor, notes).map(|dials| dials.position(caller)).collect();
    let fits = |position: &Position| match position {
        Position::Off => false,
        Position::Fallback => stamp.via == Via::Dial,
        Position::Full | Position::Supervised | Position::ReadOnly | Position::Canned => {
            stamp.via != Via::Dial
        }
    };
    must!(positions.iter().any(fits), "{stamp:?} was begun, and the dial stood at {positions:?}");
    let answers = |world: &pinrail_domain::world::World| {
        let deployment = world.deployments.get(&stamp.deployment);
        deployment.is_some_and(|deployment| matches!(deployment.status, Status::Promoted { .. }))
    };
    let answers = stamp.via != Via::Dial || truth.worlds_since(floor.ledger).any(answers);
    must!(answers, "{stamp:?} answers for others, and its deployment doesn't count");
    Ok(())
}

/// A call may be made where the dial lets it, or a person did, once.
fn check_ruled(
    truth: &Truth,
    run: &Stamp,
    wish: &ToolWish,
    floor: &Floor,
    notes: &[Noted],
    (ruling, approval): (Ruling, Option<ApprovalId>),
) -> Result<(), Fault> {
    let caller = Caller { agent: &run.agent, segment: &run.segment, tenant: &run.tenant };
    // The gateway asks about calls alone of which it knows that they need a person.
    let has_side_effects = wish.by_gateway || wish.tool.has_side_effects();
    let rules: Vec<ToolRule> = in_force(truth, floor, notes)
        .map(|dials| dials.rule(caller, wish.tool.name(), has_side_effects))
        .collect();
    let rule = match (ruling, approval) {
        (Ruling::Allowed, None) => ToolRule::Allowed,
        (Ruling::Allowed | Ruling::NeedsApproval | Ruling::Denied, _) => ToolRule::NeedsApproval,
        // Where nobody can be asked, the gateway lets nothing through.
        (Ruling::Withheld, _) if wish.by_gateway => return Ok(()),
        (Ruling::Withheld, _) => ToolRule::Withheld,
    };
    must!(rules.contains(&rule), "{wish:?} of {} is {ruling:?}, and the dial says {rules:?}", run.run);
    let Some(id) = approval else { return Ok(()) };
    let known = truth.approvals.get(&id);
    let Some(known) = known else { return Err(format!("I9: {id} is asked for and not kept")) };
    match ruling {
        Ruling::Allowed => must!(known.used.is_some(), "I9: {id} was used, and is not"),
        Ruling::Denied => must!(known.approved == Some(false), "{id} is said to be denied"),
        Ruling::NeedsApproval | Ruling::Withheld => {}
    }
    Ok(())
}

/// Everything that was in force at some time since an operation began.
fn in_force<'a>(truth: &'a Truth, floor: &'a Floor, notes: &'a [Noted]) -> impl Iterator<Item = Dials> + 'a {
    truth.dials_since(floor.ledger).flat_map(|dials| [dials.with(&floor.notes), dials.with(notes)])
}

/// Where a tenant's calls are, in the setting.
pub(crate) fn segment_of(tenant: &TenantId) -> SegmentName {
    SETTING.segments[usize::from(*tenant == SETTING.tenants[1])].clone()
}
