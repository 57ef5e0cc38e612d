//! A differential test: what a member on stock OpenMLS takes, a paired device takes too, at a node and
//! behind a leaf. Otherwise any member could shut it out of the group.

use openmls::prelude::{
    ApplicationIdExtension, BasicCredential, Capabilities, Ciphersuite, CredentialWithKey,
    Extension, ExtensionType, Extensions, KeyPackage, LeafNode, LeafNodeParameters, MlsMessageOut,
    NewSignerBundle, UnknownExtension,
};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    OpenMlsProvider as _,
    crypto::OpenMlsCrypto as _,
    signatures::{Signer, SignerError},
    types::SignatureScheme,
};
use paired_mls::{
    CipherSuite, DeviceId, Event, Pairing, PairingId, Secret, Seed,
    anchor::LeafIndex,
    conformance::{
        Content, Framing, Heard, Listener as _, Member, PairedMember as _,
        leaf::{LeafMember as _, Use},
    },
    group::Oddity,
};
use paired_mls_openmls::{MemoryProvider, odd_leaves};
use paired_mls_peers::{LeafMode, OpenMlsDevice, OpenMlsLeafDevice, Stock as _, StockOpenMls};

const SUITES: [CipherSuite; 2] = [CipherSuite::X25519Aes128, CipherSuite::P256Aes128];
const FRAMINGS: [Framing; 2] = [Framing::Public, Framing::Private];
const ID: PairingId = PairingId([7; 16]);
/// Of the private-use range. OpenMLS refuses the values that are reserved for GREASE, as a leaf's extension.
const UNKNOWN: [u16; 2] = [0xf0aa, 0xf0bb];

/// Mallory and her second client are on stock OpenMLS, like Bob, who shows what stock members take.
pub(crate) struct Town {
    suite: CipherSuite,
    pub(crate) mallory: StockOpenMls,
    pub(crate) second: StockOpenMls,
    pub(crate) bob: StockOpenMls,
    pub(crate) phone: OpenMlsDevice,
    pub(crate) sensor: OpenMlsDevice,
    pub(crate) behind: Vec<OpenMlsLeafDevice>,
}

impl Town {
    fn new(suite: CipherSuite, framing: Framing) -> Self {
        let stock = |name| StockOpenMls::new(suite, framing, name).unwrap();
        let device = |name| OpenMlsDevice::new(suite, framing, name).unwrap();
        let mut behind =
            OpenMlsLeafDevice::several(LeafMode::Hidden, suite, framing, "the leaf", 2).unwrap();
        let seed = || Seed::new(suite, Secret::new(vec![7; suite.kdf_len()])).unwrap();
        let pairing = Pairing::new(ID, vec![Vec::new(); 2]);
        for (device, own) in behind.iter_mut().zip((0..).map(DeviceId)) {
            pairing.install(device.vault(), suite, seed(), own).unwrap();
            device.share(ID);
        }
        let package = behind[0].publish(Use::Once).unwrap();
        behind[1].adopt(&package).unwrap();

        let mut mallory = stock("mallory");
        let (mut second, mut bob) = (stock("mallory's second"), stock("bob"));
        let (mut phone, mut sensor) = (device("phone"), device("sensor"));
        mallory.create(b"odd").unwrap();
        let mut adds = vec![second.key_package().unwrap()];
        adds.extend([phone.key_package().unwrap(), sensor.key_package().unwrap()]);
        adds.extend([bob.key_package().unwrap(), package]);
        let sent = mallory.commit(&Content { adds, ..Content::default() }).unwrap();
        mallory.confirm().unwrap();
        let welcome = sent.welcome.unwrap();
        second.join(&welcome).unwrap();
        bob.join(&welcome).unwrap();
        behind.iter_mut().for_each(|device| device.join(&welcome).unwrap());
        let pairing = Pairing::new(ID, [phone.signature_key(), sensor.signature_key()]);
        for (device, own) in [&mut phone, &mut sensor].into_iter().zip((0..).map(DeviceId)) {
            device.join(&welcome).unwrap();
            pairing.install(device.vault(), suite, seed(), own).unwrap();
            device.pair(&pairing).unwrap();
        }
        Self { suite, mallory, second, bob, phone, sensor, behind }
    }

