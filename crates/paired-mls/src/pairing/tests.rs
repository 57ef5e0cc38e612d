//! Devices, a 1-to-1 channel and a directory, simulated.

mod attacks;
mod directory;
mod ending;
mod messages;
mod records;
mod runs;
mod transitions;
mod transitions_paired;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::*;
use crate::{
    CipherSuite, DeviceId, PairingId, RecordName, Secret, StorageError, Vault, VaultStorage,
    vault::MemoryStorage,
};

const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const ID: PairingId = PairingId([7; 16]);
const A: DeviceId = DeviceId(0);
const B: DeviceId = DeviceId(1);
const C: DeviceId = DeviceId(2);
const STRANGER: DeviceId = DeviceId(9);

/// The two modes, as the initiator asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TestMode {
    Leaf,
    Node,
    Hidden,
}

/// The two roads of the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TestRoad {
    File,
    Channel,
}

const MODES: [TestMode; 3] = [TestMode::Leaf, TestMode::Node, TestMode::Hidden];
const ROADS: [TestRoad; 2] = [TestRoad::File, TestRoad::Channel];

fn party(device: DeviceId) -> Party {
    Party { identity: b"alice".to_vec(), signature_key: vec![0x50 + device.0 as u8; 32] }
}

fn party_of(identity: &[u8], device: DeviceId) -> Party {
    Party { identity: identity.to_vec(), ..party(device) }
}

fn listed(parties: &[(DeviceId, Party)]) -> Vec<PairingDevice> {
    let listed = |(device, party): &(DeviceId, Party)| PairingDevice {
        device: *device,
        party: party.clone(),
    };
    parties.iter().map(listed).collect()
}

fn roster_named(pairing: PairingId, devices: u16) -> Roster {
    let parties: Vec<_> = (0..devices).map(|n| (DeviceId(n), party(DeviceId(n)))).collect();
    Roster::new(pairing, SUITE, listed(&parties)).unwrap()
}

fn roster(devices: u16) -> Roster {
    roster_named(ID, devices)
}

fn seed() -> Secret {
    Secret::new(vec![42; 32])
}

fn channel_of(roster: &Roster, trust: ChannelTrust) -> OneToOne {
    let members = roster.devices().iter().rev().map(|device| device.party.clone()).collect();
    OneToOne { members, trust }
}

fn key_pair() -> SignatureKeyPair {
    SignatureKeyPair { public_key: vec![0xAA; 32], private_key: Secret::new(vec![0xBB; 32]) }
}

/// What the test's signature scheme says of a key pair.
fn is_pair(_: CipherSuite, pair: &SignatureKeyPair) -> bool {
    pair.private_key == Secret::new(vec![0xBB; 32])
}

/// A storage that can be told to fail.
#[derive(Clone, Default)]
struct Flaky {
    inner: MemoryStorage,
    broken: Arc<AtomicBool>,
}

impl Flaky {
    fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), StorageError> {
        match self.broken.load(Ordering::SeqCst) {
            true => Err("the disk is gone".into()),
            false => Ok(()),
        }
    }
}

impl VaultStorage for Flaky {
    fn load(&self, name: &RecordName) -> Result<Option<Secret>, StorageError> {
        self.check().and_then(|()| self.inner.load(name))
    }

    fn store(&self, name: &RecordName, record: &Secret) -> Result<(), StorageError> {
        self.check().and_then(|()| self.inner.store(name, record))
    }

    fn remove(&self, name: &RecordName) -> Result<(), StorageError> {
        self.check().and_then(|()| self.inner.remove(name))
    }
}

/// A device: its vault, and the state that it is in.
struct Device<S> {
    storage: Flaky,
    vault: Vault,
    state: S,
}

impl<S> Device<S> {
    /// A step that needs the vault to work fails, and gives the state back.
    fn broken<T>(self, step: impl FnOnce(&Vault, S) -> Result<T, Failed<S>>) -> Self {
        self.storage.set_broken(true);
        let (state, error) = refused(step(&self.vault, self.state));
        assert!(matches!(error, PairingError::Vault(_)), "{error:?}");
        self.storage.set_broken(false);
        Self { storage: self.storage, vault: self.vault, state }
    }
}

