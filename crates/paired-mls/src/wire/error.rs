//! Why bytes are not the structure they were said to be.

use std::fmt;

use thiserror::Error;
use tls_codec::DeserializeBytes;

use crate::presentation::Cursor;

/// The bytes are not what RFC 9420 says they must be.
///
/// To blame is always the one who wrote the bytes, never the caller who decodes them: the MLS library
/// for what it hands to a signer or exports, the peer for what was received.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WireError {
    /// A field, or something inside it, is cut short, overlong, or has a value that RFC 9420 forbids.
    #[error("{structure}.{field} is malformed: {source}")]
    Malformed {
        /// The structure that was decoded.
        structure: Structure,
        /// Its field that does not decode, as RFC 9420 spells it.
        field: &'static str,
        /// What the decoder found.
        source: tls_codec::Error,
    },
    /// The structure is followed by bytes that do not belong to it.
    #[error("{0} is followed by trailing bytes")]
    TrailingBytes(Structure),
    /// The label does not begin with `"MLS 1.0 "` (RFC 9420 section 5.1.2).
    #[error("the label of SignContent does not begin with \"MLS 1.0 \"")]
    ForeignLabel,
    /// The protocol version is not `mls10`, so the rest has an unknown format.
    #[error("the structure has protocol version {0}, only mls10 (1) is known")]
    UnsupportedVersion(u16),
    /// The ratchet tree is empty, or its last node is blank (RFC 9420 section 12.4.3.3) or a parent
    /// without anything to its right.
    #[error("the ratchet tree does not end in a leaf")]
    LastNodeNotALeaf,
    /// A leaf node stands at an odd position of the ratchet tree, or a parent node at an even one.
    #[error("node {0} of the ratchet tree is a leaf in a parent's place or the reverse")]
    MisplacedNode(u32),
    /// The unmerged leaves of a parent node are not in increasing order, or one of them is not a
    /// member below that node (RFC 9420 section 7.1).
    #[error("node {node} of the ratchet tree has the invalid unmerged leaf {leaf}")]
    InvalidUnmergedLeaf {
        /// The position of the parent node.
        node: u32,
        /// The index of the leaf that it lists.
        leaf: u32,
    },
}

/// The structures of RFC 9420 that [`WireError`] can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Structure {
    /// Section 5.1.2.
    SignContent,
    /// Section 6.
    MlsMessage,
    /// Section 6.1.
    FramedContentTbs,
    /// Section 6.2.
    PublicMessage,
    /// Section 6.3.
    PrivateMessage,
    /// Section 7.2.
    LeafNode,
    /// Section 7.6.
    UpdatePath,
    /// Section 10.
    KeyPackage,
    /// Section 12.4.3.
    GroupInfo,
    /// Section 12.4.3.3.
    RatchetTree,
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignContent => "SignContent",
            Self::GroupInfo => "GroupInfo",
            Self::MlsMessage => "MLSMessage",
            Self::FramedContentTbs => "FramedContentTBS",
            Self::PublicMessage => "PublicMessage",
            Self::PrivateMessage => "PrivateMessage",
            Self::KeyPackage => "KeyPackage",
            Self::LeafNode => "LeafNode",
            Self::UpdatePath => "UpdatePath",
            Self::RatchetTree => "ratchet_tree",
        })
    }
}

/// Reads the fields of one structure, in order, and names the one that fails.
pub(super) struct Reader<'a> {
    structure: Structure,
    fields: Cursor<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(structure: Structure, bytes: &'a [u8]) -> Self {
        Self { structure, fields: Cursor::new(bytes) }
    }

    /// The next field. On an error the position stays before that field.
    pub(super) fn field<T: DeserializeBytes>(
        &mut self,
        field: &'static str,
    ) -> Result<T, WireError> {
        let structure = self.structure;
        let value = self.fields.value();
        value.map_err(|source| WireError::Malformed { structure, field, source })
    }

    /// The bytes that no field has consumed.
    pub(super) fn rest(self) -> &'a [u8] {
        self.fields.rest()
    }

    /// Ends the structure.
    pub(super) fn end(self) -> Result<(), WireError> {
        match self.fields.rest() {
            [] => Ok(()),
            _ => Err(WireError::TrailingBytes(self.structure)),
        }
    }
}