    /// A commit arrives, which is not Mallory's own work alone: whoever is stock takes it, and so do all.
    /// Afterwards the devices are found again, and commit.
    fn everybody_takes(&mut self, what: &str, commit: &[u8]) -> Vec<Event> {
        self.bob.process(commit).unwrap_or_else(|error| panic!("{what}: the control: {error}"));
        self.second.process(commit).unwrap();
        let taken = |heard| match heard {
            Ok(Heard::Commit { events, .. }) => events,
            other => panic!("{what}: {other:?}"),
        };
        let events = taken(self.phone.process(commit));
        taken(self.sensor.process(commit));
        for device in &mut self.behind {
            assert_eq!(odd_only(taken(device.process(commit))), odd_only(events.clone()), "{what}");
        }
        self.assert_together(what);
        self.everybody_goes_on(what);
        events
    }

    pub(crate) fn everybody_goes_on(&mut self, what: &str) {
        self.phone.crash().unwrap();
        self.sensor.crash().unwrap();
        self.behind.iter_mut().for_each(|device| device.crash().unwrap());

        let sent = self.phone.commit(&Content::default()).unwrap();
        self.phone.confirm().unwrap();
        self.sensor.process(&sent.commit).unwrap();
        self.behind.iter_mut().for_each(|device| drop(device.process(&sent.commit).unwrap()));
        self.others_hear(&sent.commit);
        self.assert_together(what);

        let sent = self.behind[0].commit(&Content::default()).unwrap();
        self.behind[0].confirm().unwrap();
        self.behind[1].process(sent.notify.as_ref().unwrap()).unwrap();
        self.behind[1].process(&sent.commit).unwrap();
        self.phone.process(&sent.commit).unwrap();
        self.sensor.process(&sent.commit).unwrap();
        self.others_hear(&sent.commit);
        self.assert_together(what);
    }

    fn others_hear(&mut self, commit: &[u8]) {
        for member in [&mut self.mallory, &mut self.second, &mut self.bob] {
            member.process(commit).unwrap();
        }
    }

    pub(crate) fn assert_together(&self, what: &str) {
        let bob = self.bob.epoch_authenticator();
        assert_eq!(self.mallory.epoch_authenticator(), bob, "{what}");
        assert_eq!(self.phone.epoch_authenticator(), bob, "{what}");
        assert_eq!(self.sensor.epoch_authenticator(), bob, "{what}");
        for device in &self.behind {
            assert_eq!(device.epoch_authenticator(), bob, "{what}");
        }
    }

