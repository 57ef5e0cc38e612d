//! The folder that everybody shares, and what a device has for itself.
//!
//! ```text
//! phone/, sensor/    key, key.pub, mls.sqlite, the vault, journal, one state for each group
//! 0/, 1/, …          a pairing and its group: seed, mail, KeyPackages, Welcome, the log of commits
//! ```

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use openmls::prelude::{BasicCredential, Ciphersuite, CredentialWithKey};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use paired_mls::{
    CipherSuite, DeviceId, PairingId, Secret, Vault, VaultStorage,
    group::credential::AcceptAnyIdentity,
    leaf::{KeyProofs, SignatureKeys},
    pairing::{PairingDevice, Party, Roster},
    wire::Credential,
};
use paired_mls_openmls::{Device, KeyVectorCrypto, SqliteProvider};
use paired_mls_vault::{FileCounter, KdfParameters, PlainFile, SealedFile, SealedFileOptions};

use super::{AnchorKind, Kind, VaultKind};
use crate::Failure;

pub(super) const NAMES: [&str; 2] = ["phone", "sensor"];
pub(super) const SUITE: CipherSuite = CipherSuite::X25519Aes128;
pub(super) const CIPHERSUITE: Ciphersuite =
    Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const PASSPHRASE: &[u8] = b"which the attacker does not know";

/// Knows leaves with several signature keys, and is the plain provider for everything else.
pub(super) type Crypto = KeyVectorCrypto<RustCrypto>;
pub(super) type FileDevice = Device<SqliteProvider<Crypto>>;

pub(super) fn crypto() -> Crypto {
    Crypto::new(RustCrypto::default())
}

/// Where a device lives.
pub(super) struct Home {
    pub(super) folder: PathBuf,
    path: PathBuf,
    pub(super) device: usize,
    pub(super) kind: Kind,
}

impl Home {
    pub(super) fn new(folder: &Path, device: usize, kind: Kind) -> Result<Self, Failure> {
        let name = NAMES.get(device).ok_or("there are two devices, 0 and 1")?;
        Ok(Self { folder: folder.to_owned(), path: folder.join(name), device, kind })
    }

    /// Makes what a device has before it is paired: its signature key, and an empty vault.
    pub(super) fn furnish(&self) -> Result<(), Failure> {
        fs::create_dir(&self.path)?;
        let scheme = CIPHERSUITE.signature_algorithm();
        let (private, public) = RustCrypto::default().signature_key_gen(scheme)?;
        fs::write(self.path.join("key"), private)?;
        fs::write(self.path.join("key.pub"), public)?;
        if self.kind.vault == VaultKind::Sealed {
            let counter = FileCounter::create(self.path.join("counter"))?;
            self.sealed().counter(counter).create(&Secret::copy_of(PASSPHRASE))?;
        }
        Ok(())
    }

