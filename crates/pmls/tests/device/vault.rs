//! `pmls vault …`, for each kind of vault.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    code, device, run, secret_file, told,
    world::{World, pmls},
};

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", told(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_sealed_vault_opens_with_its_passphrase_only() {
    let world = World::new();
    let folder = world.folder();
    let right = secret_file(folder, "right", "correct horse");
    let wrong = secret_file(folder, "wrong", "battery staple");
    let home = folder.join("home");
    let with = |file: &str, command: &[&str]| {
        run(&home, &[&["--passphrase-file", file], command].concat())
    };
    let init = ["--server", &world.url, "device", "init", "--user", "alice"];
    let id = device(&with(&right, &init));

    let status = report(&with(&right, &["vault", "status"]));
    assert_eq!(status["vault"]["kind"], "sealed");
    assert_eq!(status["argon2id"]["memory_kib"], 65536);
    assert_eq!(status["records"], serde_json::json!({ "signature-key": 1 }));
    let generation = status["generation"].as_u64().unwrap();

    for command in [&["device", "show"][..], &["vault", "status"], &["vault", "upgrade"]] {
        let locked = with(&wrong, command);
        assert_eq!(code(&locked), 6, "{}", told(&locked));
    }
    let nobody_to_ask = run(&home, &["device", "show"]);
    assert_eq!(code(&nobody_to_ask), 6);
    assert!(told(&nobody_to_ask).contains("PMLS_PASSPHRASE_FILE"), "{}", told(&nobody_to_ask));

    // Changed, the old one opens nothing.
    let changed = with(&right, &["vault", "passphrase", "--new-passphrase-file", &wrong]);
    assert!(report(&changed)["generation"].as_u64().unwrap() > generation);
    assert_eq!(code(&with(&right, &["device", "show"])), 6);
    assert_eq!(device(&with(&wrong, &["device", "show"])), id);

    let upgraded = with(
        &wrong,
        &["vault", "upgrade", "--memory-kib", "16384", "--passes", "2", "--lanes", "2"],
    );
    let expected = serde_json::json!({ "memory_kib": 16384, "passes": 2, "lanes": 2 });
    assert_eq!(report(&upgraded)["argon2id"], expected);
    assert_eq!(report(&with(&wrong, &["vault", "status"]))["argon2id"], expected);
    let absurd = with(&wrong, &["vault", "upgrade", "--lanes", "99"]);
    assert_eq!(code(&absurd), 2, "{}", told(&absurd));
}

/// What a service manager hands over is used, where no flag says otherwise.
#[test]
fn a_credential_of_the_service_manager_opens_the_vault() {
    let world = World::new();
    secret_file(world.folder(), "pmls.passphrase", "correct horse");
    secret_file(world.folder(), "pmls.new-passphrase", "correct horse");
    let home = world.folder().join("home");
    let with_credentials = |args: &[&str]| {
        let mut command = pmls(&home);
        command.env("CREDENTIALS_DIRECTORY", world.folder()).args(args).output().unwrap()
    };
    let init = ["--server", &world.url, "device", "init", "--user", "alice"];
    let id = device(&with_credentials(&init));
    assert_eq!(device(&with_credentials(&["device", "show"])), id);
    assert_eq!(code(&run(&home, &["device", "show"])), 6);
}

/// The home of a device whose vault is sealed, at a service of its own.
struct Sealed {
    _world: World,
    home: PathBuf,
    vault: PathBuf,
    counter: PathBuf,
    passphrase: String,
    id: String,
}

impl Sealed {
    fn new() -> Self {
        let world = World::new();
        let passphrase = secret_file(world.folder(), "passphrase", "correct horse");
        let home = world.folder().join("home");
        let (vault, counter) = (home.join("vault"), world.folder().join("home.vault-counter"));
        let init = ["--server", &world.url, "--passphrase-file", &passphrase];
        let init = [&init[..], &["device", "init", "--user", "alice"]].concat();
        let id = device(&run(&home, &init));
        Self { _world: world, home, vault, counter, passphrase, id }
    }

    fn run(&self, command: &[&str]) -> Output {
        run(&self.home, &[&["--passphrase-file", &self.passphrase], command].concat())
    }
}

#[test]
fn an_older_copy_is_noticed() {
    let sealed = Sealed::new();
    let copy = fs::read(&sealed.vault).unwrap();
    report(&sealed.run(&["vault", "upgrade", "--memory-kib", "8192"]));
    fs::write(&sealed.vault, copy).unwrap();
    let noticed = sealed.run(&["device", "show"]);
    assert_eq!(code(&noticed), 3);
    assert!(told(&noticed).contains("older copy"), "{}", told(&noticed));
}

