//! A thief who acts: in a device's seat, with its signature key and without, by commit, proposal,
//! external commit and Welcome.
//!
//! With the signature key he can act as the device in MLS itself, and nobody keeps him from it. What has
//! to hold is that no device takes it for the partner's healing, that each of them says so, that nobody
//! of the pairing helps him, and that the next paired commit locks him out. Without the key nothing of
//! what he does is accepted by anybody.

use super::{
    Adapter, Content, Heard, Impostor, Listener, Member, PairedMember, Sent, Signs, Who, World,
    for_each, healing::chain,
};
use crate::{
    DeviceId, EpochSecurity, Event, HealPolicy, LeafKey,
    anchor::LeafIndex,
    group::{Act, NotHealed},
};

const PHONE: usize = 0;
const SENSOR: usize = 1;
const OF_PHONE: DeviceId = DeviceId(0);
const OF_SENSOR: DeviceId = DeviceId(1);
const STALE: Option<EpochSecurity> = Some(EpochSecurity::Secure(LeafKey::Stale));
const FRESH: Option<EpochSecurity> = Some(EpochSecurity::Secure(LeafKey::Fresh));
const EXPOSED: Option<EpochSecurity> = Some(EpochSecurity::Exposed);

/// The phone has healed the sensor, and somebody has copied the sensor's state after that.
fn robbed<'a, A: Adapter>(
    adapter: &'a A,
    suite: crate::CipherSuite,
    framing: super::Framing,
    signs: Signs,
) -> (World<'a, A>, Box<dyn Impostor>) {
    let mut world = World::paired(adapter, suite, framing, 2).unwrap();
    world.update(Who::Device(PHONE)).unwrap();
    assert_eq!(world.devices[PHONE].security(OF_SENSOR), STALE);
    let thief = adapter.impersonate(&world.devices[SENSOR], signs);
    (world, thief)
}

/// What the phone is told of a commit.
fn phone_hears<A: Adapter>(world: &mut World<'_, A>, commit: &[u8]) -> (Vec<Event>, Option<Sent>) {
    match world.devices[PHONE].process(commit).unwrap() {
        Heard::Commit { events, heal } => (events, heal),
        other => panic!("a commit is a commit, and here is {other:?}"),
    }
}

/// The stock members follow, as they would follow the device.
fn stock_hears<A: Adapter>(world: &mut World<'_, A>, message: &[u8]) {
    for member in &mut world.stock {
        member.process(message).unwrap();
    }
}

/// The phone commits, which locks him out, and the sensor comes back from outside.
fn locked_out<A: Adapter>(world: &mut World<'_, A>, thief: &mut dyn Impostor) {
    let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
    let events = world.devices[PHONE].confirm().unwrap();
    let why = NotHealed::Impostor;
    let left_out = Event::NotHealed { by: OF_PHONE, device: OF_SENSOR, why };
    assert_eq!(events.first(), Some(&left_out), "what it did not do is said first: {events:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::Healed { .. })), "{events:?}");
    stock_hears(world, &sent.commit);
    assert!(thief.process(&sent.commit).is_err(), "he is locked out");
    assert_eq!(world.devices[PHONE].security(OF_SENSOR), STALE);

    let back = world.devices[SENSOR].rejoin(&sent.group_info.unwrap()).unwrap();
    let (events, _) = phone_hears(world, &back.commit);
    assert!(!events.iter().any(|event| matches!(event, Event::Impostor { .. })), "{events:?}");
    stock_hears(world, &back.commit);
    world.assert_together();
    assert_eq!(world.devices[PHONE].security(OF_SENSOR), FRESH);
    world.update(Who::Device(PHONE)).unwrap();
    world.talk(Who::Device(SENSOR)).unwrap();
}

/// A commit in the sensor's seat that is not from the tape is an alarm, and heals nobody. The sensor is told
/// that somebody acts in its name, in both framings. The control: its own commit is no alarm.
pub fn a_commit_in_a_partners_seat_is_an_alarm<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let (mut world, mut thief) = robbed(adapter, suite, framing, Signs::Stolen);
        let sent = thief.commit(&Content::default()).unwrap();
        thief.confirm().unwrap();
        let (events, heal) = phone_hears(&mut world, &sent.commit);
        let alarm = Event::Impostor { device: OF_SENSOR, act: Act::Commit };
        assert_eq!(events.first(), Some(&alarm), "{events:?}");
        assert!(!events.iter().any(|event| matches!(event, Event::Healed { .. })), "{events:?}");
        assert_eq!(heal, None, "the policy leaves it to the caller");
        assert_eq!(world.devices[PHONE].security(OF_SENSOR), EXPOSED);
        stock_hears(&mut world, &sent.commit);
        let said = world.devices[PHONE].send(b"he reads this").unwrap();
        assert!(matches!(thief.process(&said), Ok(Heard::Application(_))), "the control");

        let epoch = world.devices[SENSOR].epoch();
        for _ in 0..2 {
            let refused = chain(&*world.devices[SENSOR].process(&sent.commit).unwrap_err());
            assert!(refused.contains("in this device's name"), "{refused}");
            assert_eq!(world.devices[SENSOR].epoch(), epoch);
        }
        locked_out(&mut world, &mut *thief);
        let events = world.update(Who::Device(SENSOR)).unwrap();
        assert!(matches!(events[PHONE].first(), Some(Event::Healed { .. })), "{events:?}");
    });
}

