//! The one form that everything in a mailbox has.

use std::fmt;

use paired_mls::{
    leaf::SALT_LEN,
    wire::{MlsMessage, PrivateMessage, PublicCommit},
};
use thiserror::Error;
use tls_codec::{Size as _, VLByteSlice};

/// The lengths that an envelope can have, in bytes. It takes the smallest that fits.
pub const PADDED_LENGTHS: [usize; 6] = [1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20];

/// The length of the field that says how long the content is.
const HEADER: usize = 4;

/// What travels through a mailbox: a Welcome, a Notify, a message of the 1-to-1 channel or of the
/// pairing protocol, padded to one of few lengths:
///
/// ```text
/// struct {
///     uint32 length;
///     opaque content[length];     // an MLSMessage, or a pairing message
///     opaque padding[…];          // zeros, up to one of the padded lengths
/// } Envelope;
/// ```
///
/// ```
/// # use paired_mls_api::{Envelope, EnvelopeError};
/// # fn main() -> Result<(), EnvelopeError> {
/// let (short, longer) = (Envelope::seal(b"a Notify")?, Envelope::seal(&[7; 900])?);
/// assert_eq!(short.as_bytes().len(), longer.as_bytes().len());
/// assert_eq!(Envelope::decode(short.into_bytes())?.content(), b"a Notify");
/// # Ok(())
/// # }
/// ```
///
/// # Security
///
/// An envelope pads, it does not encrypt: its content is protected by itself, and TLS protects the
/// rest on the way. The service is not asked to look inside, but it could.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope(Vec<u8>);

/// Why bytes are no envelope, or content does not fit one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The content is too long.
    #[error("an envelope holds 1,048,572 bytes at most, not {0}")]
    TooLong(usize),
    /// Cover is for a commit.
    #[error("cover is made for a commit, and this is none")]
    NotACommit,
    /// The length is none of the padded ones.
    #[error("an envelope cannot have {0} bytes")]
    Length(usize),
    /// The content would be longer than the envelope, or would have fitted a shorter one.
    #[error("the envelope says that its content has {0} bytes, which does not fit its own length")]
    Content(u32),
    /// Something is in the padding.
    #[error("the padding of the envelope is not zero")]
    Padding,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({} bytes)", self.0.len())
    }
}

impl Envelope {
    /// The longest content, in bytes.
    pub const MAX_CONTENT: usize = (1 << 20) - HEADER;

    /// Pads `content`.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::TooLong`] for more than 2²⁰ − 4 bytes.
    pub fn seal(content: &[u8]) -> Result<Self, EnvelopeError> {
        let too_long = EnvelopeError::TooLong(content.len());
        let padded = padded_len(content.len()).ok_or(too_long)?;
        let length = u32::try_from(content.len()).map_err(|_| too_long)?;
        let mut bytes = Vec::with_capacity(padded);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(padded, 0);
        Ok(Self(bytes))
    }

    /// An envelope with nothing to say, for the other devices of an account that commits: what the
    /// service sees of it is what it would see of the Notify of a shared leaf for the same commit, a
    /// `PrivateMessage` of content type commit with ciphertexts of the same lengths. The lengths are
    /// exact for a commit in the clear, the framing that the profile asks for where a leaf is shared. Of
    /// an encrypted commit they are a guess, and what is inside the envelope can be told from a Notify.
    ///
    /// `fill` fills its argument with fresh random bytes. A device of a pairing cannot open it and drops
    /// it, as it does the Notify of another pairing.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::NotACommit`] if `commit` is no message to a group, [`EnvelopeError::TooLong`].
    pub fn cover(commit: &[u8], fill: impl FnOnce(&mut [u8])) -> Result<Self, EnvelopeError> {
        let Ok(MlsMessage::Framed(header)) = MlsMessage::decode(commit) else {
            return Err(EnvelopeError::NotACommit);
        };
        let mut random = vec![0; SALT_LEN + notify_len(commit)];
        fill(&mut random);
        let ciphertext = random.split_off(SALT_LEN);
        let (group_id, epoch) = (header.group_id(), header.epoch());
        let too_long = EnvelopeError::TooLong(ciphertext.len());
        let message = PrivateMessage::commit(group_id, epoch, random, ciphertext);
        Self::seal(&message.encode().ok_or(too_long)?)
    }

    /// Reads an envelope.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`] if it does not have its one valid form.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, EnvelopeError> {
        let wrong_length = EnvelopeError::Length(bytes.len());
        if !PADDED_LENGTHS.contains(&bytes.len()) {
            return Err(wrong_length);
        }
        let (length, rest) = bytes.split_first_chunk::<HEADER>().ok_or(wrong_length)?;
        let length = u32::from_be_bytes(*length);
        let wrong_content = EnvelopeError::Content(length);
        let content = usize::try_from(length).map_err(|_| wrong_content)?;
        if padded_len(content) != Some(bytes.len()) {
            return Err(wrong_content);
        }
        let (_, padding) = rest.split_at_checked(content).ok_or(wrong_content)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(EnvelopeError::Padding);
        }
        Ok(Self(bytes))
    }

    /// How long an envelope with a content of this length is; `None` if there is none so long.
    pub fn padded_len(content: usize) -> Option<usize> {
        padded_len(content)
    }

    /// What is inside.
    pub fn content(&self) -> &[u8] {
        let (length, rest) = self.0.split_first_chunk::<HEADER>().unwrap_or((&[0; HEADER], &[]));
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        rest.get(..length).unwrap_or_default()
    }

    /// The padded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The padded bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The length that the ciphertext of a Notify for this commit would have. A commit that is encrypted
/// does not say what is in it; then it is that of a short one.
fn notify_len(commit: &[u8]) -> usize {
    // The version, the kind, the opening of the lane and the index.
    const FIXED: usize = 1 + 1 + 8 + 8;
    const TAG: usize = 16;
    let Ok(Some(public)) = PublicCommit::decode(commit) else { return FIXED + TAG + 320 };
    let commit = public.commit();
    let leaf_node = commit.and_then(|commit| commit.path()).map(|path| path.leaf_node().encode());
    let fields = [
        commit.map_or(&[][..], |commit| commit.proposals()),
        public.content().authenticated_data(),
        leaf_node.as_deref().unwrap_or_default(),
        public.signature(),
    ];
    let vectors = fields.into_iter().map(|field| VLByteSlice(field).tls_serialized_len());
    FIXED + TAG + vectors.sum::<usize>()
}

fn padded_len(content: usize) -> Option<usize> {
    let needed = content.checked_add(HEADER)?;
    PADDED_LENGTHS.into_iter().find(|padded| *padded >= needed)
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
