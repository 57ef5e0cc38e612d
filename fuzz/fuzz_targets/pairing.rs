//! The messages of the pairing protocol, and what leaves say of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paired_mls::{
    PairingMessage,
    leaf::SignatureKeys,
    pairing::{PairedSignal, Party, RegistryEntry},
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = PairingMessage::decode(bytes) {
        let again = message.encode().expect("what was read fits");
        assert_eq!(again.expose(), bytes);
    }
    if let Ok(signal) = PairedSignal::decode(bytes) {
        assert_eq!(signal.encode().expect("what was read fits"), bytes);
    }
    if let Ok(keys) = SignatureKeys::decode(bytes, 32) {
        assert_eq!(keys.encode(), bytes);
    }
    let party = Party { identity: b"alice".to_vec(), signature_key: vec![1; 32] };
    let _ = RegistryEntry::open(&party, bytes);
});
