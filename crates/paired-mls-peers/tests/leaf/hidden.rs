//! Hidden mode: what a shared leaf sends is what an unpaired client sends.
//!
//! Two groups live through the same things: in one of them a client shares its leaf, and its devices
//! take turns; in the other it is stock OpenMLS. All its messages are taken apart, and compared field
//! by field: what is fixed is equal, what has a length has the same ones, and what is random is
//! distributed alike.

use std::collections::{BTreeMap, BTreeSet};

use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    CipherSuite,
    conformance::{
        Content, Framing, Heard, Listener as _, Member,
        leaf::{LeafMember as _, Use},
    },
    wire::{KeyPackage, LeafNode, LeafNodeSource, PublicCommit},
};
use paired_mls_openmls::KeyVectorCrypto;
use paired_mls_peers::{Door, LeafMode, OpenMlsLeafDevice, StockMlsRs, StockOpenMls, TestCrypto};
use tls_codec::{Deserialize as _, Serialize as _, VLBytes};

use crate::cast::{SENSOR, guest_name, pair};

const ROUNDS: usize = 40;

/// What a field of a message is compared by.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    /// Its value.
    Fixed(Vec<u8>),
    /// Its length, and the distribution of its bytes.
    Random(Vec<u8>),
    /// Its length.
    Opaque(usize),
}

/// A message, taken apart: each field has a name.
type Message = Vec<(String, Field)>;

/// The client in question.
enum Client<C> {
    Ordinary(Box<StockOpenMls<C>>),
    Shared { devices: Vec<OpenMlsLeafDevice<C>>, turn: usize },
}

impl<C: TestCrypto> Client<C> {
    fn shared(mode: LeafMode, suite: CipherSuite, framing: Framing) -> Self {
        let mut devices =
            OpenMlsLeafDevice::several(mode, suite, framing, "the client", 2).unwrap();
        pair(&mut devices, suite);
        Self::Shared { devices, turn: 0 }
    }

    fn ordinary(door: Door, suite: CipherSuite, framing: Framing) -> Self {
        Self::Ordinary(Box::new(StockOpenMls::behind(door, suite, framing, "the client").unwrap()))
    }

    fn key_package(&mut self) -> Vec<u8> {
        match self {
            Self::Ordinary(client) => client.key_package().unwrap(),
            Self::Shared { devices, turn } => {
                *turn = (*turn + 1) % devices.len();
                let package = devices[*turn].publish(Use::Once).unwrap();
                let partner = 1 - *turn;
                devices[partner].adopt(&package).unwrap();
                package
            }
        }
    }

    fn join(&mut self, welcome: &[u8]) {
        match self {
            Self::Ordinary(client) => client.join(welcome).unwrap(),
            Self::Shared { devices, .. } => {
                devices.iter_mut().for_each(|device| device.join(welcome).unwrap());
            }
        }
    }

    /// Returns the commit, and the Welcome and GroupInfo if there are any.
    fn commit(&mut self, content: &Content) -> Vec<Vec<u8>> {
        let sent = match self {
            Self::Ordinary(client) => {
                let sent = client.commit(content).unwrap();
                client.confirm().unwrap();
                sent
            }
            Self::Shared { devices, turn } => {
                *turn = (*turn + 1) % devices.len();
                let sent = devices[*turn].commit(content).unwrap();
                devices[*turn].confirm().unwrap();
                let partner = &mut devices[1 - *turn];
                partner.process(sent.notify.as_ref().unwrap()).unwrap();
                partner.process(&sent.commit).unwrap();
                sent
            }
        };
        [Some(sent.commit), sent.welcome, sent.group_info].into_iter().flatten().collect()
    }

    fn send(&mut self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ordinary(client) => client.send(message).unwrap(),
            Self::Shared { devices, turn } => devices[*turn].send(message).unwrap(),
        }
    }

    fn process(&mut self, message: &[u8]) {
        match self {
            Self::Ordinary(client) => drop(client.process(message).unwrap()),
            Self::Shared { devices, .. } => {
                for device in devices {
                    device.process(message).unwrap();
                }
            }
        }
    }

    fn epoch_authenticator(&self) -> Vec<u8> {
        match self {
            Self::Ordinary(client) => client.epoch_authenticator(),
            Self::Shared { devices, .. } => devices[SENSOR].epoch_authenticator(),
        }
    }
}

