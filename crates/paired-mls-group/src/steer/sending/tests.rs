//! What becomes a Notify, and what does not, with a library that derives keys and does nothing else.

use alloc::vec;

use paired_mls::{
    EpochContext,
    anchor::{LeafIndex, Tree, locate},
};

use super::*;
use crate::fake::{Fake, leaf, pairing};

/// An `EncryptContext` with this label.
fn info(label: &str) -> Vec<u8> {
    [&[label.len() as u8], label.as_bytes(), &[0]].concat()
}

/// Runs `check` on a commit with one Notify, and its path secret.
fn with_sending(check: impl FnOnce(&Sending, &Secret)) {
    let (_, vault, tape) = pairing();
    let context = EpochContext { group_id: vec![], epoch: 1, confirmed_transcript_hash: vec![] };
    let path = vault.draw(&tape, 1).unwrap().into_path_secret(&context).unwrap();
    let secret = Secret::copy_of(path.secret().expose());

    let leaves = [0, 1].map(leaf);
    let anchorage = locate(&Tree::of_leaves(leaves), LeafIndex::FIRST, &leaves, &[]).unwrap();
    let sending = Sending::new(&Fake, &vault, &tape, path, anchorage.anchor().unwrap()).unwrap();
    check(&sending, &secret);
}

/// A path secret inside of a Welcome is sealed, and only a node of an update path carries a Notify.
#[test]
fn outside_of_an_update_path_nothing_is_a_notify() {
    with_sending(|sending, secret| {
        let plaintext = secret.expose();
        for (label, expected) in [("MLS 1.0 Welcome", false), ("MLS 1.0 UpdatePathNode", true)] {
            let info = info(label);
            let asked = Sealing { recipient: &[], info: &info, aad: &[], plaintext };
            assert_eq!(sending.seal(&asked).is_some(), expected, "{label}");
        }
    });
}

/// Any other plaintext is for HPKE, and so is nothing that the tree does not demand.
#[test]
fn only_as_many_notifies_as_the_tree_demands() {
    with_sending(|sending, secret| {
        let info = info("MLS 1.0 UpdatePathNode");
        let seal =
            |plaintext| sending.seal(&Sealing { recipient: &[], info: &info, aad: &[], plaintext });
        assert!(seal(&[9; 32]).is_none());
        let notify = seal(secret.expose()).unwrap().unwrap();
        let level = &sending.levels[0];
        assert!(level.has_written(&notify.kem_output));
        assert_eq!(seal(secret.expose()), Some(Err(Refused)));
        let expected = GuardError::Notifies { level: 0, found: 2, expected: 1 };
        assert!(matches!(sending.take_error(), Some(Error::Guard(error)) if error == expected));
    });
}

/// The path secret is given once, and for nothing else.
#[test]
fn one_draw_is_the_path_secret() {
    with_sending(|sending, secret| {
        let draw = |draw, length| sending.draw(draw, length);
        assert!(draw(Draw::LeafKey, 32).is_none());
        assert!(draw(Draw::PathSecret, 16).is_none());
        assert_eq!(draw(Draw::PathSecret, 32).unwrap().unwrap(), *secret);
        assert!(draw(Draw::PathSecret, 32).is_none());
    });
}
