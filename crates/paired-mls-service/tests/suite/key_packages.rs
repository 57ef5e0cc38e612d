//! KeyPackages.

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialWithKey, Extension, ExtensionType,
    Extensions, KeyPackage, KeyPackageBuilder, Lifetime, MlsMessageOut, UnknownExtension,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::types::SignatureScheme;
use paired_mls_api::{KeyPackageCount, KeyPackageUpload, ProblemKind, RequestKey as _, path};

use crate::{
    backend::{Backend, Replica, on_both},
    device::{Answer, Device},
};

on_both!(
    each_is_claimed_once_and_the_last_resort_again_and_again,
    racing_claims_get_different_ones,
    what_is_not_valid_is_refused,
    an_upload_is_taken_as_a_whole,
    key_packages_are_bounded_in_bytes,
    an_account_uses_the_keys_of_its_devices,
    those_that_ended_are_not_given_out,
    those_that_are_withdrawn_are_not_given_out,
    a_stranger_claims_a_few_of_one_device,
    the_last_ones_are_kept_for_those_who_are_close,
    the_last_resort_is_there_for_everybody,
    lifetimes_are_those_that_members_take,
    one_that_begins_later_is_given_out_in_its_time,
    those_that_ended_leave_room,
    what_no_member_could_add_is_refused,
);

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const WEEK: u64 = 7 * 24 * 60 * 60;

/// A KeyPackage of this identity, signed by this device.
fn key_package(device: &Device, identity: &[u8], seconds: u64) -> Vec<u8> {
    made(device, identity, |builder| builder.key_package_lifetime(Lifetime::new(seconds)))
}

/// A KeyPackage for this time.
fn lasting(device: &Device, not_before: u64, not_after: u64) -> Vec<u8> {
    let lifetime = Lifetime::init(not_before, not_after);
    made(device, device.user.as_bytes(), |builder| builder.key_package_lifetime(lifetime))
}

fn made(
    device: &Device,
    identity: &[u8],
    with: impl FnOnce(KeyPackageBuilder) -> KeyPackageBuilder,
) -> Vec<u8> {
    let public = device.public_key();
    let signer = SignatureKeyPair::from_raw(
        SignatureScheme::ED25519,
        device.key.to_bytes().to_vec(),
        public.clone(),
    );
    let credential = BasicCredential::new(identity.to_vec()).into();
    let credential = CredentialWithKey { credential, signature_key: public.into() };
    let bundle = with(KeyPackage::builder())
        .build(SUITE, &OpenMlsRustCrypto::default(), &signer, credential)
        .unwrap();
    MlsMessageOut::from(bundle.key_package().clone()).to_bytes().unwrap()
}

fn own(device: &Device) -> Vec<u8> {
    key_package(device, device.user.as_bytes(), WEEK)
}

/// Uploads a KeyPackage whose time begins in four weeks, and lasts for twelve weeks.
pub(crate) async fn future_package(replica: &Replica, device: &Device, now: u64) {
    let begins = now + 4 * WEEK;
    let package = lasting(device, begins, begins + 12 * WEEK);
    let answer = upload(replica, device, vec![package], Vec::new()).await;
    assert!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
}

async fn upload(
    replica: &Replica,
    device: &Device,
    once: Vec<Vec<u8>>,
    last_resort: Vec<Vec<u8>>,
) -> Answer {
    let body = KeyPackageUpload {
        key_packages: once.into_iter().map(Into::into).collect(),
        last_resort: last_resort.into_iter().map(Into::into).collect(),
    };
    device.post(replica, path::KEY_PACKAGES, &body).await
}

async fn claim(replica: &Replica, device: &Device, of: &Device) -> Answer {
    let path = path::of_device(path::DEVICE_KEY_PACKAGE, &of.id);
    device.send(replica, "POST", &format!("{path}?suite=1"), "", Vec::new()).await
}

async fn count(replica: &Replica, device: &Device) -> Vec<KeyPackageCount> {
    device.get(replica, path::KEY_PACKAGES).await.json(200)
}

