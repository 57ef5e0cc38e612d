//! What several test programs need: to run one of their own tests in another process, and a token.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const INSIDE: &str = "PAIRED_MLS_TEST_INSIDE";

/// A command that runs one test of this program, and shows what it prints.
pub fn rerun(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, test);
    command
}

/// Whether this process is one that [`rerun`] started for this test.
pub fn is_inside(test: &str) -> bool {
    env::var(INSIDE).is_ok_and(|inside| inside == test)
}

/// Runs `body` in a process of its own, in which a SoftHSM has one empty token directory.
///
/// SoftHSM reads its configuration from the environment, once for each process.
pub fn with_softhsm(test: &str, body: impl FnOnce(&Path)) {
    let Some(module) = softhsm() else { return };
    if is_inside(test) {
        return body(&module);
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let config = folder.path().join("softhsm2.conf");
    let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
    fs::write(&config, text).unwrap();
    let output = rerun(test)
        .env("SOFTHSM2_CONF", &config)
        .env("PAIRED_MLS_PKCS11_MODULE", &module)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}{errors}");
    print!("{printed}");
}

/// The SoftHSM library. Without one the test is skipped, except in CI, where it has to run.
fn softhsm() -> Option<PathBuf> {
    let usual = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
        "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    ];
    let given = env::var_os("PAIRED_MLS_PKCS11_MODULE").map(PathBuf::from);
    let mut places = given.into_iter().chain(usual.map(PathBuf::from));
    let found = places.find(|path| path.exists());
    if found.is_none() {
        let missing = "no SoftHSM: install softhsm2, or set PAIRED_MLS_PKCS11_MODULE";
        assert!(env::var("CI").as_deref() != Ok("true"), "{missing}");
        println!("SKIPPED: {missing}");
    }
    found
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// How many files below a folder hold these bytes somewhere.
pub fn files_with(folder: &Path, needle: &[u8]) -> usize {
    let holds = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    };
    files(folder).iter().filter(|path| holds(path)).count()
}

/// A token in SoftHSM.
#[cfg(feature = "pkcs11")]
pub mod token {
    use std::path::Path;

    use cryptoki::{
        context::{CInitializeArgs, CInitializeFlags, Pkcs11},
        session::{Session, UserType},
        types::AuthPin,
    };
    use paired_mls::Secret;
    use paired_mls_vault::pkcs11::Token;

    pub const PIN: &str = "123456";

    /// Makes a token.
    pub fn make(module: &Path, label: &str) {
        let library = library(module);
        let officer = AuthPin::new("officer".into());
        let slots = library.get_slots_with_token().unwrap();
        let free = |slot: &&_| !library.get_token_info(**slot).unwrap().token_initialized();
        let slot = *slots.iter().find(free).unwrap();
        library.init_token(slot, &officer, label).unwrap();
        // SoftHSM moves an initialised token to another slot.
        let session = library.open_rw_session(self::slot(&library, label)).unwrap();
        session.login(UserType::So, Some(&officer)).unwrap();
        session.init_pin(&AuthPin::new(PIN.into())).unwrap();
    }

    /// Opens a token as a user of this crate does.
    pub fn open(module: &Path, label: &str) -> Token {
        Token::open(module, label, &Secret::copy_of(PIN.as_bytes())).unwrap()
    }

    /// A session of the test's own, to look at what is in the token.
    pub fn session(module: &Path, label: &str) -> Session {
        let library = library(module);
        library.open_rw_session(slot(&library, label)).unwrap()
    }

    fn slot(library: &Pkcs11, label: &str) -> cryptoki::slot::Slot {
        let slots = library.get_slots_with_initialized_token().unwrap();
        let wanted = |slot: &&_| library.get_token_info(**slot).unwrap().label() == label;
        *slots.iter().find(wanted).unwrap()
    }

    fn library(module: &Path) -> Pkcs11 {
        let library = Pkcs11::new(module).unwrap();
        // A second time it says that it is initialised already.
        let _ = library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        library
    }
}
