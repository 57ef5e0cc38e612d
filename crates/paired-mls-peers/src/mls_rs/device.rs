//! A device with the adapter for mls-rs.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use paired_mls::{
    CipherSuite, DeviceId, EpochSecurity, Event, Freshness, HealPolicy, Pairing, PairingId, Secret,
    Vault,
    anchor::{LeafIndex, Tree},
    conformance::{
        Content, Framing, Heard, Listener, Member, PairedMember, Refused, Sent, Sign, Signs,
        liar::Knowing,
    },
    group::{
        PinFirstSeen,
        credential::{Identity, Strictness},
    },
    pairing::SignatureKeyPair,
    vault::MemoryStorage,
    wire::{Credential, Node},
};
use paired_mls_mls_rs::{
    Clock as _, Device, Group, Handshakes, MemoryState, Outgoing, Received, Signer as _,
    SystemClock, VaultSigner, Who, generate_signature_key,
};

use super::{MlsRsImpostor, state::TestState};

type TestDevice = Device<RustCryptoProvider>;
type TestGroup = Group<RustCryptoProvider>;

/// A device with the adapter for mls-rs, in memory, on its RustCrypto provider.
pub struct MlsRsDevice {
    device: TestDevice,
    parts: Parts,
    state: TestState,
    group: Option<TestGroup>,
    heard_from: Option<Identity>,
}

/// What a device is made of besides its MLS state.
#[derive(Clone)]
struct Parts {
    framing: Framing,
    who: Who,
    vault: MemoryStorage,
    strictness: Strictness,
    /// How many seconds the device's clock is ahead of the system's.
    ahead: Arc<AtomicU64>,
}

impl MlsRsDevice {
    /// A device with a fresh signature key and a vault that holds nothing else, outside of any group.
    ///
    /// # Errors
    ///
    /// A suite that the crypto provider does not know.
    pub fn new(suite: CipherSuite, framing: Framing, identity: &str) -> Result<Self, Refused> {
        let pair = generate_signature_key(&RustCryptoProvider::default(), suite)?;
        let vault = MemoryStorage::new();
        Vault::new(vault.clone()).store_signature_key(&pair)?;
        let who = Who { suite, identity: identity.into(), signature_key: pair.public_key };
        let (strictness, ahead) = (Strictness::default(), Arc::default());
        let parts = Parts { framing, who, vault, strictness, ahead };
        Self::assemble(parts, TestState::default(), None)
    }

    /// The group.
    ///
    /// # Errors
    ///
    /// A device outside of any group.
    pub fn group(&self) -> Result<&TestGroup, Refused> {
        Ok(self.group.as_ref().ok_or("this device is in no group")?)
    }

    /// A copy of its MLS state: what lies on the device's disk, the vault apart.
    pub fn stolen(&self) -> MemoryState {
        self.state.inner.steal()
    }

    pub(super) fn suite(&self) -> CipherSuite {
        self.parts.who.suite
    }

    pub(super) fn framing(&self) -> Framing {
        self.parts.framing
    }

    pub(super) fn group_id(&self) -> Option<&[u8]> {
        self.group.as_ref().map(Group::group_id)
    }

    /// The public keys of all nodes and leaves of the ratchet tree.
    pub(super) fn public_keys(&self) -> Result<BTreeSet<Vec<u8>>, Refused> {
        let tree = self.group()?.ratchet_tree()?;
        let keys = tree.nodes().iter().flatten().map(|node| match node {
            Node::Leaf(leaf) => leaf.encryption_key().to_vec(),
            Node::Parent(parent) => parent.encryption_key().to_vec(),
        });
        Ok(keys.collect())
    }

    /// The public key of its leaf.
    pub(super) fn own_leaf_key(&self) -> Result<Vec<u8>, Refused> {
        let group = self.group()?;
        let tree = group.ratchet_tree()?;
        let own = tree.leaf(group.own_leaf().value()).ok_or("a member has a leaf")?;
        Ok(own.encryption_key().to_vec())
    }

    /// Somebody with a copy of this device's MLS state, who acts in its name.
    pub(super) fn impostor(&self, signs: Signs) -> Result<MlsRsImpostor, Refused> {
        let crypto = RustCryptoProvider::default();
        let stolen = |pair: &SignatureKeyPair| copy_of(pair);
        let pair = match signs {
            Signs::Stolen => {
                self.vault().with_signature_key(stolen)?.ok_or("a device has a key")?
            }
            Signs::Other => generate_signature_key(&crypto, self.suite())?,
        };
        let group_id = self.group_id().ok_or("this device is in no group")?;
        let setting = (self.suite(), self.parts.framing);
        MlsRsImpostor::new(&self.stolen(), group_id, setting, &self.parts.who, &pair)
    }

    /// The same device a second time, with copies of its MLS state and of the vault of `vault_of`.
    pub(super) fn copy(&self, vault_of: &Self) -> Result<Self, Refused> {
        let parts = Parts { vault: vault_of.parts.vault.steal(), ..self.parts.clone() };
        Self::assemble(parts, TestState::of(self.stolen()), self.group_id())
    }

