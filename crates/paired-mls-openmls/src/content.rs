//! What a commit is to do, as the caller says it.

use openmls::{
    extensions::Extensions,
    group::GroupContext,
    prelude::{CustomProposal, PreSharedKeyProposal, Proposal},
    schedule::PreSharedKeyId,
};
use paired_mls::anchor::LeafIndex;

/// What a commit of this device does, besides a new path and the proposals of others that wait: all of it in
/// one commit.
///
/// ```
/// use paired_mls_openmls::Content;
/// # fn content(key_package: Vec<u8>, leaf: paired_mls::anchor::LeafIndex) -> Content {
/// Content::new().adds([key_package]).removes([leaf])
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Content {
    pub(crate) adds: Vec<Vec<u8>>,
    pub(crate) removes: Vec<LeafIndex>,
    pub(crate) extensions: Option<Extensions<GroupContext>>,
    pub(crate) others: Vec<Proposal>,
    pub(crate) authenticated_data: Vec<u8>,
}

impl Content {
    /// Nothing but a new path: the commit heals.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the members of these KeyPackages, each a serialized `MLSMessage`, in this order: the first takes the
    /// leftmost blank leaf, and so on.
    #[must_use]
    pub fn adds(mut self, key_packages: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.adds.extend(key_packages);
        self
    }

    /// Removes the members at these leaves. From a shared leaf the first of them goes with this commit, and
    /// each further one with one of the following: [`LeafGroup::removals`](crate::LeafGroup::removals).
    #[must_use]
    pub fn removes(mut self, leaves: impl IntoIterator<Item = LeafIndex>) -> Self {
        self.removes.extend(leaves);
        self
    }

    /// Changes the extensions of the group's context, all at once (RFC 9420 section 12.1.7). So a
    /// [gate](crate::gate()) is set in a group that was made without one.
    #[must_use]
    pub fn extensions(self, extensions: Extensions<GroupContext>) -> Self {
        Self { extensions: Some(extensions), ..self }
    }

    /// Injects a pre-shared key, which this device and all members have (RFC 9420 section 12.1.4).
    #[must_use]
    pub fn pre_shared_key(self, id: PreSharedKeyId) -> Self {
        self.other(Proposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(id))))
    }

    /// Has a proposal of a type that RFC 9420 does not define, and that all members list among their
    /// capabilities.
    #[must_use]
    pub fn custom(self, proposal: CustomProposal) -> Self {
        self.other(Proposal::Custom(Box::new(proposal)))
    }

    /// Data that all members see, and that the commit authenticates (RFC 9420 section 6.1).
    #[must_use]
    pub fn authenticated_data(self, authenticated_data: Vec<u8>) -> Self {
        Self { authenticated_data, ..self }
    }

    fn other(mut self, proposal: Proposal) -> Self {
        self.others.push(proposal);
        self
    }
}
