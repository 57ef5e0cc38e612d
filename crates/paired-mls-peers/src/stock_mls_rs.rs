//! A member on mls-rs, with nothing of Paired MLS.

use std::time::Duration;

use mls_rs::{
    CipherSuiteProvider as _, Client, CryptoProvider as _, ExtensionList, Group, MlsMessage,
    client_builder::{
        BaseConfig, MlsConfig, WithCryptoProvider, WithIdentityProvider, WithMlsRules,
    },
    crypto::{SignaturePublicKey, SignatureSecretKey},
    error::MlsError,
    group::ReceivedMessage,
    identity::{
        SigningIdentity,
        basic::{BasicCredential, BasicIdentityProvider},
    },
    mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions},
};
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use paired_mls::{
    CipherSuite, Event,
    conformance::{Content, Framing, Heard, Listener, Member, Refused, Sent},
};

use crate::{SignFn, Stock};

type Config = WithMlsRules<
    DefaultMlsRules,
    WithCryptoProvider<RustCryptoProvider, WithIdentityProvider<BasicIdentityProvider, BaseConfig>>,
>;

/// A member on stock mls-rs.
pub struct StockMlsRs {
    client: Client<Config>,
    suite: mls_rs::CipherSuite,
    secret: SignatureSecretKey,
    public: SignaturePublicKey,
    group: Option<Group<Config>>,
}

fn assert_config<C: MlsConfig>() {}

/// What the directory takes: 84 days, beside the hour into the past that mls-rs adds. Its default is a year.
pub(crate) const LIFETIME: Duration = Duration::from_secs(84 * 24 * 60 * 60);

impl StockMlsRs {
    /// A member outside of any group.
    ///
    /// # Errors
    ///
    /// An mls-rs that does not know the suite.
    pub fn new(suite: CipherSuite, framing: Framing, identity: &str) -> Result<Self, Refused> {
        assert_config::<Config>();
        let suite = mls_rs::CipherSuite::new(suite.code_point());
        let crypto = RustCryptoProvider::default();
        let provider = crypto.cipher_suite_provider(suite).ok_or("mls-rs has no such suite")?;
        let (secret, public) = provider.signature_key_generate()?;
        let credential = BasicCredential::new(identity.into()).into_credential();
        let encrypt = framing == Framing::Private;
        let rules = DefaultMlsRules::new()
            .with_commit_options(
                CommitOptions::new()
                    .with_path_required(true)
                    .with_ratchet_tree_extension(true)
                    .with_single_welcome_message(true)
                    .with_allow_external_commit(true),
            )
            .with_encryption_options(EncryptionOptions::new(encrypt, Default::default()));
        let client = Client::builder()
            .identity_provider(BasicIdentityProvider)
            .crypto_provider(crypto)
            .mls_rules(rules)
            .key_package_lifetime(LIFETIME)
            .signing_identity(
                SigningIdentity::new(credential, public.clone()),
                secret.clone(),
                suite,
            )
            .build();
        Ok(Self { client, suite, secret, public, group: None })
    }

    /// The data of an extension that a member's leaf has.
    ///
    /// # Errors
    ///
    /// A member outside of any group, or a leaf that is blank.
    pub fn leaf_extension(&self, leaf: u32, extension: u16) -> Result<Option<Vec<u8>>, Refused> {
        let group = self.group.as_ref().ok_or("this member is in no group")?;
        let member = group.roster().member_with_index(leaf)?;
        let found =
            member.extensions.iter().find(|found| found.extension_type.raw_value() == extension);
        Ok(found.map(|found| found.extension_data.clone()))
    }

    fn group(&mut self) -> Result<&mut Group<Config>, Refused> {
        Ok(self.group.as_mut().ok_or("this member is in no group")?)
    }
}

impl Listener for StockMlsRs {
    fn epoch(&self) -> u64 {
        self.group.as_ref().map_or(0, Group::current_epoch)
    }

