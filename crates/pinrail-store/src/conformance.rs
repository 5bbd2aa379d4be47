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
use pinrail_domain::id::{LedgerSeq, StateSeq};

use crate::Store;

pub mod answers;
pub mod approvals;
pub mod artifacts;
pub mod deliveries;
pub mod erasure;
pub mod gates;
pub mod jobs;
pub mod ledger;
pub mod members;
pub mod moments;
pub mod random;
pub mod reads;
pub mod records;
pub mod replicas;
pub mod retention;
pub mod runs;
pub mod sample;
pub mod search;
pub mod sessions;
pub mod sightings;
pub mod state;
pub mod uses;
pub mod views;
pub mod watches;

/// An empty store to check, with what only its backend can do to it.
pub struct Subject {
    pub store: Arc<dyn Store>,
    /// Another replica over the same store, where there can be one.
    pub other: Option<Arc<dyn Store>>,
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
    /// Change the record's content, or give it some.
    Record(StateSeq),
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
            deliveries::a_cursor_moves_forward_and_never_back
            deliveries::a_dead_letter_comes_with_its_cursor_or_not_at_all
            deliveries::dead_letters_change_and_go_singly
            deliveries::an_outlet_that_is_forgotten_leaves_nothing
            gates::a_gate_comes_back_whole_and_changes_its_document
            gates::how_a_gate_ended_is_not_changed_by_old_news
            gates::gates_are_kept_together_and_answered_once
            gates::gates_are_listed_newest_first_and_by_filter
            gates::rows_are_written_once_and_read_in_pages
            gates::a_row_that_is_not_settled_gives_way
            gates::the_newest_settled_rows_can_be_reused
            approvals::a_call_is_asked_for_once
            approvals::of_many_decisions_one_counts
            approvals::a_decision_comes_in_time_and_is_answered_once
            approvals::an_approved_call_is_made_once
            approvals::approvals_are_listed_newest_first_and_by_filter
            approvals::erasure_takes_the_arguments
            approvals::arguments_kept_for_the_decision_go_with_it
            sightings::the_newest_sighting_of_a_subject_stays
            sightings::old_sightings_are_forgotten_by_kind
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
            sessions::a_session_that_follows_an_answer_is_bound_with_its_events
            reads::events_are_read_in_pages
            reads::runs_are_listed_newest_id_first_in_pages
            reads::every_filter_filters
            reads::a_tenants_list_holds_only_its_runs
            reads::open_runs_are_counted_through_every_transition
            search::runs_are_found_by_what_they_say
            search::a_search_says_how_far_it_looked
            search::a_search_of_a_tenant_finds_only_its_runs
            search::what_was_erased_is_not_found
            state::a_batch_gets_consecutive_places_and_comes_back_whole
            state::strange_keys_and_values_come_back
            state::vectors_come_back_bit_for_bit
            state::the_largest_batch_is_one_step
            state::an_append_on_old_news_changes_nothing
            state::of_many_appends_on_one_expectation_one_wins
            state::an_append_is_answered_once
            state::many_writers_at_once_get_places_of_their_own
            state::a_damaged_record_shows_it
            jobs::nothing_is_written_in_an_ended_jobs_name
            jobs::all_that_a_commit_covers_was_there_before_it
            moments::records_and_entries_are_in_one_order
            moments::marks_never_go_back_while_both_move
            moments::a_time_names_the_last_of_both_by_sequence
            moments::a_time_is_found_among_many
            records::a_space_is_read_in_pages
            records::a_key_of_a_large_space_is_read_alone
            records::records_come_in_the_order_asked_for
            records::what_a_deployment_and_a_run_wrote_is_found
            records::writes_without_a_run_belong_to_none
            records::children_are_found_by_their_parents
            records::spaces_are_listed_in_order_and_by_filter
            uses::reads_come_back_in_the_order_noted
            uses::uses_are_counted_by_agent_and_space
            erasure::removal_takes_only_what_is_asked
            erasure::counts_follow_removal
            erasure::a_place_is_never_given_twice
            erasure::erasure_takes_content_and_leaves_the_record
            erasure::erasure_takes_the_content_of_runs
            retention::days_are_counted_by_the_ids_of_their_runs
            retention::a_day_goes_whole_once_the_ledger_says_so
            retention::a_day_stays_while_a_run_is_open
            watches::a_watch_and_its_days_come_back
            watches::watches_are_apart_and_listed_in_order
            views::everybody_sees_what_a_copy_of_everything_says_1
            views::everybody_sees_what_a_copy_of_everything_says_2
            views::everybody_sees_what_a_copy_of_everything_says_3
            views::everybody_sees_what_a_copy_of_everything_says_4
            replicas::a_start_on_old_pointers_begins_nothing
            replicas::an_append_of_an_old_term_changes_nothing
            replicas::epochs_strictly_rise
            replicas::replicas_share_one_store
            replicas::appends_are_heard_of_and_read_without_gaps
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
