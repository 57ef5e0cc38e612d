//! Replay, reordering, forgery, races, refusals and crashes: nothing is lost, no index is used twice.

use std::collections::BTreeSet;

use super::{
    Adapter, Content, Heard, Listener, Member, PairedMember, Who, World, for_each, healing::chain,
};
use crate::{Event, Index};

fn index_in(events: &[Event]) -> Option<Index> {
    events.iter().find_map(|event| match event {
        Event::Healed { index, .. } => *index,
        _ => None,
    })
}

/// A paired commit that is delivered a second time is refused, and changes nothing.
pub fn a_replay_is_refused<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let sent = world.devices[0].commit(&Content::default()).unwrap();
        world.deliver(Who::Device(0), &sent).unwrap();
        assert!(world.devices[1].process(&sent.commit).is_err());
        world.assert_together();
        world.update(Who::Device(0)).unwrap();
    });
}

/// A Notify belongs to one group and one epoch: a paired commit of another group, or of an epoch
/// that is not the current one, is refused, and its index stays good for its own commit.
pub fn a_notify_of_another_group_or_epoch_is_refused<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut here = World::paired(adapter, suite, framing, 2).unwrap();
        let mut there = World::paired(adapter, suite, framing, 2).unwrap();
        let foreign = there.devices[0].commit(&Content::default()).unwrap();
        assert!(here.devices[1].process(&foreign.commit).is_err());

        let first = here.devices[0].commit(&Content::default()).unwrap();
        here.devices[0].confirm().unwrap();
        let second = here.devices[0].commit(&Content::default()).unwrap();
        here.devices[0].confirm().unwrap();
        assert!(here.devices[1].process(&second.commit).is_err(), "one too early");
        for commit in [&first.commit, &second.commit] {
            here.devices[1].process(commit).unwrap();
            for member in &mut here.stock {
                member.process(commit).unwrap();
            }
        }
        here.assert_together();
    });
}

/// A commit with a changed byte, anywhere, is refused and changes nothing: the real one still works.
pub fn forged_commits_are_refused<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let sent = world.devices[0].commit(&Content::default()).unwrap();
        for at in (0..sent.commit.len()).step_by(sent.commit.len() / 16 + 1) {
            let mut forged = sent.commit.clone();
            forged[at] ^= 1;
            assert!(world.devices[1].process(&forged).is_err(), "byte {at}");
        }
        let events = world.deliver(Who::Device(0), &sent).unwrap();
        assert!(index_in(&events[1]).is_some(), "{events:?}");
    });
}

/// A commit, a Welcome or a KeyPackage that is cut short, anywhere, or has a byte too many, is
/// refused, changes nothing, and never panics: the real one still works.
pub fn messages_cut_short_are_refused<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let mut guest = adapter.device(suite, framing, "guest");
        let key_package = guest.key_package().unwrap();
        for broken in cut_short(&key_package) {
            let adds = vec![broken];
            assert!(world.devices[0].commit(&Content { adds, removes: vec![] }).is_err());
        }
        let adds = vec![key_package];
        let sent = world.devices[0].commit(&Content { adds, removes: vec![] }).unwrap();
        for broken in cut_short(&sent.commit) {
            assert!(world.devices[1].process(&broken).is_err());
        }
        world.deliver(Who::Device(0), &sent).unwrap();
        let welcome = sent.welcome.unwrap();
        for broken in cut_short(&welcome) {
            assert!(guest.join(&broken).is_err());
        }
        guest.join(&welcome).unwrap();
        assert_eq!(guest.epoch_authenticator(), world.devices[0].epoch_authenticator());
    });
}

/// A message cut at many places, and one with a byte too many.
fn cut_short(message: &[u8]) -> Vec<Vec<u8>> {
    let ends = (0..message.len()).step_by(message.len() / 64 + 1);
    let cut = ends.map(|end| message[..end].to_vec());
    cut.chain([[message, &[0]].concat()]).collect()
}

/// Both devices commit in one epoch: one wins, the loser's index is burned, and it goes on.
pub fn two_devices_at_once_lose_nothing<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let mut used = BTreeSet::new();
        for round in 0..4 {
            let (winner, loser) = (round % 2, 1 - round % 2);
            let won = world.devices[winner].commit(&Content::default()).unwrap();
            world.devices[loser].commit(&Content::default()).unwrap();
            let events = world.deliver(Who::Device(winner), &won).unwrap();
            let Some(Event::CommitLost { index: Some(burned) }) = events[loser].first() else {
                panic!("the loser is told: {events:?}");
            };
            assert!(used.insert(*burned), "index {burned} was used twice");
            let index = index_in(&events[loser]).unwrap();
            assert!(used.insert(index), "index {index} was used twice");
            world.talk(Who::Device(loser)).unwrap();
        }
    });
}