/// The state and the reason of a step that must fail.
fn refused<S, T, E>(result: Result<T, Failed<S, E>>) -> (S, E) {
    match result {
        Ok(_) => panic!("the step was not refused"),
        Err(failed) => failed.into_parts(),
    }
}

/// The state and the peer's fault of a step that must fail.
fn refused_peer<S, T>(result: Result<T, Failed<S>>) -> (S, PeerError) {
    match refused(result) {
        (state, PairingError::Peer(error)) => (state, error),
        (_, error) => panic!("not the peer's fault: {error:?}"),
    }
}

fn refused_caller<S, T>(result: Result<T, Failed<S>>) -> (S, CallerError) {
    match refused(result) {
        (state, PairingError::Caller(error)) => (state, error),
        (_, error) => panic!("not the caller's fault: {error:?}"),
    }
}

fn unpaired(device: DeviceId) -> Device<Unpaired> {
    let storage = Flaky::default();
    let vault = Vault::new(storage.clone());
    Device { storage, vault, state: Unpaired::new(party(device)) }
}

/// All devices, with the seed; the channel, where there is one, is verified.
fn seeded(devices: u16, road: TestRoad) -> Vec<Device<Seeded>> {
    seeded_in(&roster(devices), road, ChannelTrust::Compared)
}

fn seeded_in(roster: &Roster, road: TestRoad, trust: ChannelTrust) -> Vec<Device<Seeded>> {
    let mut all = roster.devices().iter().map(|device| {
        let fresh = unpaired(device.device);
        Device { state: Unpaired::new(device.party.clone()), ..fresh }
    });
    let channel = channel_of(roster, trust);
    let first = all.next().unwrap();
    let sender = first.state.party().clone();
    let (state, message) = first
        .state
        .share_rand(&first.vault, roster.clone(), &seed(), &channel)
        .map(|(state, outbound)| (state, outbound.message))
        .unwrap();
    let mut done = Vec::new();
    match road {
        TestRoad::Channel => {
            done.push(Device { storage: first.storage, vault: first.vault, state });
            let source = Source::OneToOne { channel: &channel, sender: &sender };
            done.extend(all.map(|device| {
                let Device { storage, vault, state } = device;
                let state = state.receive_share_rand(&vault, source, message.expose()).unwrap();
                Device { storage, vault, state }
            }));
        }
        TestRoad::File => {
            // The first device brings its seed on hardware, the others have it from the file.
            let storage = Flaky::default();
            let vault = Vault::new(storage.clone());
            let state = Unpaired::new(sender).load_seed(&vault, roster.clone(), &seed()).unwrap();
            done.push(Device { storage, vault, state });
            done.extend(all.map(|device| {
                let Device { storage, vault, state } = device;
                let state =
                    state.receive_share_rand(&vault, Source::Offline, message.expose()).unwrap();
                Device { storage, vault, state }
            }));
        }
    }
    done
}

fn standard(mode: TestMode) -> AnchorKind {
    match mode {
        TestMode::Leaf => AnchorKind::Leaf,
        TestMode::Node => AnchorKind::Node,
        TestMode::Hidden => panic!("hidden mode"),
    }
}

/// All devices invited. In standard mode the directory's Accept is on its way, and returned.
fn invited(devices: u16, mode: TestMode, road: TestRoad) -> (Vec<Device<Invited>>, Option<Secret>) {
    invite(seeded(devices, road), mode)
}

