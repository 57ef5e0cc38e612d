//! Every code point of the extension, in one place.
//!
//! The draft leaves them to be assigned ("Determine an extension code to use"). Until IANA does,
//! each lies in the private-use range of its RFC 9420 registry.

/// The draft revision that is bound into each derivation: `"PMLS 02 " + label` is the label of
/// every `ExpandWithLabel`, and [`EXTRACT_SALT`] the salt of the one `Extract`.
pub const LABEL_PREFIX: &[u8] = b"PMLS 02 ";

/// Whether a group identifier is one that no group has: it names a sub-tape of another use (KeyPackages),
/// or a 1-to-1 channel. All of them begin with [`LABEL_PREFIX`].
pub fn is_reserved(group_id: &[u8]) -> bool {
    group_id.starts_with(LABEL_PREFIX)
}

/// Salt of `root = KDF.Extract("PMLS 02", seed)`.
pub const EXTRACT_SALT: &[u8] = b"PMLS 02";

/// Version byte of the plaintext of a Notify.
pub const NOTIFY_VERSION: u8 = 3;

/// MLS extension type `paired_mls` (RFC 9420 section 17.3, private use `0xF000`–`0xFFFF`): required of the members
/// of a gated group, and, in a leaf that lists several signature keys, their proofs.
pub const EXTENSION_TYPE_PAIRED_MLS: u16 = 0xF9A1;

/// MLS extension type `paired_signal` of a leaf node (RFC 9420 section 17.3, private use): the
/// optional notice that a commit was made on a partner's behalf.
pub const EXTENSION_TYPE_PAIRED_SIGNAL: u16 = 0xF9A2;

/// Version byte of a pairing message.
pub const PAIRING_VERSION: u8 = 2;

/// The types of pairing messages. 7 and 8 are reserved: they named messages of a token that has no use, since
/// the token of a shared leaf travels with the leaf's own messages.
pub mod pairing_message {
    /// `share_rand`
    pub const SHARE_RAND: u8 = 1;
    /// `init_pairing`
    pub const INIT_PAIRING: u8 = 2;
    /// `accept`, of a device
    pub const ACCEPT: u8 = 3;
    /// `directory_accept`, of the directory
    pub const DIRECTORY_ACCEPT: u8 = 4;
    /// `cease_pair`
    pub const CEASE_PAIR: u8 = 5;
    /// `cease_ack`
    pub const CEASE_ACK: u8 = 6;
    /// The Welcome of a leaf refresh, beside the pairing protocol: it has its own decoder. 7 and 8 are
    /// reserved.
    pub const REFRESH: u8 = 9;
    /// The proof of a listed signature key, likewise.
    pub const KEY_PROOF: u8 = 10;
    /// `abandon`
    pub const ABANDON: u8 = 11;
    /// The KeyPackages by which a partner renews a leaf for years, beside the pairing protocol.
    pub const REFRESH_CHAIN: u8 = 12;
}

/// Label for `MLS-Exporter` (RFC 9420 section 8.5) in the 1-to-1 channel, with an empty context and
/// the length Nh: what the short authentication string is made from.
pub const SHORT_AUTH_EXPORTER_LABEL: &str = "PMLS 02 short auth string";

/// The media types of bodies that the service takes and gives.
pub mod media_type {
    /// One `MLSMessage` (RFC 9420 section 17.10).
    pub const MLS_MESSAGE: &str = "message/mls";
    /// One message of the pairing protocol, in the vendor tree until there is a registration.
    pub const PAIRING_MESSAGE: &str = "application/vnd.paired-mls.pairing";
}
