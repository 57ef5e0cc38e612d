//! What the engine asks of an MLS library.

use alloc::vec::Vec;

use paired_mls::{
    CipherSuite, Secret,
    anchor::{LeafIndex, Tree},
    group::EpochMark,
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

    /// What tells the group's current epoch.
    fn epoch_mark(&self, group: &Self::Group) -> EpochMark;

    /// Whether this device is a member of the group, as far as it has followed.
    fn membership(&self, group: &Self::Group) -> Membership;

    /// This device's leaf; that of the last epoch in which it was a member.
    fn own_leaf(&self, group: &Self::Group) -> LeafIndex;

    /// What the members' leaves have in the field `signature_key`, from the left.
    fn signature_keys(&self, group: &Self::Group) -> Vec<(LeafIndex, Vec<u8>)>;

    /// The ratchet tree of the current epoch.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`] if the library exports a tree that cannot be read.
    fn tree(&self, group: &Self::Group) -> Result<Tree, Error>;
}
