use std::convert::Infallible;

use ed25519_dalek::{Signer, SigningKey};

use super::*;

struct Ed25519(SigningKey);

impl RequestKey for Ed25519 {
    type Error = Infallible;

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::Ed25519
    }

    fn public_key(&self) -> Vec<u8> {
        self.0.verifying_key().to_bytes().to_vec()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Infallible> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }
}

struct P256(p256::ecdsa::SigningKey);

impl RequestKey for P256 {
    type Error = SchemeError;

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::P256
    }

    fn public_key(&self) -> Vec<u8> {
        self.0.verifying_key().to_sec1_point(false).as_bytes().to_vec()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SchemeError> {
        let signature: p256::ecdsa::Signature =
            p256::ecdsa::signature::Signer::sign(&self.0, message);
        // As an MLS signer gives it.
        self.scheme().from_mls(signature.to_der().as_bytes())
    }
}

use crate::SchemeError;

const TARGET: Target<'_> = Target {
    method: "POST",
    authority: "mls.example:8443",
    path: "/v1/groups/AAAA/commits",
    query: "a=1&b=2",
};

fn key() -> Ed25519 {
    Ed25519(SigningKey::from_bytes(&[1; 32]))
}

fn signed() -> Fields {
    sign_request(&key(), TARGET, b"body", 1_800_000_000, &[5; 24]).unwrap()
}

fn verify(fields: &Fields, target: Target<'_>, body: &[u8]) -> Result<(), SignatureError> {
    let key = key();
    SignedRequest::read(fields)?.verify(target, body, key.scheme(), &key.public_key())
}

#[test]
fn a_signed_request_verifies_and_says_who_when_and_which() {
    let fields = signed();
    assert_eq!(verify(&fields, TARGET, b"body"), Ok(()));
    let read = SignedRequest::read(&fields).unwrap();
    let device = DeviceId::of_key(SignatureScheme::Ed25519, &key().public_key());
    assert_eq!(read.device(), &device);
    assert_eq!(read.created(), 1_800_000_000);
    assert_eq!(read.nonce().len(), 32);
}

#[test]
fn ecdsa_signatures_verify_in_the_form_of_rfc_9421() {
    let key = P256(p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap());
    let fields = sign_request(&key, TARGET, b"", 1, &[5; 24]).unwrap();
    let read = SignedRequest::read(&fields).unwrap();
    assert_eq!(read.verify(TARGET, b"", key.scheme(), &key.public_key()), Ok(()));
    // The key of another scheme, and a key that is none.
    let other = read.verify(TARGET, b"", SignatureScheme::Ed25519, &key.public_key());
    assert_eq!(other, Err(SignatureError::Key));
}

#[test]
fn each_covered_component_is_bound() {
    let fields = signed();
    let changed = [
        Target { method: "PUT", ..TARGET },
        Target { authority: "mls.example", ..TARGET },
        Target { path: "/v1/groups/AAAB/commits", ..TARGET },
        Target { query: "a=1&b=3", ..TARGET },
        Target { query: "", ..TARGET },
    ];
    for target in changed {
        assert_eq!(verify(&fields, target, b"body"), Err(SignatureError::Invalid), "{target:?}");
    }
    assert_eq!(verify(&fields, TARGET, b"bodY"), Err(SignatureError::Digest));
    // Another body with a digest that fits it.
    let forged = Fields { content_digest: content_digest(b"bodY"), ..fields };
    assert_eq!(verify(&forged, TARGET, b"bodY"), Err(SignatureError::Invalid));
}

