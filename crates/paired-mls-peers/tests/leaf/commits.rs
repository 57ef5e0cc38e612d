//! What a commit of a shared leaf can do, beyond what the conformance suite asks of every adapter.

use crate::cast::{AdaToo, Cast, PHONE, SENSOR};
use openmls::{
    extensions::SenderExtensionIndex,
    messages::external_proposals::ExternalProposal,
    prelude::{
        Capabilities, Extension, ExtensionType, Extensions, ExternalSender, GroupContext,
        LeafNodeIndex, LeafNodeParameters, UnknownExtension,
    },
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    CipherSuite, Event, Phase,
    anchor::LeafIndex,
    conformance::{Content, Framing, Heard, Listener as _, Member as _, leaf::LeafMember as _},
    wire::PublicCommit,
};
use paired_mls_openmls::{
    Content as Commits, Difference, Error, MemoryProvider, PeerError, Received, UsageError,
};
use paired_mls_peers::Door;

const SUITES: [CipherSuite; 3] =
    [CipherSuite::X25519Aes128, CipherSuite::P256Aes128, CipherSuite::X25519ChaCha20];
const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const FRAMINGS: [Framing; 2] = [Framing::Public, Framing::Private];

/// Of the private-use range.
const EXTENSION: u16 = 0xf0aa;

fn for_each(test: impl Fn(Cast, Framing)) {
    for suite in SUITES {
        for framing in FRAMINGS {
            test(Cast::hidden(suite, framing), framing);
        }
    }
}

/// A changed leaf is followed, and stays as it is from then on, whoever commits.
#[test]
fn a_changed_leaf_is_followed() {
    for_each(|mut cast, _| {
        let known = ExtensionType::Unknown(EXTENSION);
        let parameters = LeafNodeParameters::builder()
            .with_capabilities(Capabilities::new(None, None, Some(&[known]), None, None))
            .with_extensions(
                Extensions::single(Extension::Unknown(EXTENSION, UnknownExtension(vec![7])))
                    .unwrap(),
            )
            .build();
        let (group, device) = cast.at(PHONE);
        let sent = group.shared_mut().unwrap().update_leaf(device, parameters).unwrap();
        cast.deliver(PHONE, &sent);
        for by in [SENSOR, PHONE, SENSOR] {
            cast.update(by);
            let leaf = cast.devices[by].own_leaf().unwrap();
            let leaf = cast.ada.group().unwrap().member_at(LeafNodeIndex::new(leaf.value()));
            assert!(leaf.is_some());
            let own = cast.devices[PHONE].group().unwrap().mls().own_leaf_node().unwrap();
            assert!(own.extensions().unknown(EXTENSION).is_some());
            assert!(own.capabilities().extensions().contains(&known));
        }
    });
}

/// An external sender, and the extension that lets it propose.
fn external_sender(suite: CipherSuite) -> (SignatureKeyPair, Extensions<GroupContext>) {
    let suite = openmls::prelude::Ciphersuite::try_from(suite.code_point()).unwrap();
    let signer = SignatureKeyPair::new(suite.signature_algorithm()).unwrap();
    let credential = openmls::prelude::BasicCredential::new(b"a service".to_vec());
    let sender = ExternalSender::new(signer.public().into(), credential.into());
    let extension = Extension::ExternalSenders(vec![sender]);
    (signer, Extensions::single(extension).unwrap())
}

/// The group's extensions change by value, by reference, and by a proposal of somebody outside; the
/// same for an Add and a Remove from outside.
#[test]
fn extensions_change_and_external_senders_propose() {
    for suite in SUITES {
        for framing in FRAMINGS {
            let mut cast = Cast::hidden(suite, framing);
            let (service, extensions) = external_sender(suite);
            let (group, device) = cast.at(PHONE);
            let sent = group.commit(device, Commits::new().extensions(extensions.clone())).unwrap();
            cast.deliver(PHONE, &sent);

            // By reference: Ada takes the extension out and, in the next epoch, puts it in again.
            for extensions in [Extensions::empty(), extensions] {
                let (group, provider, signer) = cast.ada.parts().unwrap();
                let proposed =
                    group.propose_group_context_extensions(provider, extensions.clone(), signer);
                let proposal = proposed.unwrap().0.to_bytes().unwrap();
                cast.propose(&proposal, AdaToo::No);
                cast.update(SENSOR);
                assert_eq!(*cast.ada.group().unwrap().extensions(), extensions);
            }

            // From outside: Bob out, somebody else in.
            let group = cast.ada.group().unwrap();
            let (id, epoch, index) =
                (group.group_id().clone(), group.epoch(), SenderExtensionIndex::new(0));
            let mut guest = cast.guest(suite, framing, Door::Open);
            let package = key_package(&guest.key_package().unwrap());
            let remove = ExternalProposal::new_remove::<MemoryProvider<RustCrypto>>(
                LeafNodeIndex::new(1),
                id.clone(),
                epoch,
                &service,
                index,
            );
            let add = ExternalProposal::new_add::<MemoryProvider<RustCrypto>>(
                package, id, epoch, &service, index,
            );
            cast.propose(&remove.unwrap().to_bytes().unwrap(), AdaToo::Yes);
            cast.propose(&add.unwrap().to_bytes().unwrap(), AdaToo::Yes);
            cast.others.clear();
            let (group, device) = cast.at(PHONE);
            let sent = group.update(device).unwrap();
            cast.deliver(PHONE, &sent);
            guest.join(&sent.welcome.unwrap()).unwrap();
            cast.others.push(Box::new(guest));
            cast.update(SENSOR);
        }
    }
}