/// The counter of a sealed vault is lost or damaged: `doctor` says so and names the command, which is for
/// nothing else; the new counter notices an older copy as the old one did.
#[test]
fn a_lost_counter_is_replaced() {
    let sealed = Sealed::new();
    let older = fs::read(&sealed.vault).unwrap();
    report(&sealed.run(&["vault", "upgrade", "--memory-kib", "8192"]));

    let refused = sealed.run(&["vault", "forget-counter"]);
    assert_eq!(code(&refused), 3, "{}", told(&refused));
    assert!(told(&refused).contains("is there and is not replaced"), "{}", told(&refused));

    for damage in [None, Some("x")] {
        match damage {
            None => fs::remove_file(&sealed.counter).unwrap(),
            Some(content) => fs::write(&sealed.counter, content).unwrap(),
        }
        let lost = sealed.run(&["device", "show"]);
        assert_eq!(code(&lost), 3, "{}", told(&lost));
        assert!(told(&lost).contains("`pmls vault forget-counter`"), "{}", told(&lost));
        assert!(!told(&lost).contains("forget_counter"), "{}", told(&lost));
        let doctor = sealed.run(&["doctor"]);
        assert_eq!(code(&doctor), 8, "{}", told(&doctor));
        let found: Value = serde_json::from_slice(&doctor.stdout).unwrap();
        assert_eq!(found["findings"][0]["kind"], "counter-lost", "{found}");
        assert_eq!(found["findings"][0]["run"], "pmls vault forget-counter");

        assert_eq!(report(&sealed.run(&["vault", "forget-counter"]))["changed"], "counter");
        assert_eq!(device(&sealed.run(&["device", "show"])), sealed.id);
        let newest = fs::read(&sealed.vault).unwrap();
        fs::write(&sealed.vault, &older).unwrap();
        let noticed = sealed.run(&["device", "show"]);
        assert!(told(&noticed).contains("older copy"), "{}", told(&noticed));
        // A counter that says so is believed.
        let refused = sealed.run(&["vault", "forget-counter"]);
        assert_eq!(code(&refused), 3, "{}", told(&refused));
        fs::write(&sealed.vault, newest).unwrap();
        assert_eq!(device(&sealed.run(&["device", "show"])), sealed.id);
    }
}

/// The counter alone comes from a backup: the vault goes on, and brings it up again.
#[test]
fn a_restored_counter_is_brought_up() {
    let sealed = Sealed::new();
    let old_counter = fs::read(&sealed.counter).unwrap();
    report(&sealed.run(&["vault", "upgrade", "--memory-kib", "8192"]));
    let older = fs::read(&sealed.vault).unwrap();
    report(&sealed.run(&["vault", "upgrade", "--memory-kib", "16384"]));
    fs::write(&sealed.counter, &old_counter).unwrap();
    assert_eq!(device(&sealed.run(&["device", "show"])), sealed.id);
    assert_ne!(fs::read(&sealed.counter).unwrap(), old_counter);
    fs::write(&sealed.vault, older).unwrap();
    let noticed = sealed.run(&["device", "show"]);
    assert!(told(&noticed).contains("older copy"), "{}", told(&noticed));
}

#[test]
fn a_vault_can_lie_elsewhere() {
    let world = World::new();
    let (home, elsewhere) = (world.folder().join("home"), world.folder().join("stick"));
    let at = |path: &Path| ["--vault-path".to_owned(), path.display().to_string()];
    let with = |path: Option<&Path>, command: &[&str]| {
        pmls(&home).args(path.map(at).into_iter().flatten()).args(command).output().unwrap()
    };
    let init = ["--server", &world.url, "device", "init", "--user", "alice", "--vault", "plain"];
    let id = device(&with(Some(&elsewhere), &init));
    assert!(elsewhere.join("signature-key.record").exists() && !home.join("vault").exists());
    assert_eq!(device(&with(None, &["device", "show"])), id);

    let moved = world.folder().join("other-stick");
    fs::rename(&elsewhere, &moved).unwrap();
    let missing = with(None, &["device", "show"]);
    assert_eq!(code(&missing), 3);
    assert!(told(&missing).contains("--vault-path"), "{}", told(&missing));
    assert_eq!(device(&with(Some(&moved), &["device", "show"])), id);
}

#[test]
fn what_a_kind_does_not_have_is_refused() {
    let world = World::new();
    let alice = world.device("alice");
    assert_eq!(alice.run(&["vault", "status"])["vault"]["kind"], "plain");
    for command in ["passphrase", "upgrade"] {
        let (code, error) = alice.fails(&["vault", command]);
        assert_eq!(code, 3);
        assert!(error.contains("has no passphrase"), "{error}");
    }
    let init = ["--server", &world.url, "device", "init", "--user", "bob"];
    let no_token = ["--vault", "plain", "--signature-key", "token"];
    let refused = run(&world.folder().join("bob"), &[&init[..], &no_token].concat());
    assert_eq!(code(&refused), 2, "{}", told(&refused));
}

