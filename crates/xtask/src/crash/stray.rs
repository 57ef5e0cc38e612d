//! What must not lie outside of the vaults, after all the kills.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use paired_mls::{RecordName, TapeId, leaf::PACKAGES_GROUP_ID};

use super::files::{Home, Round};
use crate::Failure;

/// The length of a secret of the tape, in bytes, and the byte in front of it.
const SECRET_LEN: usize = 32;

/// The files outside of the vaults that hold a secret of a tape, as bytes or as JSON. A sealed vault is
/// a file like any other: nothing lies in it in the clear.
pub(super) fn stray_secrets(
    folder: &Path,
    homes: &[Home],
    rounds: usize,
) -> Result<Vec<PathBuf>, Failure> {
    let (mut secrets, mut seeds) = (HashSet::new(), Vec::new());
    for number in 0..rounds {
        let round = Round::new(folder, number);
        secrets.insert(fs::read(round.seed())?);
        seeds.push(round.seed());
    }
    for home in homes {
        // With a value in flight stands the commit that it is for, which is public.
        let vault = home.vault()?;
        for number in 0..rounds {
            vault.settle(&tape(&Round::new(folder, number)))?;
        }
        drop(vault);
        let storage = home.storage()?;
        let mut found = Vec::new();
        for name in (0..rounds).flat_map(|number| tapes(&Round::new(folder, number))) {
            if let Some(record) = storage.load(&name)? {
                let windows = record.expose().windows(SECRET_LEN + 1);
                let windows = windows.filter_map(<[u8]>::split_first);
                let secret = |(length, _): &(&u8, _)| usize::from(**length) == SECRET_LEN;
                found.extend(windows.filter(secret).map(|(_, secret)| secret.to_vec()));
            }
        }
        if found.is_empty() {
            return Err("a vault holds no tape".into());
        }
        secrets.extend(found);
    }

    let mut stray = Vec::new();
    let mut files = Vec::new();
    walk(folder, &mut files)?;
    let is_vault = |file: &Path| homes.iter().any(|home| home.is_plain_vault(file));
    for file in files.into_iter().filter(|file| !is_vault(file) && !seeds.contains(file)) {
        let content = fs::read(&file)?;
        let is_in = |bytes: &[u8]| bytes.windows(SECRET_LEN).any(|window| secrets.contains(window));
        if is_in(&content) || is_in(&numbers(&content)) {
            stray.push(file);
        }
    }
    Ok(stray)
}

fn tapes(round: &Round) -> [RecordName; 3] {
    let pairing = round.pairing();
    let packages = TapeId { pairing, group_id: PACKAGES_GROUP_ID.to_vec() };
    [RecordName::Pairing(pairing), RecordName::SubTape(tape(round)), RecordName::SubTape(packages)]
}

fn tape(round: &Round) -> TapeId {
    TapeId { pairing: round.pairing(), group_id: round.group_id() }
}

/// The bytes that stand in a text as a JSON list of numbers.
fn numbers(text: &[u8]) -> Vec<u8> {
    let words = text.split(|byte| !byte.is_ascii_digit());
    let number = |word: &[u8]| str::from_utf8(word).ok()?.parse().ok();
    words.filter_map(number).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
