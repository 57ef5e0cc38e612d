//! The adapter for mls-rs, as the conformance suite sees it.

use paired_mls::{
    CipherSuite,
    conformance::{Adapter, Framing, Impostor, Member, Refused, Signs, liar::Liar},
};

use super::{
    MlsRsDevice, MlsRsThief,
    loot::{private_key_in, strings_in},
};
use crate::{OpenMlsAdapter, suites::chosen};

/// The adapter for mls-rs on its RustCrypto provider. Whoever lies, and half of the stock members, are on OpenMLS.
pub struct MlsRsAdapter {
    suites: Vec<CipherSuite>,
    others: OpenMlsAdapter,
}

impl MlsRsAdapter {
    /// The adapter, to be tested with these suites.
    pub fn new(suites: &[CipherSuite]) -> Self {
        Self { suites: chosen(suites), others: OpenMlsAdapter::new(suites) }
    }
}

impl Adapter for MlsRsAdapter {
    type Device = MlsRsDevice;
    type Thief = MlsRsThief;

    fn suites(&self) -> Vec<CipherSuite> {
        self.suites.clone()
    }

    fn device(&self, suite: CipherSuite, framing: Framing, identity: &str) -> MlsRsDevice {
        MlsRsDevice::new(suite, framing, identity).expect("a suite of this adapter")
    }

    fn liar(&self, suite: CipherSuite, framing: Framing, identity: &str) -> Box<dyn Liar> {
        self.others.liar(suite, framing, identity)
    }

    fn ended(
        &self,
        suite: CipherSuite,
        framing: Framing,
        key_packages: &[Vec<u8>],
    ) -> Result<(Box<dyn Liar>, Vec<u8>), Refused> {
        self.others.ended(suite, framing, key_packages)
    }

    fn stock(&self, suite: CipherSuite, framing: Framing) -> Vec<Box<dyn Member>> {
        self.others.stock(suite, framing)
    }

    fn steal(&self, device: &MlsRsDevice) -> MlsRsThief {
        MlsRsThief::new(device).expect("a device in a group")
    }

    fn second_leak(&self, first: &MlsRsThief, device: &MlsRsDevice) -> MlsRsThief {
        first.with_epoch_of(device).expect("a device in a group")
    }

    fn impersonate(&self, device: &MlsRsDevice, signs: Signs) -> Box<dyn Impostor> {
        Box::new(device.impostor(signs).expect("a device in a group"))
    }

    fn leaf_key(&self, device: &MlsRsDevice) -> Vec<u8> {
        let own = device.own_leaf_key().expect("a device in a group");
        private_key_in(&strings_in(&device.stolen().cells()), &own).expect("the key is stored")
    }

    fn holds(&self, device: &MlsRsDevice, string: &[u8]) -> bool {
        strings_in(&device.stolen().cells()).contains(string)
    }

    fn steal_with_vault(&self, device: &MlsRsDevice) -> MlsRsDevice {
        device.copy(device).expect("a device in a group")
    }

    fn steal_vault_again(&self, thief: &mut MlsRsDevice, device: &MlsRsDevice) {
        *thief = thief.copy(device).expect("a device in a group");
    }
}
