//! Stock members notice nothing.

use super::{Adapter, Content, Framing, Listener, Member, Who, World, for_each};

/// Stock members stay in the same epoch with the same authenticator, through paired commits of
/// either device, commits of their own, Adds, Removes and application messages.
pub fn everybody_stays_together<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        for _ in 0..2 {
            for who in [Who::Device(0), Who::Stock(0), Who::Device(1), Who::Stock(1)] {
                if matches!(who, Who::Stock(n) if n >= world.stock.len()) {
                    continue;
                }
                world.update(who).unwrap();
                world.talk(who).unwrap();
            }
        }
        // A device of the pairing adds a member, who takes part, and removes it again.
        let mut guest = adapter.device(suite, framing, "guest");
        let adds = vec![guest.key_package().unwrap()];
        let sent = world.devices[0].commit(&Content { adds, removes: vec![] }).unwrap();
        world.deliver(Who::Device(0), &sent).unwrap();
        guest.join(&sent.welcome.unwrap()).unwrap();
        assert_eq!(guest.epoch_authenticator(), world.devices[0].epoch_authenticator());

        let leaf = crate::anchor::LeafIndex::new(2 + world.stock.len() as u32).unwrap();
        let remove = Content { adds: vec![], removes: vec![leaf] };
        world.commit(Who::Device(0), &remove).unwrap();
        world.talk(Who::Device(1)).unwrap();
    });
}

/// A paired commit has the length of an ordinary one of the same shape.
pub fn paired_and_ordinary_commits_have_equal_lengths<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for devices in [2, 3] {
            let length = |paired: bool| {
                let mut world = World::unpaired(adapter, suite, framing, devices).unwrap();
                if paired {
                    world.pair().unwrap();
                }
                // Everybody once, so that no node is blank and all leaves come from commits.
                for n in 0..world.stock.len() {
                    world.update(Who::Stock(n)).unwrap();
                }
                for n in (0..devices).rev() {
                    world.update(Who::Device(n)).unwrap();
                }
                world.devices[0].commit(&Content::default()).unwrap().commit.len()
            };
            let (ordinary, paired) = (length(false), length(true));
            // A DER signature of ECDSA has 70 to 72 bytes, at random; there are two.
            let slack = if suite == crate::CipherSuite::P256Aes128 { 8 } else { 0 };
            assert!(
                ordinary.abs_diff(paired) <= slack,
                "{suite:?} {framing:?}: ordinary {ordinary}, paired {paired}"
            );
        }
    });
}

/// A world that checks its own tools: an unpaired group, in which nothing is special.
pub fn unpaired_groups_are_ordinary<A: Adapter>(adapter: &A) {
    let suite = adapter.suites()[0];
    let mut world = World::unpaired(adapter, suite, Framing::Private, 2).unwrap();
    let events = world.update(Who::Device(0)).unwrap();
    assert!(events.iter().all(Vec::is_empty), "{events:?}");
}
