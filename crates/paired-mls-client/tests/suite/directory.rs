//! Users, devices, pairings.

use paired_mls::{
    CipherSuite, DeviceId as Number, PairingId, Secret, Vault,
    pairing::{AnchorKind, PairingDevice, Party, Request, Roster, Unpaired},
    vault::MemoryStorage,
};
use paired_mls_api::{PairingState, ProblemKind, RequestKey as _, UserId};
use paired_mls_client::{Client, ClientError};

use crate::{
    cast::{Key, Service, registration},
    messages::random,
};

#[tokio::test]
async fn devices_come_and_go() {
    let service = Service::start().await;
    let alice = service.device("alice").await;
    let (key, alice_id) = (Key::new(), UserId::new("alice").unwrap());
    let body = registration(&key, "alice");
    let phone = Client::new(service.address(), key).unwrap();
    assert_eq!(phone.device(), &body.device());

    let refused = phone.register(&body).await.unwrap_err();
    assert_eq!(refused.problem(), Some(ProblemKind::NotApproved));
    alice.approve(phone.device()).await.unwrap();
    let view = phone.register(&body).await.unwrap();
    assert_eq!((&view.device, &view.user), (phone.device(), &alice_id));
    assert_eq!(alice.device_view(phone.device()).await.unwrap(), view);
    assert_eq!(alice.user(&alice_id).await.unwrap().devices.len(), 2);

    let revoked = alice.revoke(phone.device()).await.unwrap();
    let view = alice.device_view(phone.device()).await.unwrap();
    assert_eq!(view.revoked_at, Some(revoked.revoked_at));
    let error = phone.user(&alice_id).await.unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::UnknownDevice));
    assert!(error.is_revoked() && error.to_string().contains("make new keys"), "{error}");
    let unknown = alice.user(&UserId::new("nobody").unwrap()).await.unwrap_err();
    assert_eq!(unknown.problem(), Some(ProblemKind::NotFound));
    service.stop().await;
}

fn request(pairing: PairingId, parties: [Party; 2]) -> Vec<u8> {
    let first = parties[0].clone();
    let listed = parties.into_iter().enumerate();
    let listed = listed.map(|(n, party)| PairingDevice { device: Number(n as u16), party });
    let roster = Roster::new(pairing, CipherSuite::X25519Aes128, listed.collect()).unwrap();
    let vault = Vault::new(MemoryStorage::new());
    let seed = Secret::new(random::<32>().to_vec());
    let seeded = Unpaired::new(first).load_seed(&vault, roster, &seed).unwrap();
    let (_, outbound) = seeded.initiate(Request::Standard(AnchorKind::Leaf)).unwrap();
    outbound.message.expose().to_vec()
}

#[tokio::test]
async fn a_pairing_of_standard_mode_is_registered_when_both_have_asked() {
    let service = Service::start().await;
    let mut clients = Vec::new();
    let parties = ["alice", "bob"].map(|user| {
        let key = Key::new();
        let party = Party { identity: user.into(), signature_key: key.public_key() };
        let body = registration(&key, user);
        clients.push((Client::new(service.address(), key).unwrap(), body));
        party
    });
    let id = PairingId(random());
    let request = request(id, parties);
    let mut states = Vec::new();
    for (client, body) in &clients {
        client.register(body).await.unwrap();
        states.push(client.ask_pairing(&request).await.unwrap().state);
    }
    assert_eq!(states, [PairingState::Pending, PairingState::Registered]);
    let (alice, _) = &clients[0];
    let view = alice.pairing(&id.0).await.unwrap();
    assert_eq!((view.state, view.pairing.0), (PairingState::Registered, id.0.to_vec()));
    let refused = alice.ask_pairing(b"hello").await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(problem) if problem.status == 422));
    service.stop().await;
}
