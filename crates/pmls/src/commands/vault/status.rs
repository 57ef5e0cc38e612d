//! `pmls vault status`

use std::{collections::BTreeMap, fmt};

use paired_mls_vault::{Hardening, KdfParameters, Protection};
use serde::Serialize;

use crate::{
    failure::Failure,
    session::{KeyPlace, OpenVault, Session, VaultPlace},
    settings::GlobalOptions,
};

/// What there is to know of a vault without looking into its records.
#[derive(Serialize)]
pub(super) struct VaultStatus {
    vault: VaultPlace,
    signature_key: KeyPlace,
    /// The number of writes so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    argon2id: Option<Argon2id>,
    /// How many records there are of each kind.
    records: BTreeMap<&'static str, usize>,
    process: ProcessReport,
}

/// How much work it is to try a passphrase.
#[derive(Serialize)]
pub(super) struct Argon2id {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// What keeps the memory of this process off the disk.
#[derive(Serialize)]
struct ProcessReport {
    core_dumps: String,
    other_processes: String,
    swap: String,
}

pub(super) fn status(
    options: &GlobalOptions,
    hardening: &Hardening,
) -> Result<VaultStatus, Failure> {
    let session = Session::open(options)?;
    let (generation, argon2id, names) = match session.open_vault() {
        OpenVault::Plain(vault) => (None, None, vault.record_names()?),
        OpenVault::Sealed(vault) => {
            (Some(vault.generation()), Some(vault.parameters()?.into()), vault.record_names()?)
        }
        OpenVault::Token(vault, _) => (Some(vault.generation()), None, vault.record_names()?),
    };
    let mut records = BTreeMap::new();
    for name in names {
        *records.entry(kind(&name)).or_default() += 1;
    }
    let profile = session.profile().clone();
    let process = ProcessReport::of(hardening);
    let (vault, signature_key) = (profile.vault, profile.key);
    Ok(VaultStatus { vault, signature_key, generation, argon2id, records, process })
}

/// The kind of a record, by its name.
fn kind(name: &str) -> &'static str {
    const KINDS: [(&str, &str); 11] = [
        ("signature-key", "signature-key"),
        ("anchor-key-", "shared-signature-keys"),
        ("leaf-packages-", "shared-key-packages"),
        ("leaf-", "shared-leaves"),
        ("identities-", "unverified-members"),
        ("own-commit-", "own-commits"),
        ("pins", "pinned-keys"),
        ("pairing", "pairings"),
        ("state-", "pairing-states"),
        ("tape-", "group-tapes"),
        ("group-", "groups"),
    ];
    KINDS.iter().find(|(prefix, _)| name.starts_with(prefix)).map_or("other", |(_, kind)| kind)
}

impl From<KdfParameters> for Argon2id {
    fn from(parameters: KdfParameters) -> Self {
        Self {
            memory_kib: parameters.memory_kib(),
            passes: parameters.passes(),
            lanes: parameters.lanes(),
        }
    }
}

impl fmt::Display for Argon2id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory_kib, passes, lanes } = self;
        write!(f, "{memory_kib} KiB, {passes} passes, {lanes} lanes")
    }
}

impl ProcessReport {
    fn of(hardening: &Hardening) -> Self {
        Self {
            core_dumps: told(&hardening.core_dumps),
            other_processes: told(&hardening.other_processes),
            swap: told(&hardening.swap),
        }
    }
}

fn told(protection: &Protection) -> String {
    match protection {
        Protection::InPlace => "kept out".to_owned(),
        Protection::Limited { bytes } => format!(
            "not kept out: only {bytes} bytes may be locked; raise `ulimit -l`, or encrypt the swap space"
        ),
        Protection::Refused(error) => format!("not kept out: {error}"),
        _ => "not kept out: not possible on this platform".to_owned(),
    }
}

impl fmt::Display for VaultStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Vault            {}", self.vault)?;
        writeln!(f, "Signature key    {}", self.signature_key)?;
        if let Some(generation) = self.generation {
            writeln!(f, "Generation       {generation}")?;
        }
        if let Some(argon2id) = &self.argon2id {
            writeln!(f, "Argon2id         {argon2id}")?;
        }
        for (kind, number) in &self.records {
            writeln!(f, "Records          {number} {kind}")?;
        }
        writeln!(f, "Core dumps       {}", self.process.core_dumps)?;
        writeln!(f, "Other processes  {}", self.process.other_processes)?;
        write!(f, "Swap space       {}", self.process.swap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paired_mls::{PairingId, RecordName, TapeId};

    #[test]
    fn every_record_has_its_kind() {
        let pairing = PairingId([1; 16]);
        let tape = TapeId { pairing, group_id: vec![1] };
        let cases = [
            (RecordName::SignatureKey, "signature-key"),
            (RecordName::AnchorKey(pairing), "shared-signature-keys"),
            (RecordName::LeafPackages(pairing), "shared-key-packages"),
            (RecordName::Leaf(vec![1]), "shared-leaves"),
            (RecordName::Identities(vec![1]), "unverified-members"),
            (RecordName::OwnCommit(vec![1]), "own-commits"),
            (RecordName::Pins, "pinned-keys"),
            (RecordName::Pairing(pairing), "pairings"),
            (RecordName::PairingState(pairing), "pairing-states"),
            (RecordName::SubTape(tape), "group-tapes"),
            (RecordName::Group(vec![1]), "groups"),
        ];
        for (name, expected) in cases {
            assert_eq!(kind(&name.to_string()), expected, "{name}");
        }
        assert_eq!(kind(&"0".repeat(64)), "other");
    }
}