    pub(super) fn name(&self) -> &'static str {
        NAMES.get(self.device).copied().unwrap_or_default()
    }

    /// The device as its partner and the directory know it.
    pub(super) fn party(&self) -> Result<Party, Failure> {
        party(&self.folder, self.kind.anchor, self.name())
    }

    /// Both devices.
    pub(super) fn roster(&self, pairing: PairingId) -> Result<Roster, Failure> {
        let device = |(device, name): (u16, &&str)| -> Result<_, Failure> {
            let party = party(&self.folder, self.kind.anchor, name)?;
            Ok(PairingDevice { device: DeviceId(device), party })
        };
        let devices = (0..).zip(&NAMES).map(device).collect::<Result<Vec<_>, _>>()?;
        Ok(Roster::new(pairing, SUITE, devices)?)
    }

    pub(super) fn open(&self) -> Result<FileDevice, Failure> {
        let (private, party) = (fs::read(self.path.join("key"))?, self.party()?);
        let own = party.signature_key;
        let signature_key = match self.kind.anchor {
            AnchorKind::Node => own.clone(),
            AnchorKind::Leaf => {
                let keys = self.roster(PairingId([0; 16]))?;
                let keys = keys.devices().iter().map(|device| device.party.signature_key.clone());
                SignatureKeys::new(keys.collect(), own.len())?.encode()
            }
        };
        let credential = CredentialWithKey {
            credential: BasicCredential::new(party.identity).into(),
            signature_key: signature_key.into(),
        };
        let signer = SignatureKeyPair::from_raw(CIPHERSUITE.signature_algorithm(), private, own);
        let provider = SqliteProvider::open(crypto(), &self.path.join("mls.sqlite"))?;
        let proofs = self.proofs(&credential)?;
        let device = Device::new(provider, self.vault()?, signer, credential, AcceptAnyIdentity);
        Ok(match self.kind.anchor {
            AnchorKind::Node => device,
            AnchorKind::Leaf => device.with_key_proofs(proofs),
        })
    }

    /// What each device would say: their keys lie side by side here.
    fn proofs(&self, credential: &CredentialWithKey) -> Result<KeyProofs, Failure> {
        let claims = Credential::basic(credential.credential.serialized_content());
        let signed = KeyProofs::to_be_signed(credential.signature_key.as_slice(), &claims);
        let scheme = CIPHERSUITE.signature_algorithm();
        let prove = |name: &&str| -> Result<Vec<u8>, Failure> {
            let private = fs::read(self.folder.join(name).join("key"))?;
            Ok(crypto().sign(scheme, &signed, &private)?)
        };
        Ok(KeyProofs::new(NAMES.iter().map(prove).collect::<Result<_, _>>()?))
    }

    pub(super) fn vault(&self) -> Result<Vault, Failure> {
        Ok(match self.kind.vault {
            VaultKind::Plain => Vault::new(self.plain()?),
            VaultKind::Sealed => Vault::new(self.unsealed()?),
        })
    }

    /// What is below the vault. No device has it open.
    pub(super) fn storage(&self) -> Result<Box<dyn VaultStorage>, Failure> {
        Ok(match self.kind.vault {
            VaultKind::Plain => Box::new(self.plain()?),
            VaultKind::Sealed => Box::new(self.unsealed()?),
        })
    }

    /// Whether a path is where secrets may lie in the clear.
    pub(super) fn is_plain_vault(&self, path: &Path) -> bool {
        self.kind.vault == VaultKind::Plain && path.starts_with(self.path.join("vault"))
    }

    fn plain(&self) -> Result<PlainFile, Failure> {
        Ok(PlainFile::open(self.path.join("vault"))?)
    }

    fn unsealed(&self) -> Result<SealedFile, Failure> {
        let counter = FileCounter::open(self.path.join("counter"))?;
        Ok(self.sealed().counter(counter).open(&Secret::copy_of(PASSPHRASE))?)
    }

    /// With the cheapest Argon2id: the passphrase is no part of this test.
    fn sealed(&self) -> SealedFileOptions {
        let cheapest = KdfParameters::new(8, 1, 1).unwrap_or_default();
        SealedFile::at(self.path.join("vault.sealed")).parameters(cheapest)
    }

    /// Writes down an index before anything that was made with it leaves the device.
    pub(super) fn write_down(&self, entry: &str) -> Result<(), Failure> {
        let journal = self.path.join("journal");
        let mut journal = OpenOptions::new().create(true).append(true).open(journal)?;
        Ok(writeln!(journal, "{entry}")?)
    }

    /// The indices that the device has used.
    pub(super) fn journal(&self) -> Result<Vec<String>, Failure> {
        let journal = fs::read_to_string(self.path.join("journal"))?;
        Ok(journal.lines().map(str::to_owned).collect())
    }

    pub(super) fn finish(&self, round: &Round, state: &str) -> Result<(), Failure> {
        Ok(fs::write(self.path.join(format!("state-{}", round.number)), state)?)
    }

    /// The epoch of the group that the device has finished in, and its authenticator.
    pub(super) fn state(&self, round: &Round) -> Result<String, Failure> {
        Ok(fs::read_to_string(self.path.join(format!("state-{}", round.number)))?)
    }
}

/// The devices of a leaf are of one user, and in a group with mls-rs no two members are.
fn party(folder: &Path, anchor: AnchorKind, name: &str) -> Result<Party, Failure> {
    let signature_key = fs::read(folder.join(name).join("key.pub"))?;
    let identity = match anchor {
        AnchorKind::Node => name,
        AnchorKind::Leaf => "alice",
    };
    Ok(Party { identity: identity.into(), signature_key })
}

/// One pairing and its group.
pub(super) struct Round {
    pub(super) path: PathBuf,
    pub(super) number: usize,
}

impl Round {
    pub(super) fn new(folder: &Path, number: usize) -> Self {
        Self { path: folder.join(number.to_string()), number }
    }

