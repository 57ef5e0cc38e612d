//! A user that has lost its devices comes back by its recovery key.

use paired_mls_api::{
    ApprovalView, JSON, OldDevices, ProblemKind, Recover, Recovered, RecoveryKey, RecoveryKeyView,
    RegisterDevice, RequestKey, RevokeDevice, SignatureScheme, Target, path, sign_request,
};
use paired_mls_service::{Admin, Clock as _};
use tower::ServiceExt as _;

use crate::{
    backend::{Backend, Replica, on_both},
    device::{AUTHORITY, Answer, Device},
};

on_both!(
    a_user_without_devices_comes_back,
    old_devices_are_revoked_if_that_is_said,
    a_wrong_key_tells_nothing,
    a_device_replaces_the_key,
    a_recovery_is_taken_once,
    one_recovery_at_a_time_is_open,
    a_banned_user_does_not_come_back,
    a_key_for_which_anybody_can_sign_is_refused,
);

/// A key on paper: it signs as a device would, and is none.
fn paper() -> Device {
    Device::new("paper")
}

pub(crate) async fn put(replica: &Replica, by: &Device, paper: &Device) -> Answer {
    let key = RecoveryKey { signature_key: paper.public_key().into() };
    let body = serde_json::to_vec(&key).unwrap();
    by.send(replica, "PUT", path::RECOVERY_KEY, JSON, body).await
}

async fn recover(
    replica: &Replica,
    paper: &Device,
    user: &Device,
    new: &Device,
    old_devices: OldDevices,
) -> Answer {
    let recover = Recover { user: user.user.clone(), device: new.id.clone(), old_devices };
    paper.post(replica, path::RECOVERY, &recover).await
}

/// A user whose only device is revoked, with its recovery key.
async fn lost(replica: &Replica) -> (Device, Device) {
    let (alice, paper) = (Device::registered(replica, "alice").await, paper());
    put(replica, &alice, &paper).await.done();
    let device = path::of_device(path::DEVICE, &alice.id);
    alice.delete(replica, &device).await.json::<RevokeDevice>(200);
    (alice, paper)
}

async fn a_user_without_devices_comes_back(backend: Backend) {
    let replica = backend.replica().await;
    let (alice, paper) = lost(&replica).await;
    let new = Device::new("alice");
    new.register(&replica).await.problem(ProblemKind::NotApproved);
    let recovered: Recovered =
        recover(&replica, &paper, &alice, &new, OldDevices::Revoke).await.json(200);
    assert_eq!(recovered.revoked, 0);
    // It lets this device in, and nobody else: not itself either.
    Device::new("alice").register(&replica).await.problem(ProblemKind::NotApproved);
    paper.get(&replica, path::MAILBOX).await.problem(ProblemKind::UnknownDevice);
    assert_eq!(new.register(&replica).await.status, 201);
    assert_eq!(new.get(&replica, path::MAILBOX).await.status, 200);
    // The key is good for the next time, and an approval for a day.
    let late = Device::new("alice");
    recover(&replica, &paper, &alice, &late, OldDevices::Keep).await.json::<Recovered>(200);
    let approvals: Vec<ApprovalView> = new.get(&replica, path::APPROVALS).await.json(200);
    assert_eq!((approvals.len(), &approvals[0].approved_by), (1, &None));
    backend.clock.forward(24 * 60 * 60 + 1);
    late.register(&replica).await.problem(ProblemKind::NotApproved);
}

async fn old_devices_are_revoked_if_that_is_said(backend: Backend) {
    let replica = backend.replica().await;
    let (alice, paper) = (Device::registered(&replica, "alice").await, paper());
    let phone = alice.sibling(&replica).await;
    let bob = Device::registered(&replica, "bob").await;
    put(&replica, &alice, &paper).await.done();
    let (first, second) = (Device::new("alice"), Device::new("alice"));
    let kept: Recovered =
        recover(&replica, &paper, &alice, &first, OldDevices::Keep).await.json(200);
    assert_eq!(kept.revoked, 0);
    assert_eq!(first.register(&replica).await.status, 201);
    assert_eq!(alice.get(&replica, path::MAILBOX).await.status, 200);
    let revoked: Recovered =
        recover(&replica, &paper, &alice, &second, OldDevices::Revoke).await.json(200);
    assert_eq!(revoked.revoked, 3);
    for device in [&alice, &phone, &first] {
        device.get(&replica, path::MAILBOX).await.problem(ProblemKind::UnknownDevice);
    }
    assert_eq!(second.register(&replica).await.status, 201);
    assert_eq!(bob.get(&replica, path::MAILBOX).await.status, 200);
}