async fn each_is_claimed_once_and_the_last_resort_again_and_again(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    claim(&replica, &bob, &alice).await.problem(ProblemKind::NotFound);
    let (one, two, last) = (own(&alice), own(&alice), own(&alice));
    upload(&replica, &alice, vec![one.clone(), two.clone()], vec![last.clone()]).await.done();
    let counted = [KeyPackageCount { suite: 1, once: 2, last_resort: 1, later: 0 }];
    assert_eq!(count(&replica, &alice).await, counted);
    // Uploading them again is no second copy.
    upload(&replica, &alice, vec![one.clone()], Vec::new()).await.done();
    assert_eq!(count(&replica, &alice).await, counted);

    let (first, second) =
        (claim(&replica, &bob, &alice).await, claim(&replica, &bob, &alice).await);
    assert_eq!(first.content_type, "message/mls");
    let mut claimed = [first.body, second.body];
    let mut expected = [one.clone(), two];
    claimed.sort();
    expected.sort();
    assert_eq!(claimed, expected);
    assert_eq!(claim(&replica, &bob, &alice).await.body, last);
    assert_eq!(claim(&replica, &bob, &alice).await.body, last);
    // What was given out is never given out again, even if its device asks for it.
    upload(&replica, &alice, vec![one], Vec::new()).await.problem(ProblemKind::Exists);
    // A new last resort replaces the old one.
    let newer = own(&alice);
    upload(&replica, &alice, Vec::new(), vec![newer.clone()]).await.done();
    assert_eq!(claim(&replica, &bob, &alice).await.body, newer);
}

async fn racing_claims_get_different_ones(backend: Backend) {
    let (one, two) = (backend.replica().await, backend.replica().await);
    let alice = Device::registered(&one, "alice").await;
    let bob = alice.sibling(&one).await;
    let uploaded: Vec<_> = (0..12).map(|_| own(&alice)).collect();
    upload(&one, &alice, uploaded, Vec::new()).await.done();
    let mut claims = tokio::task::JoinSet::new();
    for n in 0..16 {
        let (replica, alice, bob) = ([&one, &two][n % 2].clone(), alice.clone(), bob.clone());
        claims.spawn(async move { claim(&replica, &bob, &alice).await });
    }
    let answers = claims.join_all().await;
    let claimed: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    let distinct: std::collections::BTreeSet<_> =
        claimed.iter().map(|answer| &answer.body).collect();
    assert_eq!((claimed.len(), distinct.len()), (12, 12));
}

async fn what_is_not_valid_is_refused(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let mut forged = own(&alice);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let foreign = key_package(&alice, b"bob", WEEK);
    let mut trailing = own(&alice);
    trailing.push(0);
    let ended = key_package(&alice, alice.user.as_bytes(), 60);
    backend.clock.forward(120);
    for bad in [forged, foreign, trailing, ended, vec![0, 1, 0, 5], vec![0, 1, 0, 3]] {
        let refused = upload(&replica, &alice, vec![own(&alice), bad], Vec::new()).await;
        refused.problem(ProblemKind::InvalidMessage);
    }
    assert_eq!(count(&replica, &alice).await, []);
    // Signed by a device that nobody has registered.
    let stranger = Device::new("alice");
    let unknown = upload(&replica, &alice, vec![own(&stranger)], Vec::new()).await;
    unknown.problem(ProblemKind::Forbidden);
}

async fn an_upload_is_taken_as_a_whole(mut backend: Backend) {
    backend.config.limits.key_packages = 3;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let many = |n| (0..n).map(|_| own(&alice)).collect::<Vec<_>>();
    upload(&replica, &alice, many(2), Vec::new()).await.done();
    upload(&replica, &alice, many(2), Vec::new()).await.problem(ProblemKind::Full);
    upload(&replica, &alice, many(4), Vec::new()).await.problem(ProblemKind::Full);
    assert_eq!(count(&replica, &alice).await[0].once, 2);
}

