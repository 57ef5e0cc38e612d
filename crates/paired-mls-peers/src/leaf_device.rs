//! A device that shares its leaf with others, with the adapter for OpenMLS.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use openmls::prelude::{BasicCredential, Ciphersuite, CredentialWithKey, Lifetime};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::OpenMlsProvider as _;
use paired_mls::{
    CipherSuite, DeviceId, EpochSecurity, Event, Freshness, PairingId, Vault,
    anchor::LeafIndex,
    conformance::{
        Content, Framing, Heard, Listener, Member, Refused, Sent, Signs,
        leaf::{LeafMember, Use},
        liar::Knowing,
    },
    group::{
        PinFirstSeen,
        credential::{Identity, Strictness},
    },
    leaf::{KeyProofs, SignatureKeys},
    vault::MemoryStorage,
    wire::Credential,
};
use paired_mls_openmls::{
    Clock as _, Device, Group, LeafGroup, PackageKind, Received, Rejoin, SystemClock,
};

use crate::{
    Door, StockOpenMls, TestPlatform, config,
    device::{TestCrypto, sent},
};

/// Whose signature keys the devices of a leaf use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafMode {
    /// All the same one.
    Hidden,
    /// Each its own; the leaf lists them all.
    Standard,
}

/// A device that shares its leaf, in memory, on a crypto provider `C`.
pub struct OpenMlsLeafDevice<C = RustCrypto> {
    device: Device<TestPlatform<C>>,
    parts: Parts,
    group: Option<Group>,
    heard_from: Option<Identity>,
    rejoin: Option<Rejoin>,
}

/// What a device is made of besides its MLS records.
#[derive(Clone)]
struct Parts {
    ciphersuite: Ciphersuite,
    framing: Framing,
    door: Door,
    identity: String,
    /// Private and public.
    key: (Vec<u8>, Vec<u8>),
    /// The content of the leaf's field `signature_key`.
    leaf_key: Vec<u8>,
    vault: MemoryStorage,
    strictness: Strictness,
    pairing: Option<PairingId>,
    proofs: Option<KeyProofs>,
    /// How many seconds the device's clock is ahead of the system's.
    ahead: Arc<AtomicU64>,
}

impl<C: TestCrypto> OpenMlsLeafDevice<C> {
    /// The devices of one leaf, with empty vaults, outside of any group.
    ///
    /// # Errors
    ///
    /// A crypto provider that does not know the suite.
    pub fn several(
        mode: LeafMode,
        suite: CipherSuite,
        framing: Framing,
        identity: &str,
        count: usize,
    ) -> Result<Vec<Self>, Refused> {
        let ciphersuite = config::ciphersuite(suite)?;
        let crypto = C::fresh()?;
        let generate = || crypto.signature_key_gen(ciphersuite.signature_algorithm());
        let mut keys = vec![generate()?];
        while keys.len() < count {
            keys.push(match mode {
                LeafMode::Hidden => keys.first().cloned().unwrap_or_default(),
                LeafMode::Standard => generate()?,
            });
        }
        Self::with_keys(mode, suite, framing, identity, keys)
    }

