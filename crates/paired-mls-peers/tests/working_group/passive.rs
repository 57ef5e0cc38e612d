//! `passive-client-*`: a device that is paired follows what strangers have sent, and steering changes nothing.
//!
//! The device is paired with whoever sits at another leaf, by a tape that nobody else has: each path secret that
//! is sealed to the device is tried as a Notify first, and none is one. What it then knows is told by the epoch
//! authenticators of the vectors; that our arithmetic of trees goes with it, by the tree that OpenMLS has.
//!
//! Suites 1 to 3 are run, which is what OpenMLS' RustCrypto provider has; 4 to 7 are not.

use openmls::{
    group::JoinBuilder,
    prelude::{
        Ciphersuite, HpkePrivateKey, KeyPackageBundle, LeafNodeIndex,
        MIXED_PLAINTEXT_WIRE_FORMAT_POLICY, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn,
        ProcessedWelcome, RatchetTreeIn, Sender, StagedCommit,
    },
    schedule::PreSharedKeyId,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    OpenMlsProvider as _, crypto::OpenMlsCrypto as _, storage::StorageProvider as _,
};
use paired_mls::{
    CipherSuite, DeviceId, Pairing, PairingId, Secret, Seed, Vault,
    anchor::{Changes, LeafIndex, Tree},
    group::credential::AcceptAnyIdentity,
    vault::MemoryStorage,
};
use paired_mls_openmls::{Device, Group, Inspection, KeyVectorCrypto, MemoryProvider, Received};
use serde::Deserialize;
use serde_json::json;
use tls_codec::{DeserializeBytes as _, Serialize as _, VLBytes};

use super::{Hex, or_nothing, vectors};

#[derive(Deserialize)]
struct Client {
    cipher_suite: u16,
    external_psks: Vec<Psk>,
    key_package: Hex,
    signature_priv: Hex,
    encryption_priv: Hex,
    init_priv: Hex,
    welcome: Hex,
    #[serde(default, deserialize_with = "or_nothing")]
    ratchet_tree: Option<Vec<u8>>,
    initial_epoch_authenticator: Hex,
    epochs: Vec<Epoch>,
}

#[derive(Deserialize)]
struct Psk {
    psk_id: Hex,
    psk: Hex,
}

#[derive(Deserialize)]
struct Epoch {
    proposals: Vec<Hex>,
    commit: Hex,
    epoch_authenticator: Hex,
}

fn parse(message: &[u8]) -> MlsMessageBodyIn {
    MlsMessageIn::tls_deserialize_exact_bytes(message).unwrap().extract()
}

/// With both kinds of steering: a Notify is tried, and a leaf may list several signature keys.
type Crypto = KeyVectorCrypto<RustCrypto>;

impl Client {
    /// The suite, if the adapter and its crypto provider have it.
    fn suite(&self) -> Option<(CipherSuite, Ciphersuite)> {
        let suite = CipherSuite::try_from(self.cipher_suite).ok()?;
        let theirs = Ciphersuite::try_from(self.cipher_suite).unwrap();
        RustCrypto::default().supports(theirs).is_ok().then_some((suite, theirs))
    }

    /// The device with the keys of the vector, which has published the KeyPackage.
    fn device(&self, theirs: Ciphersuite) -> Device<MemoryProvider<Crypto>> {
        let MlsMessageBodyIn::KeyPackage(published) = parse(&self.key_package.0) else {
            panic!("a KeyPackage is a KeyPackage");
        };
        let provider = MemoryProvider::new(Crypto::new(RustCrypto::default()));
        for Psk { psk_id, psk } in &self.external_psks {
            let id = PreSharedKeyId::external(psk_id.0.clone(), Vec::new());
            id.store(&provider, &psk.0).unwrap();
        }
        let credential = published.unverified_credential();
        // OpenMLS makes a bundle only with keys of its own: this is how it stores one.
        let private = |key: &Hex| HpkePrivateKey::from(key.0.clone());
        let bundle = json!({
            "key_package": published,
            "private_init_key": private(&self.init_priv),
            "private_encryption_key": { "key": private(&self.encryption_priv) },
        });
        let bundle: KeyPackageBundle = serde_json::from_value(bundle).unwrap();
        let reference = bundle.key_package().hash_ref(provider.crypto()).unwrap();
        provider.storage().write_key_package(&reference, &bundle).unwrap();

        let (scheme, public) = (theirs.signature_algorithm(), credential.signature_key.as_slice());
        let private = self.signature_priv.0.clone();
        let signer = SignatureKeyPair::from_raw(scheme, private, public.to_vec());
        let vault = Vault::new(MemoryStorage::new());
        Device::new(provider, vault, signer, credential, AcceptAnyIdentity)
    }