async fn key_packages_are_bounded_in_bytes(mut backend: Backend) {
    let long = own(&Device::new("alice")).len() as u64;
    // Room for three, and not for a fourth.
    backend.config.limits.key_package_bytes = (4 * long - 40).max(1 << 10);
    let fit = (backend.config.limits.key_package_bytes / (long + 20)) as usize;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let many = |n| (0..n).map(|_| own(&alice)).collect::<Vec<_>>();
    upload(&replica, &alice, many(fit + 1), Vec::new()).await.problem(ProblemKind::Full);
    upload(&replica, &alice, many(fit), Vec::new()).await.done();
    upload(&replica, &alice, many(1), Vec::new()).await.problem(ProblemKind::Full);
    upload(&replica, &alice, Vec::new(), many(1)).await.problem(ProblemKind::Full);
    // The devices of others have room of their own, and what is claimed makes some.
    upload(&replica, &bob, vec![own(&bob)], Vec::new()).await.done();
    assert_eq!(claim(&replica, &alice, &alice).await.status, 200);
    upload(&replica, &alice, many(1), Vec::new()).await.done();
}

async fn an_account_uses_the_keys_of_its_devices(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let partner = alice.sibling(&replica).await;
    let bob = Device::registered(&replica, "bob").await;
    // A hidden pairing: one device publishes a KeyPackage whose leaf has the key of another one.
    upload(&replica, &partner, vec![own(&alice)], Vec::new()).await.done();
    // The key of another user is not one of them, even under the own name.
    let stolen = key_package(&bob, alice.user.as_bytes(), WEEK);
    upload(&replica, &alice, vec![stolen], Vec::new()).await.problem(ProblemKind::Forbidden);
    // Nor is that of a device that was revoked.
    let path = path::of_device(path::DEVICE, &alice.id);
    assert_eq!(partner.delete(&replica, &path).await.status, 200);
    let revoked = upload(&replica, &partner, vec![own(&alice)], Vec::new()).await;
    revoked.problem(ProblemKind::Forbidden);
}

async fn those_that_ended_are_not_given_out(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let short = key_package(&alice, alice.user.as_bytes(), 3600);
    let long = own(&alice);
    upload(&replica, &alice, vec![long.clone(), short], Vec::new()).await.done();
    backend.clock.forward(3700);
    assert_eq!(count(&replica, &alice).await[0].once, 1);
    assert_eq!(claim(&replica, &alice, &alice).await.body, long);
    claim(&replica, &alice, &alice).await.problem(ProblemKind::NotFound);
}

async fn those_that_are_withdrawn_are_not_given_out(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let partner = alice.sibling(&replica).await;
    let (claimed, kept, last) = (own(&alice), own(&alice), own(&alice));
    upload(&replica, &alice, vec![claimed.clone()], Vec::new()).await.done();
    assert_eq!(claim(&replica, &partner, &alice).await.body, claimed);
    upload(&replica, &alice, vec![kept.clone()], vec![last]).await.done();
    upload(&replica, &partner, vec![own(&partner)], Vec::new()).await.done();

    alice.delete(&replica, path::KEY_PACKAGES).await.done();
    assert_eq!(count(&replica, &alice).await, []);
    claim(&replica, &partner, &alice).await.problem(ProblemKind::NotFound);
    // Those of the other device of the account stay.
    assert_eq!(count(&replica, &partner).await[0].once, 1);
    // There may be none, and what was never given out may be offered again; what was, may not.
    alice.delete(&replica, path::KEY_PACKAGES).await.done();
    upload(&replica, &alice, vec![claimed], Vec::new()).await.problem(ProblemKind::Exists);
    upload(&replica, &alice, vec![kept.clone()], Vec::new()).await.done();
    assert_eq!(claim(&replica, &partner, &alice).await.body, kept);
}

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