/// The delivery service refuses a commit: its index is burned, the next one has another.
pub fn a_refused_commit_burns_its_index<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        for _ in 0..3 {
            world.devices[0].commit(&Content::default()).unwrap();
            world.devices[0].discard().unwrap();
            let events = world.update(Who::Device(0)).unwrap();
            let index = index_in(&events[1]).unwrap();
            let first = Index::first_for(index.device(), world.devices[0].epoch()).unwrap();
            assert_eq!(index.position(), first.position() + 1);
        }
    });
}

/// A partner that was set back as a whole makes another commit with an index that is out. A device that died
/// while it followed the first one has that value in flight, and gives it to no other commit; the first one
/// it still follows.
pub fn a_value_in_flight_is_for_one_commit<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let mut set_back = adapter.steal_with_vault(&world.devices[0]);
        let first = world.devices[0].commit(&Content::default()).unwrap();
        let mut guest = adapter.device(suite, framing, "guest");
        let adds = vec![guest.key_package().unwrap()];
        let other = set_back.commit(&Content { adds, ..Content::default() }).unwrap();

        let sensor = &mut world.devices[1];
        sensor.crash_before_storing();
        let died = chain(&*sensor.process(&first.commit).unwrap_err());
        assert!(died.contains("transaction"), "{died}");
        sensor.crash().unwrap();
        let before = sensor.epoch_authenticator();
        let refused = chain(&*sensor.process(&other.commit).unwrap_err());
        assert!(refused.contains("this index of the tape is spent"), "{refused}");
        assert_eq!(sensor.epoch_authenticator(), before);
        world.deliver(Who::Device(0), &first).unwrap();
    });
}

/// Whenever a device dies, it finds its way back from its files, and no index is used twice.
pub fn a_crash_at_any_point_loses_nothing<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let mut used = BTreeSet::new();

        // The sender dies with a commit that nobody has seen: it is still there, or can be dropped.
        world.devices[0].commit(&Content::default()).unwrap();
        world.devices[0].crash().unwrap();
        world.devices[0].discard().unwrap();

        // The sender dies before it learns that its commit was accepted: it is told by its own commit.
        let sent = world.devices[0].commit(&Content::default()).unwrap();
        world.devices[0].crash().unwrap();
        let heard = world.devices[0].process(&sent.commit).unwrap();
        assert!(matches!(heard, Heard::Commit { .. }), "{heard:?}");
        world.devices[1].process(&sent.commit).unwrap();
        for member in &mut world.stock {
            member.process(&sent.commit).unwrap();
        }

        // The sender dies while it merges its commit, after the vault was written.
        let sent = world.devices[0].commit(&Content::default()).unwrap();
        world.devices[0].crash_before_storing();
        world.devices[0].confirm().unwrap_err();
        world.devices[0].crash().unwrap();
        let heard = world.devices[0].process(&sent.commit).unwrap();
        assert!(matches!(heard, Heard::Commit { .. }), "{heard:?}");
        world.devices[1].process(&sent.commit).unwrap();
        for member in &mut world.stock {
            member.process(&sent.commit).unwrap();
        }

        let sent = world.devices[0].commit(&Content::default()).unwrap();
        world.devices[0].confirm().unwrap();
        for member in &mut world.stock {
            member.process(&sent.commit).unwrap();
        }

        // The receiver dies after the tape was read and before the new epoch is stored.
        world.devices[1].crash_before_storing();
        let died = chain(&*world.devices[1].process(&sent.commit).unwrap_err());
        assert!(died.contains("transaction"), "{died}");
        world.devices[1].crash().unwrap();
        let Heard::Commit { events, .. } = world.devices[1].process(&sent.commit).unwrap() else {
            panic!("a commit is a commit");
        };
        used.insert(index_in(&events).unwrap());
        world.assert_together();

        // And after it is stored: nothing more happens.
        world.devices[1].crash().unwrap();
        assert!(world.devices[1].process(&sent.commit).is_err(), "a replay");

        for _ in 0..3 {
            let events = world.update(Who::Device(0)).unwrap();
            let index = index_in(&events[1]).unwrap();
            assert!(used.insert(index), "index {index} was used twice");
            world.devices[0].crash().unwrap();
            world.devices[1].crash().unwrap();
        }
    });
}
