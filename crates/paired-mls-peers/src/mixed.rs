//! Pairings whose devices are on different libraries.

use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    CipherSuite, DeviceId, EpochSecurity, Event, Freshness, HealPolicy, Pairing, PairingId, Vault,
    anchor::{LeafIndex, Tree},
    conformance::{
        Adapter, Content, Framing, Heard, Impostor, Listener, Member, PairedMember, Refused, Sent,
        Sign, Signs, Thief,
        liar::{Knowing, Liar},
    },
    group::credential::Identity,
    wire::Credential,
};
use paired_mls_openmls::MemoryProvider;

use crate::{MlsRsAdapter, MlsRsDevice, MlsRsThief, OpenMlsAdapter, OpenMlsDevice, OpenMlsThief};

/// A library that an adapter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLibrary {
    /// OpenMLS, with its RustCrypto provider.
    OpenMls,
    /// mls-rs, with its RustCrypto provider.
    MlsRs,
}

/// The adapters for both libraries: the devices with even numbers are on the first one, those with odd numbers on the
/// second.
pub struct MixedAdapter {
    libraries: [OnLibrary; 2],
    openmls: OpenMlsAdapter,
    mls_rs: MlsRsAdapter,
}

impl MixedAdapter {
    /// The adapters, to be tested with these suites.
    pub fn new(libraries: [OnLibrary; 2], suites: &[CipherSuite]) -> Self {
        let (openmls, mls_rs) = (OpenMlsAdapter::new(suites), MlsRsAdapter::new(suites));
        Self { libraries, openmls, mls_rs }
    }

    /// By the digit that a device's name ends with; a guest is on the first one.
    fn library_of(&self, identity: &str) -> OnLibrary {
        let number = identity.chars().next_back().and_then(|last| last.to_digit(10));
        let [even, odd] = self.libraries;
        if number.unwrap_or_default().is_multiple_of(2) { even } else { odd }
    }
}

/// A device on either library.
#[expect(clippy::large_enum_variant, reason = "there is a handful of them in a test")]
pub enum MixedDevice {
    /// On OpenMLS.
    OpenMls(OpenMlsDevice<RustCrypto>),
    /// On mls-rs.
    MlsRs(MlsRsDevice),
}

/// A thief of either.
#[expect(clippy::large_enum_variant, reason = "there is a handful of them in a test")]
pub enum MixedThief {
    /// On OpenMLS.
    OpenMls(OpenMlsThief<MemoryProvider<RustCrypto>>),
    /// On mls-rs.
    MlsRs(MlsRsThief),
}

/// Calls the same method of both.
macro_rules! on_either {
    ($kind:ident, $self:expr, $it:ident => $call:expr) => {
        match $self {
            $kind::OpenMls($it) => $call,
            $kind::MlsRs($it) => $call,
        }
    };
}

impl Listener for MixedDevice {
    fn epoch(&self) -> u64 {
        on_either!(MixedDevice, self, it => it.epoch())
    }

    fn epoch_authenticator(&self) -> Vec<u8> {
        on_either!(MixedDevice, self, it => it.epoch_authenticator())
    }

    fn process(&mut self, message: &[u8]) -> Result<Heard, Refused> {
        on_either!(MixedDevice, self, it => it.process(message))
    }
}

impl Member for MixedDevice {
    fn key_package(&mut self) -> Result<Vec<u8>, Refused> {
        on_either!(MixedDevice, self, it => it.key_package())
    }

    fn create(&mut self, group_id: &[u8]) -> Result<(), Refused> {
        on_either!(MixedDevice, self, it => it.create(group_id))
    }

    fn join(&mut self, welcome: &[u8]) -> Result<(), Refused> {
        on_either!(MixedDevice, self, it => it.join(welcome))
    }

    fn commit(&mut self, content: &Content) -> Result<Sent, Refused> {
        on_either!(MixedDevice, self, it => it.commit(content))
    }

    fn confirm(&mut self) -> Result<Vec<Event>, Refused> {
        on_either!(MixedDevice, self, it => it.confirm())
    }

    fn discard(&mut self) -> Result<(), Refused> {
        on_either!(MixedDevice, self, it => it.discard())
    }

    fn send(&mut self, message: &[u8]) -> Result<Vec<u8>, Refused> {
        on_either!(MixedDevice, self, it => it.send(message))
    }

    fn leave(&mut self) -> Result<Vec<u8>, Refused> {
        on_either!(MixedDevice, self, it => it.leave())
    }
}

