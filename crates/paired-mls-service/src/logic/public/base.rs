//! The GroupInfo of an epoch: what a commit in the clear is verified against.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use openmls::{
    prelude::{
        CreationFromExternalError, GroupContext, MlsMessageBodyIn, MlsMessageIn, ProposalStore,
        PublicGroup,
    },
    treesync::errors::LeafNodeValidationError,
};
use openmls_rust_crypto::{MemoryStorage, RustCrypto};
use paired_mls::wire::{LeafNode, Node, RatchetTree};
use paired_mls_openmls::KeyVectorCrypto;
use tls_codec::{DeserializeBytes as _, Serialize as _, Size as _, VLBytes};
use tokio::sync::Semaphore;

use super::super::failure::MessageFault;

/// The two octets each of version and wire format that an `MLSMessage` begins with.
const MESSAGE_HEADER: usize = 4;
/// The most leaves of a group whose commits are checked as a member would. Of larger ones, who has sent
/// what is checked, and not the whole tree: that would cost a signature for each leaf.
const LARGEST: usize = 1024;
/// How many are kept in memory, and how many bytes they had.
const KEPT: usize = 64;
const KEPT_BYTES: usize = 16 << 20;
/// How many are verified at once.
const AT_ONCE: usize = 4;

/// A GroupInfo that has been verified as far as its form allows.
pub(crate) struct Base {
    epoch: u64,
    context: GroupContext,
    context_bytes: Vec<u8>,
    suite: u16,
    confirmation_tag: Vec<u8>,
    signer: u32,
    tree: Option<RatchetTree>,
    tracked: Option<Mutex<PublicGroup>>,
}

/// A member's place in the tree, as far as it says whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Seat {
    pub(in super::super) identity: Vec<u8>,
    pub(in super::super) signature_key: Vec<u8>,
}

impl Base {
    /// Reads a GroupInfo, an `MLSMessage`, and verifies it: the signature of its signer, and, if the tree
    /// is in it and not too large, the tree with its leaves. It takes a while: not on a thread that serves.
    pub(super) fn read(message: &[u8]) -> Result<Self, MessageFault> {
        let bad = |_| MessageFault::GroupInfo;
        let parsed = MlsMessageIn::tls_deserialize_exact_bytes(message).map_err(bad)?;
        let MlsMessageBodyIn::GroupInfo(info) = parsed.extract() else {
            return Err(MessageFault::NotA("GroupInfo"));
        };
        let context = info.group_context().clone();
        let context_bytes = context.tls_serialize_detached().map_err(bad)?;
        let skipped = MESSAGE_HEADER + context_bytes.len() + info.extensions().tls_serialized_len();
        let rest = message.get(skipped..).ok_or(MessageFault::GroupInfo)?;
        let (confirmation_tag, rest) = VLBytes::tls_deserialize_bytes(rest).map_err(bad)?;
        let (signer, rest) = u32::tls_deserialize_bytes(rest).map_err(bad)?;
        let signature = VLBytes::tls_deserialize_exact_bytes(rest).map_err(bad)?;
        let mut base = Self {
            epoch: context.epoch().as_u64(),
            suite: context.ciphersuite().into(),
            context,
            context_bytes,
            confirmation_tag: confirmation_tag.into(),
            signer,
            tree: None,
            tracked: None,
        };
        let Some(extension) = info.extensions().ratchet_tree() else { return Ok(base) };
        let tree_in = extension.ratchet_tree().clone();
        let tree = RatchetTree::decode(&tree_in.tls_serialize_detached().map_err(bad)?);
        let tree = tree.map_err(|_| MessageFault::GroupInfo)?;
        let signer = tree.leaf(base.signer).ok_or(MessageFault::GroupInfo)?;
        let signed = message.len() - signature.tls_serialized_len();
        let signed = message.get(MESSAGE_HEADER..signed).unwrap_or_default();
        base.verify(b"GroupInfoTBS", signed, signer.signature_key(), signature.as_slice())
            .map_err(|()| MessageFault::GroupInfo)?;
        if tree.nodes().len().div_ceil(2) <= LARGEST {
            let crypto = KeyVectorCrypto::new(RustCrypto::default());
            let storage = MemoryStorage::default();
            let proposals = ProposalStore::new();
            match PublicGroup::from_external(&crypto, &storage, tree_in, info, proposals) {
                Ok((group, _)) => base.tracked = Some(Mutex::new(group)),
                // A member that is long in the group and has never committed stops nobody. All but the
                // lifetimes was verified.
                Err(CreationFromExternalError::LeafNodeValidation(
                    LeafNodeValidationError::Lifetime(_),
                )) => {}
                Err(_) => return Err(MessageFault::GroupInfo),
            }
        }
        base.tree = Some(tree);
        Ok(base)
    }