/// The kernel's keyring. Outside of a login session (`keyctl session`), and where the kernel has none, the test
/// is skipped, except in CI, where it has to run.
#[cfg(target_os = "linux")]
#[test]
fn the_keyring_remembers_the_passphrase() {
    let world = World::new();
    let right = secret_file(world.folder(), "right", "correct horse");
    let new = secret_file(world.folder(), "new", "battery staple");
    let home = world.folder().join("home");
    let init = ["--server", &world.url, "--passphrase-file", &right, "device", "init"];
    let init = [&init[..], &["--user", "alice", "--vault", "sealed+keyring"]].concat();
    let made = run(&home, &init);
    if told(&made).contains("the keyring refuses") {
        let missing = "no keyring: run the tests in a session, by `keyctl session - cargo test`";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        println!("SKIPPED: {missing}");
        return;
    }
    let id = device(&made);
    assert_eq!(device(&run(&home, &["device", "show"])), id, "nobody is asked");
    report(&run(&home, &["vault", "passphrase", "--new-passphrase-file", &new]));
    assert_eq!(device(&run(&home, &["device", "show"])), id, "it knows the new one");
    report(&run(&home, &["vault", "upgrade", "--memory-kib", "8192"]));

    // What it remembers is wrong: the right one is asked for, and remembered.
    let store: Arc<keyring_core::CredentialStore> =
        linux_keyutils_keyring_store::Store::new().unwrap();
    let vault = fs::canonicalize(&home).unwrap().join("vault");
    let entry = store.build("pmls", vault.to_str().unwrap(), None).unwrap();
    entry.set_secret(b"something else").unwrap();
    assert_eq!(code(&run(&home, &["device", "show"])), 6);
    assert_eq!(device(&run(&home, &["--passphrase-file", &new, "device", "show"])), id);
    assert_eq!(device(&run(&home, &["device", "show"])), id);
    entry.delete_credential().unwrap();
    assert_eq!(code(&run(&home, &["device", "show"])), 6, "after a restart it is asked for");
}

const PIN: &str = "734521";

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
    let given = std::env::var_os("PAIRED_MLS_PKCS11_MODULE").map(PathBuf::from);
    let found = given.into_iter().chain(usual.map(PathBuf::from)).find(|path| path.exists());
    if found.is_none() {
        let missing = "no SoftHSM: install softhsm2, or set PAIRED_MLS_PKCS11_MODULE";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        println!("SKIPPED: {missing}");
    }
    found
}

/// Makes a token; what SoftHSM finds it by.
fn token(folder: &Path) -> PathBuf {
    let tokens = folder.join("tokens");
    fs::create_dir(&tokens).unwrap();
    let config = folder.join("softhsm2.conf");
    let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
    fs::write(&config, text).unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "mine", "--so-pin", "12345678", "--pin", PIN])
        .env("SOFTHSM2_CONF", &config)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", told(&made));
    config
}

#[test]
fn a_token_holds_the_vaults_key_and_the_signature_key() {
    let Some(module) = softhsm() else { return };
    let module = module.display().to_string();
    let world = World::new();
    let config = token(world.folder());
    let right = secret_file(world.folder(), "pin", PIN);
    let wrong = secret_file(world.folder(), "wrong-pin", "111111");
    for (user, suite, place) in
        [("alice", "1", "vault"), ("bob", "1", "token"), ("carol", "2", "token")]
    {
        let home = world.folder().join(user);
        let with = |pin: &str, command: &[&str]| {
            let mut pmls = pmls(&home);
            pmls.env("SOFTHSM2_CONF", &config).args(["--passphrase-file", pin]);
            pmls.args(command).output().unwrap()
        };
        let init = ["--server", &world.url, "device", "init", "--user", user, "--suite", suite];
        let vault = ["--vault", "pkcs11", "--pkcs11-module", &module, "--token-label", "mine"];
        let init = [&init[..], &vault, &["--signature-key", place]].concat();
        let id = device(&with(&right, &init));
        assert_eq!(device(&with(&right, &init)), id, "again it is the same");
        // The key signs what the service and MLS take.
        let published = report(&with(&right, &["device", "publish", "--count", "2"]));
        assert_eq!(published["published"], 3);

        let status = report(&with(&right, &["vault", "status"]));
        assert_eq!(status["vault"]["kind"], "pkcs11");
        assert_eq!(status["signature_key"]["place"], place);
        let in_vault = status["records"]["signature-key"].as_u64().unwrap_or_default();
        assert_eq!(in_vault, u64::from(place == "vault"), "{status}");

        let refused = with(&right, &["vault", "passphrase"]);
        assert!(told(&refused).contains("PIN of the token"), "{}", told(&refused));
        let locked = with(&wrong, &["device", "show"]);
        assert_eq!(code(&locked), 6, "{}", told(&locked));
        assert!(!told(&locked).contains("111111"), "{}", told(&locked));
    }
}