    fn assemble(parts: Parts, state: TestState, group_id: Option<&[u8]>) -> Result<Self, Refused> {
        let vault = Vault::new(parts.vault.clone());
        let signer = signer(&vault, parts.who.suite)?;
        let policy = PinFirstSeen::new(vault.clone(), parts.strictness);
        let ahead = Arc::clone(&parts.ahead);
        let clock = move || SystemClock.now().saturating_add(ahead.load(Ordering::Relaxed));
        let handshakes = match parts.framing {
            Framing::Public => Handshakes::Public,
            Framing::Private => Handshakes::Encrypted,
        };
        let (crypto, who) = (RustCryptoProvider::default(), parts.who.clone());
        let device = Device::new(crypto, state.clone(), vault, signer, who, policy)?
            .with_clock(clock)
            .with_handshakes(handshakes);
        let group = group_id.map(|id| Group::load(&device, id)).transpose()?;
        Ok(Self { device, parts, state, group, heard_from: None })
    }

    fn with_group<T>(
        &mut self,
        call: impl FnOnce(&mut TestGroup, &TestDevice) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        call(self.group.as_mut().ok_or("this device is in no group")?, &self.device)
    }
}

fn copy_of(pair: &SignatureKeyPair) -> SignatureKeyPair {
    let private_key = Secret::copy_of(pair.private_key.expose());
    SignatureKeyPair { public_key: pair.public_key.clone(), private_key }
}

fn signer(vault: &Vault, suite: CipherSuite) -> Result<VaultSigner<RustCryptoProvider>, Refused> {
    Ok(VaultSigner::new(RustCryptoProvider::default(), vault.clone(), suite)?)
}

fn sent(outgoing: Outgoing) -> Sent {
    let Outgoing { commit, welcome, refresh, group_info, notify, .. } = outgoing;
    Sent { commit, welcome, refresh, group_info, notify }
}

impl Listener for MlsRsDevice {
    fn epoch(&self) -> u64 {
        self.group.as_ref().map_or(0, Group::epoch)
    }

    fn epoch_authenticator(&self) -> Vec<u8> {
        let group = self.group.as_ref();
        group.and_then(|group| group.epoch_authenticator().ok()).unwrap_or_default()
    }

    fn process(&mut self, message: &[u8]) -> Result<Heard, Refused> {
        match self.with_group(|group, device| Ok(group.process(device, message)?))? {
            Received::Application { identity, message, .. } => {
                self.heard_from = Some(identity);
                Ok(Heard::Application(message))
            }
            Received::Proposal => Ok(Heard::Proposal),
            Received::Commit { events, heal } => Ok(Heard::Commit { events, heal: heal.map(sent) }),
            Received::Impostor { events, heal } => {
                Ok(Heard::Impostor { events, heal: heal.map(sent) })
            }
            _ => Ok(Heard::Own),
        }
    }
}

impl Member for MlsRsDevice {
    fn key_package(&mut self) -> Result<Vec<u8>, Refused> {
        Ok(self.device.key_package()?)
    }

    fn create(&mut self, group_id: &[u8]) -> Result<(), Refused> {
        self.group = Some(Group::create(&self.device, group_id)?);
        Ok(())
    }

    fn join(&mut self, welcome: &[u8]) -> Result<(), Refused> {
        self.group = Some(Group::join(&self.device, welcome)?);
        Ok(())
    }

    fn commit(&mut self, content: &Content) -> Result<Sent, Refused> {
        let asked = paired_mls_mls_rs::Content::new()
            .adds(content.adds.iter().cloned())
            .removes(content.removes.iter().copied());
        self.with_group(|group, device| Ok(sent(group.commit(device, asked)?)))
    }

    fn confirm(&mut self) -> Result<Vec<Event>, Refused> {
        self.with_group(|group, device| Ok(group.confirm(device)?))
    }

    fn discard(&mut self) -> Result<(), Refused> {
        self.with_group(|group, device| Ok(group.discard(device)?))
    }

    fn send(&mut self, message: &[u8]) -> Result<Vec<u8>, Refused> {
        self.with_group(|group, device| Ok(group.send(device, message)?))
    }

    fn leave(&mut self) -> Result<Vec<u8>, Refused> {
        self.with_group(|group, device| Ok(group.leave(device)?))
    }
}

impl Knowing for MlsRsDevice {
    fn members(&self) -> Vec<(LeafIndex, Identity)> {
        let members = self.group.as_ref().and_then(|group| group.members(&self.device).ok());
        let members = members.unwrap_or_default().into_iter();
        members.map(|member| (member.leaf, member.identity)).collect()
    }

