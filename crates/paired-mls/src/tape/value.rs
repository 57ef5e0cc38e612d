//! What becomes of one value of the tape.

use std::fmt;

use tls_codec::{Serialize as _, TlsSerialize, TlsSize, VLBytes};

use super::{Index, PathSecret, Spot};
use crate::{CipherSuite, DerivationTooLong, Secret};

/// One value of the tape, released once. Secrets for one commit are derived from it.
#[derive(Debug)]
pub struct TapeValue {
    suite: CipherSuite,
    spot: Spot,
    value: Secret,
}

/// The commit that a tape value is used for: the epoch that it creates, in its group.
///
/// The new tree hash cannot be part of it, since it depends on the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochContext {
    /// The group's identifier.
    pub group_id: Vec<u8>,
    /// The epoch that the commit creates.
    pub epoch: u64,
    /// The confirmed transcript hash of the epoch in which the commit is sent.
    pub confirmed_transcript_hash: Vec<u8>,
}

/// ```text
/// struct {
///     opaque group_id<V>;
///     uint64 epoch;
///     opaque confirmed_transcript_hash<V>;
///     uint16 device;
///     uint48 position;
/// } TapeContext;
/// ```
#[derive(TlsSize, TlsSerialize)]
struct TapeContext {
    group_id: VLBytes,
    epoch: u64,
    confirmed_transcript_hash: VLBytes,
    index: [u8; 8],
}

impl EpochContext {
    /// The `TapeContext` of this commit with `index`.
    pub(crate) fn with_index(&self, index: Index) -> Result<Vec<u8>, DerivationTooLong> {
        TapeContext {
            group_id: self.group_id.as_slice().into(),
            epoch: self.epoch,
            confirmed_transcript_hash: self.confirmed_transcript_hash.as_slice().into(),
            index: index.to_bytes(),
        }
        .tls_serialize_detached()
        .map_err(|_| DerivationTooLong)
    }
}

impl TapeValue {
    pub(super) fn new(suite: CipherSuite, spot: Spot, value: Secret) -> Self {
        Self { suite, spot, value }
    }

    /// The cipher suite of the pairing.
    pub fn suite(&self) -> CipherSuite {
        self.suite
    }

    /// Where on the tape it comes from.
    pub fn spot(&self) -> Spot {
        self.spot
    }

    /// The index alone.
    pub fn index(&self) -> Index {
        self.spot.index
    }

    /// The secret for one use of this value, of `length` bytes.
    ///
    /// ```text
    /// ExpandWithLabel(value, label, TapeContext, length)
    /// ```
    ///
    /// # Errors
    ///
    /// [`DerivationTooLong`] if an input does not fit RFC 9420's `KDFLabel`.
    pub fn derive(
        &self,
        label: &str,
        context: &EpochContext,
        length: usize,
    ) -> Result<Secret, DerivationTooLong> {
        let context = context.with_index(self.spot.index)?;
        self.suite.expand_with_label(&self.value, label, &context, length)
    }

    /// The first path secret of a node-anchored commit.
    ///
    /// ```text
    /// path_secret[0] = ExpandWithLabel(value, "path", TapeContext, Nh)
    /// ```
    ///
    /// # Errors
    ///
    /// [`DerivationTooLong`] if the group's identifier or transcript hash exceeds 2³⁰ − 1 bytes.
    pub fn into_path_secret(self, context: &EpochContext) -> Result<PathSecret, DerivationTooLong> {
        let secret = self.derive("path", context, self.suite.kdf_len())?;
        Ok(PathSecret::new(self.suite, self.spot, secret))
    }
}

impl fmt::Display for EpochContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}", self.epoch)
    }
}