/// Everything that a client sends in a long life with an OpenMLS member and another one.
fn life<C: TestCrypto>(
    mut client: Client<C>,
    mut ada: StockOpenMls<C>,
    mut other: Box<dyn Member>,
    mut guest: impl FnMut() -> StockOpenMls<C>,
) -> Vec<Message> {
    let mut sent = vec![client.key_package()];
    ada.create(b"which is which").unwrap();
    let adds = vec![other.key_package().unwrap(), sent[0].clone()];
    let welcome = {
        let sent = ada.commit(&Content { adds, ..Content::default() }).unwrap();
        ada.confirm().unwrap();
        sent.welcome.unwrap()
    };
    other.join(&welcome).unwrap();
    client.join(&welcome);

    for round in 0..ROUNDS {
        sent.push(client.key_package());
        let mut commit = |client: &mut Client<C>, content: &Content| {
            let messages = client.commit(content);
            for member in [&mut ada as &mut dyn Member, other.as_mut()] {
                member.process(&messages[0]).unwrap();
                assert_eq!(member.epoch_authenticator(), client.epoch_authenticator());
            }
            sent.extend(messages);
        };
        commit(&mut client, &Content::default());
        if round % 8 == 0 {
            let adds = vec![guest().key_package().unwrap()];
            commit(&mut client, &Content { adds, ..Content::default() });
            let leaf = paired_mls::anchor::LeafIndex::new(3).unwrap();
            commit(&mut client, &Content { removes: vec![leaf], ..Content::default() });
        }
        let said = vec![b'x'; round % 7];
        let message = client.send(&said);
        for member in [&mut ada as &mut dyn Member, other.as_mut()] {
            assert_eq!(member.process(&message).unwrap(), Heard::Application(said.clone()));
        }
        sent.push(message);
        let by: &mut dyn Member = if round % 2 == 0 { &mut ada } else { other.as_mut() };
        let update = by.commit(&Content::default()).unwrap().commit;
        by.confirm().unwrap();
        let follower: &mut dyn Member = if round % 2 == 0 { other.as_mut() } else { &mut ada };
        follower.process(&update).unwrap();
        client.process(&update);
    }
    sent.iter().map(|message| take_apart(message)).collect()
}

/// Takes a message apart, whichever it is.
fn take_apart(message: &[u8]) -> Message {
    match message[3] {
        1 => public_commit(&PublicCommit::decode(message).unwrap().unwrap()),
        2 => private_message(message),
        5 => key_package(&KeyPackage::decode(&message[4..]).unwrap()),
        // Welcome and GroupInfo are encrypted or signed as a whole.
        format => vec![(format!("wire format {format}"), Field::Opaque(message.len()))],
    }
}

fn fixed(name: &str, value: impl AsRef<[u8]>) -> (String, Field) {
    (name.to_owned(), Field::Fixed(value.as_ref().to_vec()))
}

fn random(name: &str, value: &[u8]) -> (String, Field) {
    (name.to_owned(), Field::Random(value.to_vec()))
}

fn leaf_node(leaf: &LeafNode) -> Message {
    let encoded = |structure: &dyn ErasedSerialize| -> Vec<u8> { structure.encoded() };
    let source = match leaf.source() {
        LeafNodeSource::KeyPackage(lifetime) => {
            let seconds = lifetime.not_after() - lifetime.not_before();
            fixed("leaf source: key package, lifetime", seconds.to_be_bytes())
        }
        LeafNodeSource::Update => fixed("leaf source: update", []),
        LeafNodeSource::Commit(parent_hash) => random("leaf source: commit", parent_hash),
    };
    vec![
        random("leaf encryption_key", leaf.encryption_key()),
        ("leaf signature_key".to_owned(), Field::Opaque(leaf.signature_key().len())),
        fixed("leaf credential", encoded(leaf.credential())),
        fixed("leaf capabilities", encoded(leaf.capabilities())),
        source,
        fixed("leaf extensions", encoded(&leaf.extensions())),
        random("leaf signature", leaf.signature()),
    ]
}

/// `Serialize` is not object-safe.
trait ErasedSerialize {
    fn encoded(&self) -> Vec<u8>;
}

impl<T: tls_codec::Serialize> ErasedSerialize for T {
    fn encoded(&self) -> Vec<u8> {
        self.tls_serialize_detached().unwrap()
    }
}

fn key_package(package: &KeyPackage) -> Message {
    let mut fields = vec![
        fixed("cipher_suite", package.cipher_suite().to_be_bytes()),
        random("init_key", package.init_key()),
        fixed("extensions", package.extensions().tls_serialize_detached().unwrap()),
        random("signature", package.signature()),
    ];
    fields.extend(leaf_node(package.leaf_node()));
    named("KeyPackage", fields)
}

