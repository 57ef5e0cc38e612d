//! The draft's optional signal: an extension of a leaf that says who is paired, and who was healed.
//!
//! A member that does not know its type carries and ignores it, since RFC 9420 section 7.2 has a leaf
//! list the types of its own extensions in its own capabilities, and nobody else need know them.

use openmls::{
    extensions::Extensions,
    prelude::{
        Capabilities, Extension, ExtensionType, LeafNode, LeafNodeParameters, MlsGroup,
        UnknownExtension,
    },
    treesync::LeafNodeSource,
};
use paired_mls::{
    CipherSuite, anchor::LeafIndex, code_points::EXTENSION_TYPE_PAIRED_SIGNAL,
    pairing::PairedSignal, wire,
};
use tls_codec::{Deserialize as _, Serialize as _};

use crate::{Error, UsageError, view::leaf};

const PAIRED_SIGNAL: ExtensionType = ExtensionType::Unknown(EXTENSION_TYPE_PAIRED_SIGNAL);

/// What a member says of its pairing, in the leaf that its last commit has made.
///
/// # Security
///
/// It is that member's word, and nobody outside of the pairing can check it. It is a reason to be
/// patient with members that commit nothing themselves, and not more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The leaf of the member that says it.
    pub by: LeafIndex,
    /// Its partners that are in the group.
    pub paired_with: Vec<LeafIndex>,
    /// Those of them that its last commit has healed.
    pub on_behalf_of: Vec<LeafIndex>,
}

/// What the members of a group say of their pairings, in the order of their leaves. Any member on OpenMLS
/// can ask, also one that is not paired. A signal that cannot be read says nothing.
pub fn announcements(mls: &MlsGroup) -> Vec<Announcement> {
    let Ok(suite) = CipherSuite::try_from(u16::from(mls.ciphersuite())) else {
        return Vec::new();
    };
    let leaves: Vec<_> = mls.treesync().full_leaves().collect();
    let announced = leaves.iter().filter_map(|(index, by)| {
        let data = by.extensions().unknown(EXTENSION_TYPE_PAIRED_SIGNAL)?;
        let signal = PairedSignal::decode(&data.0).ok()?;
        let named = |is_named: &dyn Fn(&[u8]) -> bool| {
            let others = leaves.iter().filter(|(other, _)| other != index);
            let named = others.filter(|(_, other)| is_named(other.signature_key().as_slice()));
            named.map(|(index, _)| leaf(*index)).collect()
        };
        let is_commit = matches!(by.leaf_node_source(), LeafNodeSource::Commit(_));
        Some(Announcement {
            by: leaf(*index),
            paired_with: named(&|key| signal.is_paired_with(suite, key)),
            on_behalf_of: named(&|key| is_commit && signal.heals(suite, key)),
        })
    });
    announced.collect()
}

/// What the own leaf says from the next commit on; `None` if it stays as it is.
pub(crate) fn next_leaf(
    own: &LeafNode,
    signal: Option<&PairedSignal>,
) -> Result<Option<LeafNodeParameters>, Error> {
    let mut extensions = own.extensions().clone();
    let capabilities = match signal {
        Some(signal) => {
            let announced = extension(signal)?;
            extensions.add_or_replace(announced).map_err(Error::mls("extend a leaf"))?;
            capabilities_of(own, wire::Capabilities::with_extension)?
        }
        None => {
            if extensions.remove(PAIRED_SIGNAL).is_none() {
                return Ok(None);
            }
            capabilities_of(own, wire::Capabilities::without_extension)?
        }
    };
    let changed = LeafNodeParameters::builder().with_extensions(extensions);
    Ok(Some(changed.with_capabilities(capabilities).build()))
}

/// What a leaf says that comes into a group from outside.
pub(crate) fn new_leaf(signal: &PairedSignal) -> Result<LeafNodeParameters, Error> {
    let mut extensions = Extensions::empty();
    extensions.add(extension(signal)?).map_err(Error::mls("extend a leaf"))?;
    let capabilities = Capabilities::new(None, None, Some(&[PAIRED_SIGNAL]), None, None);
    let leaf = LeafNodeParameters::builder().with_extensions(extensions);
    Ok(leaf.with_capabilities(capabilities).build())
}

fn extension(signal: &PairedSignal) -> Result<Extension, Error> {
    let data = signal.encode().map_err(UsageError::Signal)?;
    Ok(Extension::Unknown(EXTENSION_TYPE_PAIRED_SIGNAL, UnknownExtension(data)))
}

/// The capabilities of a leaf, with a change. OpenMLS has none that keeps what it does not know.
fn capabilities_of(
    own: &LeafNode,
    change: impl Fn(&wire::Capabilities, wire::ExtensionType) -> wire::Capabilities,
) -> Result<Capabilities, Error> {
    let bytes = own.tls_serialize_detached().map_err(Error::mls("serialize a leaf"))?;
    let own = wire::LeafNode::decode(&bytes)?;
    let signal = wire::ExtensionType(EXTENSION_TYPE_PAIRED_SIGNAL);
    let changed = change(own.capabilities(), signal).tls_serialize_detached();
    let changed = changed.map_err(Error::mls("serialize capabilities"))?;
    Capabilities::tls_deserialize_exact(changed).map_err(Error::mls("read capabilities"))
}
