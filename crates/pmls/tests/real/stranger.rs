//! Somebody with an account at the service and a client of his own.

use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    OpenMlsProvider as _,
    crypto::OpenMlsCrypto as _,
    signatures::{Signer, SignerError},
    types::SignatureScheme as MlsScheme,
};
use paired_mls::{CipherSuite, pairing::SignatureKeyPair};
use paired_mls_api::{
    Access, CreateGroup, DeviceId, Envelope, GroupId, PublishCommit, RegisterDevice, RequestKey,
    RosterChange, SignatureScheme, UserId, WelcomeFor,
};
use paired_mls_client::{Client, Publication, Server};
use paired_mls_openmls::{
    MemoryProvider, generate_signature_key,
    openmls::{
        group::CommitMessageBundle,
        prelude::{
            BasicCredential, Ciphersuite, CredentialWithKey, GroupId as MlsGroupId, KeyPackageIn,
            MlsGroup, MlsGroupCreateConfig, MlsMessageBodyIn, MlsMessageIn,
            PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProtocolVersion, tls_codec::DeserializeBytes as _,
        },
    },
};
use tokio::runtime::{Builder, Runtime};

use crate::world::Device;

pub(crate) const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// A key in memory.
pub(crate) struct Key(SignatureKeyPair);

impl RequestKey for Key {
    type Error = std::io::Error;

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::Ed25519
    }

    fn public_key(&self) -> Vec<u8> {
        self.0.public_key.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Self::Error> {
        let crypto = RustCrypto::default();
        Ok(crypto.sign(MlsScheme::ED25519, message, self.0.private_key.expose()).unwrap())
    }
}

/// A signature key, for MLS.
pub(crate) struct MlsKey(Vec<u8>);

impl Signer for MlsKey {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        let signed = RustCrypto::default().sign(self.signature_scheme(), payload, &self.0);
        signed.map_err(|_| SignerError::SigningError)
    }

    fn signature_scheme(&self) -> MlsScheme {
        MlsScheme::ED25519
    }
}

/// A group of a stranger, on stock OpenMLS.
pub(crate) struct Hosted {
    provider: MemoryProvider<RustCrypto>,
    mls: MlsGroup,
    pub(crate) group: GroupId,
}

/// A registered stranger.
pub(crate) struct Stranger {
    pub(crate) client: Client<Key>,
    pub(crate) runtime: Runtime,
    pub(crate) user: String,
    /// Private and public.
    pub(crate) key: (Vec<u8>, Vec<u8>),
}

impl Stranger {
    pub(crate) fn new(service: &str, user: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let suite = CipherSuite::X25519Aes128;
        let key = Key(generate_signature_key(&RustCrypto::default(), suite).unwrap());
        let copy = (key.0.private_key.expose().to_vec(), key.public_key());
        let register = RegisterDevice {
            user: UserId::new(user).unwrap(),
            scheme: key.scheme(),
            signature_key: key.public_key().into(),
        };
        let client = Client::new(Server::new(service).unwrap(), key).unwrap();
        runtime.block_on(client.register(&register)).unwrap();
        Self { client, runtime, user: user.to_owned(), key: copy }
    }

    /// Puts something into a mailbox.
    pub(crate) fn post(&self, to: &str, content: &[u8]) {
        let to: DeviceId = to.parse().unwrap();
        let envelope = Envelope::seal(content).unwrap();
        self.runtime.block_on(self.client.post(&to, &envelope)).unwrap();
    }

    /// What signs for it in groups.
    pub(crate) fn signer(&self) -> MlsKey {
        MlsKey(self.key.0.clone())
    }

