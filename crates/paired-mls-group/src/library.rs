//! What the engine asks of an MLS library.

use alloc::{borrow::Cow, vec::Vec};

use paired_mls::{
    CipherSuite, Secret,
    anchor::{LeafIndex, Tree},
    group::EpochMark,
    wire::LeafNode,
};

use crate::{BoxError, Error, Membership};

/// An MLS library, as one device has it: an adapter implements this trait once.
///
/// The structures are those of RFC 9420, in the types of the core; no type of a library passes through.
pub trait Library {
    /// A group, as the library holds it.
    type Group;

    /// Random bytes for one secret.
    ///
    /// # Errors
    ///
    /// Whatever keeps the library from it.
    fn random(&self, length: usize) -> Result<Secret, BoxError>;

    /// The hash of the suite (RFC 9420 section 17.1).
    ///
    /// # Errors
    ///
    /// Whatever keeps the library from it.
    fn hash(&self, suite: CipherSuite, input: &[u8]) -> Result<Vec<u8>, BoxError>;

    /// The public key of `DeriveKeyPair(ikm)`, of the suite's KEM (RFC 9180 section 7.1.3). The private key is
    /// erased.
    ///
    /// # Errors
    ///
    /// Whatever keeps the library from it.
    fn derive_public_key(&self, suite: CipherSuite, ikm: &Secret) -> Result<Vec<u8>, BoxError>;

    /// Whether this signature of a `SignContent` is of this public key, or list of keys, of a leaf of the group.
    fn verify(&self, group: &Self::Group, key: &[u8], payload: &[u8], signature: &[u8]) -> bool;

    /// The length of one public key of the group's signature scheme, in bytes.
    fn key_len(&self, group: &Self::Group) -> usize;

    /// The time by which the library itself judges lifetimes, in seconds since 1970; `None` if it reads no
    /// clock of its own.
    fn clock(&self) -> Option<u64>;

    /// The group's identifier.
    fn group_id<'a>(&self, group: &'a Self::Group) -> &'a [u8];

    /// The extension types that the group requires of its members (RFC 9420 section 11.1).
    fn required_extensions(&self, group: &Self::Group) -> Vec<u16>;

    /// What tells the group's current epoch.
    fn epoch_mark(&self, group: &Self::Group) -> EpochMark;

    /// Whether this device is a member of the group, as far as it has followed.
    fn membership(&self, group: &Self::Group) -> Membership;

    /// This device's leaf; that of the last epoch in which it was a member.
    fn own_leaf(&self, group: &Self::Group) -> LeafIndex;

    /// What the members' leaves have in the field `signature_key`, from the left.
    fn signature_keys<'a>(&self, group: &'a Self::Group) -> Vec<(LeafIndex, Cow<'a, [u8]>)>;

    /// A leaf of the current epoch; `None` for a blank one.
    fn leaf(&self, group: &Self::Group, at: LeafIndex) -> Option<LeafNode>;

    /// The members' leaves, from the left.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`] if the library has one that cannot be read.
    fn leaves(&self, group: &Self::Group) -> Result<Vec<(LeafIndex, LeafNode)>, Error>;

    /// The ratchet tree of the current epoch.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`] if the library exports a tree that cannot be read.
    fn tree(&self, group: &Self::Group) -> Result<Tree, Error>;
}
