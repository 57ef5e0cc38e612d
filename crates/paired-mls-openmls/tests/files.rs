//! Devices that live in files: MLS state in SQLite, the vault in a folder of its own.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::path::{Path, PathBuf};

use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, MlsGroupCreateConfig, MlsGroupJoinConfig,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use paired_mls::{
    CipherSuite, DeviceId, EpochSecurity, Event, Index, LeafKey, Pairing, PairingId, Secret, Seed,
    Vault,
    group::{Act, credential::AcceptAnyIdentity},
};
use paired_mls_openmls::{
    Device, Error, Group, Inspection, PeerError, Received, SqliteError, SqliteProvider, UsageError,
};
use paired_mls_vault::PlainFile;

const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const SUITE: CipherSuite = CipherSuite::X25519Aes128;

/// What survives a restart: two places on the disk, and the signature key.
struct Home {
    state: PathBuf,
    vault: PathBuf,
    identity: &'static str,
    key: (Vec<u8>, Vec<u8>),
}

type FileDevice = Device<SqliteProvider<RustCrypto>>;

impl Home {
    fn new(folder: &Path, identity: &'static str) -> Self {
        let scheme = CIPHERSUITE.signature_algorithm();
        Self {
            state: folder.join(format!("{identity}.sqlite")),
            vault: folder.join(format!("{identity}.vault")),
            identity,
            key: RustCrypto::default().signature_key_gen(scheme).unwrap(),
        }
    }

    fn open(&self) -> FileDevice {
        let (private, public) = self.key.clone();
        let credential = CredentialWithKey {
            credential: BasicCredential::new(self.identity.into()).into(),
            signature_key: public.clone().into(),
        };
        let signer = SignatureKeyPair::from_raw(CIPHERSUITE.signature_algorithm(), private, public);
        let provider = SqliteProvider::open(RustCrypto::default(), &self.state).unwrap();
        let vault = Vault::new(PlainFile::open(&self.vault).unwrap());
        Device::new(provider, vault, signer, credential, AcceptAnyIdentity)
    }
}

fn create_config() -> MlsGroupCreateConfig {
    MlsGroupCreateConfig::builder()
        .ciphersuite(CIPHERSUITE)
        .use_ratchet_tree_extension(true)
        .build()
}

fn install(device: &FileDevice, group: &mut Group, pairing: &Pairing, own: u16) {
    let seed = Seed::new(SUITE, Secret::new(vec![3; 32])).unwrap();
    pairing.install(device.vault(), SUITE, seed, DeviceId(own)).unwrap();
    group.pair(device, pairing).unwrap();
}

/// Both devices, paired, with the groups that they are in.
fn paired(phone: &FileDevice, sensor: &FileDevice) -> (Group, Group) {
    let mut at_phone = Group::create(phone, b"group", &create_config()).unwrap();
    let sent = at_phone.add(phone, &[sensor.key_package(CIPHERSUITE).unwrap()]).unwrap();
    at_phone.confirm(phone).unwrap();
    let join = MlsGroupJoinConfig::builder().build();
    let mut at_sensor = Group::join(sensor, &sent.welcome.unwrap(), &join).unwrap();
    let pairing = Pairing::new(PairingId([8; 16]), [phone.signature_key(), sensor.signature_key()]);
    install(phone, &mut at_phone, &pairing, 0);
    install(sensor, &mut at_sensor, &pairing, 1);
    (at_phone, at_sensor)
}

#[test]
fn a_pairing_lives_on_through_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let homes = [Home::new(folder.path(), "phone"), Home::new(folder.path(), "sensor")];
    drop(paired(&homes[0].open(), &homes[1].open()));

    let mut positions = Vec::new();
    for _ in 0..3 {
        // Every round begins with two new processes, so to speak.
        let [phone, sensor] = [homes[0].open(), homes[1].open()];
        let mut at_phone = Group::load(&phone, b"group").unwrap();
        let mut at_sensor = Group::load(&sensor, b"group").unwrap();
        let sent = at_phone.update(&phone).unwrap();
        at_phone.confirm(&phone).unwrap();
        let Received::Commit { events, .. } = at_sensor.process(&sensor, &sent.commit).unwrap()
        else {
            panic!("a commit is a commit");
        };
        let Some(Event::Healed { index: Some(index), .. }) = events.first() else {
            panic!("{events:?}");
        };
        positions.push(index.position());
        let authenticator = |group: &Group| group.mls().epoch_authenticator().as_slice().to_vec();
        assert_eq!(authenticator(&at_phone), authenticator(&at_sensor));
    }
    // The pairing began in epoch 1.
    let first = |epoch| Index::first_for(DeviceId(0), epoch).unwrap().position();
    assert_eq!(positions, [2, 3, 4].map(first));
}

