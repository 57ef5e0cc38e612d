//! Accepts that somebody forges who has everything but the seed: a member of the groups, a stranger at the relay,
//! a thief of the signature keys.

use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    DeviceId,
    conformance::Listener as _,
    pairing::{Accept, AnchorKind, PairingMessage, StateName},
};
use paired_mls_openmls::generate_signature_key;
use paired_mls_peers::Door;

use crate::cast::{
    AGAIN, Gadget, PHONE, Pairing, SENSOR, SUITE, ada, at_a_node, behind_a_leaf, events, is_healed,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Node,
    Leaf,
    Hidden,
}

const KINDS: [Kind; 3] = [Kind::Node, Kind::Leaf, Kind::Hidden];

/// The devices go from nothing to the end of the protocol.
fn run(pairing: &mut Pairing, kind: Kind, key_pair: &paired_mls::pairing::SignatureKeyPair) {
    pairing.seed();
    match kind {
        Kind::Node => pairing.initiate_standard(AnchorKind::Node),
        Kind::Leaf => pairing.initiate_standard(AnchorKind::Leaf),
        Kind::Hidden => pairing.initiate_hidden_with(key_pair),
    }
}

fn accept_in(message: &[u8]) -> Option<Accept> {
    match PairingMessage::decode(message).unwrap() {
        PairingMessage::Accept(accept) => Some(accept),
        _ => None,
    }
}

fn encoded(accept: Accept) -> Vec<u8> {
    PairingMessage::Accept(accept).encode().unwrap().expose().to_vec()
}

/// The forgeries of one Accept: with what was made under another seed and in another pairing, with what the
/// device has said itself, and with tags and devices that are changed.
fn forgeries(gadget: &Gadget, message: &[u8], elsewhere: &[Accept]) -> Vec<Vec<u8>> {
    let Some(accept) = accept_in(message) else {
        return Vec::new();
    };
    let (pairing_id, device) = (accept.pairing_id, accept.device);
    let with_tag = |tag: &[u8]| encoded(Accept { pairing_id, device, tag: tag.to_vec() });
    let mut forged: Vec<_> = elsewhere.iter().map(|accept| with_tag(&accept.tag)).collect();
    let own = gadget.book().resend(pairing_id).unwrap().send;
    let own = own.iter().filter_map(|outbound| accept_in(outbound.message.expose()));
    forged.extend(own.map(|own| with_tag(&own.tag)));
    for at in [0, accept.tag.len() - 1] {
        let mut tag = accept.tag.clone();
        tag[at] ^= 1;
        forged.push(with_tag(&tag));
    }
    forged.push(with_tag(&accept.tag[1..]));
    forged.push(with_tag(&[]));
    forged.push(encoded(Accept { device: DeviceId(9), ..accept }));
    forged
}

/// None of them pairs a device, and none keeps it from the true one, which comes after them: the control.
/// What the devices have then heals a group.
#[test]
fn a_forged_accept_pairs_nobody() {
    for kind in KINDS {
        for count in [2, 3] {
            let identities = ["alice"; 3];
            let key_pair = generate_signature_key(&RustCrypto::default(), SUITE).unwrap();
            let mut pairing = Pairing::of(&identities[..count]);

            // Somebody plays all devices, with their signature keys and their terms, and another seed.
            let doubles = pairing.gadgets.iter().map(Gadget::double).collect();
            let mut doubles = Pairing::between(doubles);
            run(&mut doubles, kind, &key_pair);
            doubles.all_are(StateName::Paired);
            // And the devices themselves have paired before, under another identifier.
            let before = pairing.gadgets.iter().map(|gadget| gadget.in_pairing(AGAIN)).collect();
            let mut before = Pairing::between(before);
            before.carry_seed();
            before.initiate_standard(AnchorKind::Node);
            before.all_are(StateName::Paired);

            let all = doubles.relayed.iter().chain(&before.relayed);
            let elsewhere: Vec<_> = all.filter_map(|message| accept_in(message)).collect();
            assert!(elsewhere.len() >= 2 * count);
            pairing.liar =
                Some(Box::new(move |gadget, message| forgeries(gadget, message, &elsewhere)));
            run(&mut pairing, kind, &key_pair);
            pairing.all_are(StateName::Paired);
            heals(&pairing, kind);
        }
    }
}

/// The phone commits, and the sensor follows by the tape.
fn heals(pairing: &Pairing, kind: Kind) {
    if kind == Kind::Node {
        let mut ada = ada(Door::Open, b"a group");
        let mut groups = at_a_node(pairing, &mut ada);
        let sent = groups[PHONE].update(&pairing.gadgets[PHONE].own).unwrap();
        let sensor = &pairing.gadgets[SENSOR].own;
        let heard = groups[SENSOR].process(sensor, &sent.commit).unwrap();
        assert!(is_healed(&events(heard)));
        ada.process(&sent.commit).unwrap();
        return;
    }
    let door = if kind == Kind::Hidden { Door::Open } else { Door::Gated };
    let mut ada = ada(door, b"a group");
    let mut leaf = behind_a_leaf(pairing, &mut ada);
    let (phone, group) = &mut leaf[PHONE];
    let sent = group.update(phone).unwrap();
    let (sensor, group) = &mut leaf[SENSOR];
    group.process(sensor, sent.notify.as_ref().unwrap()).unwrap();
    let heard = group.process(sensor, &sent.commit).unwrap();
    assert!(is_healed(&events(heard)));
    ada.process(&sent.commit).unwrap();
}
