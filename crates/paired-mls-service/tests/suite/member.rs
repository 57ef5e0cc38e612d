//! A member of a real group, on stock OpenMLS, whose leaf has the key of a registered device.

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CommitMessageBundle, CredentialWithKey, KeyPackage,
    KeyPackageIn, LeafNodeIndex, LeafNodeParameters, Lifetime, MlsGroup, MlsGroupCreateConfig,
    MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn, PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
    ProtocolVersion, StagedWelcome, WireFormatPolicy, tls_codec::DeserializeBytes as _,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::{OpenMlsProvider as _, types::SignatureScheme};
use paired_mls_api::{GroupId, PublishCommit, RequestKey as _, RosterChange, WelcomeFor};

use crate::{device::Device, messages::*};

pub(crate) const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// Whether a GroupInfo brings the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    Within,
    Apart,
}

/// A member.
pub(crate) struct Member {
    pub(crate) provider: OpenMlsRustCrypto,
    pub(crate) signer: SignatureKeyPair,
    pub(crate) credential: CredentialWithKey,
    pub(crate) group: Option<MlsGroup>,
}

/// What a member has made.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) commit: Vec<u8>,
    pub(crate) welcome: Option<Vec<u8>>,
    pub(crate) group_info: Option<Vec<u8>>,
}

impl Made {
    fn of(bundle: CommitMessageBundle) -> Self {
        let (commit, welcome, group_info) = bundle.into_messages();
        Self {
            commit: commit.to_bytes().unwrap(),
            welcome: welcome.map(|welcome| welcome.to_bytes().unwrap()),
            group_info: group_info.map(|info| info.to_bytes().unwrap()),
        }
    }

    /// The request to publish it, with its GroupInfo, and its Welcome for these devices.
    pub(crate) fn publish(&self, welcomed: &[&Device]) -> PublishCommit {
        let envelope = self.welcome.as_deref().filter(|_| !welcomed.is_empty()).map(envelope);
        let recipients = || welcomed.iter().map(|device| device.id.clone()).collect();
        let welcome = |envelope| WelcomeFor { recipients: recipients(), envelope };
        PublishCommit {
            commit: self.commit.clone().into(),
            account_envelope: cover(&self.commit),
            welcomes: envelope.map(welcome).into_iter().collect(),
            envelopes: Vec::new(),
            group_info: self.group_info.clone().map(Into::into),
            roster: RosterChange::default(),
        }
    }
}

fn parse(message: &[u8]) -> MlsMessageIn {
    MlsMessageIn::tls_deserialize_exact_bytes(message).unwrap()
}

fn create_config(tree: Tree, framing: WireFormatPolicy) -> MlsGroupCreateConfig {
    MlsGroupCreateConfig::builder()
        .ciphersuite(SUITE)
        .use_ratchet_tree_extension(tree == Tree::Within)
        .wire_format_policy(framing)
        .build()
}

fn join_config(tree: Tree) -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .use_ratchet_tree_extension(tree == Tree::Within)
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .build()
}

impl Member {
    /// A member with the key of a device, and its user as identity.
    pub(crate) fn of(device: &Device) -> Self {
        Self::named(device, device.user.as_bytes())
    }

    /// The same under another identity.
    pub(crate) fn named(device: &Device, identity: &[u8]) -> Self {
        let (private, public) = (device.key.to_bytes().to_vec(), device.public_key());
        let signer = SignatureKeyPair::from_raw(SignatureScheme::ED25519, private, public.clone());
        let credential = BasicCredential::new(identity.to_vec()).into();
        let credential = CredentialWithKey { credential, signature_key: public.into() };
        Self { provider: OpenMlsRustCrypto::default(), signer, credential, group: None }
    }

    /// The same in a leaf with several signature keys.
    pub(crate) fn sharing(device: &Device, keys: Vec<u8>) -> Self {
        let mut member = Self::of(device);
        member.credential.signature_key = keys.into();
        member
    }

    /// The only member of a group with handshakes in the clear.
    pub(crate) fn founder(device: &Device, group: &GroupId, tree: Tree) -> Self {
        Self::of(device).found(group, create_config(tree, PURE_PLAINTEXT_WIRE_FORMAT_POLICY))
    }

    fn found(mut self, group: &GroupId, config: MlsGroupCreateConfig) -> Self {
        let id = openmls::prelude::GroupId::from_slice(group.as_bytes());
        let (signer, credential) = (&self.signer, self.credential.clone());
        let created =
            MlsGroup::new_with_group_id(&self.provider, signer, &config, id, credential).unwrap();
        self.group = Some(created);
        self
    }

    pub(crate) fn mls(&self) -> &MlsGroup {
        self.group.as_ref().unwrap()
    }

    pub(crate) fn key_package(&self) -> KeyPackage {
        self.key_package_for(Lifetime::default())
    }

    pub(crate) fn key_package_for(&self, lifetime: Lifetime) -> KeyPackage {
        let builder = KeyPackage::builder().key_package_lifetime(lifetime);
        let builder = builder.leaf_node_capabilities(Capabilities::default());
        let credential = self.credential.clone();
        let bundle = builder.build(SUITE, &self.provider, &self.signer, credential).unwrap();
        bundle.key_package().clone()
    }

    /// The GroupInfo of the current epoch.
    pub(crate) fn group_info(&self, tree: Tree) -> Vec<u8> {
        let crypto = self.provider.crypto();
        let exported = self.mls().export_group_info(crypto, &self.signer, tree == Tree::Within);
        exported.unwrap().to_bytes().unwrap()
    }

