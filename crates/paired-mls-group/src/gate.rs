//! The gate of a group that has leaves with several signature keys.
//!
//! A member that does not know such leaves could not verify what comes from them, and would be stranded.
//! So the group requires the extension type `paired_mls` of everybody (RFC 9420 section 11.1), and MLS
//! itself keeps out who does not list it.

use alloc::{borrow::Cow, collections::BTreeMap, vec, vec::Vec};

use paired_mls::{
    Event, PairedDevice,
    anchor::LeafIndex,
    code_points::EXTENSION_TYPE_PAIRED_MLS,
    group::Oddity,
    leaf::{SignatureKeys, SignatureKeysError},
    wire::{LeafNode, LeafNodeSource},
};
use tls_codec::{Serialize as _, VLByteSlice};

use crate::{Library, PeerError, Proposal, StagedCommit, UsageError};

/// Whom a group lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Only who knows leaves with several signature keys.
    Set,
    /// Anybody: no leaf has several signature keys.
    Open,
}

impl Gate {
    /// The gate of a group that requires these extension types of its members.
    pub fn of(required_extensions: &[u16]) -> Self {
        let is_set = required_extensions.contains(&EXTENSION_TYPE_PAIRED_MLS);
        if is_set { Self::Set } else { Self::Open }
    }

    /// Refuses a newcomer whom the gate keeps out, before the library does in words of its own.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotAtTheGate`].
    pub fn check_newcomer(self, newcomer: &LeafNode) -> Result<(), UsageError> {
        if self == Self::Open || is_known_to(newcomer) {
            Ok(())
        } else {
            Err(UsageError::NotAtTheGate)
        }
    }

    /// Refuses to set the gate while there are members whom it would keep out.
    ///
    /// # Errors
    ///
    /// [`UsageError::GateWouldStrand`].
    pub fn check_members(self, leaves: &[(LeafIndex, LeafNode)]) -> Result<(), UsageError> {
        match leaves.iter().find(|(_, leaf)| !is_known_to(leaf)) {
            Some((index, _)) if self == Self::Set => Err(UsageError::GateWouldStrand(*index)),
            _ => Ok(()),
        }
    }
}

fn is_known_to(leaf: &LeafNode) -> bool {
    leaf.capabilities().extensions().contains(&EXTENSION_TYPE_PAIRED_MLS)
}

/// Checks the signature keys of all leaves after a commit, or on entering a group, and returns what is odd.
///
/// ```text
/// a key of this device, or of `pairing`, in two leaves         refused
/// a key of a leaf with several keys in two leaves              refused if both leaves prove it; else odd
/// several keys in a group without the gate                     refused: stock members could not verify it
/// any other key in two leaves, or in an unusual form           odd: stock members take it
/// ```
///
/// A leaf proves the key that has signed it, and the own leaf all of its keys: whoever lists a stranger's key
/// keeps nobody out. To refuse what stock members take would let any member shut this device out.
///
/// # Errors
///
/// [`PeerError::SignatureKeyTwice`], [`PeerError::SignatureKeys`], [`PeerError::Ungated`].
pub fn check_signature_keys<L: Library>(
    library: &L,
    group: &L::Group,
    pairing: &[PairedDevice],
) -> Result<Vec<(LeafIndex, Oddity)>, PeerError> {
    let own = library.own_leaf(group);
    let leaves = library.signature_keys(group);
    let own = leaves.iter().find(|(leaf, _)| *leaf == own).map(|(_, key)| &**key);
    let keys = Keys::of(library.key_len(group), own, pairing);
    let gate = Gate::of(&library.required_extensions(group));
    let leaves = leaves.iter().map(|(leaf, key)| (*leaf, &**key, Node::InTree));
    keys.check(leaves, gate, &|at, node, key| is_signed_by(library, group, at, node, key))
}

