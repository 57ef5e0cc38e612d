//! What a member makes of the difference: a commit with a signature that some members accept and others refuse.

use curve25519_dalek::{Scalar, scalar::clamp_integer};
use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, GroupId, KeyPackageIn, MlsGroup,
    MlsGroupCreateConfig, MlsMessageBodyIn, MlsMessageIn, PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
    ProtocolVersion,
};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    OpenMlsProvider as _,
    crypto::OpenMlsCrypto as _,
    signatures::{Signer, SignerError},
    types::SignatureScheme,
};
use paired_mls::{
    CipherSuite,
    conformance::{Framing, Member},
};
use paired_mls_openmls::MemoryProvider;
use paired_mls_peers::{Door, OpenMlsDevice, StockMlsRs, StockOpenMls};
use sha2::{Digest as _, Sha512};
use tls_codec::DeserializeBytes as _;

const SUITE: CipherSuite = CipherSuite::X25519Aes128;

/// How the member signs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Point {
    /// RFC 8032, with a commitment of the member's choice.
    Ordinary,
    /// With the neutral element as its commitment: S = k·a, which satisfies S·B = R + k·A.
    Neutral,
}

/// A member with an ordinary key who signs as it likes.
struct Forker {
    scalar: Scalar,
    public: Vec<u8>,
    point: Point,
}

impl Signer for Forker {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        let (r, commitment) = match self.point {
            Point::Ordinary => {
                let r = Scalar::from_bytes_mod_order_wide(&Sha512::digest(message).into());
                (r, curve25519_dalek::EdwardsPoint::mul_base(&r).compress().to_bytes())
            }
            Point::Neutral => {
                let mut neutral = [0; 32];
                neutral[0] = 1;
                (Scalar::ZERO, neutral)
            }
        };
        let hash = Sha512::new().chain_update(commitment).chain_update(&self.public);
        let k = Scalar::from_bytes_mod_order_wide(&hash.chain_update(message).finalize().into());
        Ok([commitment, (r + k * self.scalar).to_bytes()].concat())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// A commit of the forker, in a group with a member on each library and crypto provider. Returns who accepts it.
fn accepted_by(point: Point) -> Vec<(&'static str, bool)> {
    let ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
    let provider = MemoryProvider::new(RustCrypto::default());
    let (seed, public) = provider.crypto().signature_key_gen(SignatureScheme::ED25519).unwrap();
    let digest: [u8; 64] = Sha512::digest(&seed[..32]).into();
    let scalar = Scalar::from_bytes_mod_order(clamp_integer(digest[..32].try_into().unwrap()));
    let mut signer = Forker { scalar, public: public.clone(), point: Point::Ordinary };
    let credential = CredentialWithKey {
        credential: BasicCredential::new(b"forker".to_vec()).into(),
        signature_key: public.into(),
    };
    let config = MlsGroupCreateConfig::builder()
        .ciphersuite(ciphersuite)
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .build();
    let id = GroupId::from_slice(b"fork");
    let mut group =
        MlsGroup::new_with_group_id(&provider, &signer, &config, id, credential).unwrap();

    let framing = Framing::Public;
    type Libcrux = openmls_libcrux_crypto::CryptoProvider;
    let members: [(_, Box<dyn Member>); 5] = [
        ("a device", Box::new(OpenMlsDevice::<RustCrypto>::new(SUITE, framing, "a").unwrap())),
        ("a libcrux device", Box::new(OpenMlsDevice::<Libcrux>::new(SUITE, framing, "b").unwrap())),
        ("OpenMLS", Box::new(StockOpenMls::<RustCrypto>::new(SUITE, framing, "c").unwrap())),
        (
            "OpenMLS, libcrux",
            Box::new(StockOpenMls::<Libcrux>::behind(Door::Open, SUITE, framing, "d").unwrap()),
        ),
        ("mls-rs", Box::new(StockMlsRs::new(SUITE, framing, "e").unwrap())),
    ];
    let mut members = Vec::from(members);
    let adds = members.iter_mut().map(|(_, member)| {
        let bytes = member.key_package().unwrap();
        let message = MlsMessageIn::tls_deserialize_exact_bytes(&bytes).unwrap();
        let MlsMessageBodyIn::KeyPackage(package) = message.extract() else { panic!() };
        KeyPackageIn::validate(package, provider.crypto(), ProtocolVersion::Mls10).unwrap()
    });
    let adds: Vec<_> = adds.collect();
    let (_, welcome, _) = group.add_members(&provider, &signer, &adds).unwrap();
    group.merge_pending_commit(&provider).unwrap();
    for (_, member) in &mut members {
        member.join(&welcome.to_bytes().unwrap()).unwrap();
    }

    signer.point = point;
    let bundle = group
        .commit_builder()
        .force_self_update(true)
        .load_psks(provider.storage())
        .unwrap()
        .build(provider.rand(), provider.crypto(), &signer, |_| true)
        .unwrap()
        .stage_commit(&provider)
        .unwrap();
    let commit = bundle.commit().to_bytes().unwrap();
    members.into_iter().map(|(name, mut member)| (name, member.process(&commit).is_ok())).collect()
}

/// The control: the forker's signatures are otherwise ordinary ones.
#[test]
fn an_ordinary_signature_is_accepted_by_all() {
    assert!(accepted_by(Point::Ordinary).iter().all(|(_, accepted)| *accepted));
}

#[test]
fn a_member_can_fork_a_group_whose_verifiers_differ() {
    let expected = [
        ("a device", false),
        ("a libcrux device", true),
        ("OpenMLS", false),
        ("OpenMLS, libcrux", true),
        ("mls-rs", true),
    ];
    assert_eq!(accepted_by(Point::Neutral), expected);
}