fn key_package(message: &[u8]) -> openmls::prelude::KeyPackage {
    use openmls::prelude::{KeyPackageIn, MlsMessageBodyIn, MlsMessageIn, ProtocolVersion};
    use tls_codec::Deserialize as _;
    let message = MlsMessageIn::tls_deserialize_exact(message).unwrap();
    let MlsMessageBodyIn::KeyPackage(package) = message.extract() else {
        panic!("no KeyPackage");
    };
    let crypto = RustCrypto::default();
    KeyPackageIn::validate(package, &crypto, ProtocolVersion::Mls10).unwrap()
}

/// An Update of another member is committed by reference; beside a Remove it has to wait.
#[test]
fn an_update_of_another_member_is_committed() {
    for_each(|mut cast, _| {
        let propose = |cast: &mut Cast| {
            let (group, provider, signer) = cast.ada.parts().unwrap();
            let parameters = LeafNodeParameters::default();
            let proposed = group.propose_self_update(provider, signer, parameters).unwrap();
            proposed.0.to_bytes().unwrap()
        };
        let key = |cast: &Cast| {
            let own = cast.ada.group().unwrap().own_leaf_node().unwrap();
            own.encryption_key().clone()
        };
        let before = key(&cast);
        let proposal = propose(&mut cast);
        cast.propose(&proposal, AdaToo::No);
        cast.update(PHONE);
        let after = key(&cast);
        assert_ne!(before, after);

        let update = propose(&mut cast);
        let remove = cast.ada.propose_remove(LeafIndex::new(1).unwrap()).unwrap();
        cast.propose(&update, AdaToo::No);
        cast.propose(&remove, AdaToo::No);
        cast.others.clear();
        cast.update(SENSOR);
        assert_eq!(key(&cast), after, "the Update was left out");
        assert_eq!(cast.ada.group().unwrap().members().count(), 2);
        cast.update(PHONE);
    });
}

/// A removal outlives a commit that was refused, and one that lost against another; it never hits
/// whoever comes to the same leaf.
#[test]
fn a_removal_is_kept_and_hits_nobody_else() {
    for_each(|mut cast, framing| {
        let suite = cast.devices[PHONE].group().unwrap().mls().ciphersuite();
        let suite = CipherSuite::try_from(u16::from(suite)).unwrap();
        let bob = LeafIndex::new(1).unwrap();
        let (group, device) = cast.at(PHONE);
        for blank in [3, 2] {
            let leaf = LeafIndex::new(blank).unwrap();
            let refused = group.remove(device, &[leaf]).unwrap_err();
            assert!(matches!(refused, Error::Usage(UsageError::NoSuchMember(at)) if at == leaf));
        }
        let first = group.remove(device, &[bob]).unwrap();
        group.discard(device).unwrap();
        assert_eq!(group.shared().unwrap().removals(), [bob]);
        let again = group.update(device).unwrap();
        assert_ne!(first.commit, again.commit);

        // Meanwhile Ada removes Bob, and somebody else gets his leaf.
        cast.others.clear();
        let (events, _) = cast.ada_commits(&Content { removes: vec![bob], ..Content::default() });
        assert!(matches!(events[PHONE][0], Event::CommitLost { .. }));
        assert_eq!(cast.devices[PHONE].removals(), []);
        let mut guest = cast.guest(suite, framing, Door::Open);
        let adds = vec![guest.key_package().unwrap()];
        let (_, welcome) = cast.ada_commits(&Content { adds, ..Content::default() });
        guest.join(&welcome.unwrap()).unwrap();
        cast.others.push(Box::new(guest));
        cast.update(PHONE);
        assert_eq!(cast.ada.group().unwrap().members().count(), 3);
    });
}

