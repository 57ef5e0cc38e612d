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
    leaf::{KeyProofs, KeyProofsError, SignatureKeys, SignatureKeysError},
    wire::{LeafNode, LeafNodeSource},
};
use tls_codec::{Serialize as _, VLByteSlice};

use crate::{Error, Library, PeerError, Proposal, Proposer, StagedCommit, UsageError};

/// Says whether a signature key verifies, over this content, this signature.
pub type Verifies<'a> = dyn Fn(&[u8], &[u8], &[u8]) -> bool + 'a;

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
/// a key of this device, or of `pairing`, in two leaves         refused if both leaves prove it; else odd
/// several keys in a group without the gate                     refused: stock members could not verify it
/// any other key in two leaves, or in an unusual form           odd: stock members take it
/// ```
///
/// A leaf proves the key that has signed it, and those that it has a [proof](KeyProofs) of: whoever lists a
/// stranger's key keeps nobody out. To refuse what stock members take would let any member shut this device
/// out.
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
    keys.check(leaves, gate, &|at, node, key| is_proven_by(library, group, at, node, key))
}

/// Where a leaf is in the epoch that an own commit creates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Leaf(LeafIndex),
    /// Added by this device.
    Added,
    /// Added by somebody else's proposal.
    Proposed,
}

/// The same for the epoch that an own commit creates: what this device puts into the tree is not odd.
/// What others propose is taken as stock members take it.
///
/// # Errors
///
/// Those of [`check_signature_keys`]; [`PeerError::SignatureKeyTwice`] also for whom this device adds;
/// [`UsageError::KeyProofs`] if the own leaf lists a key that is not proven.
pub fn check_staged<L: Library>(
    library: &L,
    group: &L::Group,
    staged: &StagedCommit,
    pairing: &[PairedDevice],
) -> Result<(), Error> {
    let now = library.signature_keys(group);
    let now = now.iter().map(|(leaf, key)| (*leaf, (&**key, Node::InTree)));
    let mut leaves: BTreeMap<_, _> = now.collect();
    let mut added = Vec::new();
    let new = |leaf| (LeafNode::signature_key(leaf), Node::New(leaf));
    for proposed in &staged.proposals {
        match (&proposed.proposal, proposed.member()) {
            (Proposal::Add { leaf, .. }, _) => {
                let own = proposed.by == Proposer::Member(library.own_leaf(group));
                added.push((if own { Place::Added } else { Place::Proposed }, new(leaf)));
            }
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
    let leaves = leaves.into_iter().map(|(leaf, node)| (Place::Leaf(leaf), node)).chain(added);
    let leaves = leaves.map(|(place, (key, node))| (place, key, node));
    let proves = |place, node, key: &_| {
        // A leaf of a KeyPackage is signed without its index.
        let at = if let Place::Leaf(at) = place { at } else { LeafIndex::FIRST };
        is_proven_by(library, group, at, node, key)
    };
    let odd = keys.check(leaves, Gate::of(&staged.required_extensions), &proves)?;
    if odd.contains(&(Place::Added, Oddity::KeyTwice)) {
        return Err(PeerError::SignatureKeyTwice.into());
    }
    let proven = own.map_or(Ok(()), |own| check_proofs(library, group, own));
    Ok(proven.map_err(UsageError::KeyProofs)?)
}

/// Checks that each of several keys of a leaf is proven by its holder.
///
/// # Errors
///
/// [`KeyProofsError`].
pub fn check_proofs<L: Library>(
    library: &L,
    group: &L::Group,
    leaf: &LeafNode,
) -> Result<(), KeyProofsError> {
    let verifies = |key: &_, signed: &_, proof: &_| library.verify(group, key, signed, proof);
    check_leaf(leaf, library.key_len(group), &verifies)
}

/// The same where there is no group: `verifies` is given the key, what is signed, and the signature.
///
/// # Errors
///
/// [`KeyProofsError`].
pub fn check_leaf(
    leaf: &LeafNode,
    key_len: usize,
    verifies: &Verifies<'_>,
) -> Result<(), KeyProofsError> {
    if leaf.signature_key().len() == key_len {
        return Ok(());
    }
    // What is no list of keys is odd for another reason.
    let Ok(keys) = SignatureKeys::decode(leaf.signature_key(), key_len) else {
        return Ok(());
    };
    KeyProofs::check(leaf, &keys, verifies)
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
    let keys: BTreeMap<_, _> = library.signature_keys(group).into_iter().collect();
    let is_new = |leaf: &LeafIndex| {
        let key = keys.get(leaf);
        key.is_some_and(|key| brought_in.iter().any(|new| **new == **key))
    };
    let key_len = library.key_len(group);
    let listing = keys.iter().filter(|(leaf, key)| key.len() != key_len && is_new(leaf));
    let unproven = listing.filter_map(|(at, _)| {
        let leaf = library.leaf(group, *at)?;
        check_proofs(library, group, &leaf).is_err().then_some((*at, Oddity::KeyNotProven))
    });
    let new = odd.into_iter().filter(|(leaf, _)| is_new(leaf));
    new.chain(unproven).map(|(leaf, oddity)| Event::OddLeaf { leaf, oddity }).collect()
}

/// The leaves that are odd for their field `signature_key`: stock members take them.
pub fn odd_leaves(
    leaves: &[(LeafIndex, LeafNode)],
    key_len: usize,
    gate: Gate,
    verifies: &Verifies<'_>,
) -> Vec<(LeafIndex, Oddity)> {
    let keys = leaves.iter().map(|(at, leaf)| (*at, leaf.signature_key(), Node::InTree));
    let odd = Keys::of(key_len, None, &[]).check(keys, gate, &|_, _, _| false);
    let unproven = leaves.iter().filter(|(_, leaf)| check_leaf(leaf, key_len, verifies).is_err());
    let unproven = unproven.map(|(at, _)| (*at, Oddity::KeyNotProven));
    odd.unwrap_or_default().into_iter().chain(unproven).collect()
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
    /// What the own leaf has in the field, each key in it, and the keys of the pairing.
    ours: Vec<Cow<'a, [u8]>>,
}

impl<'a> Keys<'a> {
    fn of(key_len: usize, own: Option<&'a [u8]>, pairing: &'a [PairedDevice]) -> Self {
        let listed = own.and_then(|own| SignatureKeys::decode(own, key_len).ok());
        let listed = listed.iter().flat_map(|keys| keys.keys().to_vec()).map(Cow::Owned);
        let pairing = pairing.iter().map(|paired| paired.signature_key.as_slice());
        let whole = own.into_iter().chain(pairing).map(Cow::Borrowed);
        Self { key_len, ours: whole.chain(listed).collect() }
    }

    fn is_ours(&self, key: &[u8]) -> bool {
        self.ours.iter().any(|ours| **ours == *key)
    }

    fn check<'b, T: Copy>(
        &self,
        leaves: impl Iterator<Item = (T, &'b [u8], Node<'b>)>,
        gate: Gate,
        is_proven: &dyn Fn(T, Node<'b>, &[u8]) -> bool,
    ) -> Result<Vec<(T, Oddity)>, PeerError> {
        let proves = |(at, node, listed): (T, Node<'b>, Listed), key: &[u8]| {
            listed == Listed::Alone || is_proven(at, node, key)
        };
        // Each key, and the leaf that has it.
        let mut seen = BTreeMap::new();
        let mut odd = Vec::new();
        for (leaf, content, node) in leaves {
            let keys = match self.read(content) {
                Ok(keys) => keys,
                Err(error) if self.is_ours(content) => {
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
                let now = (leaf, node, listed);
                let Some(&before) = seen.get(&key) else {
                    seen.insert(key, now);
                    continue;
                };
                match (proves(before, &key), proves(now, &key)) {
                    (true, true) if self.is_ours(&key) => return Err(PeerError::SignatureKeyTwice),
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

/// Whether a leaf proves a key that it lists: by its signature, or by a proof of the key's holder.
fn is_proven_by<L: Library>(
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
    let proven = |keys: &SignatureKeys| {
        KeyProofs::is_proven(leaf, keys, key, |key, signed, proof| {
            library.verify(group, key, signed, proof)
        })
    };
    let keys = SignatureKeys::decode(leaf.signature_key(), library.key_len(group));
    is_signed_by(library, group, at, leaf, key) || keys.is_ok_and(|keys| proven(&keys))
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
    leaf: &LeafNode,
    key: &[u8],
) -> bool {
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
