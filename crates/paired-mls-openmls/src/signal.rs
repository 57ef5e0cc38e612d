//! The optional signal in leaves of OpenMLS.

use openmls::{
    extensions::Extensions,
    prelude::{
        Capabilities, Extension, ExtensionType, LeafNode, LeafNodeParameters, MlsGroup,
        UnknownExtension,
    },
};
use paired_mls::{code_points::EXTENSION_TYPE_PAIRED_SIGNAL, pairing::PairedSignal};
use paired_mls_group::{
    gate::Gate,
    signal::{self, Announcement, NextWord},
};

use crate::{Error, UsageError, gate::PAIRED_MLS, group::suite_of, leaf::again, view};

const PAIRED_SIGNAL: ExtensionType = ExtensionType::Unknown(EXTENSION_TYPE_PAIRED_SIGNAL);

/// What the members of a group say of their pairings, in the order of their leaves. Any member on OpenMLS
/// can ask, also one that is not paired. A signal that cannot be read says nothing.
pub fn announcements(mls: &MlsGroup) -> Vec<Announcement> {
    let Some(suite) = suite_of(mls.ciphersuite()) else {
        return Vec::new();
    };
    let leaves = mls.treesync().full_leaves();
    let leaves =
        leaves.filter_map(|(at, leaf)| Some((view::leaf(at), view::leaf_node(leaf).ok()?)));
    signal::announcements(suite, &leaves.collect::<Vec<_>>())
}

/// What the own leaf is like from the next commit on; `None` if it stays as it is.
pub(crate) fn next_leaf(
    own: &LeafNode,
    signal: Option<&PairedSignal>,
) -> Result<Option<LeafNodeParameters>, Error> {
    let mut extensions = own.extensions().clone();
    let capabilities = match NextWord::of(&view::leaf_node(own)?, signal)? {
        NextWord::Silence => return Ok(None),
        NextWord::Says { extension, capabilities } => {
            let extension =
                Extension::Unknown(EXTENSION_TYPE_PAIRED_SIGNAL, UnknownExtension(extension));
            extensions.add_or_replace(extension).map_err(Error::mls("extend a leaf"))?;
            capabilities
        }
        NextWord::Withdrawn { capabilities } => {
            extensions.remove(PAIRED_SIGNAL);
            capabilities
        }
    };
    let changed = LeafNodeParameters::builder().with_extensions(extensions);
    Ok(Some(changed.with_capabilities(again(&capabilities)?).build()))
}

/// What a leaf is like that comes from outside into a group with this gate.
pub(crate) fn new_leaf(
    gate: Gate,
    signal: Option<&PairedSignal>,
) -> Result<LeafNodeParameters, Error> {
    let mut known = Vec::new();
    let mut leaf = LeafNodeParameters::builder();
    if gate == Gate::Set {
        known.push(PAIRED_MLS);
    }
    if let Some(signal) = signal {
        known.push(PAIRED_SIGNAL);
        let data = UnknownExtension(signal.encode().map_err(UsageError::Signal)?);
        let extension = Extension::Unknown(EXTENSION_TYPE_PAIRED_SIGNAL, data);
        let extensions = Extensions::single(extension).map_err(Error::mls("extend a leaf"))?;
        leaf = leaf.with_extensions(extensions);
    }
    if !known.is_empty() {
        leaf = leaf.with_capabilities(Capabilities::new(None, None, Some(&known), None, None));
    }
    Ok(leaf.build())
}
