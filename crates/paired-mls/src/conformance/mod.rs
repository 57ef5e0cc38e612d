//! The conformance suite: what every adapter to an MLS library has to show.
//!
//! It is written once, over the traits [`Member`], [`PairedMember`], [`Thief`] and [`Adapter`], and
//! an adapter runs it with one line:
//!
//! ```text
//! paired_mls::node_anchor_conformance!(MyAdapter::new());
//! ```
//!
//! Each property has its control: where the suite shows that a thief is lost, it also shows that the
//! same thief, by the same means, was not lost before, and would not have been with the tape.
//!
//! The functions panic where a property does not hold, like any test.
#![expect(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "these are tests: they panic where a property does not hold"
)]

mod adapter;
pub mod backup;
pub mod calendar;
pub mod claims;
pub mod failures;
pub mod forged;
pub mod healing;
pub mod impostor;
pub mod keeping;
pub mod leaf;
pub mod liar;
pub mod lying;
pub mod membership;
pub mod placement;
mod random;
pub mod refresh;
pub mod stock;
mod world;

use crate::CipherSuite;

pub use adapter::{
    Adapter, Content, Framing, Heard, Impostor, Listener, Member, PairedMember, Refused, Sent,
    Sign, Signs, Thief,
};
pub use world::{EventsOf, Who, World};

/// Makes one test of each property for an adapter with the leaf anchor.
#[macro_export]
macro_rules! leaf_anchor_conformance {
    ($adapter:expr) => {
        $crate::leaf_anchor_conformance! { @each $adapter;
            following: everybody_follows_whoever_commits,
                several_passive_devices_follow,
                members_come_and_go,
                proposals_of_others_are_committed,
                several_removals_take_several_commits,
                a_weakening_does_not_happen;
            notify: a_lost_one_is_survived,
                a_late_one_helps,
                a_duplicate_changes_nothing,
                they_come_in_any_order,
                forged_ones_are_refused,
                a_members_notify_moves_nobody,
                it_looks_like_a_commit;
            failures: a_refused_commit_burns_its_index,
                only_what_was_sent_is_merged,
                two_devices_at_once_lose_nothing,
                a_commit_that_differs_changes_nothing,
                a_replay_is_refused,
                a_crash_at_any_point_loses_nothing,
                what_was_announced_outlives_a_kill;
            calendar: wrong_clocks_stop_no_commit,
                a_newcomer_that_has_ended_is_named,
                what_has_ended_is_skipped_and_burned,
                an_ended_leaf_closes_no_group;
            entering: a_forged_key_package_is_refused,
                a_last_resort_serves_twice,
                a_batch_serves_in_any_order,
                a_thief_of_a_published_key_package_stays_out,
                a_device_that_lost_everything_comes_back,
                a_device_that_missed_weeks_catches_up;
            membership: removed_and_added_in_one_commit, removed_and_added_while_away;
            claims: the_devices_claim_no_more_than_is_so;
            backup: a_vault_of_yesterday_is_noticed_and_the_leaf_heals,
                a_state_of_yesterday_sends_nothing_and_comes_back,
                both_of_yesterday_follow_the_log,
                both_of_yesterday_open_nothing_twice,
                an_opening_that_is_repeated_is_refused_and_not_again;
            token: nobody_sends_without_it,
                it_is_asked_for_and_given,
                nothing_is_used_twice_over_many_switches;
            lying: a_name_is_not_taken_by_a_self_update,
                a_name_is_not_taken_by_an_update,
                a_name_is_not_taken_by_an_add,
                a_name_is_not_taken_by_an_external_commit,
                a_strict_device_refuses,
                a_mark_is_taken_back;
            healing: a_thief_is_lost_at_the_first_tape_commit,
                with_the_tape_the_thief_would_have_followed,
                a_vault_stolen_later_opens_no_earlier_epoch,
                with_the_signature_key_he_comes_back_from_outside;
            impostor: a_commit_in_the_leafs_name_is_refused,
                an_update_in_the_leafs_name_is_not_committed,
                an_update_that_is_committed_is_refused,
                without_the_signature_key_he_does_nothing;
        }
    };
    (@each $adapter:expr; $($module:ident: $($property:ident),+;)+) => {
        $(mod $module { $(
            #[test]
            fn $property() {
                $crate::conformance::leaf::$module::$property(&$adapter);
            }
        )+ })+
    };
}