async fn a_wrong_key_tells_nothing(backend: Backend) {
    let replica = backend.replica().await;
    let (alice, paper) = lost(&replica).await;
    let bob = Device::registered(&replica, "bob").await;
    let (nobody, new) = (Device::new("nobody"), Device::new("alice"));
    let mut told = Vec::new();
    for (key, user) in
        [(&Device::new("paper"), &alice), (&paper, &bob), (&paper, &nobody), (&bob, &alice)]
    {
        let answer = recover(&replica, key, user, &new, OldDevices::Revoke).await;
        told.push(answer.problem(ProblemKind::NotRecoverable).detail);
    }
    told.dedup();
    assert_eq!(told.len(), 1, "whether there is such a user or key cannot be told");
    // The right id, and the signature of another key.
    let body = Recover {
        user: alice.user.clone(),
        device: new.id.clone(),
        old_devices: OldDevices::Revoke,
    };
    let body = serde_json::to_vec(&body).unwrap();
    let mut forged = bob.request(backend.clock.now(), "POST", path::RECOVERY, JSON, body);
    let input = forged.headers()["signature-input"].to_str().unwrap();
    let input = input.replace(&bob.id.to_string(), &paper.id.to_string());
    forged.headers_mut().insert("signature-input", input.parse().unwrap());
    let answer = Answer::of(replica.app.clone().oneshot(forged).await.unwrap()).await;
    answer.problem(ProblemKind::Unsigned);
    new.register(&replica).await.problem(ProblemKind::NotApproved);
}

async fn a_device_replaces_the_key(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let (first, second, new) = (paper(), paper(), Device::new("alice"));
    let view = async || alice.get(&replica, path::RECOVERY_KEY).await.json::<RecoveryKeyView>(200);
    assert_eq!(view().await.signature_key, None);
    for key in [&first, &second] {
        put(&replica, &alice, key).await.done();
        assert_eq!(view().await.signature_key, Some(key.public_key().into()));
    }
    let refused = recover(&replica, &first, &alice, &new, OldDevices::Keep).await;
    refused.problem(ProblemKind::NotRecoverable);
    recover(&replica, &second, &alice, &new, OldDevices::Keep).await.json::<Recovered>(200);
    alice.delete(&replica, path::RECOVERY_KEY).await.done();
    let refused = recover(&replica, &second, &alice, &new, OldDevices::Keep).await;
    refused.problem(ProblemKind::NotRecoverable);
    let short = RecoveryKey { signature_key: vec![7; 31].into() };
    let body = serde_json::to_vec(&short).unwrap();
    let refused = alice.send(&replica, "PUT", path::RECOVERY_KEY, JSON, body).await;
    refused.problem(ProblemKind::Malformed);
    // Whoever is no device sets none.
    put(&replica, &Device::new("alice"), &first).await.problem(ProblemKind::UnknownDevice);
}

async fn a_recovery_is_taken_once(backend: Backend) {
    let replica = backend.replica().await;
    let (alice, paper) = lost(&replica).await;
    let recover = Recover {
        user: alice.user.clone(),
        device: Device::new("alice").id,
        old_devices: OldDevices::Revoke,
    };
    let body = serde_json::to_vec(&recover).unwrap();
    let request = || {
        let signed = paper.request(backend.clock.now(), "POST", path::RECOVERY, JSON, body.clone());
        let (parts, body) = signed.into_parts();
        (parts, body)
    };
    let (parts, first) = request();
    let copy = axum::http::Request::from_parts(parts.clone(), axum::body::Body::from(body.clone()));
    let send =
        async |request| Answer::of(replica.app.clone().oneshot(request).await.unwrap()).await;
    let original = axum::http::Request::from_parts(parts, first);
    send(original).await.json::<Recovered>(200);
    send(copy).await.problem(ProblemKind::Replayed);
    // Nor with another body, nor late.
    let (parts, _) = request();
    let other = axum::http::Request::from_parts(parts, axum::body::Body::from("{}"));
    assert_ne!(send(other).await.status, 200);
    let (parts, late) = request();
    backend.clock.forward(121);
    let late = axum::http::Request::from_parts(parts, late);
    send(late).await.problem(ProblemKind::NotFresh);
}

