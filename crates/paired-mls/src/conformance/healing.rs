//! Who is healed by what, and who is not.

use super::{
    Adapter, Content, Framing, Heard, Listener, Member, PairedMember, Thief, Who, World, for_each,
};
use crate::{DeviceId, EpochSecurity, Event, HealPolicy, LeafKey};

const PHONE: usize = 0;
const SENSOR: usize = 1;

/// Whether a thief reads what the phone says in the current epoch.
fn reads<A: Adapter, L: Listener>(world: &mut World<'_, A>, thief: &mut L) -> bool {
    let message = world.talk(Who::Device(PHONE)).unwrap();
    matches!(thief.process(&message), Ok(Heard::Application(_)))
}

/// A commit that everybody follows and that the thief hears too.
fn commit_before<A: Adapter, L: Listener>(
    world: &mut World<'_, A>,
    who: Who,
    content: &Content,
    thief: &mut L,
) -> bool {
    let sent = world.member(who).unwrap().commit(content).unwrap();
    world.deliver(who, &sent).unwrap();
    let followed = thief.process(&sent.commit).is_ok();
    followed && thief.epoch_authenticator() == world.devices[PHONE].epoch_authenticator()
}

/// A thief with the sensor's whole storage and memory, the vault apart, follows the commits of
/// others, and loses the group at the first paired one. Every byte string of his loot, tried as a
/// key on every ciphertext, opens nothing; and he does not come back.
pub fn a_thief_is_lost_at_the_first_paired_commit<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let mut thief = adapter.steal(&world.devices[SENSOR]);
        let update = Content::default();
        assert!(commit_before(&mut world, Who::Stock(0), &update, &mut thief), "the control");
        assert!(reads(&mut world, &mut thief), "the control: he reads on");
        let security = world.devices[PHONE].security(DeviceId(1));
        assert_eq!(security, Some(EpochSecurity::Exposed));

        assert!(!commit_before(&mut world, Who::Device(PHONE), &update, &mut thief));
        assert!(!reads(&mut world, &mut thief));
        let security = world.devices[SENSOR].security(DeviceId(1));
        assert_eq!(security, Some(EpochSecurity::Secure(LeafKey::Stale)));

        for _ in 0..3 {
            assert!(!commit_before(&mut world, Who::Stock(0), &update, &mut thief));
            assert!(!reads(&mut world, &mut thief));
        }
        assert!(thief.attempts() > 0, "he has tried his keys");
    });
}

/// The control of the whole suite: without a pairing, a commit of the same phone does not heal, and
/// the same thief reads on through every commit but the sensor's own.
pub fn ordinary_commits_do_not_heal<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::unpaired(adapter, suite, framing, 2).unwrap();
        world.update(Who::Stock(0)).unwrap();
        let mut thief = adapter.steal(&world.devices[SENSOR]);
        for who in [Who::Device(PHONE), Who::Stock(0), Who::Device(PHONE)] {
            assert!(commit_before(&mut world, who, &Content::default(), &mut thief), "{who:?}");
            assert!(reads(&mut world, &mut thief), "{who:?}");
        }
        assert!(!commit_before(&mut world, Who::Device(SENSOR), &Content::default(), &mut thief));
    });
}

/// The control of the vault: a thief who has the tape as well follows a paired commit.
pub fn with_the_tape_the_thief_would_have_followed<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let mut thief = adapter.steal_with_vault(&world.devices[SENSOR]);
        let update = Content::default();
        assert!(commit_before(&mut world, Who::Device(PHONE), &update, &mut thief));
        assert!(reads(&mut world, &mut thief));
    });
}