/// The same for the epoch that an own commit creates: what this device puts into the tree is not odd.
/// What others propose is taken as stock members take it.
///
/// # Errors
///
/// Those of [`check_signature_keys`].
pub fn check_staged<L: Library>(
    library: &L,
    group: &L::Group,
    staged: &StagedCommit,
    pairing: &[PairedDevice],
) -> Result<(), PeerError> {
    let now = library.signature_keys(group);
    let now = now.iter().map(|(leaf, key)| (*leaf, (&**key, Node::InTree)));
    let mut leaves: BTreeMap<_, _> = now.collect();
    let mut added = Vec::new();
    let new = |leaf| (LeafNode::signature_key(leaf), Node::New(leaf));
    for proposed in &staged.proposals {
        match (&proposed.proposal, proposed.member()) {
            (Proposal::Add { leaf, .. }, _) => added.push(new(leaf)),
            (Proposal::Update(leaf), Some(sender)) => {
                leaves.insert(sender, new(leaf));
            }
            (Proposal::Remove(removed), _) => {
                leaves.remove(removed);
            }
            (Proposal::SelfRemove, Some(sender)) => {
                leaves.remove(&sender);
            }
            _ => {}
        }
    }
    let own = staged.path.as_ref();
    leaves.extend(own.map(|own| (library.own_leaf(group), new(own))));
    let keys = Keys::of(library.key_len(group), own.map(LeafNode::signature_key), pairing);
    let added = added.into_iter().map(|(key, node)| (LeafIndex::MAX, key, node));
    let leaves = leaves.into_iter().map(|(leaf, (key, node))| (leaf, key, node)).chain(added);
    let signed = |at, node, key: &_| is_signed_by(library, group, at, node, key);
    keys.check(leaves, Gate::of(&staged.required_extensions), &signed).map(drop)
}

/// The signature keys that a staged commit brings into the tree, as leaves have them.
pub fn brought_in(staged: &StagedCommit) -> Vec<Vec<u8>> {
    let proposed = staged.proposals.iter().filter_map(|proposed| match &proposed.proposal {
        Proposal::Add { leaf, .. } => Some(&**leaf),
        Proposal::Update(leaf) => Some(&**leaf),
        _ => None,
    });
    proposed.chain(&staged.path).map(|leaf| leaf.signature_key().to_vec()).collect()
}

/// What is told of odd leaves: of those that a commit has brought in.
pub fn odd_events<L: Library>(
    library: &L,
    group: &L::Group,
    odd: Vec<(LeafIndex, Oddity)>,
    brought_in: &[Vec<u8>],
) -> Vec<Event> {
    if odd.is_empty() {
        return Vec::new();
    }
    let keys: BTreeMap<_, _> = library.signature_keys(group).into_iter().collect();
    let is_new = |leaf: &LeafIndex| {
        let key = keys.get(leaf);
        key.is_some_and(|key| brought_in.iter().any(|new| **new == **key))
    };
    let new = odd.into_iter().filter(|(leaf, _)| is_new(leaf));
    new.map(|(leaf, oddity)| Event::OddLeaf { leaf, oddity }).collect()
}

/// The leaves with these fields `signature_key` that are odd: stock members take them.
pub fn odd_leaves<'a>(
    leaves: impl Iterator<Item = (LeafIndex, &'a [u8])>,
    key_len: usize,
    gate: Gate,
) -> Vec<(LeafIndex, Oddity)> {
    let leaves = leaves.map(|(leaf, key)| (leaf, key, Node::InTree));
    Keys::of(key_len, None, &[]).check(leaves, gate, &|_, _, _| false).unwrap_or_default()
}

/// Where a leaf is to be had.
#[derive(Clone, Copy)]
enum Node<'a> {
    /// In the tree of the current epoch.
    InTree,
    /// In a commit.
    New(&'a LeafNode),
}

/// The keys that are nobody else's business.
struct Keys<'a> {
    key_len: usize,
    /// What the own leaf has in the field, and the keys of the pairing.
    ours: Vec<&'a [u8]>,
    /// What the own leaf has in the field.
    own: Option<&'a [u8]>,
}

