//! The story, in four acts, and what it proves.

use paired_mls::{
    EpochSecurity, Event, Secret, VaultStorage as _,
    conformance::{Listener, Refused, Thief},
    vault::RecordName,
    wire::RatchetTree,
};
use serde::Serialize;
use tls_codec::Serialize as _;

use super::{
    Findings,
    cast::{Cast, Role},
    facts::Fact,
    hidden,
    picture::{Picture, View, picture},
    times,
};

/// An act of the story.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Act {
    pub(crate) title: &'static str,
    pub(crate) intro: &'static str,
    pub(crate) epochs: Vec<Epoch>,
}

/// One epoch of an act.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Epoch {
    pub(crate) number: u64,
    /// What happened.
    pub(crate) what: String,
    /// The length of the commit, in bytes; `None` where there was none.
    pub(crate) commit_bytes: Option<usize>,
    /// Whether the commit was a paired one.
    pub(crate) paired: bool,
    /// `exposed`, `secure` or `weakened`, for the sensor; `None` without a pairing.
    pub(crate) security: Option<&'static str>,
    /// Who reads this epoch: a message was sent, and everybody has tried.
    pub(crate) readers: Vec<(&'static str, bool)>,
    /// Whether all members have the same epoch authenticator.
    pub(crate) together: bool,
    pub(crate) tree: Picture,
}

impl Epoch {
    fn thief_reads(&self) -> bool {
        self.readers.iter().any(|(who, reads)| *who == "the thief" && *reads)
    }

    fn reads(&self, role: Role) -> bool {
        self.readers.iter().any(|(who, reads)| *who == role.name() && *reads)
    }
}

/// Looks at the epoch as it is now.
fn look(
    cast: &mut Cast,
    what: String,
    committer: Option<Role>,
    commit_bytes: Option<usize>,
    healed: bool,
) -> Result<Epoch, Refused> {
    let paired =
        healed.then(|| cast.phone.group()?.anchorage().map_err(Refused::from)).transpose()?;
    let anchor = paired.as_ref().and_then(|anchorage| anchorage.anchor());
    let bytes = cast.phone.group()?.mls().export_ratchet_tree().tls_serialize_detached()?;
    let view = View {
        tree: &RatchetTree::decode(&bytes)?,
        known: cast.thief.as_ref().map(|thief| thief.known_nodes()).unwrap_or_default(),
        committer: committer.map(Role::name),
        anchor,
    };
    let tree = picture(&view)?;
    Ok(Epoch {
        number: cast.phone.epoch(),
        what,
        commit_bytes,
        paired: healed,
        security: cast.security().map(EpochSecurity::name),
        readers: cast.readers()?,
        together: cast.together(),
        tree,
    })
}

/// A member commits; returns the epoch that follows, and the commit.
fn commit(cast: &mut Cast, role: Role, why: &str) -> Result<(Epoch, Vec<u8>), Refused> {
    let outcome = cast.commit(role)?;
    let healed = outcome.events.iter().any(|event| matches!(event, Event::Healed { .. }));
    let kind = if healed { "a paired commit" } else { "a commit" };
    let what = format!("{} sends {kind}{why}.", role.name());
    let bytes = Some(outcome.commit.len());
    Ok((look(cast, what, Some(role), bytes, healed)?, outcome.commit))
}

/// Plays the four acts.
pub(crate) fn play() -> Result<Findings, Refused> {
    let mut facts = Vec::new();
    let (mut ordinary, first) = ordinary_mls(&mut facts)?;
    let (mut paired, second) = paired_mls(&mut facts)?;
    let comparison = times::compare(&mut ordinary, &mut paired)?;
    let bytes = comparison.bytes;
    facts.push(Fact::new(
        "equal-length",
        "A paired commit has the length of an ordinary one of the same shape.",
        format!("ordinary {} bytes, paired {} bytes", bytes.ordinary, bytes.paired),
        bytes.ordinary == bytes.paired,
    ));
    let third = the_sensor_wakes_up(&mut paired, &mut facts)?;
    let fourth = hidden::act(&mut facts)?;
    Ok(Findings { facts, acts: vec![first, second, third, fourth], comparison })
}

