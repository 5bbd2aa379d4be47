//! The conformance suite: every promise of the traits as a check that runs against every backend.
//!
//! A backend says how to open an empty store ([`Subject`]) and calls [`conformance_tests!`], which makes one
//! `#[tokio::test]` of each check. The last ones, in [`random`], drive the backend and the in-memory reference
//! with the same operations and compare every answer and every read.
//!
//! [`conformance_tests!`]: crate::conformance_tests

#![expect(clippy::unwrap_used, reason = "the suite is test code: a surprise must panic")]

use std::any::Any;
use std::sync::Arc;

use pinrail_domain::digest::Digest;
use pinrail_domain::id::LedgerSeq;

use crate::Store;

pub mod answers;
pub mod artifacts;
pub mod ledger;
pub mod random;
pub mod reads;
pub mod runs;
pub mod sample;
pub mod sessions;

/// An empty store to check, with what only its backend can do to it.
pub struct Subject {
    pub store: Arc<dyn Store>,
    /// Damages what the store holds, behind its back.
    pub damage: Box<dyn Fn(Damage) + Send + Sync>,
    /// Lives as long as the store is used: a temporary folder, for example.
    pub keep: Box<dyn Any + Send + Sync>,
}

/// What to damage.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    /// Change the artifact's bytes.
    Artifact(Digest),
    /// Make the ledger entry unreadable.
    Entry(LedgerSeq),
}

/// Makes a test of every check. The argument opens an empty store: `fn() -> Subject`.
///
/// The calling crate needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! conformance_tests {
    ($open:path) => {
        $crate::conformance_tests! { @each $open =>
            artifacts::an_artifact_comes_back_as_it_went_in
            artifacts::storing_an_artifact_twice_changes_nothing
            artifacts::a_damaged_artifact_is_never_handed_out
            ledger::an_empty_ledger_starts_at_the_start
            ledger::entries_come_back_in_order_and_move_the_head
            ledger::an_append_on_an_old_head_changes_nothing
            ledger::of_many_appends_on_one_head_one_wins
            ledger::a_damaged_entry_is_named
            answers::a_ledger_answer_is_kept_with_its_entries
            answers::a_replay_is_answered_before_anything_else_is_looked_at
            answers::a_refused_write_keeps_no_answer
            answers::callers_have_keys_of_their_own
            answers::old_answers_expire_and_their_keys_work_again
            answers::a_replayed_start_binds_nothing
            runs::a_start_is_a_plan_a_summary_and_its_events
            runs::a_run_starts_once
            runs::events_follow_in_order
            runs::an_append_elsewhere_than_expected_changes_nothing
            runs::an_illegal_event_changes_nothing
            runs::a_batch_is_carried_out_in_order
            runs::a_failed_write_leaves_the_others_alone
            runs::a_run_without_its_start_takes_nothing
            runs::a_full_run_takes_only_its_end
            runs::large_events_come_back_whole
            runs::many_writers_at_once_lose_nothing
            sessions::a_start_and_its_binding_are_one_step
            sessions::a_bound_session_refuses_another_deployment_and_leaves_no_run
            sessions::a_binding_moves_when_the_decision_saw_the_old_one
            sessions::a_start_without_a_binding_leaves_the_session_alone
            sessions::sessions_of_other_agents_and_tenants_are_others
            sessions::recent_bindings_come_newest_first
            reads::events_are_read_in_pages
            reads::runs_are_listed_newest_id_first_in_pages
            reads::every_filter_filters
            reads::a_tenants_list_holds_only_its_runs
            reads::open_runs_are_counted_through_every_transition
            random::does_what_the_reference_does_1
            random::does_what_the_reference_does_2
            random::does_what_the_reference_does_3
            random::does_what_the_reference_does_4
        }
    };
    (@each $open:path => $($part:ident :: $check:ident)*) => {
        $(
            #[tokio::test]
            async fn $check() {
                $crate::conformance::$part::$check($open()).await;
            }
        )*
    };
}
