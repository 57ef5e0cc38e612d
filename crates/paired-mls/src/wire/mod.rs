//! Read-only views of the few public structures of RFC 9420 that Paired MLS has to look into.
//!
//! The core holds no MLS stack. It looks at what a library is about to sign ([`SignContent`],
//! [`FramedContentTbs`]) to see that a paired commit is what it must be, and at the public tree
//! ([`RatchetTree`]) to find the anchor. A view checks no signature, no hash and no policy of the
//! group: that is the work of the MLS library.
//!
//! Every `decode` rejects trailing bytes and vectors whose length is not minimally encoded (RFC 9420
//! section 2.1.2), keeps values that it does not know (credential, extension and proposal types),
//! and returns an error for everything else: no input makes it panic. What is decoded as a whole has an
//! `encode` that gives the same bytes again.

mod encode;
mod error;
mod framed_content;
mod key_package;
mod leaf_node;
mod mls_message;
mod private_message;
mod public_message;
mod ratchet_tree;
mod sign_content;
#[cfg(test)]
mod tests;
mod update_path;
mod vector;

pub use error::{Structure, WireError};
pub use framed_content::{Commit, Content, ContentType, FramedContentTbs, Sender, WireFormat};
pub use key_package::KeyPackage;
pub use leaf_node::{
    Capabilities, Credential, CredentialType, Extension, ExtensionType, LeafNode, LeafNodeSource,
    Lifetime,
};
pub use mls_message::{FramedHeader, GroupInfoHeader, MlsMessage};
pub use private_message::{PrivateHeader, PrivateMessage};
pub use public_message::PublicCommit;
pub use ratchet_tree::{Node, ParentNode, RatchetTree};
pub use sign_content::SignContent;
pub use update_path::{HpkeCiphertext, UpdatePath, UpdatePathNode};
