//! Several devices behind one leaf: what they derive from the tape, what they tell each other, and
//! what each of them stores.
//!
//! All devices hold the state of the same MLS leaf. The one that acts draws *all* randomness of a
//! commit from one tape value; the others make the same commit from the same value, compare it byte
//! for byte with what the delivery service delivers, and merge their own.
//!
//! ```text
//! value        = tape.take(index)
//! draw[n]      = ExpandWithLabel(value, label[n],           TapeContext, Nh)  // in order
//! guard_secret = ExpandWithLabel(value, "leaf reuse guard", TapeContext, Nh)  // with what is signed
//! hpke_secret  = ExpandWithLabel(value, "leaf hpke",        TapeContext, Nh)  // for each encryption
//! ```

mod chain;
mod key_proofs;
mod notify_message;
mod packages;
mod randomness;
mod record;
mod signature_keys;
#[cfg(test)]
mod tests;
mod vault;
#[cfg(test)]
pub(crate) mod vectors;

pub use self::{
    chain::{ChainError, MAX_CHAIN, MAX_CHAIN_BYTES, MAX_WINDOW, RefreshChain},
    key_proofs::{KeyProofMessage, KeyProofs, KeyProofsError},
    notify_message::{LeafMessage, LeafNotify, LeafNotifyError, SALT_LEN},
    packages::{Held, LeafPackage, LeafPackages, PACKAGES_GROUP_ID},
    randomness::{LeafRandomness, LeafUse},
    record::{Announced, LeafPending, LeafRecord, LeafRecordError, MAX_ANNOUNCED, Origin, Speaker},
    signature_keys::{SignatureKeys, SignatureKeysError},
    vault::{LeafVaultError, MAX_SKIP},
};
