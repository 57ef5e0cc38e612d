//! Everything that a device of a shared leaf makes, from one tape value: the same bytes on each device.

use alloc::{borrow::ToOwned as _, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};

use paired_mls::{
    CipherSuite, DerivationTooLong, EpochContext, Secret, TapeValue,
    leaf::{LeafRandomness, LeafUse},
    wire::{Content, FramedContentTbs, SignContent},
};
use spin::Mutex;
use tls_codec::{Deserialize as _, VLBytes};

use super::{FirstError, hpke};
use crate::{
    Draw, Error, Exporting, GuardError, Refused, Sealed, Sealing, Signing, Steering, UsageError,
};

/// A commit or a KeyPackage of a shared leaf in the making. A library that draws something else than the tape
/// provides for, or more, gets an error, and nothing is signed.
///
/// It remembers the commit that was signed, and repeats the signatures of a partner's commit where it is given
/// them. It gives no signature that nobody would accept, since the leaf does not list this device's key.
pub struct Replay {
    suite: CipherSuite,
    usage: LeafUse,
    randomness: LeafRandomness,
    drawn: [AtomicBool; 2],
    /// The reuse guard of the commit that was signed, until it is drawn.
    guard: Mutex<Option<Secret>>,
    /// The signatures of a partner; none while this device makes something of its own.
    recorded: Vec<Recorded>,
    /// The signature keys of the leaf that commits, where they are not those of the leaf that it makes.
    leaf_keys: Option<Vec<u8>>,
    signed: Mutex<Option<SignedCommit>>,
    error: FirstError,
}

/// A signature that a partner has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Which structure it signs: a label of [`SignContent`].
    pub label: &'static [u8],
    /// What stands in the leaf's field `signature_key`.
    pub public_key: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

/// What it takes to make a commit again, besides the index of the tape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCommit {
    /// Its list of `ProposalOrRef`, without the length.
    pub proposals: Vec<u8>,
    /// Its authenticated data.
    pub authenticated_data: Vec<u8>,
    /// The committer's new `LeafNode`.
    pub leaf_node: Vec<u8>,
    /// Its signature.
    pub signature: Vec<u8>,
}

impl Replay {
    /// Something that is made from `value`, with the signatures of a partner where `recorded` has them.
    ///
    /// # Errors
    ///
    /// [`DerivationTooLong`] for a group identifier that is too long.
    pub fn new(
        value: TapeValue,
        usage: LeafUse,
        context: &EpochContext,
        recorded: Vec<Recorded>,
    ) -> Result<Self, DerivationTooLong> {
        let suite = value.suite();
        let randomness = LeafRandomness::derive(value, usage, context)?;
        let (drawn, guard, signed, error) = Default::default();
        let leaf_keys = None;
        Ok(Self { suite, usage, randomness, drawn, guard, recorded, leaf_keys, signed, error })
    }

    /// The same, for commits from a leaf with these keys.
    #[must_use]
    pub fn with_leaf_keys(self, keys: &[u8]) -> Self {
        Self { leaf_keys: Some(keys.to_vec()), ..self }
    }

    /// The commit that was signed, if one was.
    pub fn signed(&self) -> Option<SignedCommit> {
        self.signed.lock().clone()
    }

    /// The draw of this purpose, in the order of [`LeafRandomness::draw`].
    fn drawn(&self, draw: Draw, length: usize) -> Option<Secret> {
        if draw == Draw::ReuseGuard {
            // Once for each commit that was signed.
            return self.guard.lock().take().filter(|guard| guard.len() == length);
        }
        let n = match (self.usage, draw) {
            (LeafUse::Commit, Draw::PathSecret) | (LeafUse::KeyPackage, Draw::InitKey) => 0,
            (_, Draw::LeafKey) => 1,
            _ => return None,
        };
        let again = self.drawn.get(n)?.swap(true, Ordering::Relaxed);
        let drawn = self.randomness.draw(n, length).filter(|_| !again)?;
        Some(Secret::copy_of(drawn.expose()))
    }

    fn seed(
        &self,
        recipient: &[u8],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Secret, Refused> {
        let seed = self.randomness.ephemeral_seed(recipient, info, aad, plaintext);
        seed.map_err(|error| self.error.set(error))
    }

    /// Whether whoever receives a signature of this device looks for it among keys that list its own.
    fn is_listed(&self, asked: &Signing<'_>, content: &SignContent, signature: &[u8]) -> bool {
        let keys = match content.label() {
            Ok(SignContent::LEAF_NODE_TBS) => leaf_node_keys(content.content()),
            Ok(SignContent::FRAMED_CONTENT_TBS) => self.leaf_keys.clone(),
            _ => None,
        };
        keys.is_none_or(|keys| (asked.is_of)(&keys, signature))
    }

    /// A commit was signed: what it takes to make it again, and its reuse guard, which can be drawn now.
    fn remember(&self, content: &[u8], signature: &[u8]) -> Option<()> {
        let framed = FramedContentTbs::decode(content).ok()?;
        let Content::Commit(commit) = framed.content() else {
            return None;
        };
        let signed = SignedCommit {
            proposals: commit.proposals().to_vec(),
            authenticated_data: framed.authenticated_data().to_vec(),
            leaf_node: commit.path()?.leaf_node().encode(),
            signature: signature.to_vec(),
        };
        *self.signed.lock() = Some(signed);
        let guard = self.randomness.reuse_guard(content, signature).ok()?;
        *self.guard.lock() = Some(guard);
        Some(())
    }
}

impl Steering for Replay {
    fn draw(&self, draw: Draw, length: usize) -> Option<Result<Secret, Refused>> {
        let drawn = self.drawn(draw, length);
        Some(drawn.ok_or_else(|| self.error.set(GuardError::Draw(length))))
    }