    /// Joins, by OpenMLS where the tree comes apart from the Welcome, and pairs with a member who knows nothing of it.
    fn join(&self, device: &Device<MemoryProvider<Crypto>>, suite: CipherSuite) -> Group {
        let config = MlsGroupJoinConfig::builder()
            .use_ratchet_tree_extension(true)
            .wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY)
            .number_of_resumption_psks(16)
            .build();
        let mut group = match &self.ratchet_tree {
            None => Group::join(device, &self.welcome.0, &config).unwrap(),
            Some(tree) => {
                let MlsMessageBodyIn::Welcome(welcome) = parse(&self.welcome.0) else {
                    panic!("a Welcome is a Welcome");
                };
                let provider = device.provider();
                let processed =
                    ProcessedWelcome::new_from_welcome(provider, &config, welcome).unwrap();
                let tree = RatchetTreeIn::tls_deserialize_exact_bytes(tree).unwrap();
                let builder = JoinBuilder::new(provider, processed).with_ratchet_tree(tree);
                let staged = builder.skip_lifetime_validation().build().unwrap();
                let joined = staged.into_group(provider).unwrap();
                Group::load(device, joined.group_id().as_slice()).unwrap()
            }
        };
        let own = device.signature_key();
        let keys: Vec<_> = group.mls().members().map(|member| member.signature_key).collect();
        let stranger = keys.into_iter().find(|key| key.as_slice() != own).unwrap();
        let pairing = Pairing::new(PairingId([7; 16]), [own.to_vec(), stranger]);
        let seed = Seed::new(suite, Secret::new(vec![8; suite.kdf_len()])).unwrap();
        pairing.install(device.vault(), suite, seed, DeviceId(0)).unwrap();
        group.pair(device, &pairing).unwrap();
        group
    }
}

/// What our arithmetic of trees takes of a commit.
#[derive(Default)]
struct Known {
    changes: Changes,
    /// The committer's new public key; nothing in a commit without a path.
    key: Option<Vec<u8>>,
}

impl Known {
    fn look(&mut self, staged: &StagedCommit) -> bool {
        let updates = staged.update_proposals().map(|update| match update.sender() {
            Sender::Member(index) => leaf(*index),
            other => panic!("an Update by {other:?}"),
        });
        self.changes.updates = updates.collect();
        let removes = staged.remove_proposals();
        self.changes.removes =
            removes.map(|remove| leaf(remove.remove_proposal().removed())).collect();
        self.changes.adds = staged.add_proposals().count();
        let path = staged.update_path_leaf_node();
        self.key = path.map(|path| {
            let key = path.encryption_key().tls_serialize_detached().unwrap();
            VLBytes::tls_deserialize_exact_bytes(&key).unwrap().into()
        });
        true
    }

    fn apply(&self, tree: &Tree, group: &Group) -> Tree {
        let (tree, _) = tree.after(&self.changes).unwrap().into_parts();
        let Some(key) = &self.key else { return tree };
        let mut members = group.mls().members();
        let committer = members.find(|member| member.encryption_key == *key).unwrap();
        tree.after_path(leaf(committer.index)).unwrap()
    }
}

fn leaf(index: LeafNodeIndex) -> LeafIndex {
    LeafIndex::new(index.u32()).unwrap()
}

/// What was run, and what was not.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    clients: usize,
    commits: usize,
    proposals: usize,
    other_suites: usize,
}

fn follow(name: &str) -> Option<Tally> {
    let mut tally = Tally::default();
    for (number, client) in vectors::<Client>(name)?.into_iter().enumerate() {
        let Some((suite, theirs)) = client.suite() else {
            tally.other_suites += 1;
            continue;
        };
        let device = client.device(theirs);
        let mut group = client.join(&device, suite);
        let told = |group: &Group| group.mls().epoch_authenticator().as_slice().to_vec();
        assert_eq!(told(&group), client.initial_epoch_authenticator.0, "{name} {number}");
        let mut tree = group.node().unwrap().tree().unwrap();
        for (n, epoch) in client.epochs.iter().enumerate() {
            assert!(group.phase().is_some());
            for proposal in &epoch.proposals {
                let heard = group.follow_if(&device, &proposal.0, |_| true).unwrap();
                let is_kept = matches!(heard, Received::Proposal | Received::Impostor { .. });
                assert!(is_kept, "{name} {number}: {heard:?}");
                tally.proposals += 1;
            }
            let mut known = Known::default();
            let look = |inspection: &Inspection<'_>| known.look(inspection.commit());
            let heard = group.follow_if(&device, &epoch.commit.0, look).unwrap();
            assert!(matches!(heard, Received::Commit { .. }), "{name} {number}: {heard:?}");
            assert_eq!(told(&group), epoch.epoch_authenticator.0, "{name} {number} {n}");
            tree = known.apply(&tree, &group);
            assert_eq!(tree, group.node().unwrap().tree().unwrap(), "{name} {number} {n}");
            tally.commits += 1;
        }
        tally.clients += 1;
    }
    Some(tally)
}

#[test]
fn welcomes() {
    let Some(tally) = follow("passive-client-welcome") else { return };
    assert_eq!(tally, Tally { clients: 24, other_suites: 32, ..Tally::default() });
}

#[test]
fn commits() {
    let Some(tally) = follow("passive-client-handling-commit") else { return };
    assert_eq!(tally, Tally { clients: 39, commits: 78, proposals: 36, other_suites: 52 });
}

#[test]
fn two_hundred_commits() {
    let Some(tally) = follow("passive-client-random") else { return };
    assert_eq!(tally, Tally { clients: 1, commits: 200, proposals: 1542, other_suites: 0 });
}