fn public_commit(commit: &PublicCommit) -> Message {
    let content = commit.content();
    let path = commit.commit().unwrap().path().unwrap();
    let mut fields = vec![
        fixed("group_id", content.group_id()),
        fixed("epoch", content.epoch().to_be_bytes()),
        fixed("sender", format!("{:?}", content.sender())),
        fixed("authenticated_data", content.authenticated_data()),
        ("proposals".to_owned(), Field::Opaque(commit.commit().unwrap().proposals().len())),
        fixed("path length", path.nodes().len().to_be_bytes()),
        random("signature", commit.signature()),
        random("confirmation_tag", commit.confirmation_tag()),
        random("membership_tag", commit.membership_tag().unwrap()),
    ];
    fields.extend(leaf_node(path.leaf_node()));
    for node in path.nodes() {
        fields.push(random("encryption_key", node.encryption_key()));
        fields.push(fixed("resolution", node.encrypted_path_secret().len().to_be_bytes()));
        for sealed in node.encrypted_path_secret() {
            fields.push(random("kem_output", sealed.kem_output()));
            fields.push(random("ciphertext", sealed.ciphertext()));
        }
    }
    named("commit", fields)
}

/// RFC 9420 section 6.3.
fn private_message(message: &[u8]) -> Message {
    let mut rest = &message[4..];
    let mut next = || Vec::<u8>::from(VLBytes::tls_deserialize(&mut rest).unwrap());
    let group_id = next();
    let header = rest[..9].to_vec();
    rest = &rest[9..];
    let mut next = || Vec::<u8>::from(VLBytes::tls_deserialize(&mut rest).unwrap());
    let fields = vec![
        fixed("group_id", group_id),
        fixed("epoch, content_type", header),
        fixed("authenticated_data", next()),
        random("encrypted_sender_data", &next()),
        random("ciphertext", &next()),
    ];
    assert!(rest.is_empty());
    named("PrivateMessage", fields)
}

fn named(message: &str, fields: Message) -> Message {
    fields.into_iter().map(|(name, field)| (format!("{message}: {name}"), field)).collect()
}

/// How lengths are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lengths {
    /// Each with each.
    Exact,
    /// Their distributions: ECDSA signatures have 70 to 72 bytes.
    Distributed,
}

impl Lengths {
    fn of(suite: CipherSuite) -> Self {
        if suite == CipherSuite::P256Aes128 { Self::Distributed } else { Self::Exact }
    }
}

/// Compares two lives; the error says what tells one from the other.
fn compare(one: &[Message], other: &[Message], lengths: Lengths) -> Result<(), String> {
    let names = |life: &[Message]| -> Vec<Vec<String>> {
        life.iter().map(|fields| fields.iter().map(|(name, _)| name.clone()).collect()).collect()
    };
    if names(one) != names(other) {
        return Err("the messages have other fields".to_owned());
    }
    let (one, other) = (by_name(one), by_name(other));
    for (name, fields) in &one {
        let others = &other[name];
        compare_fields(fields, others, lengths).map_err(|what| format!("{name}: {what}"))?;
    }
    Ok(())
}

fn by_name(life: &[Message]) -> BTreeMap<&str, Vec<&Field>> {
    let mut fields = BTreeMap::<_, Vec<_>>::new();
    for (name, field) in life.iter().flatten() {
        fields.entry(name.as_str()).or_default().push(field);
    }
    fields
}

fn compare_fields(one: &[&Field], other: &[&Field], lengths: Lengths) -> Result<(), String> {
    let length = |field: &&Field| match field {
        Field::Fixed(value) | Field::Random(value) => value.len(),
        Field::Opaque(length) => *length,
    };
    let of_one: Vec<_> = one.iter().map(length).collect();
    let of_other: Vec<_> = other.iter().map(length).collect();
    let alike = match lengths {
        Lengths::Exact => of_one == of_other,
        Lengths::Distributed => distance(&of_one, &of_other) < LIMIT,
    };
    if !alike {
        return Err(format!("lengths {of_one:?}, {of_other:?}"));
    }
    let fixed = |fields: &[&Field]| -> Vec<Field> {
        let fixed = fields.iter().filter(|field| matches!(field, Field::Fixed(_)));
        fixed.map(|field| (*field).clone()).collect()
    };
    if fixed(one) != fixed(other) {
        return Err("values".to_owned());
    }
    let random = |fields: &[&Field]| -> Vec<Vec<u8>> {
        let random = fields.iter().filter_map(|field| match field {
            Field::Random(value) if !value.is_empty() => Some(value.clone()),
            _ => None,
        });
        random.collect()
    };
    compare_random(&random(one), &random(other))
}

