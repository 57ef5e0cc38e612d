//! A library for tests: it derives keys, and its group is what the test says.

use alloc::{borrow::Cow, vec, vec::Vec};

use hpke::{Kem as _, Serializable as _, kem::X25519HkdfSha256};
use paired_mls::{
    CipherSuite, DeviceId, Pairing, PairingId, Secret, Seed, TapeId, Vault,
    anchor::{LeafIndex, Tree},
    group::{EpochMark, credential::AcceptAnyIdentity},
    vault::MemoryStorage,
    wire::{Credential, LeafNode},
};

use crate::{BoxError, Error, Library, Membership, ThisDevice};

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

    /// No two inputs have the same, which is all that a test needs.
    fn hash(&self, _: CipherSuite, input: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(input.to_vec())
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

    fn signature_keys<'a>(&self, group: &'a FakeGroup) -> Vec<(LeafIndex, Cow<'a, [u8]>)> {
        group.keys.iter().map(|(leaf, key)| (*leaf, Cow::Borrowed(&**key))).collect()
    }

    fn verify(&self, _: &FakeGroup, key: &[u8], _: &[u8], signature: &[u8]) -> bool {
        key == signature
    }

    fn key_len(&self, _: &FakeGroup) -> usize {
        1
    }

    fn clock(&self) -> Option<u64> {
        None
    }

    fn group_id<'a>(&self, _: &'a FakeGroup) -> &'a [u8] {
        b"group"
    }

    fn required_extensions(&self, _: &FakeGroup) -> Vec<u16> {
        Vec::new()
    }

    fn leaf(&self, group: &FakeGroup, at: LeafIndex) -> Option<LeafNode> {
        let (_, key) = group.keys.iter().find(|(leaf, _)| *leaf == at)?;
        key.first().map(|key| leaf_node(*key))
    }

    fn leaves(&self, group: &FakeGroup) -> Result<Vec<(LeafIndex, LeafNode)>, Error> {
        let leaves = group.keys.iter().map(|(at, _)| Some((*at, self.leaf(group, *at)?)));
        Ok(leaves.collect::<Option<_>>().unwrap())
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

/// A leaf with this signature key (RFC 9420 section 7.2), made by a commit.
pub(crate) fn leaf_node(key: u8) -> LeafNode {
    let bytes = [1, 0xee, 1, key, 0, 1, 1, b'x', 0, 0, 0, 0, 0, 3, 0, 0, 1, 0];
    LeafNode::decode(&bytes).unwrap()
}

/// The device with the signature key `[1]`.
pub(crate) fn this(vault: &Vault) -> ThisDevice<'_, Fake> {
    ThisDevice {
        library: &Fake,
        vault,
        credential: Credential::basic("x"),
        signature_key: &[1],
        credentials: &AcceptAnyIdentity,
        now: 0,
    }
}
