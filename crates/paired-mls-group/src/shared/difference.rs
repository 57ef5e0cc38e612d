//! The first thing in which two commits differ.

use core::fmt;

use paired_mls::wire::{LeafNode, PublicCommit, UpdatePath};

/// The first thing in which a delivered commit of the own leaf differs from what the tape gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// One is framed as a `PublicMessage` and the other is not.
    Framing,
    /// A field of the framing: `epoch`, for instance.
    Framed(&'static str),
    /// The proposals.
    Proposals,
    /// A field of the committer's new leaf.
    Leaf(&'static str),
    /// The number of the path's nodes.
    PathLength,
    /// The public key of a node of the path.
    NodeKey {
        /// The level, from 0.
        level: usize,
    },
    /// A ciphertext of the path.
    Ciphertext {
        /// The level, from 0.
        level: usize,
    },
    /// Both are encrypted, so that no more can be said.
    Encrypted,
}

impl Difference {
    /// Compares what was made with what was delivered, both serialized `MLSMessage`s.
    pub fn first(made: &[u8], delivered: &[u8]) -> Self {
        match (PublicCommit::decode(made), PublicCommit::decode(delivered)) {
            (Ok(Some(made)), Ok(Some(delivered))) => public(&made, &delivered),
            (Ok(None), Ok(None)) => Self::Encrypted,
            _ => Self::Framing,
        }
    }
}

fn public(made: &PublicCommit, delivered: &PublicCommit) -> Difference {
    let (a, b) = (made.content(), delivered.content());
    let framing = [
        ("group_id", a.group_id() == b.group_id()),
        ("epoch", a.epoch() == b.epoch()),
        ("sender", a.sender() == b.sender()),
        ("authenticated_data", a.authenticated_data() == b.authenticated_data()),
    ];
    let tags = [
        ("signature", made.signature() == delivered.signature()),
        ("confirmation_tag", made.confirmation_tag() == delivered.confirmation_tag()),
        ("membership_tag", made.membership_tag() == delivered.membership_tag()),
    ];
    let named = |fields: &[(&'static str, bool)]| {
        fields.iter().find(|field| !field.1).map(|field| Difference::Framed(field.0))
    };
    let commit = || {
        let (a, b) = (made.commit()?, delivered.commit()?);
        if a.proposals() != b.proposals() {
            return Some(Difference::Proposals);
        }
        path(a.path()?, b.path()?)
    };
    named(&framing).or_else(commit).or_else(|| named(&tags)).unwrap_or(Difference::Framing)
}

fn path(a: &UpdatePath, b: &UpdatePath) -> Option<Difference> {
    if let Some(field) = leaf(a.leaf_node(), b.leaf_node()) {
        return Some(Difference::Leaf(field));
    }
    if a.nodes().len() != b.nodes().len() {
        return Some(Difference::PathLength);
    }
    a.nodes().iter().zip(b.nodes()).enumerate().find_map(|(level, (a, b))| {
        if a.encryption_key() != b.encryption_key() {
            return Some(Difference::NodeKey { level });
        }
        let same = a.encrypted_path_secret() == b.encrypted_path_secret();
        (!same).then_some(Difference::Ciphertext { level })
    })
}

fn leaf(a: &LeafNode, b: &LeafNode) -> Option<&'static str> {
    let fields = [
        ("encryption_key", a.encryption_key() == b.encryption_key()),
        ("signature_key", a.signature_key() == b.signature_key()),
        ("credential", a.credential() == b.credential()),
        ("capabilities", a.capabilities() == b.capabilities()),
        ("leaf_node_source", a.source() == b.source()),
        ("extensions", a.extensions() == b.extensions()),
        ("signature", a.signature() == b.signature()),
    ];
    fields.iter().find(|field| !field.1).map(|field| field.0)
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Framing => f.write_str("the framing"),
            Self::Framed(field) => write!(f, "the field {field}"),
            Self::Proposals => f.write_str("the proposals"),
            Self::Leaf(field) => write!(f, "the field {field} of the leaf"),
            Self::PathLength => f.write_str("the length of the path"),
            Self::NodeKey { level } => write!(f, "the public key at level {level} of the path"),
            Self::Ciphertext { level } => write!(f, "a ciphertext at level {level} of the path"),
            Self::Encrypted => f.write_str("the encrypted content"),
        }
    }
}
