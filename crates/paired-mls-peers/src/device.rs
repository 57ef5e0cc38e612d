//! A device with the adapter for OpenMLS.

use std::{
    cell::Cell,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use openmls::prelude::{BasicCredential, Capabilities, Ciphersuite, CredentialWithKey, Lifetime};
use openmls_basic_credential::SignatureKeyPair;
use openmls_memory_storage::MemoryStorage as MlsStorage;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    OpenMlsProvider, crypto::OpenMlsCrypto, random::OpenMlsRand, signatures::Signer as _,
};
use paired_mls::{
    CipherSuite, DeviceId, EpochSecurity, Event, Freshness, HealPolicy, Pairing, PairingId, Vault,
    anchor::{LeafIndex, Tree},
    conformance::{
        Content, Framing, Heard, Listener, Member, PairedMember, Refused, Sent, Sign, Signs,
        liar::Knowing,
    },
    group::{
        PinFirstSeen,
        credential::{Identity, Strictness},
    },
    vault::MemoryStorage,
    wire::Credential,
};
use paired_mls_openmls::{
    BoxError, Clock as _, Device, Group, KeyVectorCrypto, MemoryProvider, Outgoing, PackageKind,
    PairedGroup, Platform, Received, SystemClock,
};

use crate::{Door, StockOpenMls, config};

/// A crypto provider of OpenMLS that can be made from nothing.
pub trait TestCrypto:
    OpenMlsCrypto + OpenMlsRand<Error: Send + Sync + 'static> + Sync + 'static
{
    /// A new one.
    ///
    /// # Errors
    ///
    /// No randomness in the system.
    fn fresh() -> Result<Self, Refused>
    where
        Self: Sized;
}

impl TestCrypto for RustCrypto {
    fn fresh() -> Result<Self, Refused> {
        Ok(Self::default())
    }
}

impl<C: TestCrypto + Send> TestCrypto for KeyVectorCrypto<C> {
    fn fresh() -> Result<Self, Refused> {
        Ok(Self::new(C::fresh()?))
    }
}

impl TestCrypto for openmls_libcrux_crypto::CryptoProvider {
    fn fresh() -> Result<Self, Refused> {
        Ok(Self::new()?)
    }
}

/// A provider in memory that can die in front of the last write of a transaction.
pub struct TestPlatform<C> {
    inner: MemoryProvider<C>,
    /// The transaction, counted from the next one, in which the device dies; 0 if it lives.
    dies: Cell<usize>,
}

impl<C: TestCrypto> TestPlatform<C> {
    /// A provider with these records.
    pub(crate) fn with_records(records: HashMap<Vec<u8>, Vec<u8>>) -> Result<Self, Refused> {
        let inner = MemoryProvider::with_records(C::fresh()?, records);
        Ok(Self { inner, dies: Cell::new(0) })
    }

    /// A copy of all records.
    pub(crate) fn records(&self) -> HashMap<Vec<u8>, Vec<u8>> {
        self.inner.records()
    }

    /// This transaction is not committed; 1 is the next one.
    pub(crate) fn die_in(&self, transaction: usize) {
        self.dies.set(transaction);
    }
}

impl<C: TestCrypto> OpenMlsProvider for TestPlatform<C> {
    type CryptoProvider = C;
    type RandProvider = C;
    type StorageProvider = MlsStorage;

    fn storage(&self) -> &MlsStorage {
        self.inner.storage()
    }

    fn crypto(&self) -> &C {
        self.inner.crypto()
    }

    fn rand(&self) -> &C {
        self.inner.rand()
    }
}

impl<C: TestCrypto> Platform for TestPlatform<C> {
    type Transaction = <MemoryProvider<C> as Platform>::Transaction;

    fn begin(&self) -> Result<Self::Transaction, BoxError> {
        self.inner.begin()
    }

    fn commit(&self, transaction: Self::Transaction) -> Result<(), BoxError> {
        let dies = self.dies.get();
        self.dies.set(dies.saturating_sub(1));
        if dies == 1 {
            self.inner.rollback(transaction);
            return Err("the device died in the middle of a transaction".into());
        }
        self.inner.commit(transaction)
    }

