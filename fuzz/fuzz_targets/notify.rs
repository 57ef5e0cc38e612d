//! What a device opens: Notifies in commits, and those of a shared leaf.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use paired_mls::{
    CipherSuite, DeviceId, FIRST_OPENING, Index, PairingId, SealedNotify, Secret, Seed, Spot, TapeId,
    Vault,
    leaf::{LeafMessage, LeafNotify, SALT_LEN},
    vault::MemoryStorage,
};

const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const PAIRING: PairingId = PairingId([7; 16]);
const EPOCH: u64 = 5;

/// Both devices of a pairing, in one group.
fn vault(own: DeviceId) -> (Vault, TapeId) {
    let vault = Vault::new(MemoryStorage::new());
    let seed = Seed::new(SUITE, Secret::new(vec![3; 32])).expect("Nh bytes");
    let devices = [DeviceId(0), DeviceId(1)];
    vault.create(SUITE, seed, PAIRING, &devices, own).expect("a new pairing");
    let tape = vault.open_group(PAIRING, b"group").expect("a new group");
    (vault, tape)
}

/// Nothing here changes them.
static DEVICES: LazyLock<[(Vault, TapeId); 2]> =
    LazyLock::new(|| [DeviceId(0), DeviceId(1)].map(vault));

fuzz_target!(|bytes: &[u8]| {
    let [(phone, tape), (sensor, _)] = &*DEVICES;

    // As it comes from anybody.
    assert!(sensor.open_leaf_message(tape, EPOCH, bytes).is_err());
    let (kem_output, ciphertext) = bytes.split_at(bytes.len().min(32));
    let sealed = SealedNotify { kem_output: kem_output.to_vec(), ciphertext: ciphertext.to_vec() };
    assert!(sensor.open_notify(tape, &sealed, b"info").is_err());

    // As a partner may say it.
    let (length, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let (first, rest) = rest.split_at(rest.len().min(usize::from(*length)));
    let (second, third) = rest.split_at(rest.len() / 2);
    let index = Index::new(DeviceId(0), u64::from(*length)).expect("a position");
    let notify = LeafNotify {
        spot: Spot { opening: FIRST_OPENING, index },
        proposals: first.to_vec(),
        authenticated_data: second.to_vec(),
        leaf_node: third.to_vec(),
        signature: first.to_vec(),
    };
    let said = LeafMessage::Commit(notify);
    let message = phone.seal_leaf_message(tape, &said, EPOCH, [9; SALT_LEN]).expect("it fits");
    let heard = sensor.open_leaf_message(tape, EPOCH, &message).expect("it is a partner's");
    assert_eq!(heard, said);
});
