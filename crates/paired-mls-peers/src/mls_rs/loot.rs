//! What a thief finds in the records of the adapter for mls-rs.

use std::collections::BTreeSet;

use curve25519_dalek::MontgomeryPoint;

/// How long a private key, a path secret and the input of `DeriveKeyPair` are in the suites 1 to 3.
const KEY_LEN: u8 = 32;

/// Every byte string in what is stored that is as long as a key. mls-rs writes its state in the presentation language
/// of RFC 9420, in which a byte string stands behind its length: so whatever stands behind such a byte is one, wherever
/// it is.
pub(super) fn strings_in(cells: &[Vec<u8>]) -> BTreeSet<Vec<u8>> {
    let places = cells.iter().flat_map(|cell| places_in(cell).map(move |at| (cell, at)));
    places
        .filter_map(|(cell, at)| Some(cell.get(at..at + usize::from(KEY_LEN))?.to_vec()))
        .collect()
}

fn places_in(cell: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let lengths = cell.iter().enumerate().filter(|(_, byte)| **byte == KEY_LEN);
    lengths.map(|(at, _)| at + 1)
}

/// The private key among these strings of a public key.
pub(super) fn private_key_in(strings: &BTreeSet<Vec<u8>>, public_key: &[u8]) -> Option<Vec<u8>> {
    strings.iter().find(|string| public_keys_of(string).any(|of| of == public_key)).cloned()
}

/// Overwrites each private key of these public ones that a thief does not have.
pub(super) fn scrub(cell: &mut [u8], public_keys: &BTreeSet<Vec<u8>>, known: &BTreeSet<Vec<u8>>) {
    for at in places_in(cell).collect::<Vec<_>>() {
        let Some(string) = cell.get_mut(at..at + usize::from(KEY_LEN)) else {
            continue;
        };
        let is_key = public_keys_of(string).any(|of| public_keys.contains(&of));
        if is_key && !known.contains(&*string) {
            string.fill(1);
        }
    }
}

/// The public keys of a private one, of X25519 and of P-256.
fn public_keys_of(private_key: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let x25519 = private_key.try_into().ok().map(MontgomeryPoint::mul_base_clamped);
    let p256 = p256::ecdsa::SigningKey::from_slice(private_key).ok();
    let p256 = p256.map(|key| key.verifying_key().to_sec1_bytes().to_vec());
    x25519.map(|point| point.to_bytes().to_vec()).into_iter().chain(p256)
}