    /// What its leaf says of it.
    pub(crate) fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.user.clone().into_bytes()).into(),
            signature_key: self.key.1.clone().into(),
        }
    }

    /// Makes a group of its own, and puts the devices of these users into it.
    pub(crate) fn put_into_group(&self, devices: &[(&str, &Device)]) -> Hosted {
        let provider = MemoryProvider::new(RustCrypto::default());
        let random = RustCrypto::default().signature_key_gen(MlsScheme::ED25519).unwrap().1;
        let group = UserId::new(self.user.as_str()).unwrap();
        let group = GroupId::of_creator(&group, random[..16].try_into().unwrap());
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .use_ratchet_tree_extension(true)
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .build();
        let id = MlsGroupId::from_slice(group.as_bytes());
        let (signer, credential) = (self.signer(), self.credential());
        let mls = MlsGroup::new_with_group_id(&provider, &signer, &config, id, credential).unwrap();
        let create = CreateGroup {
            group: group.clone(),
            epoch: 0,
            access: Access::Roster,
            group_info: None,
        };
        self.runtime.block_on(self.client.create_group(&create)).unwrap();
        let mut hosted = Hosted { provider, mls, group };
        let packages: Vec<_> = devices.iter().map(|(_, device)| self.claim(&device.id())).collect();
        let packages = packages.iter().map(|package| {
            let message = MlsMessageIn::tls_deserialize_exact_bytes(package).unwrap();
            let MlsMessageBodyIn::KeyPackage(package) = message.extract() else {
                panic!("this is no KeyPackage");
            };
            KeyPackageIn::validate(package, hosted.provider.crypto(), ProtocolVersion::Mls10)
        });
        let packages: Vec<_> = packages.collect::<Result<_, _>>().unwrap();
        let bundle = hosted
            .mls
            .commit_builder()
            .propose_adds(packages)
            .load_psks(hosted.provider.storage())
            .unwrap()
            .build(hosted.provider.rand(), hosted.provider.crypto(), &signer, |_| true)
            .unwrap()
            .stage_commit(&hosted.provider)
            .unwrap();
        let welcome = bundle.to_welcome_msg().unwrap().to_bytes().unwrap();
        let recipients = devices.iter().map(|(_, device)| device.id().parse().unwrap()).collect();
        let envelope = Envelope::seal(&welcome).unwrap().into_bytes().into();
        let add = devices.iter().map(|(user, _)| UserId::new(*user).unwrap()).collect();
        let roster = RosterChange { add, remove: Vec::new() };
        self.publish(&mut hosted, &bundle, vec![WelcomeFor { recipients, envelope }], roster);
        hosted
    }

    /// Takes everybody else out of a group again.
    pub(crate) fn empty(&self, hosted: &mut Hosted, users: &[&str]) {
        let own = hosted.mls.own_leaf_index();
        let others = hosted.mls.members().map(|member| member.index).filter(|at| *at != own);
        let others: Vec<_> = others.collect();
        let signer = self.signer();
        let bundle = hosted
            .mls
            .commit_builder()
            .propose_removals(others)
            .load_psks(hosted.provider.storage())
            .unwrap()
            .build(hosted.provider.rand(), hosted.provider.crypto(), &signer, |_| true)
            .unwrap()
            .stage_commit(&hosted.provider)
            .unwrap();
        let remove = users.iter().map(|user| UserId::new(*user).unwrap()).collect();
        let roster = RosterChange { add: Vec::new(), remove };
        self.publish(hosted, &bundle, Vec::new(), roster);
    }

    fn publish(
        &self,
        hosted: &mut Hosted,
        bundle: &CommitMessageBundle,
        welcomes: Vec<WelcomeFor>,
        roster: RosterChange,
    ) {
        let commit = bundle.commit().to_bytes().unwrap();
        let cover = Envelope::cover(&commit, |random| random.fill(7)).unwrap();
        let commit = PublishCommit {
            commit: commit.into(),
            account_envelope: cover.into_bytes().into(),
            welcomes,
            envelopes: Vec::new(),
            group_info: None,
            roster,
        };
        let published = self.client.publish_commit(&hosted.group, &commit);
        let published = self.runtime.block_on(published).unwrap();
        assert!(matches!(published, Publication::Accepted(_)));
        hosted.mls.merge_pending_commit(&hosted.provider).unwrap();
    }

    /// Claims a KeyPackage of a device.
    pub(crate) fn claim(&self, device: &str) -> Vec<u8> {
        let device: DeviceId = device.parse().unwrap();
        self.runtime.block_on(self.client.claim(&device, 1)).unwrap().unwrap()
    }
}
