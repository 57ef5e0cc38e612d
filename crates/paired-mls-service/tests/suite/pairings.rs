//! Pairings of standard mode.

use axum::{body::Body, http::Request};
use paired_mls::{
    CipherSuite, DeviceId as Number, PairingId, Secret, Vault,
    leaf::SignatureKeys,
    pairing::{
        AnchorKind, MessageType, PairingDevice, PairingMessage, Party, Request as Wish, Roster,
        Unpaired,
    },
    vault::MemoryStorage,
};
use paired_mls_api::{
    Envelope, KeyPackageUpload, MailboxPage, PAIRING_MESSAGE, PairingState, PairingView,
    ProblemKind, RequestKey as _, path,
};
use tower::ServiceExt as _;

use crate::{
    backend::{Backend, Replica, on_both},
    device::{Answer, Device, random},
};

on_both!(
    both_devices_ask_and_both_are_told,
    only_equal_requests_of_listed_devices_count,
    both_may_ask_at_once,
    a_request_is_bounded_by_its_copies,
    a_key_of_a_partner_costs_the_same_however_many_there_are,
);

fn party(device: &Device) -> Party {
    Party { identity: device.user.as_bytes().to_vec(), signature_key: device.public_key() }
}

/// What the first of the devices asks for.
pub(crate) fn request(pairing: PairingId, devices: &[&Device]) -> Vec<u8> {
    let listed = devices.iter().enumerate().map(|(number, device)| PairingDevice {
        device: Number(number as u16),
        party: party(device),
    });
    let roster = Roster::new(pairing, CipherSuite::X25519Aes128, listed.collect()).unwrap();
    let vault = Vault::new(MemoryStorage::new());
    let seed = Secret::new(random::<32>().to_vec());
    let seeded = Unpaired::new(party(devices[0])).load_seed(&vault, roster, &seed).unwrap();
    let (_, outbound) = seeded.initiate(Wish::Standard(AnchorKind::Leaf)).unwrap();
    outbound.message.expose().to_vec()
}

pub(crate) async fn ask(replica: &Replica, device: &Device, request: &[u8]) -> Answer {
    device.send(replica, "POST", path::PAIRINGS, PAIRING_MESSAGE, request.to_vec()).await
}

/// Registers a pairing of two devices.
pub(crate) async fn pair(replica: &Replica, one: &Device, other: &Device) {
    let request = request(PairingId(random()), &[one, other]);
    assert_eq!(ask(replica, one, &request).await.status, 202);
    assert_eq!(ask(replica, other, &request).await.status, 200);
}

/// What is in the mailbox of a device.
async fn told(replica: &Replica, device: &Device) -> Vec<Vec<u8>> {
    let page: MailboxPage = device.get(replica, path::MAILBOX).await.json(200);
    let open = |item: paired_mls_api::MailboxItem| {
        Envelope::decode(item.envelope.0).unwrap().content().to_vec()
    };
    page.items.into_iter().map(open).collect()
}

async fn both_devices_ask_and_both_are_told(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let carol = Device::registered(&replica, "carol").await;
    let pairing = PairingId(random());
    let path = path::of_pairing(&pairing.0);
    let request = request(pairing, &[&alice, &bob]);
    carol.get(&replica, &path).await.problem(ProblemKind::NotFound);

    let view: PairingView = ask(&replica, &alice, &request).await.json(202);
    assert_eq!((view.state, view.waiting_for), (PairingState::Pending, vec![1]));
    assert_eq!(told(&replica, &bob).await, std::slice::from_ref(&request));
    assert_eq!(told(&replica, &alice).await.len(), 0);
    // Nothing is tied to anything yet. Asking again tells nobody anything new.
    assert_eq!(view.signature_keys, []);
    ask(&replica, &alice, &request).await.json::<PairingView>(202);
    assert_eq!(told(&replica, &bob).await.len(), 1);

    let view: PairingView = ask(&replica, &bob, &request).await.json(200);
    assert_eq!(view.state, PairingState::Registered);
    let keys = [alice.public_key().into(), bob.public_key().into()];
    assert_eq!(view.signature_keys, keys);
    let accept = view.message.unwrap().0;
    let decoded = PairingMessage::decode(&accept).unwrap();
    assert_eq!(decoded.message_type(), MessageType::DirectoryAccept);
    assert_eq!(told(&replica, &alice).await, std::slice::from_ref(&accept));
    assert_eq!(told(&replica, &bob).await, [request, accept]);

    // Others see whose keys are tied, not the messages.
    let view: PairingView = carol.get(&replica, &path).await.json(200);
    assert_eq!((view.signature_keys, view.message), (keys.to_vec(), None));
}

