//! Known answers: RFC 9180 appendix A, base mode, sequence number 0.

use super::*;

struct Case {
    suite: CipherSuite,
    ikm_e: &'static str,
    pk_r: &'static str,
    enc: &'static str,
    ct: &'static str,
}

const INFO: &str = "4f6465206f6e2061204772656369616e2055726e";
const AAD: &str = "436f756e742d30";
const PT: &str = "4265617574792069732074727574682c20747275746820626561757479";

fn cases() -> [Case; 3] {
    [
        // A.1.1
        Case {
            suite: CipherSuite::X25519Aes128,
            ikm_e: "7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234",
            pk_r: "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
            enc: "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
            ct: "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea\
                 87e13c512a",
        },
        // A.2.1
        Case {
            suite: CipherSuite::X25519ChaCha20,
            ikm_e: "909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b",
            pk_r: "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a",
            enc: "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a",
            ct: "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d\
                 2dd1b51a28",
        },
        // A.3.1
        Case {
            suite: CipherSuite::P256Aes128,
            ikm_e: "4270e54ffd08d79d5928020af4686d8f6b7d35dbe470265f1f5aa22816ce860e",
            pk_r: "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a826a779b4cf969\
                   b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0",
            enc: "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac98536d7b61a1af\
                  4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4",
            ct: "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab252\
                 3f39513434",
        },
    ]
}

fn unhex(digits: &str) -> Vec<u8> {
    hex::decode(digits).expect("hexadecimal digits")
}

#[test]
fn known_answers() {
    for case in cases() {
        let (recipient, info, aad, plaintext) =
            (unhex(case.pk_r), unhex(INFO), unhex(AAD), unhex(PT));
        let asked =
            Sealing { recipient: &recipient, info: &info, aad: &aad, plaintext: &plaintext };
        let seed = Secret::new(unhex(case.ikm_e));
        let sealed = seal(case.suite, &asked, &seed).expect("a suite that is known");
        assert_eq!(sealed.kem_output.as_slice(), unhex(case.enc));
        assert_eq!(sealed.ciphertext.as_slice(), unhex(case.ct));
    }
}

/// A seed of another length than a private key, a key that is none, a suite that is not known: an
/// error, and nothing is sealed.
#[test]
fn what_is_wrong_is_refused() {
    let [case, ..] = cases();
    let recipient = unhex(case.pk_r);
    let asked = |recipient| Sealing { recipient, info: b"", aad: b"", plaintext: b"plaintext" };
    for length in [0, 31, 33] {
        let seed = Secret::new(vec![3; length]);
        let refused = seal(case.suite, &asked(&recipient), &seed);
        assert_eq!(refused, Err(HpkeError::Seed), "{length} bytes");
    }
    let seed = Secret::new(vec![3; 32]);
    assert!(seal(case.suite, &asked(&recipient[1..]), &seed).is_err());
    let refused = seal(CipherSuite::P384Aes256, &asked(&recipient), &seed);
    assert_eq!(refused, Err(HpkeError::Suite));
}
