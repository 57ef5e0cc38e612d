//! A library for tests: it derives keys, and its group is what the test says.

use alloc::{vec, vec::Vec};

use hpke::{Kem as _, Serializable as _, kem::X25519HkdfSha256};
use paired_mls::{
    CipherSuite, DeviceId, Pairing, PairingId, Secret, Seed, TapeId, Vault,
    anchor::{LeafIndex, Tree},
    group::EpochMark,
    vault::MemoryStorage,
};

use crate::{BoxError, Error, Library, Membership};

pub(crate) const SUITE: CipherSuite = CipherSuite::X25519Aes128;

pub(crate) struct Fake;

/// A group whose parents are all blank.
pub(crate) struct FakeGroup {
    pub(crate) mark: EpochMark,
    pub(crate) membership: Membership,
    pub(crate) own: LeafIndex,
    pub(crate) keys: Vec<(LeafIndex, Vec<u8>)>,
}

impl Library for Fake {
    type Group = FakeGroup;

    fn random(&self, length: usize) -> Result<Secret, BoxError> {
        Ok(Secret::new(vec![7; length]))
    }

    fn hash(&self, _: CipherSuite, _: &[u8]) -> Result<Vec<u8>, BoxError> {
        Err("no test hashes".into())
    }

    fn derive_public_key(&self, _: CipherSuite, ikm: &Secret) -> Result<Vec<u8>, BoxError> {
        Ok(X25519HkdfSha256::derive_keypair(ikm.expose()).1.to_bytes().to_vec())
    }

    fn epoch_mark(&self, group: &FakeGroup) -> EpochMark {
        group.mark.clone()
    }

    fn membership(&self, group: &FakeGroup) -> Membership {
        group.membership
    }

    fn own_leaf(&self, group: &FakeGroup) -> LeafIndex {
        group.own
    }

    fn signature_keys(&self, group: &FakeGroup) -> Vec<(LeafIndex, Vec<u8>)> {
        group.keys.clone()
    }

    fn tree(&self, group: &FakeGroup) -> Result<Tree, Error> {
        Ok(Tree::of_leaves(group.keys.iter().map(|(leaf, _)| *leaf)))
    }
}

pub(crate) fn leaf(index: u32) -> LeafIndex {
    LeafIndex::new(index).unwrap()
}

/// A pairing of the devices with the signature keys `[1]` and `[2]`, the vault of the first one, and its
/// sub-tape.
pub(crate) fn pairing() -> (Pairing, Vault, TapeId) {
    let vault = Vault::new(MemoryStorage::new());
    let pairing = Pairing::new(PairingId([1; 16]), [&[1][..], &[2][..]]);
    let seed = Seed::new(SUITE, Secret::new(vec![2; 32])).unwrap();
    pairing.install(&vault, SUITE, seed, DeviceId(0)).unwrap();
    let tape = vault.open_group(pairing.id, b"group").unwrap();
    (pairing, vault, tape)
}
