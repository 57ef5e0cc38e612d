//! One device of the crash test, in its files.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, MlsGroupCreateConfig, MlsGroupJoinConfig,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use paired_mls::{CipherSuite, DeviceId, Pairing, PairingId, Secret, Seed, Vault};
use paired_mls_openmls::{Device, PairedGroup, SqliteProvider};
use paired_mls_vault::PlainFile;

use crate::Failure;

pub(super) const NAMES: [&str; 2] = ["phone", "sensor"];
const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const GROUP_ID: &[u8] = b"crash";

type FileDevice = Device<SqliteProvider<RustCrypto>>;

/// Where a device lives.
pub(super) struct DeviceFiles {
    log: PathBuf,
    home: PathBuf,
    name: &'static str,
}

impl DeviceFiles {
    pub(super) fn new(folder: &Path, device: usize) -> Result<Self, Failure> {
        let name = NAMES.get(device).copied().ok_or("there are two devices, 0 and 1")?;
        Ok(Self { log: folder.join("log"), home: folder.join(name), name })
    }

    fn open(&self) -> Result<FileDevice, Failure> {
        let (private, public) =
            (fs::read(self.home.join("key"))?, fs::read(self.home.join("key.pub"))?);
        let scheme = CIPHERSUITE.signature_algorithm();
        let credential = CredentialWithKey {
            credential: BasicCredential::new(self.name.into()).into(),
            signature_key: public.clone().into(),
        };
        let signer = SignatureKeyPair::from_raw(scheme, private, public);
        let provider = SqliteProvider::open(RustCrypto::default(), &self.home.join("mls.sqlite"))?;
        let vault = Vault::new(PlainFile::open(self.home.join("vault"))?);
        Ok(Device::new(provider, vault, signer, credential))
    }

    /// The commit of the epoch, if the delivery service has one.
    fn commit_of(&self, epoch: u64) -> PathBuf {
        self.log.join(format!("{epoch}.commit"))
    }

    /// Offers a commit for an epoch: the first one wins, as a whole or not at all.
    fn offer(&self, epoch: u64, commit: &[u8]) -> Result<bool, Failure> {
        let draft = self.log.join(format!("{epoch}.draft-of-{}", self.name));
        fs::write(&draft, commit)?;
        let won = match fs::hard_link(&draft, self.commit_of(epoch)) {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error.into()),
        };
        fs::remove_file(&draft)?;
        Ok(won)
    }

    /// Follows what is there, and commits for ever; or, to finish, follows and writes down where it
    /// is.
    pub(super) fn live(&self, finish: bool) -> Result<(), Failure> {
        let device = self.open()?;
        let mut group = PairedGroup::load(&device, GROUP_ID)?;
        loop {
            let epoch = group.epoch();
            match fs::read(self.commit_of(epoch)) {
                Ok(commit) => {
                    // Its own or the partner's: also after a death in the middle.
                    group.process(&device, &commit)?;
                    continue;
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
            if group.mls().pending_commit().is_some() {
                // It died before it had offered the commit: nobody has seen it.
                group.discard(&device)?;
            }
            if finish {
                let tag = group.mls().epoch_authenticator().as_slice();
                return Ok(fs::write(self.home.join("state"), format!("{epoch} {tag:?}"))?);
            }
            let sent = group.update(&device)?;
            self.write_down(&group)?;
            if self.offer(epoch, &sent.commit)? {
                group.confirm(&device)?;
            }
            sleep(Duration::from_millis(2));
        }
    }

    fn write_down(&self, group: &PairedGroup) -> Result<(), Failure> {
        let index = group.pending_index().ok_or("a paired commit has an index")?;
        let mut journal =
            OpenOptions::new().create(true).append(true).open(self.home.join("journal"))?;
        Ok(writeln!(journal, "{index}")?)
    }

    /// The indices that the device has used.
    pub(super) fn journal(&self) -> Result<Vec<String>, Failure> {
        let journal = fs::read_to_string(self.home.join("journal"))?;
        Ok(journal.lines().map(str::to_owned).collect())
    }

    /// The epoch that the device has finished in, and its authenticator.
    pub(super) fn state(&self) -> Result<String, Failure> {
        Ok(fs::read_to_string(self.home.join("state"))?)
    }
}

/// Makes both devices, their group and their pairing.
pub(super) fn pair(folder: &Path) -> Result<(), Failure> {
    fs::create_dir(folder.join("log"))?;
    let mut devices = Vec::new();
    for device in 0..NAMES.len() {
        let files = DeviceFiles::new(folder, device)?;
        fs::create_dir(&files.home)?;
        let scheme = CIPHERSUITE.signature_algorithm();
        let (private, public) = RustCrypto::default().signature_key_gen(scheme)?;
        fs::write(files.home.join("key"), private)?;
        fs::write(files.home.join("key.pub"), public)?;
        devices.push(files.open()?);
    }
    let [phone, sensor] = devices.as_slice() else { return Err("there are two devices".into()) };

    let create = MlsGroupCreateConfig::builder()
        .ciphersuite(CIPHERSUITE)
        .use_ratchet_tree_extension(true)
        .build();
    let mut at_phone = PairedGroup::create(phone, GROUP_ID, &create)?;
    let sent = at_phone.add(phone, &[sensor.key_package(CIPHERSUITE)?])?;
    at_phone.confirm(phone)?;
    let welcome = sent.welcome.ok_or("an Add gives a Welcome")?;
    let join = MlsGroupJoinConfig::builder().build();
    let mut at_sensor = PairedGroup::join(sensor, &welcome, &join)?;

    let pairing = Pairing::new(PairingId([6; 16]), [phone.signature_key(), sensor.signature_key()]);
    let both = [(phone, &mut at_phone, DeviceId(0)), (sensor, &mut at_sensor, DeviceId(1))];
    for (device, group, own) in both {
        let seed = Seed::new(SUITE, Secret::new(vec![11; SUITE.kdf_len()]))?;
        pairing.install(device.vault(), SUITE, seed, own)?;
        group.pair(device, &pairing)?;
    }
    Ok(())
}