    fn rollback(&self, transaction: Self::Transaction) {
        self.inner.rollback(transaction);
    }
}

/// A device with the adapter for OpenMLS, in memory, on a crypto provider `C`.
pub struct OpenMlsDevice<C = RustCrypto> {
    device: Device<TestPlatform<C>>,
    parts: Parts,
    group: Option<Group>,
    heard_from: Option<Identity>,
}

/// What a device is made of besides its MLS records.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) ciphersuite: Ciphersuite,
    pub(crate) framing: Framing,
    identity: String,
    /// Private and public.
    key: (Vec<u8>, Vec<u8>),
    vault: MemoryStorage,
    strictness: Strictness,
    /// How many seconds the device's clock is ahead of the system's.
    ahead: Arc<AtomicU64>,
}

impl<C: TestCrypto> OpenMlsDevice<C> {
    /// A device with a fresh signature key and an empty vault, outside of any group.
    ///
    /// # Errors
    ///
    /// A crypto provider that does not know the suite.
    pub fn new(suite: CipherSuite, framing: Framing, identity: &str) -> Result<Self, Refused> {
        let ciphersuite = config::ciphersuite(suite)?;
        let key = C::fresh()?.signature_key_gen(ciphersuite.signature_algorithm())?;
        let vault = MemoryStorage::new();
        let identity = identity.to_owned();
        let strictness = Strictness::default();
        let ahead = Arc::default();
        let parts = Parts { ciphersuite, framing, identity, key, vault, strictness, ahead };
        Self::assemble(parts, HashMap::new(), None)
    }

    /// The group.
    ///
    /// # Errors
    ///
    /// A device outside of any group.
    pub fn group(&self) -> Result<&Group, Refused> {
        Ok(self.group.as_ref().ok_or("this device is in no group")?)
    }

    /// A copy of all MLS records: what lies on the device's disk, the vault apart.
    pub fn records(&self) -> HashMap<Vec<u8>, Vec<u8>> {
        self.device.provider().records()
    }

    /// Follows a commit, with proposals for which there was no room.
    ///
    /// # Errors
    ///
    /// A commit that cannot be followed.
    pub fn follow_with(&mut self, refused: &[Vec<u8>], commit: &[u8]) -> Result<Heard, Refused> {
        self.with_group(|group, device| match group.follow_with(device, refused, commit)? {
            Received::Commit { events, heal } => Ok(Heard::Commit { events, heal: heal.map(sent) }),
            _ => Ok(Heard::Own),
        })
    }

    /// Makes its refresh chain for one partner.
    ///
    /// # Errors
    ///
    /// A vault that fails.
    pub fn make_chain(
        &self,
        pairing: PairingId,
        partner: DeviceId,
        capabilities: &Capabilities,
    ) -> Result<Vec<u8>, Refused> {
        Ok(Group::make_chain(&self.device, pairing, partner, 1, capabilities)?.message)
    }

    /// Keeps the refresh chain of a partner.
    ///
    /// # Errors
    ///
    /// A chain that is refused.
    pub fn adopt_chain(&self, pairing: &Pairing, message: &[u8]) -> Result<(), Refused> {
        Ok(Group::adopt_chain(&self.device, pairing, message).map(drop)?)
    }

    pub(crate) fn ciphersuite(&self) -> Ciphersuite {
        self.parts.ciphersuite
    }

    pub(crate) fn group_id(&self) -> Option<&[u8]> {
        self.group.as_ref().map(Group::group_id)
    }

    /// The same device a second time, with copies of its records and of the vault of `vault_of`.
    pub(crate) fn copy(&self, vault_of: &Self) -> Result<Self, Refused> {
        let parts = Parts { vault: vault_of.parts.vault.steal(), ..self.parts.clone() };
        Self::assemble(parts, self.records(), self.group_id())
    }

    /// Somebody with a copy of this device's records, who acts in its name.
    pub(crate) fn impostor(&self, signs: Signs) -> Result<StockOpenMls<C>, Refused> {
        let group_id = self.group_id().ok_or("this device is in no group")?;
        let ciphersuite = self.parts.ciphersuite;
        let key = match signs {
            Signs::Stolen => self.parts.key.clone(),
            Signs::Other => C::fresh()?.signature_key_gen(ciphersuite.signature_algorithm())?,
        };
        let credential = self.device.credential().clone();
        let setting = (ciphersuite, self.parts.framing, Door::Open);
        StockOpenMls::with_state(self.records(), group_id, key, credential, setting)
    }