impl<'a> Keys<'a> {
    fn of(key_len: usize, own: Option<&'a [u8]>, pairing: &'a [PairedDevice]) -> Self {
        let ours = pairing.iter().map(|paired| paired.signature_key.as_slice());
        Self { key_len, ours: own.into_iter().chain(ours).collect(), own }
    }

    fn check<'b>(
        &self,
        leaves: impl Iterator<Item = (LeafIndex, &'b [u8], Node<'b>)>,
        gate: Gate,
        signed: &dyn Fn(LeafIndex, Node<'b>, &[u8]) -> bool,
    ) -> Result<Vec<(LeafIndex, Oddity)>, PeerError> {
        let proves = |(at, content, node, listed): (_, &[u8], _, _), key: &[u8]| {
            let is_own = self.own == Some(content);
            listed == Listed::Alone || is_own || signed(at, node, key)
        };
        // Each key, and the leaf that has it.
        let mut seen = BTreeMap::new();
        let mut odd = Vec::new();
        for (leaf, content, node) in leaves {
            let keys = match self.read(content) {
                Ok(keys) => keys,
                Err(error) if self.ours.contains(&content) => {
                    return Err(PeerError::SignatureKeys(error));
                }
                Err(_) => {
                    odd.push((leaf, Oddity::UnusualForm));
                    vec![Cow::Borrowed(content)]
                }
            };
            let listed = if keys.len() > 1 { Listed::WithOthers } else { Listed::Alone };
            if listed == Listed::WithOthers && gate == Gate::Open {
                return Err(PeerError::Ungated);
            }
            for key in keys {
                let is_ours = self.ours.contains(&&*key);
                let now = (leaf, content, node, listed);
                let Some(&before) = seen.get(&key) else {
                    seen.insert(key, now);
                    continue;
                };
                let alone = (before.3, listed) == (Listed::Alone, Listed::Alone);
                match (proves(before, &key), proves(now, &key)) {
                    (true, true) if !alone || is_ours => return Err(PeerError::SignatureKeyTwice),
                    (false, true) => {
                        odd.push((before.0, Oddity::KeyTwice));
                        seen.insert(key, now);
                    }
                    _ => odd.push((leaf, Oddity::KeyTwice)),
                }
            }
        }
        Ok(odd)
    }

    fn read<'b>(&self, content: &'b [u8]) -> Result<Vec<Cow<'b, [u8]>>, SignatureKeysError> {
        if content.len() == self.key_len {
            return Ok(vec![Cow::Borrowed(content)]);
        }
        let keys = SignatureKeys::decode(content, self.key_len)?;
        Ok(keys.keys().iter().map(|key| Cow::Owned(key.clone())).collect())
    }
}

/// Whether a leaf's signature is of this key (RFC 9420 section 7.2):
///
/// ```text
/// LeafNodeTBS = the leaf without its signature
///               || group_id<V> || leaf_index      unless it is from a KeyPackage
/// ```
fn is_signed_by<L: Library>(
    library: &L,
    group: &L::Group,
    at: LeafIndex,
    node: Node<'_>,
    key: &[u8],
) -> bool {
    let in_tree = match node {
        Node::InTree => library.leaf(group, at),
        Node::New(_) => None,
    };
    let leaf = match (node, &in_tree) {
        (Node::New(leaf), _) => leaf,
        (Node::InTree, Some(leaf)) => leaf,
        (Node::InTree, None) => return false,
    };
    let vector = |bytes: &[u8]| VLByteSlice(bytes).tls_serialize_detached().unwrap_or_default();
    let mut signed = leaf.encode();
    signed.truncate(signed.len().saturating_sub(vector(leaf.signature()).len()));
    if !matches!(leaf.source(), LeafNodeSource::KeyPackage(_)) {
        signed.extend(vector(library.group_id(group)));
        signed.extend(at.value().to_be_bytes());
    }
    let payload = [vector(b"MLS 1.0 LeafNodeTBS"), vector(&signed)].concat();
    library.verify(group, key, &payload, leaf.signature())
}

/// How a leaf has a signature key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Alone,
    WithOthers,
}
