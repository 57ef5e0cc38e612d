//! A member who lies about who it is, and what the devices make of it.
//!
//! It has a leaf, a signature key and a stock library, and does what MLS lets it do. For each way to take
//! another's name there is the control: a stock member takes the lie.

use super::{Heard, Member, Refused, Sent, Sign};
use crate::{
    Event, SealedNotify, anchor::LeafIndex, group::credential::Identity, wire::Credential,
};

/// Makes a Notify for the `info` that a ciphertext is sealed with.
pub type ForgeNotify<'a> = dyn Fn(&[u8]) -> SealedNotify + Send + Sync + 'a;

/// A member on a stock library that can say that it is somebody else.
pub trait Liar: Member {
    /// A commit of nothing but a path, whose leaf says this.
    fn commit_as(&mut self, identity: &str) -> Result<Sent, Refused>;

    /// An Update proposal whose leaf says this.
    fn propose_update_as(&mut self, identity: &str) -> Result<Vec<u8>, Refused>;

    /// A Welcome into the current epoch to whoever has this KeyPackage, with a joiner secret of her own, and
    /// without the ratchet tree. It is signed by `sign` in the name of the member at `signer`.
    fn forge_welcome(
        &self,
        key_package: &[u8],
        signer: LeafIndex,
        sign: &Sign,
    ) -> Result<Vec<u8>, Refused>;

    /// The public keys that the path of her next commit is sealed to.
    fn recipients(&mut self) -> Result<Vec<Vec<u8>>, Refused>;

    /// A commit of nothing but a path, which has a Notify where it would be sealed to `recipient`. It waits to be
    /// discarded.
    fn commit_with_notify(
        &mut self,
        recipient: &[u8],
        forge: &ForgeNotify<'_>,
    ) -> Result<Vec<u8>, Refused>;

    /// Signs as herself, and her leaf.
    fn own_signature(&self) -> Result<(LeafIndex, Sign), Refused>;

    /// The GroupInfo of the current epoch, with the ratchet tree.
    fn group_info(&self) -> Result<Vec<u8>, Refused>;

    /// An external commit that takes the place of its own leaf and says this.
    fn rejoin_as(&mut self, identity: &str, group_info: &[u8]) -> Result<Sent, Refused>;
}

/// A device that says who the members are.
pub trait Knowing: Member {
    /// The members, and who they are.
    fn members(&self) -> Vec<(LeafIndex, Identity)>;

    /// The first signature key of a leaf.
    fn key_of(&self, leaf: LeafIndex) -> Result<Vec<u8>, Refused>;

    /// Who has sent the last application message that was processed.
    fn heard_from(&self) -> Option<Identity>;

    /// The process dies and starts again.
    fn restart(&mut self) -> Result<(), Refused>;

    /// From now on a commit with a leaf that is not accepted is refused.
    fn be_strict(&mut self) -> Result<(), Refused>;

    /// Somebody has compared this signature key: it is one of this identity.
    fn approve(&mut self, identity: &Credential, signature_key: &[u8]) -> Result<(), Refused>;

    /// Asks once more about those who are not verified.
    fn recheck(&mut self) -> Result<Vec<Event>, Refused>;
}

const BOB: &str = "bob";
const MALLORY: &str = "mallory";

/// Makes a liar of a name, outside of the group.
pub type Liars<'a> = Box<dyn Fn(&str) -> Box<dyn Liar> + 'a>;

/// A group in which devices under test, honest Bob, and Mallory are members. Bob and Mallory are on stock
/// libraries.
pub struct Party<'a, D> {
    /// The devices of a pairing.
    pub devices: Vec<D>,
    /// An honest member.
    pub bob: Box<dyn Liar>,
    /// The liar.
    pub mallory: Box<dyn Liar>,
    /// Makes a liar of this name, outside of the group.
    pub liar: Liars<'a>,
}

/// Who commits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Device,
    Bob,
    Mallory,
}

fn name(identity: &str) -> Credential {
    Credential::basic(identity)
}

