//! The node anchor on mls-rs: all properties but those that need a leaf refresh or an external commit of a device, which
//! that adapter does not do yet.

paired_mls::node_anchor_conformance! { @each
    paired_mls_peers::MlsRsAdapter::new(&[paired_mls::CipherSuite::X25519Aes128]);
    stock: everybody_stays_together,
        paired_and_ordinary_commits_have_equal_lengths;
    healing: a_thief_is_lost_at_the_first_paired_commit,
        ordinary_commits_do_not_heal,
        with_the_tape_the_thief_would_have_followed,
        a_vault_stolen_later_opens_no_earlier_epoch,
        several_passive_devices_heal_at_once,
        roles_switch,
        a_blanked_anchor_weakens_and_the_policy_heals;
    impostor: a_commit_in_ones_own_name_is_not_ones_own,
        without_a_pairing_too,
        the_policy_answers_an_alarm,
        a_commit_without_a_path_is_an_alarm,
        a_welcome_in_a_partners_name_changes_nothing,
        without_the_signature_key_he_does_nothing;
    keeping: a_heal_that_lost_its_race_is_made_again,
        a_heal_that_died_is_made_again,
        a_partner_out_of_reach_makes_no_commits,
        two_that_heal_at_once_come_to_rest,
        a_group_that_is_joined_anew_claims_nothing,
        a_record_that_is_ahead_claims_nothing_yet,
        an_older_mls_state_claims_nothing;
    claims: a_stale_parent_weakens;
    placement: a_stranger_under_the_anchor_is_not_locked_out,
        a_stranger_between_some_devices_shrinks_the_anchor,
        an_added_device_of_the_pairing_follows,
        members_that_are_apart_move_together;
    lying: a_name_is_not_taken_by_a_self_update,
        a_name_is_not_taken_by_an_update,
        a_name_is_not_taken_by_an_add,
        a_name_is_not_taken_by_an_external_commit,
        a_strict_device_refuses,
        a_mark_is_taken_back;
    calendar: wrong_clocks_stop_no_commit,
        a_newcomer_that_has_ended_is_named;
    membership: removed_and_added_in_one_commit,
        removed_and_added_while_away,
        a_partner_commits_proposals_of_others;
    backup: a_vault_of_yesterday_is_noticed_and_the_partner_follows,
        a_vault_from_before_the_first_commit_is_no_worse,
        a_passive_device_of_yesterday_follows_the_log;
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