#[test]
fn a_commit_that_waits_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let homes = [Home::new(folder.path(), "phone"), Home::new(folder.path(), "sensor")];
    let sensor = homes[1].open();
    let (sent, mut at_sensor) = {
        let phone = homes[0].open();
        let (mut at_phone, at_sensor) = paired(&phone, &sensor);
        (at_phone.update(&phone).unwrap(), at_sensor)
    };
    let phone = homes[0].open();
    let mut at_phone = Group::load(&phone, b"group").unwrap();
    let again = at_phone.update(&phone);
    assert!(matches!(again, Err(Error::Usage(UsageError::CommitPending))), "{again:?}");
    // The delivery service had accepted it, and sends it to everybody, the phone as well.
    at_phone.process(&phone, &sent.commit).unwrap();
    at_sensor.process(&sensor, &sent.commit).unwrap();
    assert_eq!(at_phone.epoch(), at_sensor.epoch());
}

#[test]
fn one_process_at_a_time_has_the_state_and_the_vault() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path(), "phone");
    let _first = home.open();
    let second = SqliteProvider::open(RustCrypto::default(), &home.state);
    assert!(matches!(second, Err(SqliteError::Open(_))));
    assert!(PlainFile::open(&home.vault).is_err());
}

#[test]
fn pairing_needs_a_tape_and_the_right_members() {
    let folder = tempfile::tempdir().unwrap();
    let homes = [Home::new(folder.path(), "phone"), Home::new(folder.path(), "sensor")];
    let [phone, sensor] = [homes[0].open(), homes[1].open()];
    let mut at_phone = Group::create(&phone, b"group", &create_config()).unwrap();
    let pairing = Pairing::new(PairingId([8; 16]), [phone.signature_key(), sensor.signature_key()]);

    let no_tape = at_phone.pair(&phone, &pairing).unwrap_err().to_string();
    assert!(no_tape.contains("pair the devices first"), "{no_tape}");

    let seed = Seed::new(SUITE, Secret::new(vec![3; 32])).unwrap();
    pairing.install(phone.vault(), SUITE, seed, DeviceId(0)).unwrap();
    let absent = at_phone.pair(&phone, &pairing);
    let expected = UsageError::DeviceNotInGroup(DeviceId(1));
    assert!(matches!(&absent, Err(Error::Usage(error)) if *error == expected), "{absent:?}");

    let stolen = Pairing::new(pairing.id, [sensor.signature_key(), phone.signature_key()]);
    let wrong_key = at_phone.pair(&phone, &stolen);
    assert!(matches!(wrong_key, Err(Error::Usage(UsageError::SignatureKey))), "{wrong_key:?}");
    assert_eq!(at_phone.phase(), None);

    let sent = at_phone.add(&phone, &[sensor.key_package(CIPHERSUITE).unwrap()]).unwrap();
    let waits = at_phone.pair(&phone, &pairing);
    assert!(matches!(waits, Err(Error::Usage(UsageError::CommitPending))), "{waits:?}");
    at_phone.confirm(&phone).unwrap();
    drop(sent);
    at_phone.pair(&phone, &pairing).unwrap();
    at_phone.pair(&phone, &pairing).expect("it is used here already");
    let other = Pairing { id: PairingId([1; 16]), ..pairing };
    let second = at_phone.pair(&phone, &other);
    assert!(matches!(second, Err(Error::Usage(UsageError::AlreadyPaired))), "{second:?}");
}

/// A commit in the sensor's seat that is not from the tape: the application may refuse it for the alarm, and
/// nothing has changed then; or it is merged, with the alarm.
#[test]
fn the_application_is_asked_about_an_alarm() {
    let folder = tempfile::tempdir().unwrap();
    let homes = [Home::new(folder.path(), "phone"), Home::new(folder.path(), "sensor")];
    let [phone, sensor] = [homes[0].open(), homes[1].open()];
    let (mut at_phone, mut at_sensor) = paired(&phone, &sensor);
    let paired_commit = at_sensor.update(&sensor).unwrap();
    at_sensor.confirm(&sensor).unwrap();
    let quiet = |look: &Inspection<'_>| look.alarms().is_empty();
    at_phone.process_if(&phone, &paired_commit.commit, quiet).expect("the control");

    let mut at_sensor = at_sensor.unpair(&sensor).unwrap().unwrap();
    let forged = at_sensor.update(&sensor).unwrap();
    at_sensor.confirm(&sensor).unwrap();
    let epoch = at_phone.epoch();
    let refused = at_phone.process_if(&phone, &forged.commit, quiet);
    assert!(matches!(refused, Err(Error::Peer(PeerError::Policy))), "{refused:?}");
    let fresh = Some(EpochSecurity::Secure(LeafKey::Fresh));
    assert_eq!((at_phone.epoch(), at_phone.security(DeviceId(1))), (epoch, fresh));

    let Received::Commit { events, .. } = at_phone.process(&phone, &forged.commit).unwrap() else {
        panic!("a commit is a commit");
    };
    let alarm = Event::Impostor { device: DeviceId(1), act: Act::Commit };
    assert_eq!(events.first(), Some(&alarm), "{events:?}");
    assert_eq!(at_phone.security(DeviceId(1)), Some(EpochSecurity::Exposed));
}