fn ordinary_mls(facts: &mut Vec<Fact>) -> Result<(Cast, Act), Refused> {
    let mut cast = Cast::gather(b"demo, act 1")?;
    cast.theft()?;
    let what = "A thief copies the sensor's disk and memory.".to_owned();
    let mut epochs = vec![look(&mut cast, what, None, None, false)?];
    for role in [Role::Bob, Role::Phone, Role::Carol, Role::Phone] {
        epochs.push(commit(&mut cast, role, "")?.0);
    }
    let read = epochs.iter().filter(|epoch| epoch.thief_reads()).count();
    facts.push(Fact::new(
        "thief-reads-ordinary",
        "With ordinary MLS the thief reads on: nobody but the sensor can put him out.",
        format!("he read {read} of {} epochs", epochs.len()),
        read == epochs.len(),
    ));
    let act = Act {
        title: "Ordinary MLS",
        intro: "Five members in a group. Alice's sensor can receive, but not send. A thief copies \
                its disk and its memory. In MLS only a commit of the sensor itself would heal the \
                group, and the sensor will never send one.",
        epochs,
    };
    Ok((cast, act))
}

fn paired_mls(facts: &mut Vec<Fact>) -> Result<(Cast, Act), Refused> {
    let mut cast = Cast::gather(b"demo, act 2")?;
    cast.pair()?;
    cast.theft()?;
    facts.push(vault_is_separate(&cast)?);

    let what = "The phone and the sensor pair: both have asked the directory, and each has \
                confirmed that it holds the tape. Then the thief copies the sensor's disk and \
                memory; the vault is elsewhere."
        .to_owned();
    let mut epochs = vec![look(&mut cast, what, None, None, false)?];
    epochs.push(commit(&mut cast, Role::Bob, ": nothing heals yet")?.0);
    let before = epochs.iter().all(Epoch::thief_reads);
    facts.push(Fact::new(
        "thief-follows-until-healed",
        "Until the first paired commit the thief reads, by the same means as before.",
        format!("he read {} of {} epochs", count_read(&epochs), epochs.len()),
        before,
    ));

    let (healing, healing_commit) =
        commit(&mut cast, Role::Phone, ", on the sensor's behalf as well")?;
    let out = !healing.thief_reads();
    let follows = healing.reads(Role::Sensor);
    facts.push(Fact::new(
        "thief-out-at-first-paired-commit",
        "The first paired commit puts the thief out of the group.",
        format!("epoch {}: the thief {}", healing.number, if out { "is out" } else { "reads" }),
        out,
    ));
    facts.push(Fact::new(
        "sensor-follows",
        "The sensor follows, by its tape.",
        format!(
            "epoch {}: the sensor {}",
            healing.number,
            if follows { "reads" } else { "is lost" }
        ),
        follows && healing.security == Some("secure"),
    ));
    epochs.push(healing);

    let replayed = cast.sensor.process(&healing_commit);
    facts.push(Fact::new(
        "replay-refused",
        "The paired commit, delivered a second time, is refused.",
        replayed.map_or_else(|error| innermost(&*error), |heard| format!("{heard:?}")),
        cast.sensor.process(&healing_commit).is_err() && cast.together(),
    ));

    for role in [Role::Bob, Role::Carol, Role::Dave, Role::Phone] {
        epochs.push(commit(&mut cast, role, "")?.0);
    }
    let after = epochs.get(3..).unwrap_or_default();
    facts.push(Fact::new(
        "thief-stays-out",
        "The thief does not come back.",
        format!("he read {} of {} later epochs", count_read(after), after.len()),
        count_read(after) == 0 && !after.is_empty(),
    ));
    let thief = cast.thief.as_ref().ok_or("the thief is on the stage")?;
    facts.push(Fact::new(
        "brute-force-opens-nothing",
        "Every byte string of his loot, tried as a key on every ciphertext, opens nothing.",
        format!("{} keys, {} attempts", thief.keys(), thief.attempts()),
        thief.attempts() > 0,
    ));
    facts.push(Fact::new(
        "sensor-sent-nothing",
        "The sensor never sent the group a byte.",
        format!("{} bytes", cast.sensor_sent),
        cast.sensor_sent == 0,
    ));
    for (id, claim, role) in [
        (
            "stock-openmls-same-epoch",
            "Bob, on stock OpenMLS, is in the same epoch throughout.",
            Role::Bob,
        ),
        (
            "stock-mls-rs-same-epoch",
            "Carol, on stock mls-rs, is in the same epoch throughout.",
            Role::Carol,
        ),
    ] {
        let same = epochs.iter().filter(|epoch| epoch.together && epoch.reads(role)).count();
        let measured = format!("the same epoch authenticator in {same} of {} epochs", epochs.len());
        facts.push(Fact::new(id, claim, measured, same == epochs.len()));
    }
    let act = Act {
        title: "Paired MLS",
        intro: "The same five, the same theft. But the phone and the sensor share a tape in a \
                vault, and the thief did not get the vault. The phone's commits take their path \
                secret from the tape; where MLS would encrypt it to the sensor's stolen key stands \
                a Notify, which says only which position of the tape to use.",
        epochs,
    };
    Ok((cast, act))
}