    /// The devices of one leaf, with these signature keys, each private and public.
    ///
    /// # Errors
    ///
    /// A crypto provider that does not know the suite.
    pub fn with_keys(
        mode: LeafMode,
        suite: CipherSuite,
        framing: Framing,
        identity: &str,
        keys: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<Vec<Self>, Refused> {
        let ciphersuite = config::ciphersuite(suite)?;
        let (leaf_key, door) = match mode {
            LeafMode::Hidden => (keys.first().cloned().unwrap_or_default().1, Door::Open),
            LeafMode::Standard => {
                let public: Vec<_> = keys.iter().map(|key| key.1.clone()).collect();
                let key_len = public.first().map_or(0, Vec::len);
                (SignatureKeys::new(public, key_len)?.encode(), Door::Gated)
            }
        };
        let device = |key| {
            let parts = Parts {
                ciphersuite,
                framing,
                door,
                identity: identity.to_owned(),
                key,
                leaf_key: leaf_key.clone(),
                vault: MemoryStorage::new(),
                strictness: Strictness::default(),
                pairing: None,
                proofs: None,
                ahead: Arc::default(),
            };
            Self::assemble(parts, HashMap::new(), None)
        };
        let devices: Vec<Self> = keys.into_iter().map(device).collect::<Result<_, Refused>>()?;
        let proofs = devices.iter().map(|device| device.device.prove_key());
        let proofs = KeyProofs::new(proofs.collect::<Result<_, _>>()?);
        let with_proofs = |device: Self| {
            let parts = Parts { proofs: Some(proofs.clone()), ..device.parts };
            Self::assemble(parts, HashMap::new(), None)
        };
        devices.into_iter().map(with_proofs).collect()
    }

    /// What a `Group` is called with.
    pub fn device(&self) -> &Device<TestPlatform<C>> {
        &self.device
    }

    /// The same device, outside of any group, with another content of the leaf's field
    /// `signature_key`.
    ///
    /// # Errors
    ///
    /// No randomness in the system.
    pub fn listed_as(self, leaf_key: Vec<u8>) -> Result<Self, Refused> {
        Self::assemble(Parts { leaf_key, ..self.parts }, HashMap::new(), None)
    }

    /// The same device, outside of any group, with these proofs of the leaf's signature keys.
    ///
    /// # Errors
    ///
    /// No randomness in the system.
    pub fn with_proofs(self, proofs: Vec<Vec<u8>>) -> Result<Self, Refused> {
        let proofs = Some(KeyProofs::new(proofs));
        Self::assemble(Parts { proofs, ..self.parts }, HashMap::new(), None)
    }

    /// The same device, outside of any group, without proofs of the leaf's signature keys.
    ///
    /// # Errors
    ///
    /// No randomness in the system.
    pub fn without_proofs(self) -> Result<Self, Refused> {
        Self::assemble(Parts { proofs: None, ..self.parts }, HashMap::new(), None)
    }

    /// The same device, outside of any group, of another user.
    ///
    /// # Errors
    ///
    /// No randomness in the system.
    pub fn named(self, identity: &str) -> Result<Self, Refused> {
        Self::assemble(Parts { identity: identity.to_owned(), ..self.parts }, HashMap::new(), None)
    }

    /// The group.
    ///
    /// # Errors
    ///
    /// A device outside of any group.
    pub fn group(&self) -> Result<&Group, Refused> {
        Ok(self.group.as_ref().ok_or("this device is in no group")?)
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

    /// The group, and the device that it is used with.
    ///
    /// # Errors
    ///
    /// A device outside of any group.
    pub fn parts(&mut self) -> Result<(&mut Group, &Device<TestPlatform<C>>), Refused> {
        Ok((self.group.as_mut().ok_or("this device is in no group")?, &self.device))
    }

    /// A copy of all MLS records: what lies on the device's disk, the vault apart.
    pub fn records(&self) -> HashMap<Vec<u8>, Vec<u8>> {
        self.device.provider().records()
    }

    /// The signature key pair: private and public.
    pub fn signature_key_pair(&self) -> (Vec<u8>, Vec<u8>) {
        self.parts.key.clone()
    }

    /// The credential, with the content of the leaf's field `signature_key`.
    pub fn credential(&self) -> CredentialWithKey {
        self.device.credential().clone()
    }

    pub(crate) fn framing(&self) -> Framing {
        self.parts.framing
    }

    pub(crate) fn door(&self) -> Door {
        self.parts.door
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

    /// Somebody with a copy of this device's records, who acts in the leaf's name.
    pub(crate) fn impostor(&self, signs: Signs) -> Result<StockOpenMls<C>, Refused> {
        let group_id = self.group_id().ok_or("this device is in no group")?;
        let ciphersuite = self.parts.ciphersuite;
        let key = match signs {
            Signs::Stolen => self.parts.key.clone(),
            Signs::Other => C::fresh()?.signature_key_gen(ciphersuite.signature_algorithm())?,
        };
        let setting = (ciphersuite, self.parts.framing, self.parts.door);
        StockOpenMls::with_state(self.records(), group_id, key, self.credential(), setting)
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
            signature_key: parts.leaf_key.clone().into(),
        };
        let signer = SignatureKeyPair::from_raw(scheme, private, public);
        let vault = Vault::new(parts.vault.clone());
        let policy = PinFirstSeen::new(vault.clone(), parts.strictness);
        let ahead = Arc::clone(&parts.ahead);
        let clock = move || SystemClock.now().saturating_add(ahead.load(Ordering::Relaxed));
        let device = Device::new(provider, vault, signer, credential, policy).with_clock(clock);
        let device = match parts.proofs.clone() {
            Some(proofs) => device.with_key_proofs(proofs),
            None => device,
        };
        let device = match parts.pairing {
            Some(pairing) => device.with_shared_leaf(pairing),
            None => device,
        };
        let group = group_id.map(|id| Group::load(&device, id)).transpose()?;
        Ok(Self { device, parts, heard_from: None, group, rejoin: None })
    }

    fn publish_with(&self, usage: Use, lifetime: Lifetime) -> Result<Vec<u8>, Refused> {
        let kind = match usage {
            Use::Once => PackageKind::Once,
            Use::LastResort => PackageKind::LastResort,
        };
        let (pairing, capabilities) = (self.pairing()?, self.parts.door.capabilities());
        Ok(Group::publish(&self.device, pairing, kind, lifetime, capabilities)?)
    }

    /// What the group has in which the device shares its leaf.
    fn shared(&self) -> Option<&LeafGroup> {
        self.group.as_ref()?.shared()
    }

    fn pairing(&self) -> Result<PairingId, Refused> {
        Ok(self.parts.pairing.ok_or("this device shares no leaf")?)
    }

    fn with_group<T>(
        &mut self,
        call: impl FnOnce(&mut Group, &Device<TestPlatform<C>>) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        call(self.group.as_mut().ok_or("this device is in no group")?, &self.device)
    }
}

impl<C: TestCrypto> Listener for OpenMlsLeafDevice<C> {
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
            Received::Announced => Ok(Heard::Announced),
            Received::TokenWanted { by } => Ok(Heard::TokenWanted(by)),
            Received::TokenGiven { by } => Ok(Heard::TokenGiven(by)),
            _ => Ok(Heard::Own),
        }
    }
}