impl Knowing for MixedDevice {
    fn members(&self) -> Vec<(LeafIndex, Identity)> {
        on_either!(MixedDevice, self, it => it.members())
    }

    fn key_of(&self, leaf: LeafIndex) -> Result<Vec<u8>, Refused> {
        on_either!(MixedDevice, self, it => it.key_of(leaf))
    }

    fn heard_from(&self) -> Option<Identity> {
        on_either!(MixedDevice, self, it => it.heard_from())
    }

    fn restart(&mut self) -> Result<(), Refused> {
        on_either!(MixedDevice, self, it => it.restart())
    }

    fn be_strict(&mut self) -> Result<(), Refused> {
        on_either!(MixedDevice, self, it => it.be_strict())
    }

    fn approve(&mut self, identity: &Credential, signature_key: &[u8]) -> Result<(), Refused> {
        on_either!(MixedDevice, self, it => it.approve(identity, signature_key))
    }

    fn recheck(&mut self) -> Result<Vec<Event>, Refused> {
        on_either!(MixedDevice, self, it => it.recheck())
    }
}

impl PairedMember for MixedDevice {
    fn signature_key(&self) -> Vec<u8> {
        on_either!(MixedDevice, self, it => it.signature_key())
    }

    fn sign(&self) -> Sign {
        on_either!(MixedDevice, self, it => it.sign())
    }

    fn vault(&self) -> &Vault {
        on_either!(MixedDevice, self, it => it.vault())
    }

    fn pair(&mut self, pairing: &Pairing) -> Result<(), Refused> {
        on_either!(MixedDevice, self, it => it.pair(pairing))
    }

    fn set_heal_policy(&mut self, policy: HealPolicy) -> Result<(), Refused> {
        on_either!(MixedDevice, self, it => it.set_heal_policy(policy))
    }

    fn heal_if_due(&mut self) -> Result<Option<Sent>, Refused> {
        on_either!(MixedDevice, self, it => it.heal_if_due())
    }

    fn publish(&mut self, pairing: PairingId) -> Result<Vec<u8>, Refused> {
        on_either!(MixedDevice, self, it => it.publish(pairing))
    }

    fn publish_for(
        &mut self,
        pairing: PairingId,
        not_before: u64,
        not_after: u64,
    ) -> Result<Vec<u8>, Refused> {
        on_either!(MixedDevice, self, it => it.publish_for(pairing, not_before, not_after))
    }

    fn now(&self) -> u64 {
        on_either!(MixedDevice, self, it => it.now())
    }

    fn wait(&mut self, seconds: u64) {
        on_either!(MixedDevice, self, it => it.wait(seconds));
    }

    fn adopt(&mut self, key_package: &[u8]) -> Result<(), Refused> {
        on_either!(MixedDevice, self, it => it.adopt(key_package))
    }

    fn refresh(&mut self, key_package: &[u8]) -> Result<Sent, Refused> {
        on_either!(MixedDevice, self, it => it.refresh(key_package))
    }

    fn process_refresh(&mut self, commit: &[u8], refresh: &[u8]) -> Result<Vec<Event>, Refused> {
        on_either!(MixedDevice, self, it => it.process_refresh(commit, refresh))
    }

    fn expiring(&self, deadline: u64) -> Vec<DeviceId> {
        on_either!(MixedDevice, self, it => it.expiring(deadline))
    }

    fn security(&self, device: DeviceId) -> Option<EpochSecurity> {
        on_either!(MixedDevice, self, it => it.security(device))
    }

    fn devices(&self) -> Vec<(DeviceId, LeafIndex)> {
        on_either!(MixedDevice, self, it => it.devices())
    }

    fn tree(&self) -> Result<Tree, Refused> {
        on_either!(MixedDevice, self, it => PairedMember::tree(it))
    }

    fn rejoin(&mut self, group_info: &[u8]) -> Result<Sent, Refused> {
        on_either!(MixedDevice, self, it => it.rejoin(group_info))
    }

    fn crash(&mut self) -> Result<(), Refused> {
        on_either!(MixedDevice, self, it => it.crash())
    }

    fn crash_before_storing(&mut self) {
        on_either!(MixedDevice, self, it => it.crash_before_storing());
    }

    fn check_vault(&mut self) -> Result<Freshness, Refused> {
        on_either!(MixedDevice, self, it => it.check_vault())
    }
}