impl<'a, D: Knowing> Party<'a, D> {
    /// A party in this group, which `devices` are in already and whose first device adds the others.
    pub fn gather(mut devices: Vec<D>, liar: Liars<'a>) -> Result<Self, Refused> {
        let (mut bob, mut mallory) = (liar(BOB), liar(MALLORY));
        let adds = vec![bob.key_package()?, mallory.key_package()?];
        let sent = devices[0].commit(&super::Content { adds, ..Default::default() })?;
        devices[0].confirm()?;
        for device in &mut devices[1..] {
            hear(device, &sent)?;
        }
        let welcome = sent.welcome.ok_or("the commit that adds has no Welcome")?;
        bob.join(&welcome)?;
        mallory.join(&welcome)?;
        let party = Self { devices, bob, mallory, liar };
        party.assert_together();
        Ok(party)
    }

    /// The delivery service accepts a commit, and everybody follows. Returns the events at each device.
    pub(super) fn deliver(&mut self, by: By, sent: &Sent) -> Vec<Vec<Event>> {
        let mut events = Vec::new();
        for (n, device) in self.devices.iter_mut().enumerate() {
            events.push(match (by, n) {
                (By::Device, 0) => device.confirm().unwrap(),
                _ => hear(device, sent).unwrap(),
            });
        }
        match by {
            By::Bob => drop(self.bob.confirm().unwrap()),
            _ => drop(self.bob.process(&sent.commit).unwrap()),
        }
        match by {
            By::Mallory => drop(self.mallory.confirm().unwrap()),
            _ => drop(self.mallory.process(&sent.commit).unwrap()),
        }
        self.assert_together();
        events
    }

    fn propose(&mut self, proposal: &[u8]) {
        for device in &mut self.devices {
            assert_eq!(device.process(proposal).unwrap(), Heard::Proposal);
        }
        self.bob.process(proposal).unwrap();
    }

    pub(super) fn assert_together(&self) {
        let expected = self.bob.epoch_authenticator();
        assert_eq!(self.mallory.epoch_authenticator(), expected, "Mallory");
        for (n, device) in self.devices.iter().enumerate() {
            assert_eq!(device.epoch_authenticator(), expected, "device {n}");
        }
    }

    /// The identities of those who are not verified, at each device.
    fn unverified(&self) -> Vec<Vec<(Option<Credential>, Credential)>> {
        let of = |device: &D| {
            let members = device.members().into_iter();
            let unverified = members.filter_map(|(_, identity)| match identity {
                Identity::Unverified { last, claims } => Some((last, claims)),
                Identity::Verified(_) => None,
            });
            unverified.collect()
        };
        self.devices.iter().map(of).collect()
    }

    /// At every device exactly one member is verified as Bob, and Mallory is what she was.
    fn assert_bob_is_bob(&mut self, mallory: Option<&str>) {
        for device in &mut self.devices {
            for restart in [false, true] {
                if restart {
                    device.restart().unwrap();
                }
                let members = device.members();
                let verified = |of: &str| {
                    let is = |identity: &Identity| identity.verified() == Some(&name(of));
                    members.iter().filter(|(_, identity)| is(identity)).count()
                };
                assert_eq!(verified(BOB), 1);
                assert_eq!(verified(MALLORY), 0);
                let lie = members.iter().map(|member| &member.1).find(|identity| {
                    identity.verified().is_none() && identity.claims() == &name(BOB)
                });
                let last = lie.expect("the lie is marked").last_accepted();
                assert_eq!(last, mallory.map(name).as_ref());
            }
        }
        let said = self.mallory.send(b"it is me, Bob").unwrap();
        let true_word = self.bob.send(b"it is really me").unwrap();
        for device in &mut self.devices {
            device.process(&said).unwrap();
            assert_eq!(device.heard_from().unwrap().verified(), None);
            assert_eq!(device.heard_from().unwrap().last_accepted(), mallory.map(name).as_ref());
            device.process(&true_word).unwrap();
            assert_eq!(device.heard_from(), Some(Identity::Verified(name(BOB))));
        }
        self.bob.process(&said).unwrap();
        self.mallory.process(&true_word).unwrap();
    }
}