fn the_sensor_wakes_up(cast: &mut Cast, facts: &mut Vec<Fact>) -> Result<Act, Refused> {
    let wakes = ": it can send for once, and heals the phone";
    let epochs = vec![
        commit(cast, Role::Sensor, wakes)?.0,
        commit(cast, Role::Phone, ", and it is the other way round again")?.0,
    ];
    let fine = epochs.iter().filter(|epoch| epoch.paired && epoch.together).count();
    facts.push(Fact::new(
        "role-switch",
        "Either device may commit, and heals the other.",
        format!("{fine} of {} commits were paired and followed by all", epochs.len()),
        fine == epochs.len(),
    ));
    Ok(Act {
        title: "The sensor wakes up",
        intro: "Roles are not fixed. The sensor gets a chance to send, and commits itself: the \
                phone follows by the tape.",
        epochs,
    })
}

/// No record of the vault, and no secret of it, is in the loot.
fn vault_is_separate(cast: &Cast) -> Result<Fact, Refused> {
    let thief = cast.thief.as_ref().ok_or("the thief is on the stage")?;
    let tape = cast.phone.group()?.pairing_tape().ok_or("the phone is paired")?;
    let name = RecordName::SubTape(tape);
    let record = cast.sensor.vault_storage().load(&name)?.ok_or("the sensor has the tape")?;
    let secrets = secrets_of(&record);
    let found = secrets.iter().filter(|secret| thief.holds(secret)).count();
    Ok(Fact::new(
        "vault-separate",
        "Nothing of the vault lies with the MLS state.",
        format!("{found} of the tape's {} secrets are in the loot", secrets.len()),
        found == 0 && !secrets.is_empty(),
    ))
}

/// Every run of Nh bytes in a stored tape that follows a length of Nh: its secrets.
fn secrets_of(record: &Secret) -> Vec<Vec<u8>> {
    let length = super::cast::SUITE.kdf_len();
    let windows = record.expose().windows(length + 1);
    windows
        .filter_map(|window| window.split_first())
        .filter(|(prefix, _)| usize::from(**prefix) == length)
        .map(|(_, secret)| secret.to_vec())
        .collect()
}

/// What an error comes down to.
fn innermost(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

fn count_read(epochs: &[Epoch]) -> usize {
    epochs.iter().filter(|epoch| epoch.thief_reads()).count()
}