/// Random values occur once; their bytes are distributed alike, as a whole and at each place.
fn compare_random(one: &[Vec<u8>], other: &[Vec<u8>]) -> Result<(), String> {
    for values in [one, other] {
        if values.iter().collect::<BTreeSet<_>>().len() != values.len() {
            return Err("a random value occurs twice".to_owned());
        }
    }
    let bytes = |values: &[Vec<u8>]| -> Vec<usize> {
        values.iter().flatten().map(|byte| usize::from(byte >> 3)).collect()
    };
    if distance(&bytes(one), &bytes(other)) > LIMIT {
        return Err("the distributions of the bytes".to_owned());
    }
    let shortest = |values: &[Vec<u8>]| values.iter().map(Vec::len).min().unwrap_or(0);
    for at in 0..shortest(one).min(shortest(other)) {
        let kinds = |values: &[Vec<u8>]| {
            values.iter().map(|value| value[at]).collect::<BTreeSet<_>>().len()
        };
        let (kinds, others) = (kinds(one), kinds(other));
        if one.len() > 20 && kinds.min(others) == 1 && kinds.max(others) > 6 {
            return Err(format!("whether byte {at} varies"));
        }
    }
    Ok(())
}

/// χ² of two samples, less its degrees of freedom, over the root of twice of them: 0 on average and 1
/// in deviation, if both are of one distribution.
fn distance(one: &[usize], other: &[usize]) -> f64 {
    let mut counts = BTreeMap::<usize, [f64; 2]>::new();
    for (which, sample) in [one, other].into_iter().enumerate() {
        for value in sample {
            counts.entry(*value).or_default()[which] += 1.0;
        }
    }
    let total = [one.len() as f64, other.len() as f64];
    let (left, right) = ((total[1] / total[0]).sqrt(), (total[0] / total[1]).sqrt());
    let terms = counts.values().map(|[a, b]| (a * left - b * right).powi(2) / (a + b));
    let freedom = (counts.len() as f64 - 1.0).max(1.0);
    (terms.sum::<f64>() - freedom) / (2.0 * freedom).sqrt()
}

/// Chance reaches it once in 10¹⁰ comparisons at most.
const LIMIT: f64 = 16.0;

fn stock_life(suite: CipherSuite, framing: Framing, client: Client<RustCrypto>) -> Vec<Message> {
    let ada = StockOpenMls::new(suite, framing, "ada").unwrap();
    let bob = StockMlsRs::new(suite, framing, "bob").unwrap();
    let guest = || StockOpenMls::new(suite, framing, &guest_name()).unwrap();
    life(client, ada, Box::new(bob), guest)
}

/// What a hidden leaf sends is what an unpaired client sends.
#[test]
fn nothing_tells_a_hidden_leaf_from_an_unpaired_client() {
    for suite in [CipherSuite::X25519Aes128, CipherSuite::P256Aes128] {
        for framing in [Framing::Public, Framing::Private] {
            let shared =
                stock_life(suite, framing, Client::shared(LeafMode::Hidden, suite, framing));
            let ordinary = stock_life(suite, framing, Client::ordinary(Door::Open, suite, framing));
            let compared = compare(&shared, &ordinary, Lengths::of(suite));
            assert_eq!(compared, Ok(()), "{suite:?} {framing:?}");
        }
    }
}

/// The control: the same comparison tells a leaf with two signature keys, a value with a mark in it, and
/// one that is not quite random.
#[test]
fn the_comparison_tells_what_differs() {
    let (suite, framing) = (CipherSuite::X25519Aes128, Framing::Public);
    let gated = |client| {
        let behind = |name: &str| {
            StockOpenMls::<KeyVectorCrypto<RustCrypto>>::behind(Door::Gated, suite, framing, name)
                .unwrap()
        };
        life(client, behind("ada"), Box::new(behind("bob")), || behind(&guest_name()))
    };
    let standard = gated(Client::shared(LeafMode::Standard, suite, framing));
    let ordinary = gated(Client::ordinary(Door::Gated, suite, framing));
    assert!(compare(&standard, &ordinary, Lengths::Exact).unwrap_err().contains("lengths"));

    let again = gated(Client::ordinary(Door::Gated, suite, framing));
    assert_eq!(compare(&again, &ordinary, Lengths::Exact), Ok(()), "two unpaired clients");
    let changed = |change: fn(&mut Vec<u8>)| {
        let mut life = ordinary.clone();
        for (name, field) in life.iter_mut().flatten() {
            if let Field::Random(value) = field
                && name.ends_with("kem_output")
            {
                change(value);
            }
        }
        compare(&life, &again, Lengths::Exact).unwrap_err()
    };
    assert!(changed(|value| value[3] = 0x55).contains("byte 3"));
    assert!(changed(|value| value.iter_mut().for_each(|b| *b &= 0xdf)).contains("distributions"));
    assert!(changed(|value| value.fill(9)).contains("twice"));
}