impl Listener for MixedThief {
    fn epoch(&self) -> u64 {
        on_either!(MixedThief, self, it => it.epoch())
    }

    fn epoch_authenticator(&self) -> Vec<u8> {
        on_either!(MixedThief, self, it => it.epoch_authenticator())
    }

    fn process(&mut self, message: &[u8]) -> Result<Heard, Refused> {
        on_either!(MixedThief, self, it => it.process(message))
    }
}

impl Thief for MixedThief {
    fn attempts(&self) -> usize {
        on_either!(MixedThief, self, it => it.attempts())
    }

    fn opened(&self) -> usize {
        on_either!(MixedThief, self, it => it.opened())
    }
}

impl Adapter for MixedAdapter {
    type Device = MixedDevice;
    type Thief = MixedThief;

    fn suites(&self) -> Vec<CipherSuite> {
        self.mls_rs.suites()
    }

    fn device(&self, suite: CipherSuite, framing: Framing, identity: &str) -> MixedDevice {
        match self.library_of(identity) {
            OnLibrary::OpenMls => {
                MixedDevice::OpenMls(self.openmls.device(suite, framing, identity))
            }
            OnLibrary::MlsRs => MixedDevice::MlsRs(self.mls_rs.device(suite, framing, identity)),
        }
    }

    fn liar(&self, suite: CipherSuite, framing: Framing, identity: &str) -> Box<dyn Liar> {
        self.openmls.liar(suite, framing, identity)
    }

    fn ended(
        &self,
        suite: CipherSuite,
        framing: Framing,
        key_packages: &[Vec<u8>],
    ) -> Result<(Box<dyn Liar>, Vec<u8>), Refused> {
        self.openmls.ended(suite, framing, key_packages)
    }

    fn stock(&self, suite: CipherSuite, framing: Framing) -> Vec<Box<dyn Member>> {
        self.openmls.stock(suite, framing)
    }

    fn steal(&self, device: &MixedDevice) -> MixedThief {
        match device {
            MixedDevice::OpenMls(device) => MixedThief::OpenMls(self.openmls.steal(device)),
            MixedDevice::MlsRs(device) => MixedThief::MlsRs(self.mls_rs.steal(device)),
        }
    }

    fn second_leak(&self, first: &MixedThief, device: &MixedDevice) -> MixedThief {
        match (first, device) {
            (MixedThief::OpenMls(first), MixedDevice::OpenMls(device)) => {
                MixedThief::OpenMls(self.openmls.second_leak(first, device))
            }
            (MixedThief::MlsRs(first), MixedDevice::MlsRs(device)) => {
                MixedThief::MlsRs(self.mls_rs.second_leak(first, device))
            }
            _ => panic!("a second leak is of the same device"),
        }
    }

    fn impersonate(&self, device: &MixedDevice, signs: Signs) -> Box<dyn Impostor> {
        match device {
            MixedDevice::OpenMls(device) => self.openmls.impersonate(device, signs),
            MixedDevice::MlsRs(device) => self.mls_rs.impersonate(device, signs),
        }
    }

    fn leaf_key(&self, device: &MixedDevice) -> Vec<u8> {
        match device {
            MixedDevice::OpenMls(device) => self.openmls.leaf_key(device),
            MixedDevice::MlsRs(device) => self.mls_rs.leaf_key(device),
        }
    }

    fn holds(&self, device: &MixedDevice, string: &[u8]) -> bool {
        match device {
            MixedDevice::OpenMls(device) => self.openmls.holds(device, string),
            MixedDevice::MlsRs(device) => self.mls_rs.holds(device, string),
        }
    }

    fn steal_with_vault(&self, device: &MixedDevice) -> MixedDevice {
        match device {
            MixedDevice::OpenMls(device) => {
                MixedDevice::OpenMls(self.openmls.steal_with_vault(device))
            }
            MixedDevice::MlsRs(device) => MixedDevice::MlsRs(self.mls_rs.steal_with_vault(device)),
        }
    }

    fn steal_vault_again(&self, thief: &mut MixedDevice, device: &MixedDevice) {
        match (thief, device) {
            (MixedDevice::OpenMls(thief), MixedDevice::OpenMls(device)) => {
                self.openmls.steal_vault_again(thief, device);
            }
            (MixedDevice::MlsRs(thief), MixedDevice::MlsRs(device)) => {
                self.mls_rs.steal_vault_again(thief, device);
            }
            _ => panic!("a vault is of the same device"),
        }
    }
}
