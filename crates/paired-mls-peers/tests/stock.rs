//! Members on stock OpenMLS and stock mls-rs in one group, before anybody pairs.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "these are tests")]

use paired_mls::{
    CipherSuite,
    anchor::LeafIndex,
    conformance::{Content, Framing, Heard, Listener as _, Member, PairedMember as _, Sent},
};
use paired_mls_peers::{OpenMlsDevice, StockMlsRs, StockOpenMls};

const SUITES: [CipherSuite; 3] =
    [CipherSuite::X25519Aes128, CipherSuite::P256Aes128, CipherSuite::X25519ChaCha20];

/// Four members, on the two implementations by turns, at the leaves 0 to 3.
struct Group {
    suite: CipherSuite,
    framing: Framing,
    members: Vec<Box<dyn Member>>,
}

/// Runs a test for each suite, each framing, and with either implementation as the creator.
fn for_each(test: impl Fn(Group)) {
    for suite in SUITES {
        for framing in [Framing::Public, Framing::Private] {
            for creator in [0, 1] {
                test(Group::new(suite, framing, creator));
            }
        }
    }
}

/// Members with an even number are on OpenMLS, the others on mls-rs. mls-rs allows each name once.
fn member(suite: CipherSuite, framing: Framing, number: usize) -> Box<dyn Member> {
    let name = format!("member {number}");
    match number % 2 {
        0 => Box::new(StockOpenMls::new(suite, framing, &name).unwrap()),
        _ => Box::new(StockMlsRs::new(suite, framing, &name).unwrap()),
    }
}

impl Group {
    fn new(suite: CipherSuite, framing: Framing, creator: usize) -> Self {
        let mut first = member(suite, framing, creator);
        first.create(b"stock").unwrap();
        let mut group = Self { suite, framing, members: vec![first] };
        let newcomers = (1..4).map(|n| member(suite, framing, creator + n)).collect();
        group.add(0, newcomers);
        group
    }

    fn add(&mut self, by: usize, mut newcomers: Vec<Box<dyn Member>>) {
        let adds = newcomers.iter_mut().map(|member| member.key_package().unwrap()).collect();
        let sent = self.commit(by, &Content { adds, ..Content::default() });
        let welcome = sent.welcome.unwrap();
        for mut member in newcomers {
            member.join(&welcome).unwrap();
            self.members.push(member);
        }
        self.assert_together();
    }

    fn commit(&mut self, by: usize, content: &Content) -> Sent {
        let sent = self.members[by].commit(content).unwrap();
        assert_eq!(self.members[by].confirm().unwrap(), []);
        self.hear(by, &sent.commit, &Heard::Commit { events: Vec::new(), heal: None });
        sent
    }

    fn hear(&mut self, from: usize, message: &[u8], expected: &Heard) {
        for (n, member) in self.members.iter_mut().enumerate().filter(|(n, _)| *n != from) {
            let heard = member.process(message).unwrap_or_else(|error| panic!("{n}: {error}"));
            assert_eq!(heard, *expected, "member {n}");
        }
        self.assert_together();
    }

    fn everybody_commits_and_talks(&mut self) {
        for n in 0..self.members.len() {
            self.commit(n, &Content::default());
            let said = format!("from {n}").into_bytes();
            let message = self.members[n].send(&said).unwrap();
            self.hear(n, &message, &Heard::Application(said));
        }
    }

    fn assert_together(&self) {
        let first = &self.members[0];
        for member in &self.members {
            assert_eq!(member.epoch(), first.epoch(), "{:?} {:?}", self.suite, self.framing);
            assert_eq!(member.epoch_authenticator(), first.epoch_authenticator());
            assert!(!member.epoch_authenticator().is_empty());
        }
    }
}

#[test]
fn they_stay_together_over_many_epochs() {
    for_each(|mut group| {
        for _ in 0..3 {
            group.everybody_commits_and_talks();
        }
    });
}

#[test]
fn either_adds_and_removes_either() {
    for_each(|mut group| {
        for by in [0, 1] {
            let guests = [6, 7].map(|number| member(group.suite, group.framing, number));
            group.add(by, guests.into());
            group.everybody_commits_and_talks();
            for leaf in [5, 4] {
                // The one who is removed hears of it as well.
                let removes = vec![LeafIndex::new(leaf).unwrap()];
                let mut removed = group.members.pop().unwrap();
                let sent = group.commit(1 - by, &Content { adds: Vec::new(), removes });
                removed.process(&sent.commit).unwrap();
                // mls-rs would still encrypt, for the epoch that the others have left.
                let present = group.members[0].epoch_authenticator();
                assert_ne!(removed.epoch_authenticator(), present);
            }
        }
        group.everybody_commits_and_talks();
    });
}

#[test]
fn who_leaves_comes_back_by_a_welcome() {
    for_each(|mut group| {
        for by in [0, 1] {
            let proposal = group.members[3].leave().unwrap();
            group.hear(3, &proposal, &Heard::Proposal);
            let mut left = group.members.pop().unwrap();
            let sent = group.commit(by, &Content::default());
            left.process(&sent.commit).unwrap();
            group.everybody_commits_and_talks();

            group.add(1 - by, vec![left]);
            group.everybody_commits_and_talks();
            // Next time it is a member on the other implementation.
            group.members.swap(2, 3);
        }
    });
}

#[test]
fn a_refused_commit_is_discarded() {
    for_each(|mut group| {
        for (refused, accepted) in [(0, 1), (1, 0)] {
            group.members[refused].commit(&Content::default()).unwrap();
            group.members[refused].discard().unwrap();
            group.commit(accepted, &Content::default());
        }
        group.everybody_commits_and_talks();
    });
}

#[test]
fn a_member_knows_its_own_messages() {
    for_each(|mut group| {
        for n in [0, 1] {
            let message = group.members[n].send(b"echo").unwrap();
            assert_eq!(group.members[n].process(&message).unwrap(), Heard::Own);
            group.hear(n, &message, &Heard::Application(b"echo".into()));
        }
    });
}

/// The GroupInfo of either implementation lets a device in, and both accept its external commit.
#[test]
fn either_lets_somebody_in_from_outside() {
    for_each(|mut group| {
        for by in [0, 1] {
            let group_info = group.commit(by, &Content::default()).group_info.unwrap();
            let name = format!("from outside, by {by}");
            let mut device: OpenMlsDevice =
                OpenMlsDevice::new(group.suite, group.framing, &name).unwrap();
            let sent = device.rejoin(&group_info).unwrap();
            let heard = Heard::Commit { events: Vec::new(), heal: None };
            group.hear(usize::MAX, &sent.commit, &heard);
            assert_eq!(device.epoch_authenticator(), group.members[0].epoch_authenticator());
            group.members.push(Box::new(device));
        }
        group.everybody_commits_and_talks();
    });
}
