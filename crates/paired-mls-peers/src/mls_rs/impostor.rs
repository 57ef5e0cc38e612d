//! Somebody with a copy of the MLS state of a device on mls-rs, who acts in its name, on stock mls-rs.

use mls_rs::{
    CipherSuiteProvider as _, CryptoProvider as _, ExtensionList, Group, MlsMessage,
    crypto::{SignaturePublicKey, SignatureSecretKey},
    group::CommitOutput,
    identity::{SigningIdentity, basic::BasicCredential},
};
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use paired_mls::{
    CipherSuite, Event,
    conformance::{Content, Framing, Heard, Impostor, Listener, Member, Refused, Sent},
    pairing::SignatureKeyPair,
};
use paired_mls_mls_rs::{MemoryState, Who};

use super::stolen::{Stolen, StolenConfig};
use crate::stock_mls_rs::heard;

/// The impostor.
pub(crate) struct MlsRsImpostor {
    stolen: Stolen<RustCryptoProvider>,
    suite: mls_rs::CipherSuite,
    name: Vec<u8>,
}

impl MlsRsImpostor {
    /// Whoever is in this group by the stolen state, as `who` says, and signs with `pair`.
    pub(super) fn new(
        state: &MemoryState,
        group_id: &[u8],
        setting: (CipherSuite, Framing),
        who: &Who,
        pair: &SignatureKeyPair,
    ) -> Result<Self, Refused> {
        let key = SignatureSecretKey::new_slice(pair.private_key.expose());
        // Whatever key he signs with, his leaf says that it is the device's.
        let identity = identity(&who.identity, who.signature_key.clone().into());
        let crypto = RustCryptoProvider::default();
        let stolen = Stolen::load(state, group_id, setting, identity, key, crypto)?;
        let suite = mls_rs::CipherSuite::new(setting.0.code_point());
        Ok(Self { stolen, suite, name: who.identity.clone() })
    }

    fn group(&mut self) -> &mut Group<StolenConfig<RustCryptoProvider>> {
        &mut self.stolen.group
    }
}

fn identity(name: &[u8], signature_key: SignaturePublicKey) -> SigningIdentity {
    SigningIdentity::new(BasicCredential::new(name.to_vec()).into_credential(), signature_key)
}

fn sent(output: &CommitOutput) -> Result<Sent, Refused> {
    Ok(Sent {
        commit: output.commit_message().to_bytes()?,
        welcome: output.welcome_messages().first().map(MlsMessage::to_bytes).transpose()?,
        refresh: None,
        group_info: (output.external_commit_group_info()).map(MlsMessage::to_bytes).transpose()?,
        notify: None,
    })
}

impl Listener for MlsRsImpostor {
    fn epoch(&self) -> u64 {
        self.stolen.group.current_epoch()
    }

    fn epoch_authenticator(&self) -> Vec<u8> {
        let secret = self.stolen.group.epoch_authenticator().ok();
        secret.map(|secret| secret.as_bytes().to_vec()).unwrap_or_default()
    }

    fn process(&mut self, message: &[u8]) -> Result<Heard, Refused> {
        let message = MlsMessage::from_bytes(message)?;
        heard(self.group().process_incoming_message(message))
    }
}

impl Member for MlsRsImpostor {
    fn key_package(&mut self) -> Result<Vec<u8>, Refused> {
        let (of_package, of_leaf) = (ExtensionList::default(), ExtensionList::default());
        let made = self.stolen.client.generate_key_package_message(of_package, of_leaf, None)?;
        Ok(made.to_bytes()?)
    }

    fn create(&mut self, group_id: &[u8]) -> Result<(), Refused> {
        let (of_group, of_leaf) = (ExtensionList::default(), ExtensionList::default());
        let client = &self.stolen.client;
        let group = client.create_group_with_id(group_id.to_vec(), of_group, of_leaf, None)?;
        self.stolen.group = group;
        Ok(())
    }

    fn join(&mut self, welcome: &[u8]) -> Result<(), Refused> {
        let welcome = MlsMessage::from_bytes(welcome)?;
        self.stolen.group = self.stolen.client.join_group(None, &welcome, None)?.0;
        Ok(())
    }

    fn commit(&mut self, content: &Content) -> Result<Sent, Refused> {
        let mut builder = self.group().commit_builder();
        for key_package in &content.adds {
            builder = builder.add_member(MlsMessage::from_bytes(key_package)?)?;
        }
        for leaf in &content.removes {
            builder = builder.remove_member(leaf.value())?;
        }
        sent(&builder.build()?)
    }

    fn confirm(&mut self) -> Result<Vec<Event>, Refused> {
        self.group().apply_pending_commit()?;
        Ok(Vec::new())
    }

    fn discard(&mut self) -> Result<(), Refused> {
        self.group().clear_pending_commit();
        Ok(())
    }

    fn send(&mut self, message: &[u8]) -> Result<Vec<u8>, Refused> {
        let sent = self.group().encrypt_application_message(message, Vec::new())?;
        Ok(sent.to_bytes()?)
    }

    fn leave(&mut self) -> Result<Vec<u8>, Refused> {
        let own = self.group().current_member_index();
        Ok(self.group().propose_remove(own, Vec::new())?.to_bytes()?)
    }
}

impl Impostor for MlsRsImpostor {
    fn propose_update(&mut self) -> Result<Vec<u8>, Refused> {
        Ok(self.group().propose_update(Vec::new())?.to_bytes()?)
    }

    fn commit_with_new_key(&mut self) -> Result<Vec<u8>, Refused> {
        let provider = RustCryptoProvider::default().cipher_suite_provider(self.suite);
        let (secret, public) = provider.ok_or("a known suite")?.signature_key_generate()?;
        let identity = identity(&self.name, public);
        let builder = self.group().commit_builder().set_new_signing_identity(secret, identity);
        Ok(builder.build()?.commit_message().to_bytes()?)
    }

    fn commit_without_path(&mut self, key_package: &[u8]) -> Result<Vec<u8>, Refused> {
        let key_package = MlsMessage::from_bytes(key_package)?;
        let output = self.group().commit_builder().add_member(key_package)?.build()?;
        if output.contains_update_path {
            return Err("mls-rs made a path that nothing demands".into());
        }
        Ok(output.commit_message().to_bytes()?)
    }

    fn enter(&mut self, group_info: &[u8]) -> Result<Vec<u8>, Refused> {
        let info = MlsMessage::from_bytes(group_info)?;
        let own = self.group().current_member_index();
        let builder = self.stolen.client.external_commit_builder()?.with_removal(own);
        let (group, commit) = builder.build(info)?;
        self.stolen.group = group;
        Ok(commit.to_bytes()?)
    }

    fn invite(&mut self, group_id: &[u8], key_package: &[u8]) -> Result<Vec<u8>, Refused> {
        self.create(group_id)?;
        let adds = vec![key_package.to_vec()];
        let sent = self.commit(&Content { adds, ..Content::default() })?;
        self.confirm()?;
        Ok(sent.welcome.ok_or("the commit that adds has no Welcome")?)
    }
}