async fn a_stranger_claims_a_few_of_one_device(mut backend: Backend) {
    backend.config.limits.claims = 3;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let other = alice.sibling(&replica).await;
    let stranger = Device::registered(&replica, "stranger").await;
    let second = stranger.sibling(&replica).await;
    let bob = Device::registered(&replica, "bob").await;
    for device in [&alice, &other] {
        let many = (0..20).map(|_| own(device)).collect();
        upload(&replica, device, many, Vec::new()).await.done();
    }
    // His devices count together.
    for device in [&stranger, &second, &stranger] {
        assert_eq!(claim(&replica, device, &alice).await.status, 200);
    }
    for device in [&stranger, &second] {
        let told = claim(&replica, device, &alice).await.problem(ProblemKind::Reserved);
        assert!(told.detail.unwrap().contains("tomorrow"));
    }
    assert_eq!(count(&replica, &alice).await[0].once, 17);
    // Others are not concerned, nor is what he claims elsewhere.
    assert_eq!(claim(&replica, &bob, &alice).await.status, 200);
    assert_eq!(claim(&replica, &stranger, &other).await.status, 200);
    // With a last resort, there is one.
    let last = own(&alice);
    upload(&replica, &alice, Vec::new(), vec![last.clone()]).await.done();
    assert_eq!(claim(&replica, &stranger, &alice).await.body, last);
    assert_eq!(count(&replica, &alice).await[0].once, 16);
    // Tomorrow it begins anew.
    backend.clock.forward(DAY + 1);
    replica.state.sweep().await.unwrap();
    for left in [15, 14, 13, 13] {
        assert_eq!(claim(&replica, &stranger, &alice).await.status, 200);
        assert_eq!(count(&replica, &alice).await[0].once, left);
    }
}

async fn the_last_ones_are_kept_for_those_who_are_close(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let other = alice.sibling(&replica).await;
    let partner = Device::registered(&replica, "partner").await;
    crate::pairings::pair(&replica, &alice, &partner).await;
    let many = (0..8).map(|_| own(&alice)).collect();
    upload(&replica, &alice, many, Vec::new()).await.done();
    // Whoever makes many accounts gets what is not kept.
    for n in 0..6 {
        let stranger = Device::registered(&replica, &format!("stranger{n}")).await;
        assert_eq!(claim(&replica, &stranger, &alice).await.status, 200);
    }
    let stranger = Device::registered(&replica, "stranger").await;
    let told = claim(&replica, &stranger, &alice).await.problem(ProblemKind::Reserved);
    assert!(told.detail.unwrap().contains("publish more"));
    assert_eq!(claim(&replica, &other, &alice).await.status, 200);
    assert_eq!(claim(&replica, &partner, &alice).await.status, 200);
    claim(&replica, &partner, &alice).await.problem(ProblemKind::NotFound);
    // A device that has few keeps none back.
    upload(&replica, &alice, vec![own(&alice)], Vec::new()).await.done();
    assert_eq!(claim(&replica, &stranger, &alice).await.status, 200);
}

async fn the_last_resort_is_there_for_everybody(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let stranger = Device::registered(&replica, "stranger").await;
    let last = own(&alice);
    let many = (0..40).map(|_| own(&alice)).collect();
    upload(&replica, &alice, many, vec![last.clone()]).await.done();
    for n in 0..50 {
        let claimed = claim(&replica, &stranger, &alice).await;
        assert_eq!((claimed.status.as_u16(), claimed.body == last), (200, n >= 20));
    }
    assert_eq!(count(&replica, &alice).await[0].once, 20);
}

async fn lifetimes_are_those_that_members_take(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let now = paired_mls_service::Clock::now(&*replica.clock);
    let (longest, year) = (84 * DAY + HOUR, 365 * DAY);
    for (not_before, not_after) in [
        (now, now - 1),
        (now + 1, now),
        (u64::MAX, 0),
        (now, now + longest + 1),
        (0, u64::MAX),
        (now + year, now + year + longest + 1),
        (u64::MAX - 1, u64::MAX),
        (now - HOUR, now - 1),
    ] {
        let bad = lasting(&alice, not_before, not_after);
        let refused = upload(&replica, &alice, vec![bad], Vec::new()).await;
        refused.problem(ProblemKind::InvalidMessage);
    }
    for (not_before, not_after) in
        [(now - HOUR, now), (now, now + longest), (now + year, now + year + longest)]
    {
        let good = lasting(&alice, not_before, not_after);
        upload(&replica, &alice, vec![good], Vec::new()).await.done();
    }
}

