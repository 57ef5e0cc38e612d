use super::*;
use crate::{CipherSuite, PairingId, Seed};

const A: DeviceId = DeviceId(1);
const B: DeviceId = DeviceId(2);
const STRANGER: DeviceId = DeviceId(3);
const INFO: &[u8] = b"EncryptContext of a group, an epoch, a tree and a transcript";

fn tape_of(suite: CipherSuite, seed: u8, pairing: [u8; 16], own: DeviceId) -> Tape {
    let seed = Seed::new(suite, Secret::new(vec![seed; suite.kdf_len()])).unwrap();
    Tape::new(suite, seed, &PairingId(pairing), &[A, B], own).unwrap()
}

fn tape(suite: CipherSuite, own: DeviceId) -> Tape {
    tape_of(suite, 7, [9; 16], own)
}

fn kem_output(suite: CipherSuite) -> Vec<u8> {
    (0..suite.kem_output_len()).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

fn notify(device: DeviceId, position: u64, level: u8) -> Notify {
    Notify {
        spot: Spot { opening: 0x0A0B_0C0D_0E0F, index: Index::new(device, position).unwrap() },
        level,
    }
}

fn sealed(suite: CipherSuite) -> SealedNotify {
    notify(A, 0x0102_0304_0506, 3).seal(&tape(suite, A), kem_output(suite), INFO).unwrap()
}

/// Seals any plaintext, as a partner could whose software is not ours.
fn seal_raw(suite: CipherSuite, plaintext: &[u8]) -> SealedNotify {
    let kem_output = kem_output(suite);
    let (key, nonce) = key_and_nonce(&tape(suite, A), &kem_output).unwrap();
    let ciphertext = suite.seal(&key, &nonce, INFO, plaintext).unwrap();
    SealedNotify { kem_output, ciphertext }
}

/// The plaintext of [`sealed`].
fn plaintext(suite: CipherSuite) -> Vec<u8> {
    let mut plaintext = vec![3, 0, 1, 1, 2, 3, 4, 5, 6, 3, 10, 11, 12, 13, 14, 15];
    plaintext.resize(suite.kdf_len(), 0);
    plaintext
}

fn open(suite: CipherSuite, sealed: &SealedNotify) -> Result<Notify, NotifyError> {
    Notify::open(&tape(suite, B), sealed, INFO)
}

#[test]
fn it_has_the_shape_of_an_hpke_ciphertext_that_carries_a_path_secret() {
    // Nenc and Nh + Nt of RFC 9180 section 7.
    let shapes = [(1, 32, 48), (2, 65, 48), (3, 32, 48), (5, 133, 80), (7, 97, 64)];
    assert_eq!(shapes.map(|(suite, ..)| suite), CipherSuite::ALL.map(CipherSuite::code_point));
    for (suite, kem_output_len, ciphertext_len) in shapes {
        let suite = CipherSuite::try_from(suite).unwrap();
        for sent in [notify(A, 0, 0), notify(A, Index::MAX_POSITION, u8::MAX)] {
            let sealed = sent.seal(&tape(suite, A), kem_output(suite), INFO).unwrap();
            assert_eq!(sealed.kem_output, kem_output(suite));
            assert_eq!(sealed.kem_output.len(), kem_output_len);
            assert_eq!(sealed.ciphertext.len(), ciphertext_len);
        }
    }
}

#[test]
fn what_is_sealed_is_opened() {
    for suite in CipherSuite::ALL {
        for sent in [
            notify(A, 0, 0),
            notify(A, 1, 1),
            notify(A, 0x0102_0304_0506, 63),
            notify(A, Index::MAX_POSITION, u8::MAX),
        ] {
            let sealed = sent.seal(&tape(suite, A), kem_output(suite), INFO).unwrap();
            assert_eq!(open(suite, &sealed), Ok(sent));
        }
        assert_eq!(seal_raw(suite, &plaintext(suite)), sealed(suite), "the pseudocode's plaintext");
    }
}

#[test]
fn it_opens_for_its_info_only() {
    for suite in CipherSuite::ALL {
        let sealed = sealed(suite);
        let b = tape(suite, B);
        assert!(Notify::open(&b, &sealed, INFO).is_ok());
        for place in 0..INFO.len() {
            let mut info = INFO.to_vec();
            info[place] ^= 1;
            assert_eq!(Notify::open(&b, &sealed, &info), Err(NotifyError::NotANotify));
        }
        for info in [&INFO[1..], &INFO[..INFO.len() - 1], &[INFO, &[0]].concat(), b""] {
            assert_eq!(Notify::open(&b, &sealed, info), Err(NotifyError::NotANotify));
        }
    }
}

#[test]
fn a_changed_bit_anywhere_is_refused() {
    for suite in CipherSuite::ALL {
        let genuine = sealed(suite);
        for bit in 0..8 {
            for place in 0..genuine.kem_output.len() {
                let mut changed = genuine.clone();
                changed.kem_output[place] ^= 1 << bit;
                assert_eq!(open(suite, &changed), Err(NotifyError::NotANotify));
            }
            for place in 0..genuine.ciphertext.len() {
                let mut changed = genuine.clone();
                changed.ciphertext[place] ^= 1 << bit;
                assert_eq!(open(suite, &changed), Err(NotifyError::NotANotify));
            }
        }
    }
}

#[test]
fn another_pairing_cannot_open_it() {
    for suite in CipherSuite::ALL {
        let sealed = sealed(suite);
        for other in [
            tape_of(suite, 8, [9; 16], B), // another seed
            tape_of(suite, 7, [8; 16], B), // another name
            tape(suite, B).group(b"a group of the pairing").unwrap(), // its own tape of a group
        ] {
            assert_eq!(Notify::open(&other, &sealed, INFO), Err(NotifyError::NotANotify));
        }
    }
    // Suites 1 and 3 have all lengths in common, and even the secrets.
    let sealed = sealed(CipherSuite::X25519Aes128);
    assert_eq!(open(CipherSuite::X25519ChaCha20, &sealed), Err(NotifyError::NotANotify));
}

#[test]
fn other_lengths_are_refused() {
    for suite in CipherSuite::ALL {
        let genuine = sealed(suite);
        let expected = suite.kem_output_len();
        for found in [0, 1, expected - 1, expected + 1, 1000] {
            let error = NotifyError::Length { field: "kem_output", found, expected };
            let changed = SealedNotify { kem_output: vec![4; found], ..genuine.clone() };
            assert_eq!(open(suite, &changed), Err(error));
            let sent = notify(A, 0, 0).seal(&tape(suite, A), vec![4; found], INFO);
            assert_eq!(sent, Err(error));
        }
        let expected = suite.kdf_len() + 16;
        for found in [0, 1, 15, 16, 17, expected - 1, expected + 1, 1000] {
            let mut changed = genuine.clone();
            changed.ciphertext.resize(found, 0);
            let error = NotifyError::Length { field: "ciphertext", found, expected };
            assert_eq!(open(suite, &changed), Err(error));
        }
        // Also when it authenticates.
        for found in [expected - 1, expected + 1] {
            let sealed = seal_raw(suite, &vec![2; found - 16]);
            let error = NotifyError::Length { field: "ciphertext", found, expected };
            assert_eq!(open(suite, &sealed), Err(error));
        }
    }
}

#[test]
fn another_version_is_refused() {
    for suite in CipherSuite::ALL {
        for version in [0, 1, 2, 4, 0x82, 255] {
            let mut plaintext = plaintext(suite);
            plaintext[0] = version;
            let error = open(suite, &seal_raw(suite, &plaintext)).unwrap_err();
            assert_eq!(error, NotifyError::Version(version));
            // Whatever else such a version puts into the other fields.
            plaintext[1..].fill(0xFF);
            assert_eq!(open(suite, &seal_raw(suite, &plaintext)), Err(error));
        }
    }
}

#[test]
fn padding_other_than_zeros_is_refused() {
    for suite in CipherSuite::ALL {
        for place in 16..suite.kdf_len() {
            for byte in [1, 0x80, 0xFF] {
                let mut plaintext = plaintext(suite);
                plaintext[place] = byte;
                assert_eq!(open(suite, &seal_raw(suite, &plaintext)), Err(NotifyError::Padding));
            }
        }
    }
}

#[test]
fn a_stranger_and_the_own_lane_are_refused() {
    for suite in CipherSuite::ALL {
        let a = tape(suite, A);
        for stranger in [STRANGER, DeviceId(0), DeviceId(0x0100), DeviceId::RESERVED] {
            let sealed = notify(stranger, 5, 0).seal(&a, kem_output(suite), INFO).unwrap();
            assert_eq!(open(suite, &sealed), Err(NotifyError::ForeignDevice(stranger)));
        }
        let own = notify(B, 5, 0);
        let from_a = own.seal(&a, kem_output(suite), INFO).unwrap();
        assert_eq!(open(suite, &from_a), Err(NotifyError::OwnLane(own.spot.index)));
        // What a device has sent itself comes back to it, and is of its own lane too.
        let returned = Notify::open(&a, &sealed(suite), INFO);
        assert!(matches!(returned, Err(NotifyError::OwnLane(_))));
    }
}

#[test]
fn each_kem_output_has_a_key_and_a_nonce_of_its_own() {
    for suite in CipherSuite::ALL {
        let tape = tape(suite, A);
        let [one, two] = [kem_output(suite), vec![1; suite.kem_output_len()]]
            .map(|kem_output| key_and_nonce(&tape, &kem_output).unwrap());
        assert_ne!(one.0, two.0);
        assert_ne!(one.1, two.1);
        assert_eq!((one.0.len(), one.1.len()), (suite.aead_key_len(), suite.aead_nonce_len()));
        assert_ne!(&one.0.expose()[..12], one.1.expose(), "two labels");
    }
}

#[test]
fn opening_spends_nothing() {
    let suite = CipherSuite::X25519Aes128;
    let b = tape(suite, B);
    let before = b.to_record().unwrap();
    let notify = Notify::open(&b, &sealed(suite), INFO).unwrap();
    assert_eq!(Notify::open(&b, &sealed(suite), INFO), Ok(notify));
    assert!(b.holds(notify.spot.index));
    assert_eq!(b.to_record().unwrap(), before);
}