/// A vault that is stolen after an update does not open the epoch that the update created, even
/// together with the whole MLS state from before it.
pub fn a_vault_stolen_later_opens_no_earlier_epoch<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let mut late = adapter.steal_with_vault(&world.devices[SENSOR]);
        let mut early = adapter.steal_with_vault(&world.devices[SENSOR]);
        let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
        world.deliver(Who::Device(PHONE), &sent).unwrap();

        adapter.steal_vault_again(&mut late, &world.devices[SENSOR]);
        let refused = chain(&*late.process(&sent.commit).unwrap_err());
        assert!(refused.contains("spent"), "{refused}");
        assert!(early.process(&sent.commit).is_ok(), "the control: the vault of before");
    });
}

/// One active device heals several passive ones, under an anchor of any height.
pub fn several_passive_devices_heal_at_once<A: Adapter>(adapter: &A) {
    for devices in [3, 4, 6, 8] {
        let suite = adapter.suites()[0];
        let mut world = World::paired(adapter, suite, Framing::Public, devices).unwrap();
        let passive = 1..devices;
        let mut thieves: Vec<_> =
            passive.clone().map(|n| adapter.steal(&world.devices[n])).collect();
        let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
        let events = world.deliver(Who::Device(PHONE), &sent).unwrap();
        let healed: Vec<_> = passive.map(|n| DeviceId(n as u16)).collect();
        for (n, events) in events.iter().enumerate() {
            let found = events
                .iter()
                .any(|event| matches!(event, Event::Healed { devices, .. } if *devices == healed));
            assert!(found, "device {n} of {devices}: {events:?}");
        }
        for thief in &mut thieves {
            assert!(thief.process(&sent.commit).is_err());
        }
        world.talk(Who::Device(devices - 1)).unwrap();
    }
}

/// Either device commits and heals the other; each heals itself as well.
pub fn roles_switch<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        for round in 0..3 {
            for (active, passive) in [(PHONE, SENSOR), (SENSOR, PHONE)] {
                let mut thief = adapter.steal(&world.devices[passive]);
                let update = Content::default();
                let followed = commit_before(&mut world, Who::Device(active), &update, &mut thief);
                assert!(!followed, "round {round}, device {active}");
            }
        }
    });
}

/// A Remove below the anchor blanks it, and the commit is sealed to the stale leaf key of the device
/// beside the removed one: that is reported, and under `HealPolicy::AtOnce` the phone heals at once.
pub fn a_blanked_anchor_weakens_and_the_policy_heals<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 4).unwrap();
        world.update(Who::Device(PHONE)).unwrap();
        world.devices[PHONE].set_heal_policy(HealPolicy::AtOnce).unwrap();
        let (neighbour, secure) = (DeviceId(2), EpochSecurity::Secure(LeafKey::Stale));
        assert_eq!(world.devices[PHONE].security(neighbour), Some(secure));

        let removes = vec![world.leaf_of(3).unwrap()];
        let sent = world.stock[0].commit(&Content { adds: vec![], removes }).unwrap();
        world.stock[0].confirm().unwrap();
        let mut removed = world.devices.pop().unwrap();
        let Heard::Commit { events, .. } = removed.process(&sent.commit).unwrap() else {
            panic!("a commit is a commit");
        };
        assert!(events.contains(&Event::Removed), "{events:?}");
        for member in world.stock.iter_mut().skip(1) {
            member.process(&sent.commit).unwrap();
        }
        for device in &mut world.devices[1..] {
            device.process(&sent.commit).unwrap();
        }
        let Heard::Commit { events, heal } = world.devices[PHONE].process(&sent.commit).unwrap()
        else {
            panic!("a commit is a commit");
        };
        let to = EpochSecurity::Weakened;
        let expected = [
            Event::DeviceLeft { device: DeviceId(3) },
            Event::SecurityChanged { device: neighbour, from: secure, to },
            Event::AnchorBlanked,
        ];
        assert_eq!(events, expected);
        assert_eq!(world.devices[SENSOR].security(neighbour), Some(to));

        world.deliver(Who::Device(PHONE), &heal.expect("the policy says at once")).unwrap();
        assert_eq!(world.devices[SENSOR].security(neighbour), Some(secure));
    });
}

/// An error with all its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