/// While a commit of the sensor's own waits, another one in its name is told from it, and its own is not
/// lost by it.
pub fn a_commit_in_ones_own_name_is_not_ones_own<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let (mut world, mut thief) = robbed(adapter, suite, framing, Signs::Stolen);
        let own = world.devices[SENSOR].commit(&Content::default()).unwrap();
        let forged = thief.commit(&Content::default()).unwrap();
        let refused = chain(&*world.devices[SENSOR].process(&forged.commit).unwrap_err());
        assert!(refused.contains("in this device's name"), "{refused}");
        let heard = world.devices[SENSOR].process(&own.commit).unwrap();
        assert!(matches!(heard, Heard::Commit { .. }), "the control: {heard:?}");
        phone_hears(&mut world, &own.commit);
        stock_hears(&mut world, &own.commit);
        world.assert_together();
    });
}

/// The same before the devices are paired: what tells a device's own commit does not hang on a pairing.
pub fn without_a_pairing_too<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::unpaired(adapter, suite, framing, 2).unwrap();
        let mut thief = adapter.impersonate(&world.devices[SENSOR], Signs::Stolen);
        let forged = thief.commit(&Content::default()).unwrap();
        let epoch = world.devices[SENSOR].epoch();
        let alarm = |world: &mut World<'_, A>| {
            let refused = chain(&*world.devices[SENSOR].process(&forged.commit).unwrap_err());
            assert!(refused.contains("in this device's name"), "{refused}");
            assert_eq!(world.devices[SENSOR].epoch(), epoch);
        };
        alarm(&mut world);
        let own = world.devices[SENSOR].commit(&Content::default()).unwrap();
        alarm(&mut world);
        world.devices[SENSOR].crash().unwrap();
        alarm(&mut world);
        let heard = world.devices[SENSOR].process(&own.commit).unwrap();
        assert!(matches!(heard, Heard::Commit { .. }), "the control: {heard:?}");
        phone_hears(&mut world, &own.commit);
        stock_hears(&mut world, &own.commit);
        world.assert_together();
    });
}

/// Under `HealPolicy::AtOnce` an alarm is answered at once.
pub fn the_policy_answers_an_alarm<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let (mut world, mut thief) = robbed(adapter, suite, framing, Signs::Stolen);
        world.devices[PHONE].set_heal_policy(HealPolicy::AtOnce).unwrap();
        let sent = thief.commit(&Content::default()).unwrap();
        thief.confirm().unwrap();
        let (_, heal) = phone_hears(&mut world, &sent.commit);
        stock_hears(&mut world, &sent.commit);
        let heal = heal.expect("the policy says at once");
        world.devices[PHONE].confirm().unwrap();
        stock_hears(&mut world, &heal.commit);
        assert!(thief.process(&heal.commit).is_err());
        assert_eq!(world.devices[PHONE].heal_if_due().unwrap(), None, "and once only");
    });
}

