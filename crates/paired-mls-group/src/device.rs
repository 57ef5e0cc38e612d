//! This device, for one call.

use paired_mls::{Vault, group::credential::CredentialPolicy, wire::Credential};

/// This device: its library, its vault, who it is, and what it knows of who others are.
pub struct ThisDevice<'a, L> {
    /// The library.
    pub library: &'a L,
    /// The vault.
    pub vault: &'a Vault,
    /// Who it is.
    pub credential: Credential,
    /// Its signature key, or those of the leaf that it shares.
    pub signature_key: &'a [u8],
    /// Which signature keys belong to which identity.
    pub credentials: &'a dyn CredentialPolicy,
    /// The time, in seconds since 1970.
    pub now: u64,
}