    fn seal(&self, asked: &Sealing<'_>) -> Option<Result<Sealed, Refused>> {
        let Sealing { recipient, info, aad, plaintext } = asked;
        let seed = self.seed(recipient, info, aad, plaintext);
        Some(seed.and_then(|seed| hpke::seal(self.suite, asked, &seed).map_err(|_| Refused)))
    }

    fn export(&self, asked: &Exporting<'_>) -> Option<Result<(Vec<u8>, Secret), Refused>> {
        let Exporting { recipient, info, exporter_context, .. } = asked;
        let seed = self.seed(recipient, info, exporter_context, &[]);
        Some(seed.and_then(|seed| hpke::export(self.suite, asked, &seed).map_err(|_| Refused)))
    }

    /// A recorded signature is given only for what it is a valid signature of; where the payload is
    /// another one, this device signs, and the commits will differ.
    fn sign(&self, asked: &Signing<'_>) -> Result<Vec<u8>, Refused> {
        let content = SignContent::decode(asked.payload).map_err(|_| Refused)?;
        let label = content.label().map_err(|_| Refused)?;
        let fits = |recorded: &&Recorded| {
            recorded.label == label && (asked.is_of)(&recorded.public_key, &recorded.signature)
        };
        let signature = match self.recorded.iter().find(fits) {
            Some(recorded) => recorded.signature.to_owned(),
            None => (asked.own)()?,
        };
        if self.recorded.is_empty() && !self.is_listed(asked, &content, &signature) {
            return Err(self.error.set(UsageError::NotListed));
        }
        if label == SignContent::FRAMED_CONTENT_TBS {
            self.remember(content.content(), &signature);
        }
        Ok(signature)
    }

    fn take_error(&self) -> Option<Error> {
        self.error.take()
    }
}

/// The field `signature_key` of a `LeafNodeTBS` (RFC 9420 section 7.2), which is the second one.
fn leaf_node_keys(mut content: &[u8]) -> Option<Vec<u8>> {
    let _encryption_key = VLBytes::tls_deserialize(&mut content).ok()?;
    let keys = VLBytes::tls_deserialize(&mut content).ok()?;
    Some(keys.into())
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::fake::pairing;

    fn replay(usage: LeafUse) -> Replay {
        let (_, vault, tape) = pairing();
        let context =
            EpochContext { group_id: vec![], epoch: 1, confirmed_transcript_hash: vec![] };
        Replay::new(vault.draw(&tape, 1).unwrap(), usage, &context, Vec::new()).unwrap()
    }

    /// The reuse guard of a commit that was signed is drawn once, and only as long as it is.
    #[test]
    fn a_reuse_guard_is_drawn_once() {
        for (length, first) in [(4, true), (3, false)] {
            let replay = replay(LeafUse::Commit);
            *replay.guard.lock() = Some(Secret::new(vec![5; 4]));
            let draw = || replay.draw(Draw::ReuseGuard, length).unwrap();
            assert_eq!(draw().is_ok(), first);
            assert_eq!(draw(), Err(Refused), "with the same guard a nonce would be used twice");
        }
    }

    /// In whatever order, each draw is given once; and no other, so that the library's call fails.
    #[test]
    fn the_tape_provides_each_draw_once() {
        for (usage, first, other) in [
            (LeafUse::Commit, Draw::PathSecret, Draw::InitKey),
            (LeafUse::KeyPackage, Draw::InitKey, Draw::PathSecret),
        ] {
            let replay = replay(usage);
            let draw = |draw, length| replay.draw(draw, length).unwrap();
            let leaf_key = draw(Draw::LeafKey, 32).unwrap();
            assert_ne!(draw(first, 32).unwrap(), leaf_key);
            assert!(replay.take_error().is_none());
            for (again, length) in [
                (first, 32),
                (Draw::LeafKey, 32),
                (other, 32),
                (Draw::Other, 32),
                (Draw::ReuseGuard, 4),
            ] {
                assert_eq!(draw(again, length), Err(Refused), "{again:?}");
                let error = replay.take_error();
                assert!(matches!(error, Some(Error::Guard(GuardError::Draw(of))) if of == length));
            }
        }
    }
}
