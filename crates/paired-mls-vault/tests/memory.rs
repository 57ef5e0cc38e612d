//! A thief of the memory: what a vault leaves there after a call.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests")]

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
};

use paired_mls::{RecordName, Secret, VaultStorage};
use paired_mls_vault::{KdfParameters, SealedFile};

/// The needle is never in memory as it is, except where the vault puts it.
const MASK: u8 = 0xa5;

/// Counts the places in this process's own writable memory that hold the masked bytes, unmasked.
fn copies_in_memory(masked: &[u8]) -> usize {
    let mut memory = File::open("/proc/self/mem").unwrap();
    let mut chunk = vec![0; 1 << 20];
    let mut copies = 0;
    for line in BufReader::new(File::open("/proc/self/maps").unwrap()).lines() {
        let line = line.unwrap();
        let (range, rest) = line.split_once(' ').unwrap();
        if !rest.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let range = u64::from_str_radix(start, 16).unwrap()..u64::from_str_radix(end, 16).unwrap();
        // All but the buffer itself, which would be read onto itself.
        let own = chunk.as_ptr_range();
        let own = own.start as u64..own.end as u64;
        let before = range.start..range.end.min(own.start).max(range.start);
        let after = range.start.max(own.end).min(range.end)..range.end;
        let parts = if before.end == range.end { vec![range] } else { vec![before, after] };
        for mut part in parts {
            while part.start < part.end {
                let len = chunk.len().min((part.end - part.start) as usize);
                memory.seek(SeekFrom::Start(part.start)).unwrap();
                if memory.read_exact(&mut chunk[..len]).is_err() {
                    break;
                }
                let same = |window: &[u8]| window.iter().zip(masked).all(|(a, b)| a ^ b == MASK);
                copies += chunk[..len].windows(masked.len()).filter(|window| same(window)).count();
                chunk.fill(0);
                // A copy that lies across the border of two chunks is seen in the second.
                let whole = part.start + len as u64 == part.end;
                part.start += if whole { len } else { len - masked.len() + 1 } as u64;
            }
        }
    }
    copies
}

#[test]
fn no_record_stays_in_memory_after_a_call() {
    let folder = tempfile::tempdir().unwrap();
    let options = SealedFile::at(folder.path().join("vault"));
    let options = options.parameters(KdfParameters::RANDOM_KEY);
    let vault = options.create(&Secret::copy_of(b"passphrase")).unwrap();
    let name = RecordName::Group(b"group".to_vec());

    let mut masked = [0; 48];
    getrandom::fill(&mut masked).unwrap();
    let unmasked = || Secret::new(masked.iter().map(|byte| byte ^ MASK).collect());
    let record = unmasked();
    assert!(copies_in_memory(&masked) > 0, "the search finds what is there");

    vault.store(&name, &record).unwrap();
    drop(record);
    assert_eq!(copies_in_memory(&masked), 0, "after store");
    let other = RecordName::Group(b"other".to_vec());
    vault.store(&other, &Secret::copy_of(b"other")).unwrap();
    assert_eq!(copies_in_memory(&masked), 0, "after a store of another record");
    let record = vault.load(&name).unwrap().unwrap();
    assert_eq!(copies_in_memory(&masked), 1, "in the hand of the caller");
    assert!(record == unmasked());
    drop(record);
    assert_eq!(copies_in_memory(&masked), 0, "after load");
}

#[test]
fn the_passphrase_does_not_stay_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let mut masked = [0; 48];
    getrandom::fill(&mut masked).unwrap();
    let unmasked = || Secret::new(masked.iter().map(|byte| byte ^ MASK).collect());
    let options = || SealedFile::at(&path).parameters(KdfParameters::RANDOM_KEY);
    let vault = options().create(&unmasked()).unwrap();
    assert_eq!(copies_in_memory(&masked), 0, "after it was made");
    drop(vault);

    let passphrase = unmasked();
    let vault = options().open(&passphrase).unwrap();
    assert!(copies_in_memory(&masked) > 0, "in the hand of the caller");
    drop(passphrase);
    assert_eq!(copies_in_memory(&masked), 0, "while it is open");
    drop(vault);
}
