//! The copy of the tree that is broken.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Failure;

/// Below the folder of the build, so that it is in nobody's way, and always at the same place, so that cargo
/// knows it again.
const TREE: &str = "target/mutants/tree";

/// Makes the copy like the tree, with what is not committed yet. A file that is the same is not touched.
///
/// Returns its folder.
///
/// # Errors
///
/// If git does not list the files, or one cannot be copied.
pub(super) fn tree() -> Result<PathBuf, Failure> {
    let copy = std::env::current_dir()?.join(TREE);
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = Command::new("git").args(arguments).output()?;
    if !listed.status.success() {
        return Err("git does not list the files of the tree".into());
    }
    let listed = String::from_utf8(listed.stdout)?;
    // What was deleted and is still in the index is not there.
    let files = listed.split('\0').map(Path::new).filter(|file| file.is_file());
    let files: BTreeSet<_> = files.map(Path::to_owned).collect();
    for file in &files {
        let (content, to) = (fs::read(file)?, copy.join(file));
        if fs::read(&to).is_ok_and(|there| there == content) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(to, content)?;
    }
    remove_others(&copy, Path::new(""), &files)?;
    Ok(copy)
}

/// Removes what the tree does not have any more.
fn remove_others(copy: &Path, folder: &Path, files: &BTreeSet<PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(copy.join(folder))? {
        let entry = entry?;
        let name = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            remove_others(copy, &name, files)?;
        } else if !files.contains(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