impl<C: TestCrypto> Member for OpenMlsLeafDevice<C> {
    fn key_package(&mut self) -> Result<Vec<u8>, Refused> {
        self.publish(Use::Once)
    }

    fn create(&mut self, _: &[u8]) -> Result<(), Refused> {
        Err("a leaf that is shared joins groups and creates none".into())
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

impl<C: TestCrypto> Knowing for OpenMlsLeafDevice<C> {
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

impl<C: TestCrypto> LeafMember for OpenMlsLeafDevice<C> {
    fn vault(&self) -> &Vault {
        self.device.vault()
    }

    fn share(&mut self, pairing: PairingId) {
        let parts = Parts { pairing: Some(pairing), ..self.parts.clone() };
        *self = Self::assemble(parts, self.records(), None).expect("it was assembled before");
    }

    fn publish(&mut self, usage: Use) -> Result<Vec<u8>, Refused> {
        self.publish_with(usage, Lifetime::default())
    }

    fn publish_for(
        &mut self,
        usage: Use,
        not_before: u64,
        not_after: u64,
    ) -> Result<Vec<u8>, Refused> {
        self.publish_with(usage, Lifetime::init(not_before, not_after))
    }

    fn packages(&self) -> Result<Vec<Vec<u8>>, Refused> {
        Ok(LeafGroup::packages(&self.device, self.pairing()?)?)
    }

    fn now(&self) -> u64 {
        self.device.now()
    }

    fn wait(&mut self, seconds: u64) {
        self.parts.ahead.fetch_add(seconds, Ordering::Relaxed);
    }

    fn adopt(&mut self, key_package: &[u8]) -> Result<(), Refused> {
        Ok(LeafGroup::adopt(&self.device, self.pairing()?, key_package)?)
    }

    fn own_leaf(&self) -> Result<LeafIndex, Refused> {
        Ok(self.group()?.own_leaf())
    }

    fn token(&self) -> Option<DeviceId> {
        self.shared()?.token()
    }

    fn ask_token(&self) -> Result<Vec<u8>, Refused> {
        let group = self.shared().ok_or("this device shares no leaf")?;
        Ok(group.ask_token(&self.device)?)
    }

    fn give_token(&mut self) -> Result<Vec<u8>, Refused> {
        let group = self.group.as_mut().and_then(Group::shared_mut);
        Ok(group.ok_or("this device shares no leaf")?.give_token(&self.device)?)
    }

    fn security(&self) -> Option<EpochSecurity> {
        let group = self.group.as_ref()?;
        group.security(group.own_device(&self.device).ok()??)
    }

    fn removals(&self) -> Vec<LeafIndex> {
        self.shared().map(|group| group.removals().to_vec()).unwrap_or_default()
    }

    fn group_info(&self) -> Result<Vec<u8>, Refused> {
        let (private, public) = self.parts.key.clone();
        let scheme = self.parts.ciphersuite.signature_algorithm();
        let signer = SignatureKeyPair::from_raw(scheme, private, public);
        let mls = self.group()?.mls();
        let info = mls.export_group_info(self.device.provider().crypto(), &signer, true)?;
        Ok(info.to_bytes()?)
    }

    fn rejoin(&mut self, group_info: &[u8]) -> Result<Sent, Refused> {
        let config = config::join(self.parts.framing);
        let rejoin = Group::rejoin(&self.device, group_info, &config)?;
        let outgoing = rejoin.outgoing().clone();
        self.rejoin = Some(rejoin);
        Ok(sent(outgoing))
    }

    fn confirm_rejoin(&mut self) -> Result<(), Refused> {
        let rejoin = self.rejoin.take().ok_or("no external commit waits")?;
        self.group = Some(rejoin.confirm(&self.device)?);
        Ok(())
    }

    fn enter(&mut self, group_info: &[u8], commit: &[u8]) -> Result<(), Refused> {
        let config = config::join(self.parts.framing);
        self.group = Some(Group::enter(&self.device, group_info, commit, None, &config)?);
        Ok(())
    }

    fn lose_state(&mut self) -> Result<(), Refused> {
        *self = Self::assemble(self.parts.clone(), HashMap::new(), None)?;
        Ok(())
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

    fn crash_before_storing(&mut self, transaction: usize) {
        self.device.provider().die_in(transaction);
    }

    fn stored(&self) -> Vec<u8> {
        let records: BTreeMap<_, _> = self.records().into_iter().collect();
        records.into_iter().flat_map(|(key, value)| [key, value].concat()).collect()
    }
}
