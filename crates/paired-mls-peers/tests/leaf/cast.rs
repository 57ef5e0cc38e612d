//! Two devices of one leaf, and members that have a name.

use std::sync::atomic::{AtomicU32, Ordering};

use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    CipherSuite, DeviceId, Event, Pairing, PairingId, Secret, Seed,
    conformance::{
        Content, Framing, Heard, Listener as _, Member,
        leaf::{LeafMember as _, Use},
    },
};
use paired_mls_openmls::{Device, Group, Outgoing, Received};
use paired_mls_peers::{Door, LeafMode, OpenMlsLeafDevice, StockOpenMls, TestPlatform};

pub(crate) const PHONE: usize = 0;
pub(crate) const SENSOR: usize = 1;
pub(crate) const PAIRING: PairingId = PairingId([9; 16]);

/// What a `Group` is called with.
pub(crate) type At<'a, C> = (&'a mut Group, &'a Device<TestPlatform<C>>);

/// A group: Ada, who has created it, the others, and the leaf.
pub(crate) struct Cast<C = RustCrypto> {
    pub(crate) devices: Vec<OpenMlsLeafDevice<C>>,
    pub(crate) ada: StockOpenMls<C>,
    pub(crate) others: Vec<Box<dyn Member>>,
}

impl Cast {
    /// Hidden mode, with Bob, who is on mls-rs.
    pub(crate) fn hidden(suite: CipherSuite, framing: Framing) -> Self {
        let devices =
            OpenMlsLeafDevice::several(LeafMode::Hidden, suite, framing, "the leaf", 2).unwrap();
        let ada = StockOpenMls::new(suite, framing, "ada").unwrap();
        let bob = paired_mls_peers::StockMlsRs::new(suite, framing, "bob").unwrap();
        Self::meet(devices, ada, vec![Box::new(bob)], suite)
    }
}

/// Gives devices their tape.
pub(crate) fn pair<C: paired_mls_peers::TestCrypto>(
    devices: &mut [OpenMlsLeafDevice<C>],
    suite: CipherSuite,
) {
    let pairing = Pairing::new(PAIRING, vec![Vec::new(); devices.len()]);
    for (device, own) in devices.iter_mut().zip((0..).map(DeviceId)) {
        let seed = Seed::new(suite, Secret::new(vec![0x1e; suite.kdf_len()])).unwrap();
        pairing.install(device.vault(), suite, seed, own).unwrap();
        device.share(PAIRING);
    }
}

impl<C: paired_mls_peers::TestCrypto> Cast<C> {
    /// A group of everybody, in which the phone has committed once.
    pub(crate) fn meet(
        mut devices: Vec<OpenMlsLeafDevice<C>>,
        mut ada: StockOpenMls<C>,
        mut others: Vec<Box<dyn Member>>,
        suite: CipherSuite,
    ) -> Self {
        pair(&mut devices, suite);
        let package = devices[PHONE].publish(Use::Once).unwrap();
        for device in &mut devices[SENSOR..] {
            device.adopt(&package).unwrap();
        }
        let mut adds: Vec<_> =
            others.iter_mut().map(|other| other.key_package().unwrap()).collect();
        adds.push(package);
        ada.create(b"a leaf").unwrap();
        let sent = ada.commit(&Content { adds, ..Content::default() }).unwrap();
        ada.confirm().unwrap();
        let welcome = sent.welcome.unwrap();
        others.iter_mut().for_each(|other| other.join(&welcome).unwrap());
        devices.iter_mut().for_each(|device| device.join(&welcome).unwrap());
        let mut cast = Self { devices, ada, others };
        cast.update(PHONE);
        cast
    }

    pub(crate) fn at(&mut self, device: usize) -> At<'_, C> {
        self.devices[device].parts().unwrap()
    }

    /// A device commits with nothing but a path.
    pub(crate) fn update(&mut self, by: usize) -> Vec<Event> {
        let (group, device) = self.at(by);
        let sent = group.update(device).unwrap();
        self.deliver(by, &sent)
    }

    /// A commit of a device is accepted, and all others follow; returns the events at the next device.
    pub(crate) fn deliver(&mut self, from: usize, sent: &Outgoing) -> Vec<Event> {
        let mut events = Vec::new();
        for n in (0..self.devices.len()).filter(|n| *n != from) {
            let (group, device) = self.at(n);
            let heard = group.process(device, sent.notify.as_ref().unwrap()).unwrap();
            assert!(matches!(heard, Received::Announced));
            events = self.follow(n, &sent.commit);
        }
        let (group, device) = self.at(from);
        group.confirm(device).unwrap();
        self.ada.process(&sent.commit).unwrap();
        for other in &mut self.others {
            other.process(&sent.commit).unwrap();
        }
        self.assert_together();
        events
    }

    /// A device processes a commit.
    pub(crate) fn follow(&mut self, device: usize, commit: &[u8]) -> Vec<Event> {
        let (group, device) = self.at(device);
        match group.process(device, commit).unwrap() {
            Received::Commit { events, .. } => events,
            other => panic!("{other:?} is no commit"),
        }
    }

    /// Ada commits, and everybody follows; returns the events at each device.
    pub(crate) fn ada_commits(&mut self, content: &Content) -> (Vec<Vec<Event>>, Option<Vec<u8>>) {
        let sent = self.ada.commit(content).unwrap();
        self.ada.confirm().unwrap();
        for other in &mut self.others {
            other.process(&sent.commit).unwrap();
        }
        let all = 0..self.devices.len();
        (all.map(|n| self.follow(n, &sent.commit)).collect(), sent.welcome)
    }

    /// A proposal arrives at everybody but Ada, or at her too.
    pub(crate) fn propose(&mut self, proposal: &[u8], ada_too: AdaToo) {
        for device in &mut self.devices {
            assert_eq!(device.process(proposal).unwrap(), Heard::Proposal);
        }
        for other in &mut self.others {
            assert_eq!(other.process(proposal).unwrap(), Heard::Proposal);
        }
        if ada_too == AdaToo::Yes {
            assert_eq!(self.ada.process(proposal).unwrap(), Heard::Proposal);
        }
    }

    /// A new member, behind the same door as Ada.
    pub(crate) fn guest(
        &self,
        suite: CipherSuite,
        framing: Framing,
        door: Door,
    ) -> StockOpenMls<C> {
        StockOpenMls::behind(door, suite, framing, &guest_name()).unwrap()
    }

    pub(crate) fn assert_together(&self) {
        let ada = self.ada.epoch_authenticator();
        assert!(!ada.is_empty());
        for device in &self.devices {
            assert_eq!(device.epoch_authenticator(), ada);
        }
        for other in &self.others {
            assert_eq!(other.epoch_authenticator(), ada);
        }
    }
}

/// Whether a proposal came from somebody other than Ada.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdaToo {
    Yes,
    No,
}

/// A name that nobody else has, of always the same length.
pub(crate) fn guest_name() -> String {
    static GUESTS: AtomicU32 = AtomicU32::new(0);
    format!("guest {:06}", GUESTS.fetch_add(1, Ordering::Relaxed))
}