    fn epoch_authenticator(&self) -> Vec<u8> {
        let secret = self.group.as_ref().and_then(|group| group.epoch_authenticator().ok());
        secret.map(|secret| secret.as_bytes().to_vec()).unwrap_or_default()
    }

    fn process(&mut self, message: &[u8]) -> Result<Heard, Refused> {
        let message = MlsMessage::from_bytes(message)?;
        match self.group()?.process_incoming_message(message) {
            Err(MlsError::CantProcessMessageFromSelf) => Ok(Heard::Own),
            processed => heard(processed),
        }
    }
}

/// What mls-rs has made of a message.
pub(crate) fn heard(processed: Result<ReceivedMessage, MlsError>) -> Result<Heard, Refused> {
    match processed? {
        ReceivedMessage::ApplicationMessage(message) => {
            Ok(Heard::Application(message.data().to_vec()))
        }
        ReceivedMessage::Commit(_) => Ok(Heard::Commit { events: Vec::new(), heal: None }),
        ReceivedMessage::Proposal(_) => Ok(Heard::Proposal),
        other => Err(format!("mls-rs heard {other:?}").into()),
    }
}

impl Member for StockMlsRs {
    fn key_package(&mut self) -> Result<Vec<u8>, Refused> {
        let message = self.client.generate_key_package_message(
            ExtensionList::default(),
            ExtensionList::default(),
            None,
        )?;
        Ok(message.to_bytes()?)
    }

    fn create(&mut self, group_id: &[u8]) -> Result<(), Refused> {
        self.group = Some(self.client.create_group_with_id(
            group_id.to_vec(),
            ExtensionList::default(),
            ExtensionList::default(),
            None,
        )?);
        Ok(())
    }

    fn join(&mut self, welcome: &[u8]) -> Result<(), Refused> {
        let welcome = MlsMessage::from_bytes(welcome)?;
        let (group, _) = self.client.join_group(None, &welcome, None)?;
        self.group = Some(group);
        Ok(())
    }

    fn commit(&mut self, content: &Content) -> Result<Sent, Refused> {
        let mut builder = self.group()?.commit_builder();
        for key_package in &content.adds {
            builder = builder.add_member(MlsMessage::from_bytes(key_package)?)?;
        }
        for leaf in &content.removes {
            builder = builder.remove_member(leaf.value())?;
        }
        let output = builder.build()?;
        Ok(Sent {
            commit: output.commit_message.to_bytes()?,
            welcome: output.welcome_messages.first().map(MlsMessage::to_bytes).transpose()?,
            refresh: None,
            group_info: (output.external_commit_group_info.as_ref())
                .map(MlsMessage::to_bytes)
                .transpose()?,
            notify: None,
        })
    }

    fn confirm(&mut self) -> Result<Vec<Event>, Refused> {
        self.group()?.apply_pending_commit()?;
        Ok(Vec::new())
    }

    fn discard(&mut self) -> Result<(), Refused> {
        self.group()?.clear_pending_commit();
        Ok(())
    }

    fn send(&mut self, message: &[u8]) -> Result<Vec<u8>, Refused> {
        let message = self.group()?.encrypt_application_message(message, Vec::new())?;
        Ok(message.to_bytes()?)
    }

    fn leave(&mut self) -> Result<Vec<u8>, Refused> {
        let group = self.group()?;
        let own = group.current_member_index();
        Ok(group.propose_remove(own, Vec::new())?.to_bytes()?)
    }
}

impl Stock for StockMlsRs {
    fn signature_key(&self) -> Vec<u8> {
        self.public.to_vec()
    }

    fn signer(&self) -> SignFn {
        let (suite, secret) = (self.suite, self.secret.clone());
        Box::new(move |message| {
            let crypto = RustCryptoProvider::default();
            let provider = crypto.cipher_suite_provider(suite).ok_or("mls-rs has the suite")?;
            Ok(provider.sign(&secret, message)?)
        })
    }

    fn ratchet_tree(&self) -> Result<Vec<u8>, Refused> {
        let group = self.group.as_ref().ok_or("this member is in no group")?;
        Ok(group.export_tree().to_bytes()?)
    }
}