    fn assemble(
        parts: Parts,
        records: HashMap<Vec<u8>, Vec<u8>>,
        group_id: Option<&[u8]>,
    ) -> Result<Self, Refused> {
        let provider = TestPlatform::with_records(records)?;
        let (private, public) = parts.key.clone();
        let scheme = parts.ciphersuite.signature_algorithm();
        let credential = CredentialWithKey {
            credential: BasicCredential::new(parts.identity.clone().into()).into(),
            signature_key: public.clone().into(),
        };
        let signer = SignatureKeyPair::from_raw(scheme, private, public);
        let vault = Vault::new(parts.vault.clone());
        let policy = PinFirstSeen::new(vault.clone(), parts.strictness);
        let ahead = Arc::clone(&parts.ahead);
        let clock = move || SystemClock.now().saturating_add(ahead.load(Ordering::Relaxed));
        let device = Device::new(provider, vault, signer, credential, policy).with_clock(clock);
        let group = group_id.map(|id| Group::load(&device, id)).transpose()?;
        Ok(Self { device, parts, heard_from: None, group })
    }

    /// What the group has in which its leaf is the device's own.
    fn node(&self) -> Option<&PairedGroup> {
        self.group.as_ref()?.node()
    }

    fn with_node<T>(
        &mut self,
        call: impl FnOnce(&mut PairedGroup, &Device<TestPlatform<C>>) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let group = self.group.as_mut().and_then(Group::node_mut);
        call(group.ok_or("this device is in no group")?, &self.device)
    }

    fn with_group<T>(
        &mut self,
        call: impl FnOnce(&mut Group, &Device<TestPlatform<C>>) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        call(self.group.as_mut().ok_or("this device is in no group")?, &self.device)
    }
}

pub(crate) fn sent(outgoing: Outgoing) -> Sent {
    let Outgoing { commit, welcome, refresh, group_info, notify, .. } = outgoing;
    Sent { commit, welcome, refresh, group_info, notify }
}

impl<C: TestCrypto> Listener for OpenMlsDevice<C> {
    fn epoch(&self) -> u64 {
        self.group.as_ref().map_or(0, Group::epoch)
    }

    fn epoch_authenticator(&self) -> Vec<u8> {
        let mls = self.group.as_ref().map(Group::mls);
        mls.map(|mls| mls.epoch_authenticator().as_slice().to_vec()).unwrap_or_default()
    }