#[test]
fn parameters_are_obligatory_and_bound() {
    let fields = signed();
    let with = |from: &str, to: &str| {
        assert!(fields.signature_input.contains(from), "{from} in {}", fields.signature_input);
        Fields { signature_input: fields.signature_input.replace(from, to), ..fields.clone() }
    };
    let later = with("created=1800000000", "created=1800000001");
    assert_eq!(verify(&later, TARGET, b"body"), Err(SignatureError::Invalid));
    let cases = [
        (with(";created=1800000000", ""), SignatureError::Parameter("created")),
        (with("nonce=", "nonse="), SignatureError::Parameter("nonce")),
        (with("keyid=\"", "keyid=\"x"), SignatureError::Parameter("keyid")),
        (with("tag=\"paired-mls\"", "tag=\"other\""), SignatureError::Parameter("tag")),
        (with(";tag", ";expires=1900000000;tag"), SignatureError::Parameter("expires")),
        (with(";tag", ";alg=\"hmac-sha256\";tag"), SignatureError::Parameter("alg")),
        (with(" \"@query\"", ""), SignatureError::Covered),
        (with("\"@path\" \"@query\"", "\"@query\" \"@path\""), SignatureError::Covered),
        (with("pmls=", "other="), SignatureError::Malformed),
        (with("pmls=", "="), SignatureError::Malformed),
    ];
    for (fields, error) in cases {
        assert_eq!(verify(&fields, TARGET, b"body"), Err(error), "{}", fields.signature_input);
    }
    let two = Fields {
        signature_input: format!("{0}, a{0}", fields.signature_input),
        signature: format!("{0}, a{0}", fields.signature),
        ..fields.clone()
    };
    assert_eq!(verify(&two, TARGET, b"body"), Err(SignatureError::Malformed));
}

/// RFC 9421 appendix B.2.6, whose key signs the same message: the crate that we sign with computes
/// what the RFC does.
#[test]
fn the_crate_agrees_with_the_rfc() {
    let public_key = STANDARD.decode("JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=").unwrap();
    let signature = STANDARD
        .decode("wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==")
        .unwrap();
    let input = r#"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#;
    let params = HttpSignatureParams::try_from(input).unwrap();
    let lines: Vec<_> = [
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("@method", "POST"),
        ("@path", "/foo"),
        ("@authority", "example.com"),
        ("content-type", "application/json"),
        ("content-length", "18"),
    ]
    .into_iter()
    .map(|(name, value)| {
        let id = HttpMessageComponentId::try_from(name).unwrap();
        HttpMessageComponent::try_from((&id, [value.to_owned()].as_slice())).unwrap()
    })
    .collect();
    let base = HttpSignatureBase::try_new(&lines, &params).unwrap();
    let key = PublicKey::from_bytes(&AlgorithmName::Ed25519, &public_key).unwrap();
    let verified = httpsig::prelude::VerifyingKey::verify(&key, &base.as_bytes(), &signature);
    assert!(verified.is_ok());
}

/// The neutral element as a key. With the base point as R and 1 as s, the equation of RFC 8032 holds for every message.
struct Neutral;

impl RequestKey for Neutral {
    type Error = Infallible;

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::Ed25519
    }

    fn public_key(&self) -> Vec<u8> {
        let mut neutral = vec![0; 32];
        neutral[0] = 1;
        neutral
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Infallible> {
        let mut signature = vec![0x66; 64];
        (signature[0], signature[32]) = (0x58, 1);
        signature[33..].fill(0);
        Ok(signature)
    }
}

#[test]
fn nobody_signs_for_a_key_of_a_small_order() {
    let key = VerifyingKey::from_bytes(&Neutral.public_key().try_into().unwrap()).unwrap();
    let everything = Signature::from_slice(&Neutral.sign(b"").unwrap()).unwrap();
    // So it is the verifier that refuses it.
    ed25519_dalek::Verifier::verify(&key, b"anything", &everything).unwrap();
    let fields = sign_request(&Neutral, TARGET, b"", 1_800_000_000, &[5; 24]).unwrap();
    let read = SignedRequest::read(&fields).unwrap();
    let refused = read.verify(TARGET, b"", Neutral.scheme(), &Neutral.public_key());
    assert_eq!(refused, Err(SignatureError::Invalid));
}
