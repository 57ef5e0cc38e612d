//! The draft's optional signal: an extension of a leaf that says who is paired, and who was healed.
//!
//! A member that does not know its type carries and ignores it, since RFC 9420 section 7.2 has a leaf
//! list the types of its own extensions in its own capabilities, and nobody else need know them.

use alloc::vec::Vec;

use paired_mls::{
    CipherSuite,
    anchor::LeafIndex,
    code_points::EXTENSION_TYPE_PAIRED_SIGNAL,
    pairing::PairedSignal,
    wire::{Capabilities, ExtensionType, LeafNode, LeafNodeSource},
};

use crate::UsageError;

const PAIRED_SIGNAL: ExtensionType = ExtensionType(EXTENSION_TYPE_PAIRED_SIGNAL);

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

/// What the members with these leaves say of their pairings, in the order of their leaves. A signal that cannot be
/// read says nothing.
pub fn announcements(suite: CipherSuite, leaves: &[(LeafIndex, LeafNode)]) -> Vec<Announcement> {
    let announced = leaves.iter().filter_map(|(index, by)| {
        let signal = PairedSignal::decode(by.extension(PAIRED_SIGNAL)?).ok()?;
        let named = |is_named: &dyn Fn(&[u8]) -> bool| {
            let others = leaves.iter().filter(|(other, _)| other != index);
            let named = others.filter(|(_, other)| is_named(other.signature_key()));
            named.map(|(index, _)| *index).collect()
        };
        let is_commit = matches!(by.source(), LeafNodeSource::Commit(_));
        Some(Announcement {
            by: *index,
            paired_with: named(&|key| signal.is_paired_with(suite, key)),
            on_behalf_of: named(&|key| is_commit && signal.heals(suite, key)),
        })
    });
    announced.collect()
}

/// What the own leaf says from the next commit on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextWord {
    /// It says nothing, and has said nothing before: the leaf stays as it is.
    Silence,
    /// It has this extension.
    Says {
        /// The extension of the type `paired_signal`.
        extension: Vec<u8>,
        /// What the leaf lists then.
        capabilities: Capabilities,
    },
    /// It says nothing any more.
    Withdrawn {
        /// What the leaf lists then.
        capabilities: Capabilities,
    },
}

impl NextWord {
    /// What a leaf says that says `signal` from now on, if anything.
    ///
    /// # Errors
    ///
    /// [`UsageError::Signal`].
    pub fn of(own: &LeafNode, signal: Option<&PairedSignal>) -> Result<Self, UsageError> {
        match signal {
            Some(signal) => Ok(Self::Says {
                extension: signal.encode()?,
                capabilities: own.capabilities().with_extension(PAIRED_SIGNAL),
            }),
            None if own.extension(PAIRED_SIGNAL).is_some() => {
                let capabilities = own.capabilities().without_extension(PAIRED_SIGNAL);
                Ok(Self::Withdrawn { capabilities })
            }
            None => Ok(Self::Silence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{leaf, leaf_node};

    /// A leaf that has said nothing stays as it is, and one that cannot be read says nothing.
    #[test]
    fn a_leaf_without_a_signal_says_nothing() {
        let leaves = [(leaf(0), leaf_node(1)), (leaf(1), leaf_node(2))];
        assert_eq!(announcements(CipherSuite::X25519Aes128, &leaves), []);
        assert_eq!(NextWord::of(&leaf_node(1), None), Ok(NextWord::Silence));
    }
}