/// Who has the key cannot fill the user's approvals.
async fn one_recovery_at_a_time_is_open(backend: Backend) {
    let replica = backend.replica().await;
    let (alice, paper) = (Device::registered(&replica, "alice").await, paper());
    put(&replica, &alice, &paper).await.done();
    let own = Device::new("alice");
    let approval = paired_mls_api::Approval { device: own.id.clone() };
    alice.post(&replica, path::APPROVALS, &approval).await.done();
    let [first, last] = [(); 2].map(|()| Device::new("alice"));
    for new in [&first, &last] {
        recover(&replica, &paper, &alice, new, OldDevices::Keep).await.json::<Recovered>(200);
    }
    let approvals: Vec<ApprovalView> = alice.get(&replica, path::APPROVALS).await.json(200);
    let mut open: Vec<_> = approvals.iter().map(|approval| &approval.device).collect();
    open.sort();
    let mut expected = [&own.id, &last.id];
    expected.sort();
    assert_eq!(open, expected);
    first.register(&replica).await.problem(ProblemKind::NotApproved);
    assert_eq!(last.register(&replica).await.status, 201);
}

async fn a_banned_user_does_not_come_back(backend: Backend) {
    let replica = backend.replica().await;
    let (alice, paper) = lost(&replica).await;
    let admin = Admin::open(&backend.config.database, backend.clock.clone()).await.unwrap();
    admin.ban(&alice.user).await.unwrap();
    let new = Device::new("alice");
    let refused = recover(&replica, &paper, &alice, &new, OldDevices::Keep).await;
    refused.problem(ProblemKind::Banned);
    new.register(&replica).await.problem(ProblemKind::Banned);
    admin.unban(&alice.user).await.unwrap();
    new.register(&replica).await.problem(ProblemKind::NotApproved);
    recover(&replica, &paper, &alice, &new, OldDevices::Keep).await.json::<Recovered>(200);
    assert_eq!(new.register(&replica).await.status, 201);
}

/// Points of small order, and one in a form that is not its own.
async fn a_key_for_which_anybody_can_sign_is_refused(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let (mut one, zero, mut minus) = ([0; 32], [0; 32], [0xff; 32]);
    one[0] = 1;
    (minus[0], minus[31]) = (0xec, 0x7f);
    let mut above = [0xff; 32];
    (above[0], above[31]) = (0xee, 0x7f);
    for weak in [one, zero, minus, above] {
        let key = RecoveryKey { signature_key: weak.to_vec().into() };
        let body = serde_json::to_vec(&key).unwrap();
        let refused = alice.send(&replica, "PUT", path::RECOVERY_KEY, JSON, body).await;
        let told = refused.problem(ProblemKind::Malformed).detail.unwrap();
        assert!(told.contains("anybody can sign"), "{told}");
    }
    let view: RecoveryKeyView = alice.get(&replica, path::RECOVERY_KEY).await.json(200);
    assert_eq!(view.signature_key, None);
    // Nor does a device register with one: with the neutral element, R = B and s = 1 sign everything.
    let register = RegisterDevice {
        user: alice.user.clone(),
        scheme: SignatureScheme::Ed25519,
        signature_key: one.to_vec().into(),
    };
    let body = serde_json::to_vec(&register).unwrap();
    let target = Target { method: "POST", authority: AUTHORITY, path: path::DEVICES, query: "" };
    let fields = sign_request(&Neutral(one), target, &body, backend.clock.now(), &[7; 24]).unwrap();
    let request = axum::http::Request::builder()
        .method("POST")
        .uri(path::DEVICES)
        .header("host", AUTHORITY)
        .header("content-type", JSON)
        .header("content-digest", fields.content_digest)
        .header("signature-input", fields.signature_input)
        .header("signature", fields.signature);
    let request = request.body(axum::body::Body::from(body)).unwrap();
    let refused = Answer::of(replica.app.clone().oneshot(request).await.unwrap()).await;
    assert!(refused.status.is_client_error());
    let known = path::of_device(path::DEVICE, &register.device());
    alice.get(&replica, &known).await.problem(ProblemKind::NotFound);
}

struct Neutral([u8; 32]);

impl RequestKey for Neutral {
    type Error = std::convert::Infallible;

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::Ed25519
    }

    fn public_key(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Self::Error> {
        let mut signature = [0x66; 64];
        signature[0] = 0x58;
        signature[32..].fill(0);
        signature[32] = 1;
        Ok(signature.to_vec())
    }
}