/// A proposal to remove the leaf keeps its devices from nothing; somebody else has to commit it.
#[test]
fn a_proposal_to_remove_the_leaf_is_for_others_to_commit() {
    for_each(|mut cast, _| {
        let own = cast.devices[PHONE].own_leaf().unwrap();
        let proposal = cast.ada.propose_remove(own).unwrap();
        cast.propose(&proposal, AdaToo::No);
        cast.update(PHONE);
        assert_eq!(cast.devices[PHONE].removals(), []);

        let proposal = cast.ada.propose_remove(own).unwrap();
        cast.propose(&proposal, AdaToo::No);
        let (events, _) = cast.ada_commits(&Content::default());
        for (n, events) in events.iter().enumerate() {
            assert!(events.contains(&Event::Removed));
            let (group, device) = cast.at(n);
            let refused = group.update(device).unwrap_err();
            assert!(matches!(refused, Error::Usage(UsageError::Removed)));
            let refused = group.send(device, b"still here?").unwrap_err();
            assert!(matches!(refused, Error::Usage(UsageError::Removed)));
        }
    });
}

/// The leaf proposes to leave. Where proposals are encrypted it cannot, and says so.
#[test]
fn the_leaf_leaves() {
    for_each(|mut cast, framing| {
        let stored = cast.devices[PHONE].stored();
        let (group, device) = cast.at(PHONE);
        let left = group.leave(device);
        if framing == Framing::Private {
            assert!(matches!(left, Err(Error::Usage(UsageError::EncryptedProposal))));
            assert_eq!(cast.devices[PHONE].stored(), stored);
            cast.update(PHONE);
            return;
        }
        let proposal = left.unwrap();
        assert_eq!(cast.ada.process(&proposal).unwrap(), Heard::Proposal);
        for other in &mut cast.others {
            other.process(&proposal).unwrap();
        }
        assert_eq!(cast.devices[SENSOR].process(&proposal).unwrap(), Heard::Proposal);
        let (events, _) = cast.ada_commits(&Content::default());
        assert!(events.iter().all(|events| events.contains(&Event::Removed)));
    });
}

/// A follower that has not received a proposal says which it is; with it, it follows.
#[test]
fn a_missing_proposal_is_named() {
    for_each(|mut cast, _| {
        let proposal = cast.ada.propose_remove(LeafIndex::new(1).unwrap()).unwrap();
        cast.devices[PHONE].process(&proposal).unwrap();
        let (group, device) = cast.at(PHONE);
        let sent = group.update(device).unwrap();
        group.confirm(device).unwrap();

        let (group, device) = cast.at(SENSOR);
        group.process(device, sent.notify.as_ref().unwrap()).unwrap();
        let epoch = group.epoch();
        for _ in 0..2 {
            let refused = group.process(device, &sent.commit).unwrap_err();
            assert!(matches!(refused, Error::Peer(PeerError::MissingProposal)), "{refused:?}");
            assert_eq!(group.epoch(), epoch);
        }
        assert!(matches!(group.process(device, &proposal).unwrap(), Received::Proposal));
        cast.follow(SENSOR, &sent.commit);
        cast.ada.process(&sent.commit).unwrap();
        cast.others.clear();
        cast.assert_together();
    });
}

/// Whatever is changed in a commit, the follower names the first thing that differs.
#[test]
fn the_first_difference_is_named() {
    for suite in SUITES {
        let mut cast = Cast::hidden(suite, Framing::Public);
        let (group, device) = cast.at(PHONE);
        let sent = group.update(device).unwrap();
        let commit = PublicCommit::decode(&sent.commit).unwrap().unwrap();
        let path = commit.commit().unwrap().path().unwrap();
        let leaf = path.leaf_node();
        let node = &path.nodes()[0];
        let sealed = &node.encrypted_path_secret()[0];
        let cases: [(&[u8], Difference); 7] = [
            (leaf.signature(), Difference::Leaf("signature")),
            (node.encryption_key(), Difference::NodeKey { level: 0 }),
            (sealed.kem_output(), Difference::Ciphertext { level: 0 }),
            (sealed.ciphertext(), Difference::Ciphertext { level: 0 }),
            (commit.signature(), Difference::Framed("signature")),
            (commit.confirmation_tag(), Difference::Framed("confirmation_tag")),
            (commit.membership_tag().unwrap(), Difference::Framed("membership_tag")),
        ];
        let stored = cast.devices[SENSOR].stored();
        for (field, expected) in cases {
            let at = find(&sent.commit, field);
            let mut forged = sent.commit.clone();
            forged[at + field.len() - 1] ^= 1;
            let (group, device) = cast.at(SENSOR);
            let refused = group.process(device, &forged).unwrap_err();
            assert!(
                matches!(&refused, Error::Peer(PeerError::Differs(found)) if *found == expected),
                "{expected:?}: {refused:?}"
            );
            assert!(refused.to_string().contains(&expected.to_string()));
        }
        // A leaf key that no tape gives is another thing: somebody else has made the commit.
        let at = find(&sent.commit, leaf.encryption_key());
        let mut forged = sent.commit.clone();
        forged[at] ^= 1;
        let (group, device) = cast.at(SENSOR);
        let refused = group.process(device, &forged).unwrap_err();
        assert!(matches!(refused, Error::Peer(PeerError::NotFromTheTape)));
        assert_eq!(cast.devices[SENSOR].stored(), stored);
        cast.deliver(PHONE, &sent);
    }
}

