//! Sees what mls-rs does not show of a message: the path of a commit.

use std::sync::{Arc, Mutex, PoisonError};

use paired_mls::{
    Secret,
    wire::{Content, FramedContentTbs, LeafNode, SignContent},
};
use paired_mls_group::{Error, Opening, Receiving, Refused, Steering, Verifying};

/// Whoever opens the message, if anybody, and what its signature is of.
///
/// mls-rs tells of a commit who made it and what it proposes, and of one that removes this device not even what tree comes
/// of it. But it has the signature of each message verified, over the content in the clear.
#[derive(Default)]
pub(crate) struct Witness {
    receiving: Option<Arc<Receiving>>,
    path: Mutex<Option<LeafNode>>,
}

impl Witness {
    /// One message, which may carry a Notify for this device.
    pub(crate) fn new(receiving: Option<Arc<Receiving>>) -> Self {
        Self { receiving, path: Mutex::default() }
    }

    /// The leaf that the path of the commit brings; `None` without a path, and if it was no commit.
    pub(crate) fn path(&self) -> Option<LeafNode> {
        // Nothing panics while it is locked.
        self.path.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn see(&self, payload: &[u8]) -> Option<()> {
        let signed = SignContent::decode(payload).ok()?;
        if signed.label().ok()? != SignContent::FRAMED_CONTENT_TBS {
            return None;
        }
        let framed = FramedContentTbs::decode(signed.content()).ok()?;
        let Content::Commit(commit) = framed.content() else {
            return None;
        };
        let leaf = commit.path()?.leaf_node().clone();
        *self.path.lock().unwrap_or_else(PoisonError::into_inner) = Some(leaf);
        Some(())
    }
}

impl Steering for Witness {
    fn open(&self, asked: &Opening<'_>) -> Option<Result<Secret, Refused>> {
        self.receiving.as_ref()?.open(asked)
    }

    fn verify(&self, asked: &Verifying<'_>) -> Option<Result<(), Refused>> {
        self.see(asked.payload);
        None
    }

    fn take_error(&self) -> Option<Error> {
        self.receiving.as_ref()?.take_error()
    }
}