    /// The rounds that have begun.
    pub(super) fn all(folder: &Path) -> Vec<Self> {
        let rounds = (0..).map(|number| Self::new(folder, number));
        rounds.take_while(|round| round.seed().exists()).collect()
    }

    pub(super) fn pairing(&self) -> PairingId {
        let mut pairing = [0xc4; 16];
        for (byte, number) in pairing.iter_mut().zip((self.number as u64).to_be_bytes()) {
            *byte = number;
        }
        PairingId(pairing)
    }

    pub(super) fn group_id(&self) -> Vec<u8> {
        format!("group {}", self.number).into_bytes()
    }

    /// What a person has carried to both devices.
    pub(super) fn seed(&self) -> PathBuf {
        self.path.join("seed")
    }

    pub(super) fn mail(&self, to: &str) -> PathBuf {
        self.path.join(format!("mail-of-{to}"))
    }

    pub(super) fn key_package(&self, of: &str) -> PathBuf {
        self.path.join(format!("package-of-{of}"))
    }

    pub(super) fn welcome(&self) -> PathBuf {
        self.path.join("welcome")
    }

    pub(super) fn has_entered(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}-has-entered"))
    }

    fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Makes the folders, and at last the seed: then the round has begun.
    pub(super) fn begin(&self, seed: &[u8]) -> Result<(), Failure> {
        fs::create_dir(&self.path)?;
        fs::create_dir(self.log())?;
        for to in NAMES.iter().chain(&["directory"]) {
            fs::create_dir(self.mail(to))?;
        }
        put(&self.seed(), seed)
    }

    /// The commit of the epoch, if the delivery service has one.
    pub(super) fn commit_of(&self, epoch: u64) -> Result<Option<Vec<u8>>, Failure> {
        get(&self.log().join(format!("{epoch}.commit")))
    }

    pub(super) fn notify_of(&self, epoch: u64, name: &str) -> PathBuf {
        self.log().join(format!("{epoch}.notify-of-{name}"))
    }

    /// A KeyPackage of a device, for a leaf refresh in this epoch.
    pub(super) fn refresh_of(&self, epoch: u64, name: &str) -> PathBuf {
        self.log().join(format!("{epoch}.refresh-of-{name}"))
    }

    /// The Welcome of a leaf refresh that a device has made in this epoch.
    pub(super) fn welcome_of(&self, epoch: u64, name: &str) -> PathBuf {
        self.log().join(format!("{epoch}.welcome-of-{name}"))
    }

    /// Offers a commit for an epoch: the first one wins, as a whole or not at all.
    pub(super) fn offer(&self, epoch: u64, commit: &[u8], name: &str) -> Result<bool, Failure> {
        let draft = self.log().join(format!("{epoch}.draft-of-{name}"));
        fs::write(&draft, commit)?;
        let won = match fs::hard_link(&draft, self.log().join(format!("{epoch}.commit"))) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error.into()),
        };
        fs::remove_file(&draft)?;
        Ok(won)
    }

    /// The number of commits that the delivery service has accepted.
    pub(super) fn commits(&self) -> Result<usize, Failure> {
        self.count(".commit")
    }

    /// The number of files in the log of this kind.
    pub(super) fn count(&self, kind: &str) -> Result<usize, Failure> {
        let names = fs::read_dir(self.log())?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<Vec<String>, std::io::Error>>()?;
        Ok(names.iter().filter(|name| name.contains(kind)).count())
    }
}

/// Writes a file as a whole or not at all.
pub(super) fn put(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".draft-{}", std::process::id()));
    fs::write(&draft, content)?;
    Ok(fs::rename(&draft, path)?)
}

/// Reads a file, if it is there.
pub(super) fn get(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The letters in a mailbox: who sent them, and what they say.
pub(super) fn letters(mailbox: &Path) -> Result<Vec<(PathBuf, String, Vec<u8>)>, Failure> {
    let mut letters = Vec::new();
    for entry in fs::read_dir(mailbox)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let sender = name.as_deref().and_then(|name| name.strip_suffix(".letter"));
        if let (Some(sender), Some(content)) = (sender, get(&path)?) {
            let sender = sender.split('-').next().unwrap_or_default().to_owned();
            letters.push((path, sender, content));
        }
    }
    Ok(letters)
}
