//! All randomness of one commit or one KeyPackage, from one value of the tape.

use tls_codec::{Serialize as _, TlsSerialize, TlsSize, VLByteSlice};

use crate::{CipherSuite, DerivationTooLong, EpochContext, Index, Secret, Spot, TapeValue};

/// What a tape value is used for, and in which order an MLS library draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeafUse {
    /// A commit: the path secret, then the key material of the committer's leaf.
    Commit,
    /// A KeyPackage: the key material of the init key, then that of the leaf.
    KeyPackage,
}

impl LeafUse {
    /// The labels of the draws, in their order.
    fn labels(self) -> [&'static str; 2] {
        match self {
            Self::Commit => ["leaf path", "leaf key"],
            Self::KeyPackage => ["leaf package init key", "leaf package key"],
        }
    }

    /// The draw whose public key stands in the open, so that the index can be recognised by it.
    fn public_draw(self) -> usize {
        match self {
            Self::Commit => 1,
            Self::KeyPackage => 0,
        }
    }
}

/// The randomness that is derived from one tape value. It is drawn in order, and there is no more of
/// it than the use demands: a library that draws otherwise finds nothing.
#[derive(Debug)]
pub struct LeafRandomness {
    suite: CipherSuite,
    spot: Spot,
    usage: LeafUse,
    draws: [Secret; 2],
    guard_secret: Secret,
    hpke_secret: Secret,
}

/// ```text
/// struct {
///     opaque recipient<V>;     // the KEM public key
///     opaque info<V>;
///     opaque aad<V>;
/// } EphemeralContext;
/// ```
#[derive(TlsSize, TlsSerialize)]
struct EphemeralContext<'a> {
    recipient: VLByteSlice<'a>,
    info: VLByteSlice<'a>,
    aad: VLByteSlice<'a>,
}

/// ```text
/// struct {
///     opaque framed_content_tbs<V>;
///     opaque signature<V>;
/// } SignedContent;
/// ```
#[derive(TlsSize, TlsSerialize)]
struct SignedContent<'a> {
    framed_content_tbs: VLByteSlice<'a>,
    signature: VLByteSlice<'a>,
}

impl LeafRandomness {
    /// The length of the [reuse guard](Self::reuse_guard), in bytes.
    pub const REUSE_GUARD_LEN: usize = 4;

    /// The length of an [ephemeral seed](Self::ephemeral_seed), in bytes.
    pub const EPHEMERAL_SEED_LEN: usize = 32;

    /// Derives everything that `usage` needs from a tape value, which is erased.
    ///
    /// # Errors
    ///
    /// [`DerivationTooLong`] if the group's identifier or transcript hash exceeds 2³⁰ − 1 bytes.
    pub fn derive(
        value: TapeValue,
        usage: LeafUse,
        context: &EpochContext,
    ) -> Result<Self, DerivationTooLong> {
        let suite = value.suite();
        let derive = |label| value.derive(label, context, suite.kdf_len());
        let [first, second] = usage.labels();
        Ok(Self {
            suite,
            spot: value.spot(),
            usage,
            draws: [derive(first)?, derive(second)?],
            guard_secret: derive("leaf reuse guard")?,
            hpke_secret: derive("leaf hpke")?,
        })
    }

    /// The key material whose public key stands in the open: what a follower without a Notify
    /// recognises the index by.
    pub(crate) fn public_key_material(
        value: &TapeValue,
        usage: LeafUse,
        context: &EpochContext,
    ) -> Result<Secret, DerivationTooLong> {
        let [first, second] = usage.labels();
        let label = if usage.public_draw() == 0 { first } else { second };
        value.derive(label, context, value.suite().kdf_len())
    }

    /// Where on the tape it comes from.
    pub fn index(&self) -> Index {
        self.spot.index
    }

    /// The same, with the opening of its lane.
    pub fn spot(&self) -> Spot {
        self.spot
    }

    /// The draw number `n`, from 0, of Nh bytes; `None` if the use has no such draw, or of another
    /// length.
    pub fn draw(&self, n: usize, length: usize) -> Option<&Secret> {
        self.draws.get(n).filter(|draw| draw.len() == length)
    }

    /// The reuse guard of a commit that is framed as a `PrivateMessage` (RFC 9420 section 6.3.1), of
    /// 4 bytes. A commit is made from the state of the group before it, also after one that was
    /// refused, so that all commits of an epoch have generation 0: what tells their nonces apart is
    /// this value. It depends on what is encrypted, so that a device that was set back as a whole, and
    /// uses an index again for another commit, does not use the nonce again.
    ///
    /// ```text
    /// prk         = KDF.Extract("PMLS 02", guard_secret || SignedContent)
    /// reuse_guard = ExpandWithLabel(prk, "leaf reuse guard", "", 4)
    /// ```
    ///
    /// `framed_content_tbs` is what the commit's `signature` is of (RFC 9420 section 6.1).
    ///
    /// # Errors
    ///
    /// [`DerivationTooLong`] if an input exceeds 2³⁰ − 1 bytes.
    pub fn reuse_guard(
        &self,
        framed_content_tbs: &[u8],
        signature: &[u8],
    ) -> Result<Secret, DerivationTooLong> {
        let signed = SignedContent {
            framed_content_tbs: VLByteSlice(framed_content_tbs),
            signature: VLByteSlice(signature),
        };
        let signed = signed.tls_serialize_detached().map_err(|_| DerivationTooLong)?;
        let prk = self.extract_with(&self.guard_secret, &signed);
        self.suite.expand_with_label(&prk, "leaf reuse guard", &[], Self::REUSE_GUARD_LEN)
    }

    /// The key material of the key that stands in the open.
    pub fn public_draw(&self) -> &Secret {
        let [first, second] = &self.draws;
        if self.usage.public_draw() == 0 { first } else { second }
    }

    /// The key material of the ephemeral key of an HPKE encryption, `DeriveKeyPair(seed)` (RFC 9180
    /// section 4.1). It depends on everything that is sealed and not on the order of the calls, which
    /// threads make.
    ///
    /// ```text
    /// prk  = KDF.Extract("PMLS 02", hpke_secret || plaintext)
    /// seed = ExpandWithLabel(prk, "leaf ephemeral", EphemeralContext, 32)
    /// ```
    ///
    /// No ephemeral serves two plaintexts: the plaintext is in the seed.
    ///
    /// # Errors
    ///
    /// [`DerivationTooLong`] if an input exceeds 2³⁰ − 1 bytes.
    pub fn ephemeral_seed(
        &self,
        recipient: &[u8],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Secret, DerivationTooLong> {
        let context = EphemeralContext {
            recipient: VLByteSlice(recipient),
            info: VLByteSlice(info),
            aad: VLByteSlice(aad),
        };
        let context = context.tls_serialize_detached().map_err(|_| DerivationTooLong)?;
        let prk = self.extract_with(&self.hpke_secret, plaintext);
        let length = Self::EPHEMERAL_SEED_LEN;
        self.suite.expand_with_label(&prk, "leaf ephemeral", &context, length)
    }

    /// `KDF.Extract("PMLS 02", secret || input)`
    fn extract_with(&self, secret: &Secret, input: &[u8]) -> Secret {
        let mut ikm = Vec::with_capacity(secret.len() + input.len());
        ikm.extend_from_slice(secret.expose());
        ikm.extend_from_slice(input);
        self.suite.extract(&Secret::new(ikm))
    }
}