    fn process(&mut self, message: &[u8]) -> Result<Heard, Refused> {
        let received = self.with_group(|group, device| Ok(group.process(device, message)?))?;
        match received {
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

impl<C: TestCrypto> Member for OpenMlsDevice<C> {
    fn key_package(&mut self) -> Result<Vec<u8>, Refused> {
        Ok(self.device.key_package(self.parts.ciphersuite)?)
    }

    fn create(&mut self, group_id: &[u8]) -> Result<(), Refused> {
        let config = config::create(self.parts.ciphersuite, self.parts.framing, Door::Open)?;
        self.group = Some(Group::create(&self.device, group_id, &config)?);
        Ok(())
    }

    fn join(&mut self, welcome: &[u8]) -> Result<(), Refused> {
        let config = config::join(self.parts.framing);
        self.group = Some(Group::join(&self.device, welcome, &config)?);
        Ok(())
    }

    fn commit(&mut self, content: &Content) -> Result<Sent, Refused> {
        self.with_group(|group, device| {
            let outgoing = match (content.adds.is_empty(), content.removes.is_empty()) {
                (true, true) => group.update(device),
                (false, true) => group.add(device, &content.adds),
                (true, false) => group.remove(device, &content.removes),
                (false, false) => return Err("this adapter adds or removes, not both".into()),
            };
            Ok(sent(outgoing?))
        })
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

impl<C: TestCrypto> Knowing for OpenMlsDevice<C> {
    fn members(&self) -> Vec<(LeafIndex, Identity)> {
        let members = self.group.as_ref().map(Group::members).unwrap_or_default();
        members.into_iter().map(|member| (member.leaf, member.identity)).collect()
    }

    fn key_of(&self, leaf: LeafIndex) -> Result<Vec<u8>, Refused> {
        let members = self.group()?.members();
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
        *self = Self::assemble(parts, self.records(), self.group_id())?;
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

impl<C: TestCrypto> PairedMember for OpenMlsDevice<C> {
    fn sign(&self) -> Sign {
        let (private, public) = self.parts.key.clone();
        let scheme = self.parts.ciphersuite.signature_algorithm();
        let signer = SignatureKeyPair::from_raw(scheme, private, public);
        Box::new(move |message| Ok(signer.sign(message).map_err(|_| "OpenMLS did not sign")?))
    }

    fn signature_key(&self) -> Vec<u8> {
        self.device.signature_key().to_vec()
    }

    fn vault(&self) -> &Vault {
        self.device.vault()
    }

    fn pair(&mut self, pairing: &Pairing) -> Result<(), Refused> {
        self.with_group(|group, device| Ok(group.pair(device, pairing).map(drop)?))
    }

    fn set_heal_policy(&mut self, policy: HealPolicy) -> Result<(), Refused> {
        self.with_node(|group, device| Ok(group.set_heal_policy(device, policy)?))
    }

    fn heal_if_due(&mut self) -> Result<Option<Sent>, Refused> {
        self.with_group(|group, device| Ok(group.heal_if_due(device)?.map(sent)))
    }

    fn publish(&mut self, pairing: PairingId) -> Result<Vec<u8>, Refused> {
        let (lifetime, capabilities) = (Lifetime::default(), Capabilities::default());
        Ok(Group::publish(&self.device, pairing, PackageKind::Once, lifetime, capabilities)?)
    }

    fn publish_for(
        &mut self,
        pairing: PairingId,
        not_before: u64,
        not_after: u64,
    ) -> Result<Vec<u8>, Refused> {
        let lifetime = Lifetime::init(not_before, not_after);
        let capabilities = Capabilities::default();
        Ok(Group::publish(&self.device, pairing, PackageKind::Once, lifetime, capabilities)?)
    }

    fn now(&self) -> u64 {
        self.device.now()
    }

    fn wait(&mut self, seconds: u64) {
        self.parts.ahead.fetch_add(seconds, Ordering::Relaxed);
    }

    fn adopt(&mut self, key_package: &[u8]) -> Result<(), Refused> {
        self.with_node(|group, device| Ok(group.adopt(device, key_package)?))
    }

    fn refresh(&mut self, key_package: &[u8]) -> Result<Sent, Refused> {
        self.with_node(|group, device| Ok(sent(group.refresh(device, key_package)?)))
    }

    fn process_refresh(&mut self, commit: &[u8], welcome: &[u8]) -> Result<Vec<Event>, Refused> {
        self.with_node(|group, device| match group.process_refresh(device, commit, welcome)? {
            Received::Commit { events, .. } => Ok(events),
            other => Err(format!("a refresh is a commit, and here is {other:?}").into()),
        })
    }

    fn expiring(&self, deadline: u64) -> Vec<DeviceId> {
        self.node().map(|group| group.expiring(deadline)).unwrap_or_default()
    }

    fn security(&self, device: DeviceId) -> Option<EpochSecurity> {
        self.group.as_ref()?.security(device)
    }

    fn devices(&self) -> Vec<(DeviceId, LeafIndex)> {
        self.node().map(PairedGroup::devices).unwrap_or_default()
    }

    fn tree(&self) -> Result<Tree, Refused> {
        Ok(self.node().ok_or("this device is in no group")?.tree()?)
    }

    fn rejoin(&mut self, group_info: &[u8]) -> Result<Sent, Refused> {
        let config = config::join(self.parts.framing);
        let rejoin = Group::rejoin(&self.device, group_info, &config)?;
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

    fn check_vault(&mut self) -> Result<Freshness, Refused> {
        self.with_group(|group, device| Ok(group.check_vault(device)?))
    }

    fn crash_before_storing(&mut self) {
        self.device.provider().die_in(1);
    }
}
