//! The adapter for OpenMLS, as the conformance suite sees it.

use std::marker::PhantomData;

use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    CipherSuite,
    conformance::{Adapter, Framing, Impostor, Member, Refused, Signs, liar::Liar},
};
use paired_mls_openmls::MemoryProvider;

use crate::{
    OpenMlsDevice, OpenMlsThief, StockMlsRs, StockOpenMls,
    device::TestCrypto,
    suites::chosen,
    thief::{cells, private_key_in, strings_in},
};

/// The adapter for OpenMLS on a crypto provider `C`, with the suites that it knows.
pub struct OpenMlsAdapter<C = RustCrypto> {
    suites: Vec<CipherSuite>,
    crypto: PhantomData<C>,
}

impl<C> OpenMlsAdapter<C> {
    /// The adapter, to be tested with these suites.
    pub fn new(suites: &[CipherSuite]) -> Self {
        Self { suites: chosen(suites), crypto: PhantomData }
    }
}

impl<C: TestCrypto> Adapter for OpenMlsAdapter<C> {
    type Device = OpenMlsDevice<C>;
    type Thief = OpenMlsThief<MemoryProvider<C>>;

    fn suites(&self) -> Vec<CipherSuite> {
        self.suites.clone()
    }

    fn device(&self, suite: CipherSuite, framing: Framing, identity: &str) -> Self::Device {
        OpenMlsDevice::new(suite, framing, identity).expect("a suite of this adapter")
    }

    fn liar(&self, suite: CipherSuite, framing: Framing, identity: &str) -> Box<dyn Liar> {
        Box::new(StockOpenMls::new(suite, framing, identity).expect("a known suite"))
    }

    fn ended(
        &self,
        suite: CipherSuite,
        framing: Framing,
        key_packages: &[Vec<u8>],
    ) -> Result<(Box<dyn Liar>, Vec<u8>), Refused> {
        let mut ended = StockOpenMls::new(suite, framing, "somebody whose leaf has ended")?;
        let welcome = ended.create_ended(b"a group with an ended leaf", key_packages)?;
        Ok((Box::new(ended), welcome))
    }

    fn stock(&self, suite: CipherSuite, framing: Framing) -> Vec<Box<dyn Member>> {
        vec![
            Box::new(StockOpenMls::new(suite, framing, "stock OpenMLS").expect("a known suite")),
            Box::new(StockMlsRs::new(suite, framing, "stock mls-rs").expect("a known suite")),
        ]
    }

    fn steal(&self, device: &Self::Device) -> Self::Thief {
        OpenMlsThief::new(device).expect("a device in a group")
    }

    fn second_leak(&self, first: &Self::Thief, device: &Self::Device) -> Self::Thief {
        first.with_epoch_of(device).expect("a device in a group")
    }

    fn impersonate(&self, device: &Self::Device, signs: Signs) -> Box<dyn Impostor> {
        Box::new(device.impostor(signs).expect("a device in a group"))
    }

    fn leaf_key(&self, device: &Self::Device) -> Vec<u8> {
        let group = device.group().expect("a device in a group");
        let own = group.mls().own_leaf_node().expect("a member has a leaf");
        let own = tls_codec::Serialize::tls_serialize_detached(own).expect("a leaf has bytes");
        let leaf = paired_mls::wire::LeafNode::decode(&own).expect("a leaf is a leaf");
        private_key_in(&cells(device.records()), leaf.encryption_key()).expect("the key is stored")
    }

    fn holds(&self, device: &Self::Device, string: &[u8]) -> bool {
        strings_in(&cells(device.records())).contains(string)
    }

    fn steal_with_vault(&self, device: &Self::Device) -> Self::Device {
        device.copy(device).expect("a device in a group")
    }

    fn steal_vault_again(&self, thief: &mut Self::Device, device: &Self::Device) {
        *thief = thief.copy(device).expect("a device in a group");
    }
}
