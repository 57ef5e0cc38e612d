//! What a vault holds, and may be damaged: the same record has the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paired_mls::{
    GroupRecord, PairingState, Secret, Tape,
    leaf::{LeafPackages, LeafRecord},
};

fuzz_target!(|bytes: &[u8]| {
    let record = Secret::copy_of(bytes);
    if let Ok(tape) = Tape::from_record(&record) {
        assert_eq!(tape.to_record().expect("what was read fits").expose(), bytes);
    }
    if let Ok(group) = GroupRecord::from_record(&record) {
        let again = group.to_record().expect("what was read fits");
        assert_eq!(GroupRecord::from_record(&again), Ok(group));
    }
    if let Ok(leaf) = LeafRecord::from_record(&record) {
        let again = leaf.to_record().expect("what was read fits");
        assert_eq!(LeafRecord::from_record(&again), Ok(leaf));
    }
    if let Ok(packages) = LeafPackages::from_record(&record) {
        let again = packages.to_record().expect("what was read fits");
        assert_eq!(LeafPackages::from_record(&again), Ok(packages));
    }
    if let Ok(state) = PairingState::from_record(bytes) {
        let again = state.to_record().expect("what was read fits");
        assert_eq!(PairingState::from_record(&again), Ok(state));
    }
});