    /// A commit that is not followed yet.
    pub(crate) fn commit(&mut self, adds: &[KeyPackage], removes: &[u32]) -> Made {
        let (provider, signer) = (&self.provider, &self.signer);
        let removes = removes.iter().map(|leaf| LeafNodeIndex::new(*leaf));
        let bundle = (self.group.as_mut().unwrap().commit_builder())
            .propose_adds(adds.to_vec())
            .propose_removals(removes)
            .force_self_update(true)
            .load_psks(provider.storage())
            .unwrap()
            .build(provider.rand(), provider.crypto(), signer, |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        Made::of(bundle)
    }

    /// A commit that takes another identity for the own leaf.
    pub(crate) fn commit_as(&mut self, identity: &[u8]) -> Made {
        let (provider, signer) = (&self.provider, &self.signer);
        let credential = BasicCredential::new(identity.to_vec()).into();
        let credential =
            CredentialWithKey { credential, signature_key: self.signer.to_public_vec().into() };
        let leaf = LeafNodeParameters::builder().with_credential_with_key(credential).build();
        let bundle = (self.group.as_mut().unwrap().commit_builder())
            .leaf_node_parameters(leaf)
            .force_self_update(true)
            .load_psks(provider.storage())
            .unwrap()
            .build(provider.rand(), provider.crypto(), signer, |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        Made::of(bundle)
    }

    pub(crate) fn merge(&mut self) {
        self.group.as_mut().unwrap().merge_pending_commit(&self.provider).unwrap();
    }

    pub(crate) fn discard(&mut self) {
        self.group.as_mut().unwrap().clear_pending_commit(self.provider.storage()).unwrap();
    }

    /// Joins by a Welcome.
    pub(crate) fn join(&mut self, welcome: &[u8], tree: &MlsGroup) {
        let MlsMessageBodyIn::Welcome(welcome) = parse(welcome).extract() else { panic!("other") };
        let config = join_config(Tree::Within);
        let tree = Some(tree.export_ratchet_tree().into());
        let staged = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, tree);
        self.group = Some(staged.unwrap().into_group(&self.provider).unwrap());
    }

    /// Comes from outside, by a commit that it has merged. A leaf with its key goes.
    pub(crate) fn come(&mut self, group_info: &[u8]) -> Made {
        let MlsMessageBodyIn::GroupInfo(info) = parse(group_info).extract() else {
            panic!("this is no GroupInfo")
        };
        let (provider, signer) = (&self.provider, &self.signer);
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_config(join_config(Tree::Within))
            .skip_lifetime_validation()
            .build_group(provider, info, self.credential.clone())
            .unwrap()
            .load_psks(provider.storage())
            .unwrap()
            .build(provider.rand(), provider.crypto(), signer, |_| true)
            .unwrap()
            .finalize(provider)
            .unwrap();
        self.group = Some(group);
        Made::of(bundle)
    }

    /// Follows a commit of another one.
    pub(crate) fn follow(&mut self, commit: &[u8]) {
        let message = parse(commit).try_into_protocol_message().unwrap();
        let group = self.group.as_mut().unwrap();
        let processed = group.process_message(&self.provider, message).unwrap();
        let openmls::prelude::ProcessedMessageContent::StagedCommitMessage(staged) =
            processed.into_content()
        else {
            panic!("this is no commit")
        };
        group.merge_staged_commit(&self.provider, *staged).unwrap();
    }

    /// A proposal to remove the member at a leaf.
    pub(crate) fn propose_removal(&mut self, leaf: u32) -> Vec<u8> {
        let group = self.group.as_mut().unwrap();
        let leaf = LeafNodeIndex::new(leaf);
        let (proposal, _) =
            group.propose_remove_member(&self.provider, &self.signer, leaf).unwrap();
        proposal.to_bytes().unwrap()
    }

    /// An Update proposal under an identity.
    pub(crate) fn propose_update(&mut self, identity: &[u8]) -> Vec<u8> {
        let credential = BasicCredential::new(identity.to_vec()).into();
        let credential =
            CredentialWithKey { credential, signature_key: self.signer.to_public_vec().into() };
        let leaf = LeafNodeParameters::builder().with_credential_with_key(credential).build();
        let group = self.group.as_mut().unwrap();
        let (proposal, _) = group.propose_self_update(&self.provider, &self.signer, leaf).unwrap();
        proposal.to_bytes().unwrap()
    }

    /// A proposal to add somebody.
    pub(crate) fn propose_add(&mut self, key_package: &KeyPackage) -> Vec<u8> {
        let group = self.group.as_mut().unwrap();
        let (proposal, _) =
            group.propose_add_member(&self.provider, &self.signer, key_package).unwrap();
        proposal.to_bytes().unwrap()
    }
}

/// Whether a member of a group on stock OpenMLS could add a KeyPackage.
pub(crate) fn can_add(message: &[u8]) -> bool {
    let MlsMessageBodyIn::KeyPackage(key_package) = parse(message).extract() else { return false };
    let group = GroupId::new(*b"somewhere").unwrap();
    let mut member = Member::founder(&Device::new("member"), &group, Tree::Within);
    let crypto = member.provider.crypto();
    let Ok(key_package) = KeyPackageIn::validate(key_package, crypto, ProtocolVersion::Mls10)
    else {
        return false;
    };
    let (provider, signer) = (&member.provider, &member.signer);
    let mls = member.group.as_mut().unwrap();
    mls.add_members(provider, signer, &[key_package]).is_ok()
}
