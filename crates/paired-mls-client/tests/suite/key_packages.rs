//! KeyPackages.

use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, KeyPackage, MlsMessageOut,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::types::SignatureScheme;
use paired_mls_api::{KeyPackageCount, KeyPackageUpload, ProblemKind, RequestKey as _};
use paired_mls_client::{Client, Server};

use crate::cast::{Device, Key, Service, registration};

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// A KeyPackage of this user, signed with this key.
fn key_package(key: &Key, user: &str) -> Vec<u8> {
    let (public, private) = (key.public_key(), key.0.to_bytes().to_vec());
    let signer = SignatureKeyPair::from_raw(SignatureScheme::ED25519, private, public.clone());
    let credential = BasicCredential::new(user.as_bytes().to_vec()).into();
    let credential = CredentialWithKey { credential, signature_key: public.into() };
    let bundle = KeyPackage::builder()
        .build(SUITE, &OpenMlsRustCrypto::default(), &signer, credential)
        .unwrap();
    MlsMessageOut::from(bundle.key_package().clone()).to_bytes().unwrap()
}

/// A registered device, with KeyPackages that are uploaded.
pub(crate) async fn with_key_packages(
    server: &Server,
    user: &str,
    number: usize,
) -> (Device, Vec<Vec<u8>>) {
    let key = Key::new();
    let device = Client::new(server.clone(), key.clone()).unwrap();
    device.register(&registration(&key, user)).await.unwrap();
    let packages: Vec<_> = (0..number).map(|_| key_package(&key, user)).collect();
    let once = packages.iter().cloned().map(Into::into).collect();
    let last_resort = vec![key_package(&key, user).into()];
    let upload = KeyPackageUpload { key_packages: once, last_resort };
    device.upload(&upload).await.unwrap();
    device.upload(&upload).await.unwrap();
    (device, packages)
}

#[tokio::test]
async fn key_packages_are_uploaded_counted_and_claimed() {
    let service = Service::start().await;
    let bob = service.device("bob").await;
    let (alice, packages) = with_key_packages(&service.address(), "alice", 2).await;
    let count = |once| vec![KeyPackageCount { suite: 1, once, last_resort: 1, later: 0 }];
    assert_eq!(alice.count().await.unwrap(), count(2));
    let first = bob.claim(alice.device(), 1).await.unwrap().unwrap();
    let second = bob.claim(alice.device(), 1).await.unwrap().unwrap();
    assert_ne!(first, second);
    assert!(packages.contains(&first) && packages.contains(&second));
    assert_eq!(alice.count().await.unwrap(), count(0));
    let last_resort = bob.claim(alice.device(), 1).await.unwrap();
    assert!(last_resort.is_some());
    assert_eq!(bob.claim(alice.device(), 1).await.unwrap(), last_resort);
    assert_eq!(bob.claim(alice.device(), 2).await.unwrap(), None);

    let given_out = KeyPackageUpload { key_packages: vec![first.into()], last_resort: Vec::new() };
    let error = alice.upload(&given_out).await.unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::Exists));
    service.stop().await;
}

#[tokio::test]
async fn key_packages_that_are_withdrawn_are_gone() {
    let service = Service::start().await;
    let bob = service.device("bob").await;
    let (alice, _) = with_key_packages(&service.address(), "alice", 2).await;
    alice.withdraw().await.unwrap();
    assert_eq!(alice.count().await.unwrap(), []);
    assert_eq!(bob.claim(alice.device(), 1).await.unwrap(), None);
    service.stop().await;
}