fn find(message: &[u8], field: &[u8]) -> usize {
    message.windows(field.len()).position(|window| window == field).unwrap()
}

/// A device that was not asked about a commit of another member can still turn it down.
#[test]
fn a_policy_turns_a_commit_down() {
    let mut cast = Cast::hidden(SUITE, Framing::Public);
    let sent = cast.ada.commit(&Content::default()).unwrap();
    let (group, device) = cast.at(PHONE);
    let refused = group.process_if(device, &sent.commit, |_| false).unwrap_err();
    assert!(matches!(refused, Error::Peer(PeerError::Policy)));
    cast.ada.confirm().unwrap();
    for other in &mut cast.others {
        other.process(&sent.commit).unwrap();
    }
    cast.follow(PHONE, &sent.commit);
    cast.follow(SENSOR, &sent.commit);
    cast.assert_together();
}

/// A device brings the leaf back by an external commit. At the others a pairing that is ending goes on
/// ending, and who was to be removed still is, wherever that leaf is by then.
#[test]
fn a_rejoin_of_a_partner_takes_nothing_back() {
    for_each(|mut cast, framing| {
        let bob = LeafIndex::new(1).unwrap();
        let (group, device) = cast.at(PHONE);
        group.remove(device, &[bob]).unwrap();
        group.discard(device).unwrap();
        group.cease(device).unwrap();
        assert_eq!(
            (group.phase(), group.shared().unwrap().removals()),
            (Some(Phase::Ceasing), &[bob][..])
        );

        let info = cast.devices[SENSOR].group_info().unwrap();
        let sent = cast.devices[SENSOR].rejoin(&info).unwrap();
        cast.devices[SENSOR].confirm_rejoin().unwrap();
        cast.follow(PHONE, &sent.commit);
        cast.ada.process(&sent.commit).unwrap();
        cast.others[0].process(&sent.commit).unwrap();
        cast.assert_together();
        for crashed in [false, true] {
            if crashed {
                cast.devices[PHONE].crash().unwrap();
            }
            let (group, device) = cast.at(PHONE);
            assert_eq!(
                (group.phase(), group.shared().unwrap().removals()),
                (Some(Phase::Ceasing), &[bob][..])
            );
            let refused = group.update(device).unwrap_err();
            assert!(matches!(refused, Error::Usage(UsageError::Ceasing)), "{framing:?}");
        }
        // Its own return takes nothing back either.
        let info = cast.devices[PHONE].group_info().unwrap();
        cast.devices[PHONE].rejoin(&info).unwrap();
        cast.devices[PHONE].confirm_rejoin().unwrap();
        let (group, _) = cast.at(PHONE);
        assert_eq!(
            (group.phase(), group.shared().unwrap().removals()),
            (Some(Phase::Ceasing), &[bob][..])
        );
    });
}

/// What a device drops is burned: nobody makes the commit again with that value, from its vault neither.
#[test]
fn a_dropped_commit_is_burned() {
    let mut cast = Cast::hidden(CipherSuite::X25519Aes128, Framing::Public);
    let (group, device) = cast.at(PHONE);
    group.update(device).unwrap();
    let record = device.vault().load_leaf(group.group_id()).unwrap().unwrap();
    let spot = record.pending.unwrap().notify.spot;
    assert!(device.vault().preview(&record.tape, spot).is_ok(), "the control");
    group.discard(device).unwrap();
    assert!(device.vault().preview(&record.tape, spot).is_err());
    cast.update(PHONE);
}

/// A member proposes what no valid commit carries out: to add somebody who is there already. The devices leave it out, and
/// go on.
#[test]
fn what_cannot_be_committed_blocks_no_commit() {
    for_each(|mut cast, _| {
        let there = cast.ada.key_package().unwrap();
        let proposal = cast.ada.propose_add(&there).unwrap();
        cast.propose(&proposal, AdaToo::No);
        cast.update(SENSOR);
        let there = cast.ada.key_package().unwrap();
        let proposal = cast.ada.propose_add(&there).unwrap();
        cast.propose(&proposal, AdaToo::No);
        cast.update(PHONE);
    });
}