#[test]
fn nothing_of_the_vault_is_in_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let homes = [Home::new(folder.path(), "phone"), Home::new(folder.path(), "sensor")];
    {
        let [phone, sensor] = [homes[0].open(), homes[1].open()];
        let (mut at_phone, mut at_sensor) = paired(&phone, &sensor);
        let sent = at_phone.update(&phone).unwrap();
        at_phone.confirm(&phone).unwrap();
        at_sensor.process(&sensor, &sent.commit).unwrap();
    }
    let state = std::fs::read(&homes[1].state).unwrap();
    let mut secrets = 0;
    for file in std::fs::read_dir(&homes[1].vault).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        // The group's record holds public keys only, which the MLS state has as well.
        if !name.starts_with("tape-") && !name.starts_with("pairing-") {
            continue;
        }
        let record = std::fs::read(file.path()).unwrap();
        // A secret of a tape is 32 bytes behind a length of 32.
        for window in record.windows(33).filter(|window| window[0] == 32) {
            secrets += 1;
            let as_json = serde_json_array(&window[1..]);
            assert!(!contains(&state, &window[1..]) && !contains(&state, as_json.as_bytes()));
        }
    }
    assert!(secrets > 60, "a punctured tape has many nodes, and here were {secrets}");
}

/// How the storage writes a byte string.
fn serde_json_array(bytes: &[u8]) -> String {
    bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(",")
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// What a caller stores with the MLS state is stored with it or not at all, also where the call has a
/// transaction of its own inside.
#[test]
fn tables_of_the_caller_go_with_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path(), "phone");
    let phone = home.open();
    let connection = phone.provider().connection();
    connection.execute_batch("CREATE TABLE notes (note TEXT)").unwrap();
    let notes = || -> u32 {
        connection.query_row("SELECT count(*) FROM notes", [], |row| row.get(0)).unwrap()
    };
    let note = "INSERT INTO notes VALUES ('sent')";

    let failed = phone.provider().transaction(|| {
        connection.execute(note, [])?;
        Group::create(&phone, b"group", &create_config()).unwrap();
        Err::<(), _>(rusqlite::Error::InvalidQuery)
    });
    assert!(failed.is_err());
    assert_eq!(notes(), 0);
    assert!(matches!(Group::load(&phone, b"group"), Err(Error::Usage(UsageError::NoSuchGroup))));

    let copy = phone.provider().clone();
    copy.transaction(|| {
        connection.execute(note, [])?;
        // A transaction inside that fails takes only its own writes with it.
        let inner = copy.transaction(|| {
            connection.execute(note, [])?;
            Err::<(), _>(rusqlite::Error::InvalidQuery)
        });
        assert!(inner.is_err());
        Group::create(&phone, b"group", &create_config()).unwrap();
        Ok::<_, rusqlite::Error>(())
    })
    .unwrap();
    assert_eq!(notes(), 1);
    Group::load(&phone, b"group").unwrap();
}

/// A Welcome says which group it leads into before anything is done with it.
#[test]
fn a_welcome_is_looked_at_and_then_still_joined() {
    let folder = tempfile::tempdir().unwrap();
    let homes = [Home::new(folder.path(), "phone"), Home::new(folder.path(), "sensor")];
    let [phone, sensor] = [homes[0].open(), homes[1].open()];
    let mut at_phone = Group::create(&phone, b"group", &create_config()).unwrap();
    let sent = at_phone.add(&phone, &[sensor.key_package(CIPHERSUITE).unwrap()]).unwrap();
    let welcome = sent.welcome.unwrap();
    assert_eq!(Group::welcome_group_id(&sensor, &welcome).unwrap(), b"group");
    assert!(Group::welcome_group_id(&phone, &welcome).is_err(), "it is for the sensor");
    let join = MlsGroupJoinConfig::builder().build();
    Group::join(&sensor, &welcome, &join).unwrap();
    assert!(Group::welcome_group_id(&sensor, &welcome).is_err(), "the KeyPackage is used up");
}
