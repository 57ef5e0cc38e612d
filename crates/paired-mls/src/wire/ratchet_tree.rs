//! The public ratchet tree.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use super::{
    LeafNode, WireError,
    encode::serialized,
    error::{Reader, Structure},
    vector::{List, Opaque},
};

/// The public tree of a group, as the `ratchet_tree` extension has it (RFC 9420 section 12.4.3.3):
///
/// ```text
/// optional<Node> ratchet_tree<V>;
/// ```
///
/// Leaves are at the even positions, parents at the odd ones (RFC 9420 appendix C). The last node is
/// a leaf; the tree is to be extended with blank nodes on the right to a full one. Unmerged leaves
/// are members below the node that lists them. That is what decoding checks; keys, hashes and
/// signatures are for the MLS library to verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatchetTree {
    nodes: Vec<Option<Node>>,
}

impl RatchetTree {
    /// Decodes exactly `bytes`.
    ///
    /// # Errors
    ///
    /// [`WireError::Malformed`] or [`WireError::TrailingBytes`] if a field does not decode;
    /// [`WireError::LastNodeNotALeaf`], [`WireError::MisplacedNode`] or
    /// [`WireError::InvalidUnmergedLeaf`] if the nodes make no tree.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(Structure::RatchetTree, bytes);
        let nodes: List<Option<Node>> = reader.field("nodes")?;
        reader.end()?;
        let tree = Self { nodes: nodes.into_vec() };
        tree.check()?;
        Ok(tree)
    }

    /// The serialized structure, as it was decoded.
    pub fn encode(&self) -> Vec<u8> {
        serialized!(self.nodes)
    }

    /// The nodes by position, from the left, without the blank ones after the last member.
    pub fn nodes(&self) -> &[Option<Node>] {
        &self.nodes
    }

    /// The leaf with this index, or `None` if it is blank or outside of the tree.
    pub fn leaf(&self, leaf: u32) -> Option<&LeafNode> {
        let position = usize::try_from(leaf).ok()?.checked_mul(2)?;
        match self.nodes.get(position)? {
            Some(Node::Leaf(leaf)) => Some(leaf),
            _ => None,
        }
    }

    fn check(&self) -> Result<(), WireError> {
        if !matches!(self.nodes.last(), Some(Some(Node::Leaf(_)))) {
            return Err(WireError::LastNodeNotALeaf);
        }
        for (node, position) in self.nodes.iter().zip(0_u32..) {
            match (node, position % 2) {
                (None, _) | (Some(Node::Leaf(_)), 0) => {}
                (Some(Node::Parent(parent)), 1) => self.check_unmerged(position, parent)?,
                _ => return Err(WireError::MisplacedNode(position)),
            }
        }
        Ok(())
    }

    fn check_unmerged(&self, node: u32, parent: &ParentNode) -> Result<(), WireError> {
        // A node of level k covers 2^k − 1 positions on either side (RFC 9420 appendix C). The leaf
        // at the far left exists, since `node` does; the far right may be cut off.
        let reach = (1_u64 << node.trailing_ones()) - 1;
        let mut previous = None;
        for &leaf in parent.unmerged_leaves() {
            let distance = (u64::from(leaf) * 2).abs_diff(u64::from(node));
            if distance > reach || previous >= Some(leaf) || self.leaf(leaf).is_none() {
                return Err(WireError::InvalidUnmergedLeaf { node, leaf });
            }
            previous = Some(leaf);
        }
        Ok(())
    }
}

/// A node that is not blank (RFC 9420 section 12.4.3.3):
///
/// ```text
/// struct {
///     NodeType node_type;
///     select (Node.node_type) {
///         case leaf:   LeafNode leaf_node;
///         case parent: ParentNode parent_node;
///     };
/// } Node;
/// ```
///
/// Both are boxed: on the wire a blank node is a single byte, and a stranger may send many of them.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum Node {
    /// A member.
    #[tls_codec(discriminant = 1)]
    Leaf(Box<LeafNode>),
    /// A node that some members share.
    #[tls_codec(discriminant = 2)]
    Parent(Box<ParentNode>),
}

/// A parent node (RFC 9420 section 7.1):
///
/// ```text
/// struct {
///     HPKEPublicKey encryption_key;
///     opaque parent_hash<V>;
///     uint32 unmerged_leaves<V>;
/// } ParentNode;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ParentNode {
    encryption_key: Opaque,
    parent_hash: Opaque,
    unmerged_leaves: List<u32>,
}

impl ParentNode {
    /// The node's public key.
    pub fn encryption_key(&self) -> &[u8] {
        self.encryption_key.as_slice()
    }

    /// The hash that binds the node to its parent (RFC 9420 section 7.9).
    pub fn parent_hash(&self) -> &[u8] {
        self.parent_hash.as_slice()
    }

    /// The leaves below this node, in increasing order, that do not know its private key.
    pub fn unmerged_leaves(&self) -> &[u32] {
        self.unmerged_leaves.as_slice()
    }
}