    fn key_of(&self, leaf: LeafIndex) -> Result<Vec<u8>, Refused> {
        let members = self.group()?.members(&self.device)?;
        let member = members.into_iter().find(|member| member.leaf == leaf);
        let keys = member.ok_or("nobody is at that leaf")?.signature_keys;
        Ok(keys.into_iter().next().ok_or("a leaf has a key")?)
    }

    fn heard_from(&self) -> Option<Identity> {
        self.heard_from.clone()
    }

    fn restart(&mut self) -> Result<(), Refused> {
        self.crash()
    }

    fn be_strict(&mut self) -> Result<(), Refused> {
        let parts = Parts { strictness: Strictness::Refuse, ..self.parts.clone() };
        *self = Self::assemble(parts, self.state.clone(), self.group_id())?;
        Ok(())
    }

    fn approve(&mut self, identity: &Credential, signature_key: &[u8]) -> Result<(), Refused> {
        let pins = PinFirstSeen::new(self.device.vault().clone(), self.parts.strictness);
        Ok(pins.approve(identity, signature_key)?)
    }

    fn recheck(&mut self) -> Result<Vec<Event>, Refused> {
        self.with_group(|group, device| Ok(group.recheck_identities(device)?))
    }
}

/// How long a KeyPackage from the tape is valid, in seconds: 84 days.
const LIFETIME: u64 = 84 * 24 * 60 * 60;

impl PairedMember for MlsRsDevice {
    fn signature_key(&self) -> Vec<u8> {
        self.device.signature_key().to_vec()
    }

    fn sign(&self) -> Sign {
        let signer = signer(self.device.vault(), self.suite()).expect("a known suite");
        Box::new(move |message| signer.sign(message))
    }

    fn vault(&self) -> &Vault {
        self.device.vault()
    }

    fn pair(&mut self, pairing: &Pairing) -> Result<(), Refused> {
        self.with_group(|group, device| Ok(group.pair(device, pairing).map(drop)?))
    }

    fn set_heal_policy(&mut self, policy: HealPolicy) -> Result<(), Refused> {
        self.with_group(|group, device| Ok(group.set_heal_policy(device, policy)?))
    }

    fn heal_if_due(&mut self) -> Result<Option<Sent>, Refused> {
        self.with_group(|group, device| Ok(group.heal_if_due(device)?.map(sent)))
    }

    fn publish(&mut self, pairing: PairingId) -> Result<Vec<u8>, Refused> {
        let now = self.device.now();
        self.publish_for(pairing, now, now + LIFETIME)
    }

    fn publish_for(
        &mut self,
        pairing: PairingId,
        not_before: u64,
        not_after: u64,
    ) -> Result<Vec<u8>, Refused> {
        Ok(Group::publish(&self.device, pairing, not_before, not_after)?)
    }

    fn now(&self) -> u64 {
        self.device.now()
    }

    fn wait(&mut self, seconds: u64) {
        self.parts.ahead.fetch_add(seconds, Ordering::Relaxed);
    }

    fn adopt(&mut self, key_package: &[u8]) -> Result<(), Refused> {
        self.with_group(|group, device| Ok(group.adopt(device, key_package)?))
    }

    fn refresh(&mut self, key_package: &[u8]) -> Result<Sent, Refused> {
        self.with_group(|group, device| Ok(sent(group.refresh(device, key_package)?)))
    }

    fn process_refresh(&mut self, commit: &[u8], refresh: &[u8]) -> Result<Vec<Event>, Refused> {
        self.with_group(|group, device| match group.process_refresh(device, commit, refresh)? {
            Received::Commit { events, .. } => Ok(events),
            other => Err(format!("a refresh is a commit, and here is {other:?}").into()),
        })
    }

    fn expiring(&self, deadline: u64) -> Vec<DeviceId> {
        self.group.as_ref().map(|group| group.expiring(deadline)).unwrap_or_default()
    }

    fn security(&self, device: DeviceId) -> Option<EpochSecurity> {
        self.group.as_ref()?.security(device)
    }

    fn devices(&self) -> Vec<(DeviceId, LeafIndex)> {
        self.group.as_ref().map(Group::devices).unwrap_or_default()
    }

    fn tree(&self) -> Result<Tree, Refused> {
        Ok(self.group()?.tree()?)
    }

    fn rejoin(&mut self, group_info: &[u8]) -> Result<Sent, Refused> {
        let rejoin = Group::rejoin(&self.device, group_info)?;
        let outgoing = rejoin.outgoing().clone();
        self.group = Some(rejoin.confirm(&self.device)?);
        Ok(sent(outgoing))
    }

    fn crash(&mut self) -> Result<(), Refused> {
        let group_id = self.group_id().ok_or("this device is in no group")?.to_vec();
        self.group = None;
        self.group = Some(Group::load(&self.device, &group_id)?);
        Ok(())
    }

    fn crash_before_storing(&mut self) {
        self.state.die_in(1);
    }

    fn check_vault(&mut self) -> Result<Freshness, Refused> {
        self.with_group(|group, device| Ok(group.check_vault(device)?))
    }
}