fn invite(devices: Vec<Device<Seeded>>, mode: TestMode) -> (Vec<Device<Invited>>, Option<Secret>) {
    let roster = devices[0].state.roster().clone();
    let channel = channel_of(&roster, ChannelTrust::Compared);
    let mut all = devices.into_iter();
    let Device { storage, vault, state } = all.next().unwrap();
    let initiator = state.own_device();
    let pair = key_pair();
    let request = match mode {
        TestMode::Hidden => Request::Hidden { key_pair: &pair, channel: &channel },
        standard_mode => Request::Standard(standard(standard_mode)),
    };
    let (state, outbound) = state.initiate(request).unwrap();
    let mut done = vec![Device { storage, vault, state }];
    let mut entry = match mode {
        TestMode::Hidden => {
            assert_eq!(outbound.route, Route::OneToOne);
            None
        }
        _ => {
            assert_eq!(outbound.route, Route::Directory);
            let party = roster.party(initiator).unwrap();
            Some(RegistryEntry::open(party, outbound.message.expose()).unwrap())
        }
    };
    for Device { storage, vault, state } in all {
        let own = state.own_device();
        let source = match mode {
            TestMode::Hidden => {
                Source::OneToOne { channel: &channel, sender: roster.party(initiator).unwrap() }
            }
            _ => Source::Directory,
        };
        let message = match &entry {
            Some(entry) => entry.request(),
            None => outbound.message.expose(),
        };
        let joined = state.receive_init(source, message, is_pair).unwrap();
        let state = match joined {
            Joined::Standard { state, request } => {
                assert_eq!(request.route, Route::Directory);
                let party = roster.party(own).unwrap();
                entry = entry.map(|entry| entry.submit(party, request.message.expose()).unwrap());
                state
            }
            Joined::Announced { .. } => panic!("the key is there"),
            Joined::Hidden { state, key_pair } => {
                assert!(is_pair(SUITE, &key_pair));
                state
            }
        };
        done.push(Device { storage, vault, state });
    }
    let accept = entry.map(|entry| match entry {
        RegistryEntry::Registered(entry) => entry.accept().unwrap(),
        RegistryEntry::Pending(_) => panic!("all devices have asked"),
    });
    (done, accept)
}

fn waiting(confirmation: Confirmation) -> Invited {
    match confirmation {
        Confirmation::Waiting(state) => state,
        other => panic!("not waiting: {other:?}"),
    }
}

/// Invited devices that the directory, where it has a say, has accepted.
fn registered(devices: u16, mode: TestMode, road: TestRoad) -> Vec<Device<Invited>> {
    let (all, accept) = invited(devices, mode, road);
    let Some(accept) = accept else { return all };
    all.into_iter()
        .map(|device| {
            let Device { storage, vault, state } = device;
            let (next, send) = state.receive(&vault, Source::Directory, accept.expose()).unwrap();
            assert_eq!(send, []);
            Device { storage, vault, state: waiting(next) }
        })
        .collect()
}

fn accepts(devices: &[Device<Invited>]) -> Vec<Secret> {
    devices.iter().map(|device| device.state.accept(&device.vault).unwrap().message).collect()
}

fn paired(devices: u16, mode: TestMode, road: TestRoad) -> Vec<Device<Paired>> {
    confirm(registered(devices, mode, road))
}

fn confirm(all: Vec<Device<Invited>>) -> Vec<Device<Paired>> {
    let accepts = accepts(&all);
    all.into_iter()
        .enumerate()
        .map(|(position, Device { storage, vault, state })| {
            let mut next = Confirmation::Waiting(state);
            for (sender, accept) in accepts.iter().enumerate() {
                if sender != position {
                    let received =
                        waiting(next).receive(&vault, Source::Relay, accept.expose()).unwrap();
                    next = received.0;
                }
            }
            match next {
                Confirmation::Paired(state) => Device { storage, vault, state },
                other => panic!("not paired: {other:?}"),
            }
        })
        .collect()
}

fn two<S>(devices: Vec<Device<S>>) -> [Device<S>; 2] {
    devices.try_into().ok().expect("two devices")
}

fn three<S>(devices: Vec<Device<S>>) -> [Device<S>; 3] {
    devices.try_into().ok().expect("three devices")
}
