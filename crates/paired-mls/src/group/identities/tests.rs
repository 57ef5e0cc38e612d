use super::*;

fn leaf(n: u32) -> LeafIndex {
    LeafIndex::new(n).unwrap()
}

fn name(identity: &str) -> Credential {
    Credential::basic(identity)
}

fn verified(identities: &Identities, n: u32, epoch: u64) -> bool {
    identities.of(leaf(n), epoch, name("bob")).verified().is_some()
}

#[test]
fn a_mark_is_of_its_epochs_and_keeps_the_last_accepted_identity() {
    let mut identities = Identities::default();
    identities.mark(leaf(3), 5, Some(name("mallory")));
    assert!(verified(&identities, 3, 4));
    let Identity::Unverified { last, claims } = identities.of(leaf(3), 5, name("bob")) else {
        panic!("the leaf is marked");
    };
    assert_eq!((last, claims), (Some(name("mallory")), name("bob")));
    identities.verify(leaf(3), 8);
    assert!(!verified(&identities, 3, 7));
    assert!(verified(&identities, 3, 8));
    assert!(verified(&identities, 2, 6));
    assert_eq!(identities.unverified(7), Some(vec![leaf(3)]));
    assert_eq!(identities.unverified(8), Some(vec![]));
}

#[test]
fn an_interrupted_call_is_undone() {
    let mut identities = Identities::default();
    identities.mark(leaf(3), 5, None);
    let before = identities.clone();
    identities.verify(leaf(3), 7);
    identities.mark(leaf(4), 7, None);
    identities.rewind(6);
    assert_eq!(identities, before);
}

#[test]
fn what_is_over_is_forgotten_and_never_taken_for_verified() {
    let mut identities = Identities::default();
    identities.mark(leaf(3), 5, None);
    identities.verify(leaf(3), 8);
    identities.settle(8 + PAST_EPOCHS - 1);
    assert!(!identities.leaves.is_empty());
    identities.settle(8 + PAST_EPOCHS);
    assert!(identities.leaves.is_empty());
    assert!(!verified(&identities, 3, 7), "nothing is known of that epoch any more");
    assert!(verified(&identities, 3, 8));
}

/// Whoever fills the record loses the past first; beyond that nobody is verified, and never a liar.
#[test]
fn a_full_record_verifies_nobody() {
    let all = u32::try_from(MAX_UNVERIFIED).unwrap();
    let mut identities = Identities::default();
    for n in 0..all {
        identities.mark(leaf(n), 5, None);
    }
    identities.verify(leaf(0), 6);
    identities.mark(leaf(all), 6, None);
    identities.settle(6);
    assert!(verified(&identities, 0, 6));
    assert_eq!(identities.unverified(6).unwrap().len(), MAX_UNVERIFIED);

    identities.mark(leaf(0), 7, None);
    identities.settle(7);
    assert_eq!(identities.unverified(7), None);
    assert!(!verified(&identities, all + 7, 7), "not even one that was");
    assert!(identities.to_record().unwrap().len() < 64);

    let mut long = Identities::default();
    for n in 0..3 {
        long.mark(leaf(n), 5, Some(name(&"x".repeat(MAX_BYTES / 2))));
    }
    long.settle(5);
    assert_eq!(long.unverified(5), None);
}

#[test]
fn a_record_reads_back_and_damage_is_refused() {
    let mut identities = Identities::all_verified(4);
    identities.mark(leaf(3), 5, Some(name("mallory")));
    identities.verify(leaf(3), 6);
    identities.mark(leaf(3), 7, None);
    let bytes = identities.to_record().unwrap();
    assert_eq!(Identities::from_record(&bytes), Ok(identities.clone()));
    for end in 0..bytes.len() {
        let cut = Secret::copy_of(&bytes.expose()[..end]);
        assert_eq!(Identities::from_record(&cut), Err(IdentityRecordError::Malformed));
    }
    let mut longer = bytes.expose().to_vec();
    longer.push(0);
    let longer = Identities::from_record(&Secret::new(longer));
    assert_eq!(longer, Err(IdentityRecordError::Malformed));
    let future = Identities::from_record(&Secret::new(vec![2, 0]));
    assert_eq!(future, Err(IdentityRecordError::Version(2)));

    let vault = Vault::new(crate::vault::MemoryStorage::new());
    let none = Identities::default();
    vault.store_identities(b"group", &none, &identities).unwrap();
    assert_eq!(vault.load_identities(b"group").unwrap(), identities);
    vault.store_identities(b"group", &identities, &none).unwrap();
    assert_eq!(vault.load_identities(b"group").unwrap(), none);
}
