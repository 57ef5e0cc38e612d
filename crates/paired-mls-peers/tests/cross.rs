//! Pairs across libraries: which library heals which, with a thief looking on. The table is printed by
//! `cargo test -p paired-mls-peers --test cross -- --nocapture`.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "these are tests")]

use std::fmt::Write as _;

use paired_mls::{
    CipherSuite, DeviceId, EpochSecurity, Event, LeafKey,
    conformance::{
        Adapter, Content, Framing, Heard, Listener, Member, PairedMember, Signs, Thief, Who, World,
    },
    group::Act,
};
use paired_mls_peers::{
    MixedAdapter,
    OnLibrary::{self, MlsRs, OpenMls},
};

const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const ACTIVE: usize = 0;
const PASSIVE: usize = 1;

/// What came of one pair.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// The passive device is in the new epoch, and counts as healed on both sides.
    healed: bool,
    /// The thief of the passive device has followed a stock member's commit, before.
    thief_before: bool,
    /// He has followed the paired commit.
    thief_after: bool,
    /// He has followed the commit of the same active device without a pairing.
    thief_without_pairing: bool,
    /// How many bytes the paired commit is longer than the ordinary one.
    longer: usize,
}

fn follows<A: Adapter>(world: &mut World<'_, A>, who: Who, thief: &mut A::Thief) -> (bool, usize) {
    let sent = world.member(who).unwrap().commit(&Content::default()).unwrap();
    world.deliver(who, &sent).unwrap();
    let followed = thief.process(&sent.commit).is_ok();
    let same = thief.epoch_authenticator() == world.devices[ACTIVE].epoch_authenticator();
    let said = world.talk(Who::Device(ACTIVE)).unwrap();
    let reads = matches!(thief.process(&said), Ok(Heard::Application(_)));
    assert_eq!(followed && same, reads, "who is in the epoch reads, and nobody else");
    (reads, sent.commit.len())
}

/// A group in which everybody has committed once.
fn populated(adapter: &MixedAdapter, framing: Framing) -> World<'_, MixedAdapter> {
    let mut world = World::unpaired(adapter, SUITE, framing, 2).unwrap();
    for who in [Who::Stock(0), Who::Stock(1), Who::Device(PASSIVE), Who::Device(ACTIVE)] {
        world.update(who).unwrap();
    }
    world
}

fn row(active: OnLibrary, passive: OnLibrary, framing: Framing) -> Row {
    let adapter = MixedAdapter::new([active, passive], &[SUITE]);
    let mut world = populated(&adapter, framing);
    let mut thief = adapter.steal(&world.devices[PASSIVE]);
    let (thief_without_pairing, ordinary) = follows(&mut world, Who::Device(ACTIVE), &mut thief);

    let mut world = populated(&adapter, framing);
    world.pair().unwrap();
    let mut thief = adapter.steal(&world.devices[PASSIVE]);
    let (thief_before, _) = follows(&mut world, Who::Stock(0), &mut thief);
    let (thief_after, paired) = follows(&mut world, Who::Device(ACTIVE), &mut thief);
    assert!(thief.attempts() > 0, "he has tried his keys");
    let security = [ACTIVE, PASSIVE].map(|device| world.devices[device].security(DeviceId(1)));
    world.assert_together();
    Row {
        healed: security == [Some(EpochSecurity::Secure(LeafKey::Stale)); 2],
        thief_before,
        thief_after,
        thief_without_pairing,
        longer: paired.abs_diff(ordinary),
    }
}

