//! What is left of a commit in the database.

use std::collections::BTreeMap;

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialWithKey, Lifetime, MlsGroupCreateConfig,
    MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use paired_mls::{
    CipherSuite, DeviceId as Number, Pairing, PairingId, Secret, Seed, Vault,
    group::credential::AcceptAnyIdentity, vault::MemoryStorage,
};
use paired_mls_api::{
    CreateGroup, GroupId, PublishCommit, RequestKey as _, RosterChange, UserId, path,
};
use paired_mls_openmls::{Device as MlsDevice, Group, MemoryProvider, PackageKind};
use sqlx::{AnyPool, Column as _, Row as _, ValueRef as _};

use crate::{
    backend::{Backend, on_both},
    device::Device,
    messages::*,
};

on_both!(a_paired_and_an_ordinary_commit_leave_the_same_trace);

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// The group of two, which one of them has created elsewhere.
pub(crate) fn group_of_two(user: &UserId) -> GroupId {
    GroupId::of_creator(user, *b"the two of us, 1")
}

/// A commit as a device sends it.
pub(crate) struct Sent {
    pub(crate) commit: Vec<u8>,
    pub(crate) notify: Option<Vec<u8>>,
}

fn mls_device(identity: &[u8], keys: (&[u8], &[u8])) -> MlsDevice<MemoryProvider<RustCrypto>> {
    let (private, public) = keys;
    let provider = MemoryProvider::new(RustCrypto::default());
    let credential = CredentialWithKey {
        credential: BasicCredential::new(identity.to_vec()).into(),
        signature_key: public.to_vec().into(),
    };
    let scheme = SUITE.signature_algorithm();
    let signer = SignatureKeyPair::from_raw(scheme, private.to_vec(), public.to_vec());
    MlsDevice::new(
        provider,
        Vault::new(MemoryStorage::new()),
        signer,
        credential,
        AcceptAnyIdentity,
    )
}

fn key_pair() -> (Vec<u8>, Vec<u8>) {
    RustCrypto::default().signature_key_gen(SUITE.signature_algorithm()).unwrap()
}

fn config() -> MlsGroupCreateConfig {
    MlsGroupCreateConfig::builder()
        .ciphersuite(SUITE)
        .use_ratchet_tree_extension(true)
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .build()
}

fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder().wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY).build()
}

/// A commit by a hidden pairing behind one leaf, in a group of two members, and its Notify.
pub(crate) fn paired_commit(sender: &Device) -> Sent {
    let (private, public) = (sender.key.to_bytes(), sender.public_key());
    let (bob_private, bob_public) = key_pair();
    let pairing = Pairing::new(PairingId([1; 16]), [public.as_slice(), public.as_slice()]);
    let alice =
        mls_device(sender.user.as_bytes(), (&private, &public)).with_shared_leaf(pairing.id);
    let bob = mls_device(b"bob", (&bob_private, &bob_public));
    let suite = CipherSuite::X25519Aes128;
    let seed = Seed::new(suite, Secret::new(vec![42; 32])).unwrap();
    pairing.install(alice.vault(), suite, seed, Number(0)).unwrap();
    let once = PackageKind::Once;
    let (lifetime, capabilities) = (Lifetime::default(), Capabilities::default());
    let package = Group::publish(&alice, pairing.id, once, lifetime, capabilities).unwrap();
    let mut at_bob = Group::create(&bob, group_of_two(&sender.user).as_bytes(), &config()).unwrap();
    let welcome = at_bob.add(&bob, &[package]).unwrap().welcome.unwrap();
    let mut at_alice = Group::join(&alice, &welcome, &join_config()).unwrap();
    let sent = at_alice.update(&alice).unwrap();
    assert!(sent.notify.is_some());
    Sent { commit: sent.commit, notify: sent.notify }
}

/// A commit by an ordinary member in the same place.
pub(crate) fn ordinary_commit(sender: &Device) -> Sent {
    let (private, public) = (sender.key.to_bytes(), sender.public_key());
    let (bob_private, bob_public) = key_pair();
    let alice = mls_device(sender.user.as_bytes(), (&private, &public));
    let bob = mls_device(b"bob", (&bob_private, &bob_public));
    let package = alice.key_package(SUITE).unwrap();
    let mut at_bob = Group::create(&bob, group_of_two(&sender.user).as_bytes(), &config()).unwrap();
    let welcome = at_bob.add(&bob, &[package]).unwrap().welcome.unwrap();
    let mut at_alice = Group::join(&alice, &welcome, &join_config()).unwrap();
    let sent = at_alice.update(&alice).unwrap();
    assert_eq!(sent.notify, None);
    Sent { commit: sent.commit, notify: None }
}

