//! The verifiers of signatures that members of one group may have: do they agree? Where one accepts what another
//! refuses, a member can fork the group.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "these are tests")]

mod edges;
mod fork;
mod signatures;

use mls_rs::{CipherSuiteProvider as _, CryptoProvider as _, crypto::SignaturePublicKey};
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{crypto::OpenMlsCrypto as _, types::SignatureScheme};
use paired_mls::CipherSuite;

/// The verifiers of the MLS libraries in this workspace. `ring` verifies certificates of TLS and `ed25519-compact`
/// comes with `httpsig`: neither sees a message of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verifier {
    /// OpenMLS' RustCrypto provider: for Ed25519, `ed25519-dalek` 2, `verify_strict`. That of our adapter and of the
    /// service.
    OpenMls,
    /// OpenMLS' libcrux provider: `libcrux-ed25519`.
    Libcrux,
    /// mls-rs' RustCrypto provider: for Ed25519, `ed25519-dalek` 3, `verify`.
    MlsRs,
}

const ALL: [Verifier; 3] = [Verifier::OpenMls, Verifier::Libcrux, Verifier::MlsRs];

impl Verifier {
    fn accepts(self, suite: CipherSuite, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let scheme = match suite {
            CipherSuite::P256Aes128 => SignatureScheme::ECDSA_SECP256R1_SHA256,
            CipherSuite::P384Aes256 => SignatureScheme::ECDSA_SECP384R1_SHA384,
            _ => SignatureScheme::ED25519,
        };
        match self {
            Self::OpenMls => {
                RustCrypto::default().verify_signature(scheme, message, key, signature).is_ok()
            }
            Self::Libcrux => openmls_libcrux_crypto::CryptoProvider::new()
                .unwrap()
                .verify_signature(scheme, message, key, signature)
                .is_ok(),
            Self::MlsRs => {
                let crypto = RustCryptoProvider::default();
                let suite = mls_rs::CipherSuite::new(suite.code_point());
                let provider = crypto.cipher_suite_provider(suite).unwrap();
                let key = SignaturePublicKey::new_slice(key);
                provider.verify(&key, signature, message).is_ok()
            }
        }
    }
}