/// Makes one test of each property for an adapter with the node anchor.
#[macro_export]
macro_rules! node_anchor_conformance {
    ($adapter:expr) => {
        $crate::node_anchor_conformance! { @each $adapter;
            stock: everybody_stays_together, paired_and_ordinary_commits_have_equal_lengths;
            healing: a_thief_is_lost_at_the_first_paired_commit,
                ordinary_commits_do_not_heal,
                with_the_tape_the_thief_would_have_followed,
                a_vault_stolen_later_opens_no_earlier_epoch,
                several_passive_devices_heal_at_once,
                roles_switch,
                a_blanked_anchor_weakens_and_the_policy_heals;
            impostor: a_commit_in_a_partners_seat_is_an_alarm,
                a_commit_in_ones_own_name_is_not_ones_own,
                without_a_pairing_too,
                the_policy_answers_an_alarm,
                a_commit_without_a_path_is_an_alarm,
                an_update_in_a_partners_name_is_not_committed,
                an_external_commit_in_a_partners_name_is_an_alarm,
                a_new_key_in_a_partners_leaf_is_an_alarm,
                a_welcome_in_a_partners_name_changes_nothing,
                without_the_signature_key_he_does_nothing;
            keeping: a_heal_that_lost_its_race_is_made_again,
                a_heal_that_died_is_made_again,
                a_partner_out_of_reach_makes_no_commits,
                two_that_heal_at_once_come_to_rest,
                a_group_that_is_joined_anew_claims_nothing,
                a_record_that_is_ahead_claims_nothing_yet,
                an_older_mls_state_claims_nothing;
            claims: a_stale_parent_weakens, the_table_claims_no_more_than_is_so;
            placement: a_stranger_under_the_anchor_is_not_locked_out,
                a_stranger_between_some_devices_shrinks_the_anchor,
                an_added_device_of_the_pairing_follows,
                members_that_are_apart_move_together,
                a_device_comes_back_from_outside;
            lying: a_name_is_not_taken_by_a_self_update,
                a_name_is_not_taken_by_an_update,
                a_name_is_not_taken_by_an_add,
                a_name_is_not_taken_by_an_external_commit,
                a_strict_device_refuses,
                a_mark_is_taken_back;
            refresh: the_whole_leaf_is_new,
                a_thief_of_the_old_leaf_or_of_the_package_stays_out,
                a_second_leak_does_not_bring_him_back,
                a_forged_key_package_is_refused,
                a_forged_welcome_is_refused,
                the_swap_survives_a_kill,
                lifetimes_are_watched,
                the_policy_refreshes;
            calendar: wrong_clocks_stop_no_commit,
                a_newcomer_that_has_ended_is_named,
                what_has_ended_is_skipped,
                a_leaf_is_renewed_in_time,
                an_ended_leaf_closes_no_group;
            membership: removed_and_added_in_one_commit,
                removed_and_added_while_away,
                a_partner_commits_proposals_of_others,
                a_stranger_cannot_refresh,
                a_refresh_that_moves_the_leaf_is_followed,
                whatever_is_allowed_is_followed;
            backup: a_vault_of_yesterday_is_noticed_and_the_partner_follows,
                a_vault_from_before_the_first_commit_is_no_worse,
                a_state_of_yesterday_sends_nothing_and_comes_back,
                both_of_yesterday_come_back,
                a_passive_device_of_yesterday_follows_the_log,
                both_of_yesterday_open_nothing_twice,
                an_opening_that_is_repeated_is_refused_and_not_again;
            forged: a_members_notify_moves_nobody;
            failures: a_replay_is_refused,
                a_notify_of_another_group_or_epoch_is_refused,
                forged_commits_are_refused,
                messages_cut_short_are_refused,
                two_devices_at_once_lose_nothing,
                a_refused_commit_burns_its_index,
                a_value_in_flight_is_for_one_commit,
                a_crash_at_any_point_loses_nothing;
        }
    };
    (@each $adapter:expr; $($module:ident: $($property:ident),+;)+) => {
        $(mod $module { $(
            #[test]
            fn $property() {
                $crate::conformance::$module::$property(&$adapter);
            }
        )+ })+
    };
}

/// Runs a property for each suite that an adapter knows, and for both framings.
fn for_each<A: Adapter>(adapter: &A, property: impl Fn(CipherSuite, Framing)) {
    for suite in adapter.suites() {
        for framing in [Framing::Public, Framing::Private] {
            property(suite, framing);
        }
    }
}