/// A commit without a path is followed by everybody, the sensor too, which is told.
pub fn a_commit_without_a_path_is_an_alarm<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let (mut world, mut thief) = robbed(adapter, suite, framing, Signs::Stolen);
        let mut guest = adapter.device(suite, framing, "guest");
        let commit = thief.commit_without_path(&guest.key_package().unwrap()).unwrap();
        thief.confirm().unwrap();
        let alarm = Event::Impostor { device: OF_SENSOR, act: Act::Commit };
        let (events, _) = phone_hears(&mut world, &commit);
        assert_eq!(events.first(), Some(&alarm), "{events:?}");
        stock_hears(&mut world, &commit);
        match world.devices[SENSOR].process(&commit) {
            Ok(Heard::Commit { events, .. }) => assert_eq!(events.first(), Some(&alarm)),
            Ok(other) => panic!("{other:?}"),
            Err(refused) => {
                let refused = chain(&*refused);
                assert!(refused.contains("in this device's name"), "{refused}");
            }
        }
        assert_eq!(world.devices[PHONE].security(OF_SENSOR), EXPOSED);
    });
}

/// An Update proposal in the sensor's name is an alarm at both devices. Neither commits it, and both go on;
/// the proposal is kept, since a stock member may commit it: then the phone still follows.
pub fn an_update_in_a_partners_name_is_not_committed<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for by in [Who::Device(PHONE), Who::Stock(0)] {
            let (mut world, mut thief) = robbed(adapter, suite, framing, Signs::Stolen);
            let proposal = thief.propose_update().unwrap();
            let alarm = Event::Impostor { device: OF_SENSOR, act: Act::UpdateProposed };
            let Heard::Impostor { events, .. } = world.devices[PHONE].process(&proposal).unwrap()
            else {
                panic!("it is an alarm");
            };
            assert_eq!(events.first(), Some(&alarm));
            assert_eq!(world.devices[PHONE].security(OF_SENSOR), EXPOSED);
            match world.devices[SENSOR].process(&proposal).unwrap() {
                Heard::Impostor { events, .. } => assert_eq!(events.first(), Some(&alarm)),
                // MLS lets nobody read what is encrypted by its own leaf.
                heard => assert_eq!((heard, framing), (Heard::Own, super::Framing::Private)),
            }
            stock_hears(&mut world, &proposal);
            let sent = world.member(by).unwrap().commit(&Content::default()).unwrap();
            if by == Who::Device(PHONE) {
                // The leaf is the sensor's still: it follows, and the thief does not.
                world.deliver(by, &sent).unwrap();
                assert!(thief.process(&sent.commit).is_err());
                world.update(Who::Device(SENSOR)).unwrap();
                assert_eq!(world.devices[PHONE].security(OF_SENSOR), FRESH);
                continue;
            }
            world.member(by).unwrap().confirm().unwrap();
            for member in world.stock.iter_mut().skip(1) {
                member.process(&sent.commit).unwrap();
            }
            let (events, _) = phone_hears(&mut world, &sent.commit);
            let alarm = Event::Impostor { device: OF_SENSOR, act: Act::UpdateCommitted };
            assert_eq!(events.first(), Some(&alarm), "{events:?}");
            assert_eq!(world.devices[PHONE].security(OF_SENSOR), EXPOSED);
            thief.process(&sent.commit).unwrap();
            assert!(world.devices[SENSOR].process(&sent.commit).is_err(), "it has not that key");
            locked_out(&mut world, &mut *thief);
        }
    });
}

/// With the signature key alone he takes the sensor's place from outside: an alarm at the phone, and at the
/// sensor, which he has put out.
pub fn an_external_commit_in_a_partners_name_is_an_alarm<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let (mut world, mut thief) = robbed(adapter, suite, framing, Signs::Stolen);
        let commit = thief.enter(&world.group_info.clone()).unwrap();
        let alarm = Event::Impostor { device: OF_SENSOR, act: Act::ExternalCommit };
        let (events, _) = phone_hears(&mut world, &commit);
        assert_eq!(events.first(), Some(&alarm), "{events:?}");
        assert_eq!(world.devices[PHONE].security(OF_SENSOR), EXPOSED);
        stock_hears(&mut world, &commit);
        let Heard::Commit { events, .. } = world.devices[SENSOR].process(&commit).unwrap() else {
            panic!("a commit is a commit");
        };
        assert_eq!(events, [alarm, Event::Removed]);
        locked_out(&mut world, &mut *thief);
    });
}

