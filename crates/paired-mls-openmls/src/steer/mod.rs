//! How OpenMLS asks the engine's [`Steering`]: it takes its randomness, its cryptography and its signer from
//! outside, for each call, and is handed these.
//!
//! ```text
//! SteeredRand      random_vec, random_array     draw
//! SteeredCrypto    hpke_seal, hpke_open, …      seal, open, export, verify
//! SteeredSigner    sign                         sign
//! ```

mod crypto;
mod key_vector;
mod steered;
#[cfg(test)]
mod tests;

pub use self::{
    crypto::{CryptoHook, Encrypting, Exporting, Sealing, SteeredCrypto, Verifying},
    key_vector::KeyVectorCrypto,
};
pub(crate) use self::{
    key_vector::key_len,
    steered::{COMMIT, KEY_PACKAGE, OPENING, SteeredProvider, SteeredSigner, blame, build},
};