    /// Mallory commits, with a change of her leaf.
    fn mallory_changes(&mut self, leaf: LeafNodeParameters) -> Vec<u8> {
        let (group, provider, signer) = self.mallory.parts().unwrap();
        let bundle = group
            .commit_builder()
            .force_self_update(true)
            .leaf_node_parameters(leaf)
            .load_psks(provider.storage())
            .unwrap()
            .build(provider.rand(), provider.crypto(), signer, |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        group.merge_pending_commit(provider).unwrap();
        bundle.commit().to_bytes().unwrap()
    }

    /// Mallory adds a member.
    fn mallory_adds(&mut self, key_package: Vec<u8>) -> Vec<u8> {
        let adds = vec![key_package];
        let sent = self.mallory.commit(&Content { adds, ..Content::default() }).unwrap();
        self.mallory.confirm().unwrap();
        sent.commit
    }
}

fn odd_only(events: Vec<Event>) -> Vec<Event> {
    events.into_iter().filter(|event| matches!(event, Event::OddLeaf { .. })).collect()
}

pub(crate) fn for_each(test: impl Fn(Town)) {
    for suite in SUITES {
        for framing in FRAMINGS {
            test(Town::new(suite, framing));
        }
    }
}

/// Mallory's two clients come to have the same signature key: OpenMLS looks for that in Adds only.
#[test]
fn a_key_twice_is_taken_and_told() {
    for_each(|mut town| {
        let key = town.second.signature_key();
        let credential_with_key = CredentialWithKey {
            credential: BasicCredential::new(b"mallory".to_vec()).into(),
            signature_key: key.into(),
        };
        let (_, _, new) = town.second.parts().unwrap();
        let bundle = NewSignerBundle { signer: new, credential_with_key };
        let (group, provider, old) = town.mallory.parts().unwrap();
        let bundle = group
            .commit_builder()
            .load_psks(provider.storage())
            .unwrap()
            .build_with_new_signer(provider.rand(), provider.crypto(), old, bundle, |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        group.merge_pending_commit(provider).unwrap();
        let commit = bundle.commit().to_bytes().unwrap();
        let events = town.everybody_takes("a key twice", &commit);
        let twice = |leaf| Event::OddLeaf { leaf, oddity: Oddity::KeyTwice };
        assert_eq!(odd_only(events), [twice(LeafIndex::new(1).unwrap())]);
        let group = town.phone.group().unwrap();
        assert_eq!(
            odd_leaves(&RustCrypto::default(), group.mls()),
            [(LeafIndex::new(1).unwrap(), Oddity::KeyTwice)]
        );
        // It is told once, and not with every commit that follows.
        let sent = town.bob.commit(&Content::default()).unwrap();
        let Heard::Commit { events, .. } = town.phone.process(&sent.commit).unwrap() else {
            panic!("a commit is a commit");
        };
        assert_eq!(odd_only(events), []);
    });
}

/// A signer whose public key is told in another form than its own.
struct Compressed {
    private: Vec<u8>,
}

impl Signer for Compressed {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        let scheme = SignatureScheme::ECDSA_SECP256R1_SHA256;
        let signed = RustCrypto::default().sign(scheme, payload, &self.private);
        signed.map_err(|_| SignerError::SigningError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_SECP256R1_SHA256
    }
}

/// A point of P-256 has two encodings, and OpenMLS takes the short one as well.
#[test]
fn a_compressed_point_is_taken_and_told() {
    for framing in FRAMINGS {
        let mut town = Town::new(CipherSuite::P256Aes128, framing);
        let crypto = RustCrypto::default();
        let scheme = SignatureScheme::ECDSA_SECP256R1_SHA256;
        let (private, public) = crypto.signature_key_gen(scheme).unwrap();
        // 4, x, y becomes 2 or 3, by the last bit of y, and x.
        let short = [&[2 + (public[64] & 1)], &public[1..33]].concat();
        let credential = CredentialWithKey {
            credential: BasicCredential::new(b"short".to_vec()).into(),
            signature_key: short.into(),
        };
        let provider = MemoryProvider::new(RustCrypto::default());
        let bundle = KeyPackage::builder()
            .build(
                Ciphersuite::MLS_128_DHKEMP256_AES128GCM_SHA256_P256,
                &provider,
                &Compressed { private },
                credential,
            )
            .unwrap();
        let key_package = MlsMessageOut::from(bundle.into_key_package()).to_bytes().unwrap();
        let commit = town.mallory_adds(key_package);
        let events = town.everybody_takes("a compressed point", &commit);
        let leaf = LeafIndex::new(6).unwrap();
        let unusual = Event::OddLeaf { leaf, oddity: Oddity::UnusualForm };
        assert_eq!(odd_only(events), [unusual]);
    }
}

/// Extensions and capabilities that nobody knows, empty ones, large ones, and an application's identifier.
#[test]
fn odd_extensions_and_capabilities_are_taken() {
    for_each(|mut town| {
        let listed: Vec<_> = UNKNOWN.map(ExtensionType::from).to_vec();
        let capabilities = Capabilities::new(
            None,
            None,
            Some(&[listed.as_slice(), &[ExtensionType::ApplicationId]].concat()),
            None,
            None,
        );
        let unknown = |code, data| Extension::Unknown(code, UnknownExtension(data));
        let leaves: [(&str, Vec<Extension>); 4] = [
            ("empty", vec![unknown(UNKNOWN[0], vec![])]),
            ("large", vec![unknown(UNKNOWN[0], vec![0x5a; 70_000])]),
            ("two", vec![unknown(UNKNOWN[1], vec![1, 2, 3]), unknown(UNKNOWN[0], vec![0])]),
            ("identifier", vec![Extension::ApplicationId(ApplicationIdExtension::new(&[9; 40]))]),
        ];
        for (what, extensions) in leaves {
            let extensions = Extensions::<LeafNode>::from_vec(extensions).unwrap();
            let leaf = LeafNodeParameters::builder()
                .with_capabilities(capabilities.clone())
                .with_extensions(extensions)
                .build();
            let commit = town.mallory_changes(leaf);
            town.everybody_takes(what, &commit);
        }
    });
}

/// A commit without a path, one with a lot of authenticated data, and a member that comes and goes at
/// once.
#[test]
fn odd_commits_are_taken() {
    for_each(|mut town| {
        let (group, provider, signer) = town.mallory.parts().unwrap();
        group.set_aad(vec![0xad; 5_000]);
        let bundle = group
            .commit_builder()
            .force_self_update(true)
            .load_psks(provider.storage())
            .unwrap()
            .build(provider.rand(), provider.crypto(), signer, |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        group.merge_pending_commit(provider).unwrap();
        let commit = bundle.commit().to_bytes().unwrap();
        town.everybody_takes("authenticated data", &commit);

        let mut guest = StockOpenMls::new(town.suite, Framing::Public, "a guest").unwrap();
        let key_package = guest.key_package().unwrap();
        let (group, provider, signer) = town.mallory.parts().unwrap();
        let (_, package) = parsed(&key_package);
        let bundle = group
            .commit_builder()
            .propose_adds([package])
            .force_self_update(false)
            .load_psks(provider.storage())
            .unwrap()
            .build(provider.rand(), provider.crypto(), signer, |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        group.merge_pending_commit(provider).unwrap();
        let commit = bundle.commit().to_bytes().unwrap();
        town.everybody_takes("no path", &commit);

        let removes = vec![LeafIndex::new(6).unwrap()];
        let mut other = StockOpenMls::new(town.suite, Framing::Public, "another guest").unwrap();
        let adds = vec![other.key_package().unwrap()];
        let sent = town.mallory.commit(&Content { adds, removes }).unwrap();
        town.mallory.confirm().unwrap();
        town.everybody_takes("one comes and one goes", &sent.commit);
    });
}

fn parsed(message: &[u8]) -> (usize, KeyPackage) {
    use openmls::prelude::{KeyPackageIn, MlsMessageBodyIn, MlsMessageIn, ProtocolVersion};
    use tls_codec::DeserializeBytes as _;
    let message_in = MlsMessageIn::tls_deserialize_exact_bytes(message).unwrap();
    let MlsMessageBodyIn::KeyPackage(package) = message_in.extract() else {
        panic!("this is no KeyPackage");
    };
    let crypto = RustCrypto::default();
    let package: KeyPackage =
        KeyPackageIn::validate(package, &crypto, ProtocolVersion::Mls10).unwrap();
    (message.len(), package)
}

/// Lengths that take more bytes than they need, and single bytes that are changed: whatever stock OpenMLS
/// takes of it, the devices take, and what it refuses they refuse.
#[test]
fn odd_encodings_are_judged_alike() {
    for suite in SUITES {
        let mut town = Town::new(suite, Framing::Public);
        let commit = town.mallory_changes(LeafNodeParameters::default());
        // MLSMessage: version, wire_format, and then the length of the group's identifier, 3.
        let mut odd = vec![[&commit[..4], &[0x40, 3], &commit[5..]].concat()];
        odd.push([&commit[..4], &[0x80, 0, 0, 3], &commit[5..]].concat());
        odd.push([&commit[..], &[0]].concat());
        for at in (0..commit.len()).step_by(7) {
            let mut changed = commit.clone();
            changed[at] ^= 0x80;
            odd.push(changed);
        }
        for message in odd {
            let bob = town.bob.process(&message).is_ok();
            assert_eq!(town.phone.process(&message).is_ok(), bob);
            for device in &mut town.behind {
                assert_eq!(device.process(&message).is_ok(), bob);
            }
            assert!(!bob, "then the rest of the test has no meaning");
        }
        town.everybody_takes("the commit itself", &commit);
    }
}