async fn only_equal_requests_of_listed_devices_count(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let carol = Device::registered(&replica, "carol").await;
    let pairing = PairingId(random());
    let first = request(pairing, &[&alice, &bob]);
    ask(&replica, &carol, &first).await.problem(ProblemKind::Forbidden);
    ask(&replica, &alice, &first).await.json::<PairingView>(202);
    let other = request(pairing, &[&bob, &alice]);
    ask(&replica, &bob, &other).await.problem(ProblemKind::Conflict);
    ask(&replica, &bob, b"nothing").await.problem(ProblemKind::InvalidMessage);
    let view: PairingView = bob.get(&replica, &path::of_pairing(&pairing.0)).await.json(200);
    assert_eq!(view.state, PairingState::Pending);
}

async fn both_may_ask_at_once(backend: Backend) {
    let (one, two) = (backend.replica().await, backend.replica().await);
    let alice = Device::registered(&one, "alice").await;
    let bob = Device::registered(&one, "bob").await;
    for _ in 0..6 {
        let pairing = PairingId(random());
        let request = request(pairing, &[&alice, &bob]);
        let (a, b) = tokio::join!(ask(&one, &alice, &request), ask(&two, &bob, &request));
        let mut statuses = [a.status.as_u16(), b.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 202]);
        let view: PairingView = alice.get(&one, &path::of_pairing(&pairing.0)).await.json(200);
        assert_eq!(view.state, PairingState::Registered);
    }
    let told = told(&one, &alice).await;
    let accepts = told.iter().filter(|message| {
        let decoded = PairingMessage::decode(message).unwrap();
        decoded.message_type() == MessageType::DirectoryAccept
    });
    assert_eq!(accepts.count(), 6);
}

async fn a_request_is_bounded_by_its_copies(mut backend: Backend) {
    backend.config.limits.recipients = 2;
    backend.config.limits.written = 2 << 10;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let others: Vec<_> = (0..12).map(|number| Device::new(&format!("{number}"))).collect();
    let three = request(PairingId(random()), &[&alice, &others[0], &others[1]]);
    ask(&replica, &alice, &three).await.problem(ProblemKind::Full);
    backend.config.limits.recipients = 20;
    let replica = backend.replica().await;
    let listed: Vec<_> = std::iter::once(&alice).chain(&others).collect();
    let many = request(PairingId(random()), &listed);
    ask(&replica, &alice, &many).await.problem(ProblemKind::TooLarge);
    let two = request(PairingId(random()), &[&alice, &others[0]]);
    assert_eq!(ask(&replica, &alice, &two).await.status, 202);
}

/// How many transactions the service has run.
async fn transactions(replica: &Replica) -> u64 {
    let metrics = paired_mls_service::metrics_app(replica.state.clone());
    let request = Request::builder().uri(path::METRICS).body(Body::empty()).unwrap();
    let text = Answer::of(metrics.oneshot(request).await.unwrap()).await.body;
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("paired_mls_transactions_total "));
    line.unwrap().parse().unwrap()
}

/// A KeyPackage of one device in a shared leaf with another.
fn shared(one: &Device, other: &Device) -> KeyPackageUpload {
    let keys = SignatureKeys::new(vec![one.public_key(), other.public_key()], 32).unwrap();
    let package = crate::member::Member::sharing(one, keys.encode()).key_package();
    let package = openmls::prelude::MlsMessageOut::from(package).to_bytes().unwrap();
    KeyPackageUpload { key_packages: vec![package.into()], last_resort: Vec::new() }
}

async fn a_key_of_a_partner_costs_the_same_however_many_there_are(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let refused = alice.post(&replica, path::KEY_PACKAGES, &shared(&alice, &bob)).await;
    refused.problem(ProblemKind::Forbidden);
    pair(&replica, &alice, &bob).await;
    let mut costs = Vec::new();
    for more in [0, 40] {
        for n in 0..more {
            let other = Device::registered(&replica, &format!("other{n}")).await;
            pair(&replica, &alice, &other).await;
        }
        let mut least = u64::MAX;
        // The service looks by itself, too, whether something has changed: once in a second.
        for _ in 0..5 {
            let upload = shared(&alice, &bob);
            let before = transactions(&replica).await;
            alice.post(&replica, path::KEY_PACKAGES, &upload).await.done();
            least = least.min(transactions(&replica).await - before);
        }
        costs.push(least);
    }
    assert!(costs[0] > 0);
    assert_eq!(costs[0], costs[1]);
}