async fn a_paired_and_an_ordinary_commit_leave_the_same_trace(paired: Backend) {
    let mut ordinary = match paired.config.database.starts_with("sqlite") {
        true => Backend::sqlite(),
        false => Backend::postgres().unwrap(),
    };
    // Positions in mailboxes follow the clock.
    ordinary.clock = paired.clock.clone();
    let alice = Device::new("alice");
    let paired = trace(&paired, &alice, &paired_commit(&alice)).await;
    let ordinary = trace(&ordinary, &alice, &ordinary_commit(&alice)).await;
    assert_eq!(paired["log"].len(), 1);
    assert_eq!(paired["mailbox"].len(), 1);
    assert_eq!(paired, ordinary);
}

/// Publishes a commit by one of two devices of an account, and looks at every row there is.
async fn trace(
    backend: &Backend,
    alice: &Device,
    sent: &Sent,
) -> BTreeMap<&'static str, Vec<Vec<String>>> {
    let replica = backend.replica().await;
    assert_eq!(alice.register(&replica).await.status, 201);
    let partner = alice.sibling(&replica).await;
    let bob = Device::registered(&replica, "bob").await;
    let group = group_of_two(&alice.user);
    let create = CreateGroup {
        group: group.clone(),
        epoch: 1,
        access: Default::default(),
        group_info: None,
    };
    assert_eq!(alice.post(&replica, path::GROUPS, &create).await.status, 201);
    let account_envelope = match &sent.notify {
        Some(notify) => envelope(notify),
        None => cover(&sent.commit),
    };
    // To whoever looks inside, both are a PrivateMessage of one length.
    let inside = paired_mls_api::Envelope::decode(account_envelope.0.clone()).unwrap();
    let commit = PublishCommit {
        commit: sent.commit.clone().into(),
        account_envelope,
        welcomes: Vec::new(),
        envelopes: Vec::new(),
        group_info: None,
        roster: RosterChange { add: vec![bob.user.clone()], remove: Vec::new() },
    };
    win(&replica, alice, &group, &commit).await;
    assert_eq!(partner.get(&replica, path::MAILBOX).await.status, 200);

    let mut trace = rows(&backend.config.database).await;
    trace.insert("envelope", vec![vec![inside.content().len().to_string()]]);
    trace
}

/// Every row of every table: numbers and names as they are, bytes as their number.
async fn rows(database: &str) -> BTreeMap<&'static str, Vec<Vec<String>>> {
    let pool = AnyPool::connect(database).await.unwrap();
    let mut tables = BTreeMap::new();
    for (table, statement) in [
        ("users", "SELECT * FROM users"),
        ("devices", "SELECT * FROM devices"),
        ("approvals", "SELECT * FROM approvals"),
        ("nonces", "SELECT * FROM nonces"),
        ("groups", "SELECT * FROM groups"),
        ("roster", "SELECT * FROM roster"),
        ("log", "SELECT * FROM log"),
        ("mailbox", "SELECT * FROM mailbox"),
        ("key_packages", "SELECT * FROM key_packages"),
        ("claimed_key_packages", "SELECT * FROM claimed_key_packages"),
        ("pairings", "SELECT * FROM pairings"),
        ("pairing_requests", "SELECT * FROM pairing_requests"),
    ] {
        let rows = sqlx::query(statement).fetch_all(&pool).await.unwrap();
        let mut shown: Vec<Vec<String>> = rows.iter().map(show).collect();
        shown.sort();
        tables.insert(table, shown);
    }
    tables
}

fn show(row: &sqlx::any::AnyRow) -> Vec<String> {
    let column = |column: &<sqlx::Any as sqlx::Database>::Column| {
        let at = column.ordinal();
        let name = column.name();
        if row.try_get_raw(at).unwrap().is_null() {
            return format!("{name}: none");
        }
        match (row.try_get::<Vec<u8>, _>(at), row.try_get::<i64, _>(at)) {
            (Ok(bytes), _) => format!("{name}: {} bytes", bytes.len()),
            // The moments differ between the two runs, the time that a thing lasts does not.
            (_, Ok(_)) if name == "expires_at" => format!("{name}: a time"),
            (_, Ok(number)) => format!("{name}: {number}"),
            // A nonce is random.
            _ if name == "nonce" => format!("{name}: {}", row.get::<String, _>(at).len()),
            _ => format!("{name}: {}", row.get::<String, _>(at)),
        }
    };
    row.columns().iter().map(column).collect()
}
