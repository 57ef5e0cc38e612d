//! What lies in which file, after all the kills.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::Failure;

/// The length of a secret of the tape, in bytes, and the byte in front of it.
const SECRET_LEN: usize = 32;

/// The files outside of the vaults that hold a secret of a tape, as bytes or as JSON.
pub(super) fn stray_secrets(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let (mut vaults, mut others) = (Vec::new(), Vec::new());
    walk(folder, false, &mut vaults, &mut others)?;

    let mut secrets = BTreeSet::new();
    for file in &vaults {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        // A group's record holds public keys only, which the MLS state has as well.
        if name.is_some_and(|name| name.starts_with("tape-") || name.starts_with("pairing-")) {
            let record = fs::read(file)?;
            let windows = record.windows(SECRET_LEN + 1).filter_map(<[u8]>::split_first);
            let secret = |(length, _): &(&u8, _)| usize::from(**length) == SECRET_LEN;
            secrets.extend(windows.filter(secret).map(|(_, secret)| secret.to_vec()));
        }
    }
    if secrets.is_empty() {
        return Err("the vaults hold no tape".into());
    }

    let mut stray = Vec::new();
    for file in others {
        let content = fs::read(&file)?;
        let raw: BTreeSet<&[u8]> = content.windows(SECRET_LEN).collect();
        let text = String::from_utf8_lossy(&content);
        let found = secrets.iter().any(|secret| {
            let json = secret.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
            raw.contains(secret.as_slice()) || text.contains(&json)
        });
        if found {
            stray.push(file);
        }
    }
    Ok(stray)
}

fn walk(
    folder: &Path,
    in_vault: bool,
    vaults: &mut Vec<PathBuf>,
    others: &mut Vec<PathBuf>,
) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            walk(&path, in_vault || entry.file_name() == "vault", vaults, others)?;
        } else if in_vault {
            vaults.push(path);
        } else {
            others.push(path);
        }
    }
    Ok(())
}
