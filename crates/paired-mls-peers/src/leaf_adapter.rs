//! The leaf anchor on OpenMLS, as the conformance suite sees it.

use std::marker::PhantomData;

use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    CipherSuite,
    conformance::{
        Framing, Impostor, Member, Refused, Sent, Signs,
        leaf::{Keys, LeafAdapter},
        liar::Liar,
    },
};
use paired_mls_openmls::MemoryProvider;

use crate::{
    Door, LeafMode, OpenMlsLeafDevice, OpenMlsThief, StockMlsRs, StockOpenMls, device::TestCrypto,
    suites::chosen,
};

/// The leaf anchor on OpenMLS, on a crypto provider `C`, with the suites that it knows.
///
/// In hidden mode the other members are stock. In standard mode they have the same crypto provider,
/// which knows leaves with several signature keys, and nothing else of Paired MLS.
pub struct OpenMlsLeafAdapter<C = RustCrypto> {
    mode: LeafMode,
    suites: Vec<CipherSuite>,
    crypto: PhantomData<C>,
}

impl<C> OpenMlsLeafAdapter<C> {
    /// The adapter, to be tested with these suites.
    pub fn new(mode: LeafMode, suites: &[CipherSuite]) -> Self {
        Self { mode, suites: chosen(suites), crypto: PhantomData }
    }
}

const IDENTITY: &str = "the leaf";

impl<C: TestCrypto> LeafAdapter for OpenMlsLeafAdapter<C> {
    type Device = OpenMlsLeafDevice<C>;
    type Thief = OpenMlsThief<MemoryProvider<C>>;

    fn suites(&self) -> Vec<CipherSuite> {
        self.suites.clone()
    }

    fn keys(&self) -> Keys {
        match self.mode {
            LeafMode::Hidden => Keys::Shared,
            LeafMode::Standard => Keys::Own,
        }
    }

    fn devices(&self, suite: CipherSuite, framing: Framing, count: usize) -> Vec<Self::Device> {
        OpenMlsLeafDevice::several(self.mode, suite, framing, IDENTITY, count)
            .expect("a suite of this adapter")
    }

    fn others(&self, suite: CipherSuite, framing: Framing) -> Vec<Box<dyn Member>> {
        let other: Box<dyn Member> = match self.mode {
            LeafMode::Hidden => {
                Box::new(StockMlsRs::new(suite, framing, "stock mls-rs").expect("a known suite"))
            }
            LeafMode::Standard => self.guest(suite, framing, "another member"),
        };
        vec![self.guest(suite, framing, "the creator"), other]
    }

    fn liar(&self, suite: CipherSuite, framing: Framing, identity: &str) -> Box<dyn Liar> {
        match self.mode {
            LeafMode::Hidden => {
                Box::new(StockOpenMls::new(suite, framing, identity).expect("a known suite"))
            }
            LeafMode::Standard => Box::new(
                StockOpenMls::<C>::behind(Door::Gated, suite, framing, identity)
                    .expect("a known suite"),
            ),
        }
    }

    fn ended(
        &self,
        suite: CipherSuite,
        framing: Framing,
        key_packages: &[Vec<u8>],
    ) -> Result<(Box<dyn Liar>, Vec<u8>), Refused> {
        const NAME: &str = "somebody whose leaf has ended";
        const GROUP: &[u8] = b"a group with an ended leaf";
        Ok(match self.mode {
            LeafMode::Hidden => {
                let mut ended = StockOpenMls::new(suite, framing, NAME)?;
                let welcome = ended.create_ended(GROUP, key_packages)?;
                (Box::new(ended), welcome)
            }
            LeafMode::Standard => {
                let mut ended = StockOpenMls::<C>::behind(Door::Gated, suite, framing, NAME)?;
                let welcome = ended.create_ended(GROUP, key_packages)?;
                (Box::new(ended), welcome)
            }
        })
    }

    fn guest(&self, suite: CipherSuite, framing: Framing, name: &str) -> Box<dyn Member> {
        match self.mode {
            LeafMode::Hidden => {
                Box::new(StockOpenMls::new(suite, framing, name).expect("a known suite"))
            }
            LeafMode::Standard => Box::new(
                StockOpenMls::<C>::behind(Door::Gated, suite, framing, name)
                    .expect("a known suite"),
            ),
        }
    }

    fn steal(&self, device: &Self::Device) -> Self::Thief {
        let group_id = device.group_id().expect("a device in a group");
        OpenMlsThief::of(device.records(), device.ciphersuite(), group_id)
            .expect("a device in a group")
    }

    fn second_leak(&self, first: &Self::Thief, device: &Self::Device) -> Self::Thief {
        let group_id = device.group_id().expect("a device in a group");
        first.with_epoch_in(device.records(), group_id).expect("a device in a group")
    }

    fn impersonate(&self, device: &Self::Device, signs: Signs) -> Box<dyn Impostor> {
        Box::new(device.impostor(signs).expect("a device in a group"))
    }

    fn steal_with_vault(&self, device: &Self::Device) -> Self::Device {
        device.copy(device).expect("a device in a group")
    }

    fn steal_vault_again(&self, thief: &mut Self::Device, device: &Self::Device) {
        *thief = thief.copy(device).expect("a device in a group");
    }

    fn rejoin_with_signature_key(
        &self,
        device: &Self::Device,
        group_info: &[u8],
    ) -> Result<(Box<dyn Member>, Sent), Refused> {
        let thief = StockOpenMls::<C>::outside(device, group_info)?;
        Ok((Box::new(thief.0), thief.1))
    }
}
