//! The state of a pairing is about the group as it is, whatever happened on the way, and a heal that is
//! due is made until somebody is healed.

use super::{
    Adapter, Content, Framing, Heard, Listener, Member, PairedMember, Sent, Who, World, for_each,
};
use crate::{
    DeviceId, EpochSecurity, Event, HealPolicy, LeafKey, anchor::LeafIndex, group::NotHealed,
};

const PHONE: usize = 0;
const SENSOR: usize = 1;
const STALE: Option<EpochSecurity> = Some(EpochSecurity::Secure(LeafKey::Stale));
const EXPOSED: Option<EpochSecurity> = Some(EpochSecurity::Exposed);

/// Four devices, the phone heals at once, and a stranger has removed device 3, which weakens device 2.
/// Returns the commit that the phone has made.
fn weakened<'a, A: Adapter>(
    adapter: &'a A,
    suite: crate::CipherSuite,
    framing: Framing,
) -> (World<'a, A>, Sent) {
    let mut world = World::paired(adapter, suite, framing, 4).unwrap();
    world.update(Who::Device(PHONE)).unwrap();
    world.devices[PHONE].set_heal_policy(HealPolicy::AtOnce).unwrap();
    assert_eq!(world.devices[PHONE].heal_if_due().unwrap(), None, "nobody needs it");
    let removes = vec![world.leaf_of(3).unwrap()];
    world.devices.pop();
    let sent = world.stock[0].commit(&Content { adds: vec![], removes }).unwrap();
    world.stock[0].confirm().unwrap();
    let heal = accepted(&mut world, Who::Stock(0), &sent);
    (world, heal.expect("device 2 is weakened"))
}

/// Everybody but `from` hears a commit. Returns what the phone has made.
fn accepted<A: Adapter>(world: &mut World<'_, A>, from: Who, sent: &Sent) -> Option<Sent> {
    let mut made = None;
    for (n, device) in world.devices.iter_mut().enumerate() {
        if from == Who::Device(n) {
            continue;
        }
        let Heard::Commit { heal, .. } = device.process(&sent.commit).unwrap() else {
            panic!("a commit is a commit");
        };
        made = made.or(heal);
    }
    for (n, member) in world.stock.iter_mut().enumerate() {
        if from != Who::Stock(n) {
            member.process(&sent.commit).unwrap();
        }
    }
    made
}

/// The commit that heals loses its epoch to a stranger's, twice: it is made again.
pub fn a_heal_that_lost_its_race_is_made_again<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let (mut world, mut lost) = weakened(adapter, suite, framing);
        for _ in 0..2 {
            let won = world.stock[0].commit(&Content::default()).unwrap();
            world.stock[0].confirm().unwrap();
            let heal = accepted(&mut world, Who::Stock(0), &won).expect("it is due still");
            assert_ne!(heal.commit, lost.commit);
            lost = heal;
        }
        world.deliver(Who::Device(PHONE), &lost).unwrap();
        assert_eq!(world.devices[PHONE].security(DeviceId(2)), STALE);
        assert_eq!(world.devices[PHONE].heal_if_due().unwrap(), None, "and no more");
    });
}

/// The process dies with the commit that heals, or the delivery service does not take it.
pub fn a_heal_that_died_is_made_again<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let (mut world, _) = weakened(adapter, suite, framing);
        world.devices[PHONE].crash().unwrap();
        assert_eq!(world.devices[PHONE].heal_if_due().unwrap(), None, "one waits");
        world.devices[PHONE].discard().unwrap();
        world.devices[PHONE].crash().unwrap();
        let heal = world.devices[PHONE].heal_if_due().unwrap().expect("it is due");
        world.deliver(Who::Device(PHONE), &heal).unwrap();
        assert_eq!(world.devices[PHONE].security(DeviceId(2)), STALE);
        world.devices[PHONE].crash().unwrap();
        assert_eq!(world.devices[PHONE].heal_if_due().unwrap(), None);
    });
}

