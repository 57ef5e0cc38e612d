//! A lying member's Notify, at a node: it moves nobody, and keeps nobody from the true one.

use super::{
    Adapter, Content, Framing, Heard, Listener as _, Member as _, PairedMember as _, Refused,
    for_each,
    liar::{By, ForgeNotify},
    lying::party,
};
use crate::{
    CipherSuite, DeviceId, Event, FIRST_OPENING, Index, Notify, PairingId, SealedNotify, Secret,
    Seed, Spot, TapeId, Vault,
    vault::MemoryStorage,
    wire::{self, FramedContentTbs, KeyPackage},
};

const PHONE: usize = 0;
const SENSOR: usize = 1;

/// The vault of somebody who has guessed the seed of this pairing.
pub(super) fn guessed(suite: CipherSuite, pairing: PairingId) -> Vault {
    let vault = Vault::new(MemoryStorage::new());
    let seed = Seed::new(suite, Secret::new(vec![0x66; suite.kdf_len()])).unwrap();
    vault.create(suite, seed, pairing, &[DeviceId(0), DeviceId(1)], DeviceId(0)).unwrap();
    vault
}

/// The ciphertexts of a commit in the clear.
fn ciphertexts(commit: &[u8]) -> Vec<SealedNotify> {
    let framed = FramedContentTbs::decode(commit).unwrap();
    let wire::Content::Commit(commit) = framed.content() else { panic!("a commit is a commit") };
    let nodes = commit.path().unwrap().nodes().iter();
    let sealed = nodes.flat_map(|node| node.encrypted_path_secret());
    let sealed = sealed.map(|sealed| SealedNotify {
        kem_output: sealed.kem_output().to_vec(),
        ciphertext: sealed.ciphertext().to_vec(),
    });
    sealed.collect()
}

fn index_in(events: &[Event]) -> Option<Index> {
    events.iter().find_map(|event| match event {
        Event::Healed { index, .. } => *index,
        _ => None,
    })
}

/// A member of the group puts a Notify into a commit of her own, for each of those that it is sealed to: noise,
/// one under another tape, one that she has seen in a true commit, and one under the very tape, which points to
/// what is spent. Whom she sends it refuses, and is as before; nobody says that it was healed. The controls: her
/// own commit without it is followed, and so is the true Notify, after each forgery.
pub fn a_members_notify_moves_nobody<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut party = party(adapter, suite, framing);
        let (pairing, group_id) = (PairingId([7; 16]), b"conformance".to_vec());
        let other = guessed(suite, pairing);
        let elsewhere = other.open_group(pairing, &group_id).unwrap();
        let tape = TapeId { pairing, group_id };
        let vault = party.devices[PHONE].vault().clone();
        let fresh = (party.liar)("nobody").key_package().unwrap();
        let kem_output = KeyPackage::decode(&fresh[4..]).unwrap().init_key().to_vec();

        let sent = party.devices[PHONE].commit(&Content::default()).unwrap();
        let events = party.deliver(By::Device, &sent);
        let spent = index_in(&events[SENSOR]).unwrap();
        let next = Index::first_for(DeviceId(0), party.devices[PHONE].epoch() + 1).unwrap();
        let says = |index| Notify { spot: Spot { opening: FIRST_OPENING, index }, level: 0 };
        let length = suite.kdf_len() + 16;
        let noise = SealedNotify { kem_output: kem_output.clone(), ciphertext: vec![0x99; length] };
        let by_noise = |_: &[u8]| noise.clone();
        let by_guess = |info: &[u8]| {
            other.seal_notify(&elsewhere, &says(next), kem_output.clone(), info).unwrap()
        };
        let by_the_tape =
            |info: &[u8]| vault.seal_notify(&tape, &says(spent), kem_output.clone(), info).unwrap();
        let mut forgers: Vec<Box<ForgeNotify<'_>>> =
            vec![Box::new(by_noise), Box::new(by_guess), Box::new(by_the_tape)];
        if framing == Framing::Public {
            for seen in ciphertexts(&sent.commit) {
                forgers.push(Box::new(move |_: &[u8]| seen.clone()));
            }
        }

        for forge in &forgers {
            let sent = party.mallory.commit_as("mallory").unwrap();
            party.deliver(By::Mallory, &sent);
            let mut refused = 0;
            for recipient in party.mallory.recipients().unwrap() {
                let forged = party.mallory.commit_with_notify(&recipient, &**forge).unwrap();
                for device in &mut party.devices {
                    refused += hears::<A>(adapter, device, &forged).map_or(1, |()| 0);
                }
                party.mallory.discard().unwrap();
            }
            assert!(refused > 0, "some were sealed to the devices");
            party.assert_together();
            let sent = party.devices[PHONE].commit(&Content::default()).unwrap();
            let events = party.deliver(By::Device, &sent);
            assert!(index_in(&events[SENSOR]).is_some(), "{events:?}");
        }
    });
}

/// A copy of a device hears a commit with a forged Notify. What the copy refuses the device refuses too, and is
/// as before.
fn hears<A: Adapter>(adapter: &A, device: &mut A::Device, forged: &[u8]) -> Result<(), Refused> {
    let before = device.epoch_authenticator();
    let mut copy = adapter.steal_with_vault(device);
    match copy.process(forged) {
        Ok(Heard::Commit { events, .. }) => {
            assert_eq!(index_in(&events), None, "{events:?}");
            Ok(())
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => {
            assert_eq!(copy.epoch_authenticator(), before);
            device.process(forged).unwrap_err();
            assert_eq!(device.epoch_authenticator(), before);
            Err(error)
        }
    }
}