fn hear<D: Knowing>(device: &mut D, sent: &Sent) -> Result<Vec<Event>, Refused> {
    if let Some(notify) = &sent.notify {
        device.process(notify)?;
    }
    match device.process(&sent.commit)? {
        Heard::Commit { events, .. } => Ok(events),
        other => Err(format!("a commit is a commit, and here is {other:?}").into()),
    }
}

fn alarms(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::IdentityUnverified { .. })).count()
}

/// By a commit of her own; the lie is marked, also after a restart, and ends with the next true commit.
pub fn by_a_self_update<D: Knowing>(mut party: Party<'_, D>) {
    // The control: what says the truth is not marked.
    let sent = party.mallory.commit_as(MALLORY).unwrap();
    assert!(party.deliver(By::Mallory, &sent).iter().all(|events| alarms(events) == 0));
    assert!(party.unverified().iter().all(Vec::is_empty));

    let sent = party.mallory.commit_as(BOB).unwrap();
    let events = party.deliver(By::Mallory, &sent);
    assert!(events.iter().all(|events| alarms(events) == 1), "{events:?}");
    party.assert_bob_is_bob(Some(MALLORY));

    // The mark stays, whoever commits then, and however often she says it.
    let sent = party.devices[0].commit(&super::Content::default()).unwrap();
    party.deliver(By::Device, &sent);
    let sent = party.mallory.commit_as(BOB).unwrap();
    party.deliver(By::Mallory, &sent);
    let sent = party.bob.commit(&super::Content::default()).unwrap();
    party.deliver(By::Bob, &sent);
    party.assert_bob_is_bob(Some(MALLORY));

    let sent = party.mallory.commit_as(MALLORY).unwrap();
    party.deliver(By::Mallory, &sent);
    assert!(party.unverified().iter().all(Vec::is_empty));
}

/// By an Update that a device leaves out; and by one that a stock member commits.
pub fn by_an_update<D: Knowing>(mut party: Party<'_, D>) {
    let proposal = party.mallory.propose_update_as(BOB).unwrap();
    party.propose(&proposal);
    let sent = party.devices[0].commit(&super::Content::default()).unwrap();
    party.deliver(By::Device, &sent);
    assert!(party.unverified().iter().all(Vec::is_empty), "the device has left it out");

    let proposal = party.mallory.propose_update_as(BOB).unwrap();
    party.propose(&proposal);
    let sent = party.bob.commit(&super::Content::default()).unwrap();
    let events = party.deliver(By::Bob, &sent);
    assert!(events.iter().all(|events| alarms(events) == 1), "{events:?}");
    party.assert_bob_is_bob(Some(MALLORY));

    // The control: an honest Update is committed.
    let proposal = party.mallory.propose_update_as(MALLORY).unwrap();
    party.propose(&proposal);
    let sent = party.devices[0].commit(&super::Content::default()).unwrap();
    party.deliver(By::Device, &sent);
    assert!(party.unverified().iter().all(Vec::is_empty));
}

