//! Group identifiers that are used for something else are refused wherever a group can come from.

use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, GroupId, MlsGroup, MlsGroupCreateConfig,
    MlsGroupJoinConfig,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{OpenMlsProvider as _, crypto::OpenMlsCrypto as _};
use paired_mls::{
    CipherSuite, DeviceId, Pairing, PairingId, Secret, Seed, Vault,
    conformance::{
        Content, Framing, Member,
        leaf::{LeafMember as _, Use},
    },
    group::credential::AcceptAnyIdentity,
    leaf::PACKAGES_GROUP_ID,
    vault::MemoryStorage,
};
use paired_mls_openmls::{Device, Error, Group, MemoryProvider, PeerError, UsageError};
use paired_mls_peers::{LeafMode, OpenMlsLeafDevice, StockOpenMls};

const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const RESERVED: [&[u8]; 3] = [PACKAGES_GROUP_ID, b"PMLS 02 channel 0123456789abcdef", b"PMLS 02 "];
const ID: PairingId = PairingId([4; 16]);

fn device() -> (Device<MemoryProvider<RustCrypto>>, SignatureKeyPair) {
    let scheme = CIPHERSUITE.signature_algorithm();
    let (private, public) = RustCrypto::default().signature_key_gen(scheme).unwrap();
    let signer = SignatureKeyPair::from_raw(scheme, private.clone(), public.clone());
    let credential = CredentialWithKey {
        credential: BasicCredential::new(b"phone".to_vec()).into(),
        signature_key: signer.public().into(),
    };
    let vault = Vault::new(MemoryStorage::new());
    let provider = MemoryProvider::new(RustCrypto::default());
    let same = SignatureKeyPair::from_raw(scheme, private, public);
    (Device::new(provider, vault, signer, credential, AcceptAnyIdentity), same)
}

/// Somebody who does not know that the identifier is reserved.
fn ada(group_id: &[u8]) -> StockOpenMls {
    let mut ada = StockOpenMls::new(SUITE, Framing::Public, "ada").unwrap();
    ada.create(group_id).unwrap();
    ada
}

fn group_info(ada: &mut StockOpenMls) -> Vec<u8> {
    let (group, provider, signer) = ada.parts().unwrap();
    group.export_group_info(provider.crypto(), signer, true).unwrap().to_bytes().unwrap()
}

fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder().use_ratchet_tree_extension(true).build()
}

fn is_refused<T>(result: Result<T, Error>, id: &[u8]) {
    match result.err().unwrap() {
        Error::Peer(PeerError::ReservedGroup(named)) => assert_eq!(named, id),
        other => panic!("{other}"),
    }
}

fn is_refused_to_the_caller<T>(result: Result<T, Error>, id: &[u8]) {
    match result.err().unwrap() {
        Error::Usage(UsageError::ReservedGroup(named)) => assert_eq!(named, id),
        other => panic!("{other}"),
    }
}

#[test]
fn of_a_group_with_leaves_of_their_own() {
    for id in RESERVED {
        let (phone, signer) = device();
        let config = MlsGroupCreateConfig::builder().ciphersuite(CIPHERSUITE).build();
        is_refused_to_the_caller(Group::create(&phone, id, &config), id);

        let mut ada = ada(id);
        let adds = vec![phone.key_package(CIPHERSUITE).unwrap()];
        let sent = ada.commit(&Content { adds, ..Content::default() }).unwrap();
        ada.confirm().unwrap();
        is_refused(Group::join(&phone, &sent.welcome.unwrap(), &join_config()), id);
        is_refused(Group::rejoin(&phone, &group_info(&mut ada), &join_config()), id);

        // One that is there by other means is not paired.
        MlsGroup::new_with_group_id(
            phone.provider(),
            &signer,
            &config,
            GroupId::from_slice(id),
            phone.credential().clone(),
        )
        .unwrap();
        let mut group = Group::load(&phone, id).unwrap();
        let keys = [phone.signature_key().to_vec(), vec![1; 32]];
        let pairing = Pairing::new(ID, keys);
        let seed = Seed::new(SUITE, Secret::new(vec![7; SUITE.kdf_len()])).unwrap();
        pairing.install(phone.vault(), SUITE, seed, DeviceId(0)).unwrap();
        is_refused_to_the_caller(group.pair(&phone, &pairing), id);
    }
}

#[test]
fn of_a_group_with_a_shared_leaf() {
    for id in RESERVED {
        let mut devices = OpenMlsLeafDevice::<RustCrypto>::several(
            LeafMode::Hidden,
            SUITE,
            Framing::Public,
            "the leaf",
            2,
        )
        .unwrap();
        let pairing = Pairing::new(ID, vec![Vec::new(); 2]);
        for (device, own) in devices.iter_mut().zip((0..).map(DeviceId)) {
            let seed = Seed::new(SUITE, Secret::new(vec![7; SUITE.kdf_len()])).unwrap();
            pairing.install(device.vault(), SUITE, seed, own).unwrap();
            device.share(ID);
        }
        let mut ada = ada(id);
        let adds = vec![devices[0].publish(Use::Once).unwrap()];
        let sent = ada.commit(&Content { adds, ..Content::default() }).unwrap();
        ada.confirm().unwrap();
        let phone = devices[0].device();
        let welcome = sent.welcome.unwrap();
        is_refused(Group::join(phone, &welcome, &join_config()), id);
        let info = group_info(&mut ada);
        is_refused(Group::rejoin(phone, &info, &join_config()), id);
        is_refused(Group::enter(phone, &info, &sent.commit, None, &join_config()), id);
    }
}