async fn one_that_begins_later_is_given_out_in_its_time(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let now = paired_mls_service::Clock::now(&*replica.clock);
    let window = |n: u64| {
        let begin = now + 80 * DAY * n;
        lasting(&alice, begin, begin + 84 * DAY)
    };
    let (later, latest) = (window(1), window(2));
    let (last, next_last, other_last) = (window(0), window(1), window(2));
    let once = vec![later.clone(), latest.clone()];
    upload(&replica, &alice, once, vec![last.clone(), next_last.clone(), other_last]).await.done();
    let counted =
        |once, last_resort, later| [KeyPackageCount { suite: 1, once, last_resort, later }];
    assert_eq!(count(&replica, &alice).await, counted(0, 1, 4));
    assert_eq!(claim(&replica, &bob, &alice).await.body, last);
    // What begins later does not replace what is there, and replaces what begins at the same time.
    let renewed = window(2);
    upload(&replica, &alice, Vec::new(), vec![renewed.clone()]).await.done();
    assert_eq!(count(&replica, &alice).await, counted(0, 1, 4));

    backend.clock.forward(81 * DAY);
    assert_eq!(count(&replica, &alice).await, counted(1, 1, 2));
    assert_eq!(claim(&replica, &bob, &alice).await.body, later);
    assert_eq!(claim(&replica, &bob, &alice).await.body, next_last);
    backend.clock.forward(80 * DAY);
    replica.state.sweep().await.unwrap();
    assert_eq!(claim(&replica, &bob, &alice).await.body, latest);
    assert_eq!(claim(&replica, &bob, &alice).await.body, renewed);
    backend.clock.forward(100 * DAY);
    claim(&replica, &bob, &alice).await.problem(ProblemKind::NotFound);
    assert_eq!(count(&replica, &alice).await, []);
}

async fn those_that_ended_leave_room(mut backend: Backend) {
    backend.config.limits.key_packages = 2;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let now = paired_mls_service::Clock::now(&*replica.clock);
    let short = || lasting(&alice, now - HOUR, now + HOUR);
    upload(&replica, &alice, vec![short(), short()], Vec::new()).await.done();
    upload(&replica, &alice, vec![own(&alice)], Vec::new()).await.problem(ProblemKind::Full);
    // Whether they were swept or not.
    backend.clock.forward(HOUR + 1);
    upload(&replica, &alice, vec![own(&alice), own(&alice)], Vec::new()).await.done();
    assert!(replica.state.sweep().await.unwrap() >= 2);
    assert_eq!(count(&replica, &alice).await[0].once, 2);
}

/// A GREASE value (RFC 9420 section 13.5).
const GREASE: u16 = 0x1A1A;

fn greased(device: &Device, with: impl FnOnce(KeyPackageBuilder) -> KeyPackageBuilder) -> Vec<u8> {
    let listed = [ExtensionType::Grease(GREASE)];
    let capabilities = Capabilities::builder().extensions(listed.to_vec()).build();
    made(device, device.user.as_bytes(), |builder| {
        with(builder.leaf_node_capabilities(capabilities))
    })
}

async fn what_no_member_could_add_is_refused(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let extension = || Extension::Unknown(GREASE, UnknownExtension(vec![1, 2, 3]));
    let of_package = |builder: KeyPackageBuilder| {
        builder.key_package_extensions(Extensions::single(extension()).unwrap())
    };
    let of_leaf = |builder: KeyPackageBuilder| {
        builder.leaf_node_extensions(Extensions::single(extension()).unwrap())
    };
    for bad in [greased(&alice, of_package), greased(&alice, of_leaf)] {
        let refused = upload(&replica, &alice, vec![bad.clone()], Vec::new()).await;
        let told = refused.problem(ProblemKind::InvalidMessage).detail.unwrap();
        assert!(told.contains("GREASE"), "{told}");
        // When this fails, OpenMLS adds such KeyPackages, and the directory can take them: drop the check
        // of GREASE types in logic/key_package.rs.
        assert!(!crate::member::can_add(&bad));
    }
    // A type that is only listed stops nobody.
    let listed = greased(&alice, |builder| builder);
    assert!(crate::member::can_add(&listed));
    upload(&replica, &alice, vec![listed], Vec::new()).await.done();
}