/// By an Add of somebody with Bob's name: a device refuses to make it, leaves the proposal out, and marks
/// the newcomer that a stock member has added.
pub fn by_an_add<D: Knowing>(mut party: Party<'_, D>) {
    let mut forger = (party.liar)(BOB);
    let forged = forger.key_package().unwrap();
    let add = |key_package: &[u8]| super::Content {
        adds: vec![key_package.to_vec()],
        ..super::Content::default()
    };
    assert!(party.devices[0].commit(&add(&forged)).is_err());

    let proposal = party.bob.propose_add(&forged).unwrap();
    for device in &mut party.devices {
        device.process(&proposal).unwrap();
    }
    party.mallory.process(&proposal).unwrap();
    let sent = party.devices[0].commit(&super::Content::default()).unwrap();
    party.deliver(By::Device, &sent);
    assert!(party.unverified().iter().all(Vec::is_empty), "the device has left it out");

    let sent = party.bob.commit(&add(&forged)).unwrap();
    let events = party.deliver(By::Bob, &sent);
    assert!(events.iter().all(|events| alarms(events) == 1), "{events:?}");
    for device in party.unverified() {
        assert_eq!(device, [(None, name(BOB))]);
    }
    forger.join(sent.welcome.as_ref().unwrap()).unwrap();
    let said = forger.send(b"it is me, Bob").unwrap();
    for device in &mut party.devices {
        device.process(&said).unwrap();
        assert_eq!(device.heard_from().unwrap().last_accepted(), None);
    }

    // The control: somebody with a name of her own is added, and verified.
    let eve = (party.liar)("eve").key_package().unwrap();
    let sent = party.devices[0].commit(&add(&eve)).unwrap();
    party.deliver(By::Device, &sent);
    assert!(party.unverified().iter().all(|unverified| unverified.len() == 1));
}

/// By an external commit, in the place of her own leaf.
pub fn by_an_external_commit<D: Knowing>(mut party: Party<'_, D>) {
    let info = party.mallory.group_info().unwrap();
    let sent = party.mallory.rejoin_as(BOB, &info).unwrap();
    party.bob.process(&sent.commit).unwrap();
    for device in &mut party.devices {
        let events = hear(device, &sent).unwrap();
        assert_eq!(alarms(&events), 1, "{events:?}");
        let taken_out = |event: &Event| matches!(event, Event::TakenOut { .. });
        assert!(events.iter().any(taken_out), "{events:?}");
    }
    party.assert_together();
    party.assert_bob_is_bob(Some(MALLORY));

    // The control: she comes back as herself.
    let info = party.mallory.group_info().unwrap();
    let sent = party.mallory.rejoin_as(MALLORY, &info).unwrap();
    party.bob.process(&sent.commit).unwrap();
    for device in &mut party.devices {
        hear(device, &sent).unwrap();
    }
    party.assert_together();
    assert!(party.unverified().iter().all(Vec::is_empty));
}

/// A strict device refuses such a commit, and its group stays as it was; nobody is marked.
pub fn a_strict_device_refuses<D: Knowing>(mut party: Party<'_, D>) {
    for device in &mut party.devices {
        device.be_strict().unwrap();
    }
    // The control: it goes on with what is true.
    let sent = party.mallory.commit_as(MALLORY).unwrap();
    party.deliver(By::Mallory, &sent);

    let before = party.bob.epoch_authenticator();
    let lie = party.mallory.commit_as(BOB).unwrap();
    for device in &mut party.devices {
        assert!(hear(device, &lie).is_err());
        assert_eq!(device.epoch_authenticator(), before);
    }
    assert!(party.unverified().iter().all(Vec::is_empty));
    party.mallory.discard().unwrap();
    let sent = party.bob.commit(&super::Content::default()).unwrap();
    party.deliver(By::Bob, &sent);
}

/// Once the policy knows the key, whoever was marked is verified: here a second device of Bob.
pub fn a_mark_is_taken_back<D: Knowing>(mut party: Party<'_, D>) {
    let second = (party.liar)(BOB).key_package().unwrap();
    let content = super::Content { adds: vec![second], ..super::Content::default() };
    let sent = party.bob.commit(&content).unwrap();
    party.deliver(By::Bob, &sent);
    for device in &mut party.devices {
        let members = device.members();
        let marked = members.iter().find(|(_, identity)| identity.verified().is_none());
        let leaf = marked.expect("a second key of Bob is not accepted at once").0;
        assert_eq!(device.recheck().unwrap(), [], "nothing is known yet");
        let key = device.key_of(leaf).unwrap();
        device.approve(&name(BOB), &key).unwrap();
        let verified = Event::IdentityVerified { leaf, identity: name(BOB) };
        assert_eq!(device.recheck().unwrap(), [verified]);
        device.restart().unwrap();
        assert!(device.members().iter().all(|(_, identity)| identity.verified().is_some()));
    }
}