    /// The epoch that it describes.
    pub(in super::super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The code point of the group's cipher suite.
    pub(super) fn suite(&self) -> u16 {
        self.suite
    }

    /// The serialized GroupContext.
    pub(super) fn context_bytes(&self) -> &[u8] {
        &self.context_bytes
    }

    /// Whether the tree is in it, without which nobody can be checked, and nobody can join.
    pub(in super::super) fn has_tree(&self) -> bool {
        self.tree.is_some()
    }

    /// Whether another one says the same of the same epoch.
    pub(in super::super) fn agrees_with(&self, other: &Self) -> bool {
        self.context == other.context && self.confirmation_tag == other.confirmation_tag
    }

    /// Whether it is of the epoch that this context describes.
    pub(super) fn is_of(&self, context: &GroupContext) -> bool {
        self.context == *context
    }

    /// The leaf of whoever has signed it, if the tree is in it.
    pub(in super::super) fn signer(&self) -> Option<&LeafNode> {
        self.leaf(self.signer)
    }

    /// A leaf, if the tree is there and the leaf is not blank.
    pub(in super::super) fn leaf(&self, leaf: u32) -> Option<&LeafNode> {
        self.tree.as_ref().and_then(|tree| tree.leaf(leaf))
    }

    /// The seat at a leaf.
    pub(in super::super) fn seat(&self, leaf: u32) -> Option<Seat> {
        self.leaf(leaf).map(Seat::of)
    }

    /// All seats, by their leaves.
    pub(super) fn seats(&self) -> BTreeMap<u32, Seat> {
        let nodes = self.tree.iter().flat_map(|tree| tree.nodes().iter().step_by(2));
        let leaves = (0_u32..).zip(nodes).filter_map(|(leaf, node)| match node {
            Some(Node::Leaf(node)) => Some((leaf, Seat::of(node))),
            _ => None,
        });
        leaves.collect()
    }

    /// The leftmost blank leaf, also the one behind the last.
    pub(super) fn first_blank(&self) -> u32 {
        (0..).find(|leaf| self.leaf(*leaf).is_none()).unwrap_or(u32::MAX)
    }

    /// Runs `with` on the group as OpenMLS follows it from outside; nothing if it cannot: the tree is not
    /// there, or too large, or has a leaf whose lifetime has ended.
    pub(super) fn tracked<T>(&self, with: impl FnOnce(&mut PublicGroup) -> T) -> Option<T> {
        let tracked = self.tracked.as_ref()?;
        Some(with(&mut tracked.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Seat {
    pub(super) fn of(node: &LeafNode) -> Self {
        Self {
            identity: node.credential().identity().unwrap_or_default().to_vec(),
            signature_key: node.signature_key().to_vec(),
        }
    }
}

/// GroupInfos that were verified not long ago: each is needed twice, when it comes and at the next commit.
pub(crate) struct Bases {
    kept: Mutex<Vec<Kept>>,
    turns: Semaphore,
}

struct Kept {
    digest: Vec<u8>,
    len: usize,
    base: Arc<Base>,
}

impl Default for Bases {
    fn default() -> Self {
        Self { kept: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }
}

impl Bases {
    /// Reads a GroupInfo, or finds it.
    pub(in super::super) async fn read(&self, message: &[u8]) -> Result<Arc<Base>, MessageFault> {
        let digest = super::super::message::digest(message);
        if let Some(base) = self.find(&digest) {
            return Ok(base);
        }
        let (message, len) = (message.to_vec(), message.len());
        let base = Arc::new(self.turn(move || Base::read(&message)).await??);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(Kept { digest, len, base: Arc::clone(&base) });
        while kept.len() > KEPT || kept.iter().map(|kept| kept.len).sum::<usize>() > KEPT_BYTES {
            kept.remove(0);
        }
        Ok(base)
    }

    /// Does something that takes a while, beside few others, on a thread that does not serve.
    pub(in super::super) async fn turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, MessageFault> {
        // Neither is ever closed, nor does the work panic.
        let _turn = self.turns.acquire().await.map_err(|_| MessageFault::GroupInfo)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| MessageFault::GroupInfo)
    }

    fn find(&self, digest: &[u8]) -> Option<Arc<Base>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|kept| kept.digest == digest)?;
        let found = kept.remove(place);
        let base = Arc::clone(&found.base);
        kept.push(found);
        Some(base)
    }
}