/// A commit that gives the sensor's leaf another signature key: the leaf is no seat of the sensor any more.
/// The phone goes on, and removes it.
pub fn a_new_key_in_a_partners_leaf_is_an_alarm<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let (mut world, mut thief) = robbed(adapter, suite, framing, Signs::Stolen);
        let commit = thief.commit_with_new_key().unwrap();
        thief.confirm().unwrap();
        let (events, _) = phone_hears(&mut world, &commit);
        let alarm = Event::Impostor { device: OF_SENSOR, act: Act::NewKey };
        assert_eq!(events.first(), Some(&alarm), "{events:?}");
        assert!(events.contains(&Event::DeviceLeft { device: OF_SENSOR }), "{events:?}");
        stock_hears(&mut world, &commit);
        let own = world.leaf_of(0).unwrap();
        assert_eq!(world.devices[PHONE].devices(), [(OF_PHONE, own)]);
        assert_eq!(world.devices[PHONE].security(OF_SENSOR), EXPOSED);
        let refused = chain(&*world.devices[SENSOR].process(&commit).unwrap_err());
        assert!(refused.contains("in this device's name"), "{refused}");

        let removes = vec![LeafIndex::new(1).unwrap()];
        let sent = world.devices[PHONE].commit(&Content { removes, adds: vec![] }).unwrap();
        world.devices[PHONE].confirm().unwrap();
        stock_hears(&mut world, &sent.commit);
        let _ = thief.process(&sent.commit);
        let back = world.devices[SENSOR].rejoin(&sent.group_info.unwrap()).unwrap();
        phone_hears(&mut world, &back.commit);
        stock_hears(&mut world, &back.commit);
        world.assert_together();
        assert_eq!(world.devices[PHONE].security(OF_SENSOR), FRESH);
        let said = world.talk(Who::Device(SENSOR)).unwrap();
        assert!(!matches!(thief.process(&said), Ok(Heard::Application(_))));
    });
}

/// A Welcome in the sensor's name, into a group that he has made and that has the same identifier, does not
/// take the phone out of the one that it is in. The control: into another group it would lead.
pub fn a_welcome_in_a_partners_name_changes_nothing<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let (mut world, mut thief) = robbed(adapter, suite, framing, Signs::Stolen);
        let key_package = world.devices[PHONE].key_package().unwrap();
        let welcome = thief.invite(b"conformance", &key_package).unwrap();
        assert!(world.devices[PHONE].join(&welcome).is_err());
        world.devices[PHONE].crash().unwrap();
        world.assert_together();
        assert_eq!(world.devices[PHONE].security(OF_SENSOR), STALE);
        world.update(Who::Device(PHONE)).unwrap();
        world.talk(Who::Device(SENSOR)).unwrap();

        let key_package = world.devices[PHONE].key_package().unwrap();
        let welcome = thief.invite(b"another", &key_package).unwrap();
        world.devices[PHONE].join(&welcome).expect("the control: he can make Welcomes");
        assert_eq!(world.devices[PHONE].security(OF_SENSOR), None, "no pairing is used there");
    });
}

/// Without the signature key nothing that he makes is accepted, by anybody.
pub fn without_the_signature_key_he_does_nothing<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let (mut world, _) = robbed(adapter, suite, framing, Signs::Other);
        let group_info = world.group_info.clone();
        let made = |act: fn(&mut dyn Impostor, &[u8]) -> Option<Vec<u8>>| {
            let mut thief = adapter.impersonate(&world.devices[SENSOR], Signs::Other);
            act(&mut *thief, &group_info)
        };
        let messages = [
            made(|thief, _| Some(thief.commit(&Content::default()).ok()?.commit)),
            made(|thief, _| thief.propose_update().ok()),
            made(|thief, _| thief.commit_with_new_key().ok()),
            made(|thief, _| thief.send(b"it is me, the sensor").ok()),
            // From outside his own key would be a stranger's: he has to claim the sensor's.
            made(|thief, info| thief.enter(info).ok()),
        ];
        assert!(messages.iter().flatten().count() >= 3, "the control: he has made something");
        for message in messages.iter().flatten() {
            assert!(world.devices[PHONE].process(message).is_err());
            for member in &mut world.stock {
                assert!(member.process(message).is_err());
            }
            let heard = world.devices[SENSOR].process(message);
            assert!(
                !matches!(heard, Ok(Heard::Commit { .. } | Heard::Impostor { .. })),
                "{heard:?}"
            );
        }
        world.assert_together();
        assert_eq!(world.devices[PHONE].security(OF_SENSOR), STALE);
        world.update(Who::Device(PHONE)).unwrap();
    });
}