/// Each library heals each, in both framings.
#[test]
fn each_library_heals_each() {
    let mut table = String::from(
        "| active | passive | framing | healed | thief before | thief after | without a pairing | longer |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let mut rows = Vec::new();
    for (active, passive) in
        [(OpenMls, OpenMls), (OpenMls, MlsRs), (MlsRs, OpenMls), (MlsRs, MlsRs)]
    {
        for framing in [Framing::Public, Framing::Private] {
            let row = row(active, passive, framing);
            let Row { healed, thief_before, thief_after, thief_without_pairing, longer } = &row;
            let yes = |it: &bool| if *it { "yes" } else { "no" };
            let (healed, before, after) = (yes(healed), yes(thief_before), yes(thief_after));
            let without = yes(thief_without_pairing);
            writeln!(
                table,
                "| {active:?} | {passive:?} | {framing:?} | {healed} | {before} | {after} | {without} | {longer} |"
            )
            .unwrap();
            rows.push(row);
        }
    }
    println!("{table}");
    let expected = Row {
        healed: true,
        thief_before: true,
        thief_after: false,
        thief_without_pairing: true,
        longer: 0,
    };
    assert!(rows.iter().all(|row| *row == expected), "{table}");
}

/// A commit without a path in a device's own name, of somebody with its MLS state and its signature key: in the clear it
/// is followed, with an alarm, since no secret of it is needed; encrypted, MLS lets its sender read nothing.
#[test]
fn a_commit_without_a_path_in_ones_own_name_is_an_alarm() {
    for (library, framing) in [
        (OpenMls, Framing::Public),
        (OpenMls, Framing::Private),
        (MlsRs, Framing::Public),
        (MlsRs, Framing::Private),
    ] {
        let adapter = MixedAdapter::new([library, library], &[SUITE]);
        let mut world = populated(&adapter, framing);
        world.pair().unwrap();
        let mut thief = adapter.impersonate(&world.devices[PASSIVE], Signs::Stolen);
        let mut guest = adapter.device(SUITE, framing, "guest");
        let commit = thief.commit_without_path(&guest.key_package().unwrap()).unwrap();
        assert!(world.devices[ACTIVE].process(&commit).is_ok(), "it is valid MLS");
        let heard = world.devices[PASSIVE].process(&commit);
        let (one, other) = (&world.devices[ACTIVE], &world.devices[PASSIVE]);
        let together = one.epoch_authenticator() == other.epoch_authenticator();
        match framing {
            Framing::Public => {
                let Ok(Heard::Commit { events, .. }) = heard else {
                    panic!("{library:?} did not follow: {heard:?}");
                };
                let alarm = Event::Impostor { device: DeviceId(1), act: Act::Commit };
                assert!(events.contains(&alarm), "{library:?}: {events:?}");
                assert!(together, "{library:?}");
            }
            Framing::Private => {
                let refused = heard.unwrap_err().to_string();
                assert!(refused.contains("in this device's name"), "{library:?}: {refused}");
                assert!(!together, "{library:?}");
            }
        }
    }
}

/// The properties of the conformance suite, with the devices of a pairing on both libraries in turn.
macro_rules! mixed {
    ($name:ident: $first:ident, $second:ident) => {
        mod $name {
            paired_mls::node_anchor_conformance! { @each
                paired_mls_peers::MixedAdapter::new(
                    [paired_mls_peers::OnLibrary::$first, paired_mls_peers::OnLibrary::$second],
                    &[paired_mls::CipherSuite::X25519Aes128],
                );
                stock: everybody_stays_together;
                healing: a_vault_stolen_later_opens_no_earlier_epoch,
                    with_the_tape_the_thief_would_have_followed,
                    several_passive_devices_heal_at_once,
                    roles_switch,
                    a_blanked_anchor_weakens_and_the_policy_heals;
                keeping: a_heal_that_lost_its_race_is_made_again,
                    two_that_heal_at_once_come_to_rest;
                placement: a_stranger_under_the_anchor_is_not_locked_out,
                    a_stranger_between_some_devices_shrinks_the_anchor,
                    an_added_device_of_the_pairing_follows,
                    a_device_comes_back_from_outside;
                refresh: the_whole_leaf_is_new,
                    a_thief_of_the_old_leaf_or_of_the_package_stays_out,
                    a_second_leak_does_not_bring_him_back,
                    a_forged_welcome_is_refused,
                    the_swap_survives_a_kill,
                    the_policy_refreshes;
                membership: removed_and_added_while_away,
                    a_partner_commits_proposals_of_others;
                failures: a_replay_is_refused,
                    two_devices_at_once_lose_nothing,
                    a_refused_commit_burns_its_index,
                    a_crash_at_any_point_loses_nothing;
            }
        }
    };
}

mixed!(openmls_then_mls_rs: OpenMls, MlsRs);
mixed!(mls_rs_then_openmls: MlsRs, OpenMls);