/// A partner that no commit of the phone can heal makes none due; what was not done is said first.
pub fn a_partner_out_of_reach_makes_no_commits<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 3).unwrap();
        let mut stranger = adapter.device(suite, framing, "stranger");
        let adds = vec![stranger.key_package().unwrap()];
        let sent = world.stock[0].commit(&Content { adds, removes: vec![] }).unwrap();
        world.deliver(Who::Stock(0), &sent).unwrap();
        world.devices[PHONE].set_heal_policy(HealPolicy::AtOnce).unwrap();
        assert_eq!(world.devices[PHONE].security(DeviceId(2)), EXPOSED);

        let heal = world.devices[PHONE].heal_if_due().unwrap().expect("it and the sensor");
        let events = world.deliver(Who::Device(PHONE), &heal).unwrap();
        let (by, device, why) = (DeviceId(0), DeviceId(2), NotHealed::Placement);
        let left_out = Event::NotHealed { by, device, why };
        for events in &events[..2] {
            assert_eq!(events.first(), Some(&left_out), "{events:?}");
        }
        assert_eq!(world.devices[PHONE].security(DeviceId(2)), EXPOSED);
        for _ in 0..3 {
            assert_eq!(world.devices[PHONE].heal_if_due().unwrap(), None);
            let sent = world.stock[0].commit(&Content::default()).unwrap();
            world.stock[0].confirm().unwrap();
            assert_eq!(accepted(&mut world, Who::Stock(0), &sent), None);
        }
    });
}

/// Two devices that both heal at once end: one of them wins, and the other has nothing to do.
pub fn two_that_heal_at_once_come_to_rest<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let (mut world, first) = weakened(adapter, suite, framing);
        world.devices[SENSOR].set_heal_policy(HealPolicy::AtOnce).unwrap();
        world.devices[SENSOR].heal_if_due().unwrap().expect("it sees the same");
        world.devices[PHONE].confirm().unwrap();
        assert_eq!(accepted(&mut world, Who::Device(PHONE), &first), None);
        for device in [PHONE, SENSOR] {
            assert_eq!(world.devices[device].heal_if_due().unwrap(), None, "{device}");
        }
        world.assert_together();
    });
}

/// A device that was removed, and is added by an ordinary KeyPackage, has an old record in its vault: it is
/// paired from its first commit on, and nobody is secure until there is one.
pub fn a_group_that_is_joined_anew_claims_nothing<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        world.update(Who::Device(PHONE)).unwrap();
        let mut sensor = world.devices.pop().unwrap();
        let removes = vec![LeafIndex::new(1).unwrap()];
        let sent = world.devices[PHONE].commit(&Content { adds: vec![], removes }).unwrap();
        world.deliver(Who::Device(PHONE), &sent).unwrap();
        sensor.process(&sent.commit).unwrap();
        let adds = vec![sensor.key_package().unwrap()];
        let sent = world.devices[PHONE].commit(&Content { adds, removes: vec![] }).unwrap();
        world.deliver(Who::Device(PHONE), &sent).unwrap();
        sensor.join(&sent.welcome.unwrap()).unwrap();
        for _ in 0..2 {
            assert_eq!(sensor.security(DeviceId(0)), EXPOSED);
            assert_eq!(sensor.security(DeviceId(1)), EXPOSED);
            sensor.crash().unwrap();
        }
        world.devices.push(sensor);
        let events = world.update(Who::Device(SENSOR)).unwrap();
        let healed = |event: &Event| matches!(event, Event::Healed { by: DeviceId(1), .. });
        assert!(events[PHONE].iter().any(healed), "its first commit is a paired one: {events:?}");
    });
}

/// The vault is written before the MLS state. A device that dies in between is where it was, and says so.
pub fn a_record_that_is_ahead_claims_nothing_yet<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let own = DeviceId(1);
        assert_eq!(world.devices[SENSOR].security(own), EXPOSED);
        let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
        world.devices[SENSOR].crash_before_storing();
        world.devices[SENSOR].process(&sent.commit).unwrap_err();
        assert_eq!(world.devices[SENSOR].security(own), EXPOSED);
        world.devices[SENSOR].crash().unwrap();
        assert_eq!(world.devices[SENSOR].security(own), EXPOSED, "the vault knows better");
        world.deliver(Who::Device(PHONE), &sent).unwrap();
        assert_eq!(world.devices[SENSOR].security(own), STALE);
        world.devices[SENSOR].crash().unwrap();
        assert_eq!(world.devices[SENSOR].security(own), STALE);
    });
}

/// An MLS state that is older than the vault, as after a restored backup, is not taken for secure.
pub fn an_older_mls_state_claims_nothing<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        world.update(Who::Device(PHONE)).unwrap();
        let mut old = adapter.steal_with_vault(&world.devices[SENSOR]);
        assert_eq!(old.security(DeviceId(1)), STALE, "the control");
        for _ in 0..2 {
            world.update(Who::Device(PHONE)).unwrap();
        }
        adapter.steal_vault_again(&mut old, &world.devices[SENSOR]);
        assert_eq!(old.security(DeviceId(1)), EXPOSED);
        assert_eq!(world.devices[SENSOR].security(DeviceId(1)), STALE);
    });
}
