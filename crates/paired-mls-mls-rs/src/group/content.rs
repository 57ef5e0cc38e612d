//! What a commit is to do, as the caller says it.

use paired_mls::anchor::LeafIndex;

/// What a commit of this device does, besides a new path and the proposals of others that wait: all of it in
/// one commit.
///
/// ```
/// use paired_mls_mls_rs::Content;
/// # fn content(key_package: Vec<u8>, leaf: paired_mls::anchor::LeafIndex) -> Content {
/// Content::new().adds([key_package]).removes([leaf])
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Content {
    pub(crate) adds: Vec<Vec<u8>>,
    pub(crate) removes: Vec<LeafIndex>,
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

    /// Removes the members at these leaves.
    #[must_use]
    pub fn removes(mut self, leaves: impl IntoIterator<Item = LeafIndex>) -> Self {
        self.removes.extend(leaves);
        self
    }

    /// Data that all members see, and that the commit authenticates (RFC 9420 section 6.1).
    #[must_use]
    pub fn authenticated_data(self, authenticated_data: Vec<u8>) -> Self {
        Self { authenticated_data, ..self }
    }
}
