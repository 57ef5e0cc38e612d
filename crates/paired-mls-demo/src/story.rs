//! The first three acts, and what they prove: two devices with a leaf each, below one anchor.

use serde_json::Value;

use super::{
    DemoError,
    cast::{Cast, Happened},
    epoch::count_read,
    hidden,
    role::{Role, Seating},
    stage::Stage,
    telling::Telling,
    thief::secrets_in,
    times::{self, Comparison},
};

/// Where the seed lies while it is carried from one device to the other.
const SEED: &str = "../seed.txt";

/// Plays the four acts.
pub(crate) async fn play(stage: &Stage, telling: &mut Telling) -> Result<Comparison, DemoError> {
    let mut cast = Cast::gather(stage, Seating::Apart, "family", Role::Phone).await?;
    ordinary_mls(&mut cast, telling).await?;
    telling.aside("More commits of the phone are timed here, for the comparison at the end.")?;
    let ordinary = times::measure(&cast).await?;
    paired_mls(&mut cast, telling).await?;
    the_sensor_wakes_up(&mut cast, telling).await?;
    telling.aside("More paired commits are timed here.")?;
    let comparison = Comparison::of(ordinary, times::measure(&cast).await?);
    let bytes = comparison.bytes;
    telling.fact(
        "equal-length",
        "A paired commit has the length of an ordinary one of the same shape.",
        format!("ordinary {} bytes, paired {} bytes", bytes.ordinary, bytes.paired),
        bytes.ordinary == bytes.paired,
    );
    hidden::act(stage, telling).await?;
    Ok(comparison)
}

/// A member commits, and everybody looks at the epoch that follows.
async fn commit(
    cast: &mut Cast<'_>,
    telling: &mut Telling,
    by: Role,
    why: &str,
) -> Result<(), DemoError> {
    let happened = cast.commit(by).await?;
    let kind = happened.kind();
    let what = format!("{} sends {kind}{why}.", by.name());
    let epoch = cast.look(Happened { what, ..happened }, Role::Phone).await?;
    telling.epoch(epoch)
}

async fn ordinary_mls(cast: &mut Cast<'_>, telling: &mut Telling) -> Result<(), DemoError> {
    telling.act(
        "Ordinary MLS",
        "Five members in a group. Alice's sensor can receive, but not send. A thief copies the folder \
         that holds its state. In MLS only a commit of the sensor itself would heal the group, and the \
         sensor will never send one.",
    )?;
    let add = ["group", "add", cast.group, "alice-sensor", "bob", "carol", "dave"];
    cast.phone.news(&add).await?;
    cast.enter(&[Role::Sensor, Role::Dave]).await?;
    cast.fill(&[Role::Bob, Role::Carol, Role::Dave, Role::Phone]).await?;
    // Whoever is in the group is in its epoch before anything is stolen.
    cast.look(Happened::default(), Role::Phone).await?;

    cast.theft()?;
    let files = cast.thief()?.files();
    let what = format!("A thief copies the sensor's folder: {files} files, all but the vault.");
    let epoch = cast.look(Happened { what, ..Happened::default() }, Role::Phone).await?;
    telling.epoch(epoch)?;
    for by in [Role::Bob, Role::Phone, Role::Carol, Role::Phone] {
        commit(cast, telling, by, "").await?;
    }
    let (read, all) = (count_read(telling.epochs()), telling.epochs().len());
    telling.fact(
        "thief-reads-ordinary",
        "With ordinary MLS the thief reads on: nobody but the sensor can put him out.",
        format!("he read {read} of {all} epochs"),
        read == all,
    );
    Ok(())
}

async fn paired_mls(cast: &mut Cast<'_>, telling: &mut Telling) -> Result<(), DemoError> {
    telling.act(
        "Paired MLS",
        "The same five, the same theft. But now the phone and the sensor share a tape in their vaults, \
         and the thief does not get the vault. The phone's commits take their path secret from the \
         tape; where MLS would encrypt it to the sensor's stolen key stands a Notify, which says only \
         which position of the tape to use.",
    )?;
    let commands = pair(cast).await?;
    cast.theft()?;
    vault_is_separate(
        cast,
        telling,
        ("vault-separate", "Nothing of the vault lies with the MLS state."),
    )?;

    let what = "Alice carries a seed from the phone to the sensor in a file, and destroys the file. Both \
                devices ask the directory, and each proves to the other that it holds the tape. Then the \
                thief copies the sensor's folder once more."
        .to_owned();
    let happened = Happened { what, commands, ..Happened::default() };
    let epoch = cast.look(happened, Role::Phone).await?;
    telling.epoch(epoch)?;
    commit(cast, telling, Role::Bob, ": nothing heals yet").await?;
    let (read, all) = (count_read(telling.epochs()), telling.epochs().len());
    telling.fact(
        "thief-follows-until-healed",
        "Until the first paired commit the thief reads, by the same means as before.",
        format!("he read {read} of {all} epochs"),
        read == all,
    );

    commit(cast, telling, Role::Phone, ", on the sensor's behalf as well").await?;
    let healing = telling.last()?.clone();
    telling.fact(
        "thief-out-at-first-paired-commit",
        "The first paired commit puts the thief out of the group.",
        healing.of_the_thief(),
        !healing.thief_reads(),
    );
    telling.fact(
        "sensor-follows",
        "The sensor follows, by its tape.",
        healing.of_the_sensor(),
        healing.reads(Role::Sensor)
            && healing.paired
            && healing.security.as_deref() == Some("secure"),
    );
    replay(cast, telling).await?;

    for by in [Role::Bob, Role::Carol, Role::Dave, Role::Phone] {
        commit(cast, telling, by, "").await?;
    }
    what_the_thief_has_got(cast, telling)?;
    what_the_sensor_has_sent(cast, telling)?;
    the_others_noticed_nothing(telling);
    Ok(())
}

/// The phone and the sensor pair, with a seed that goes by hand. Returns the commands.
async fn pair(cast: &Cast<'_>) -> Result<Vec<String>, DemoError> {
    let (phone, sensor) = (&cast.phone, &cast.sensor);
    let mut commands = Vec::new();
    for (device, args) in [
        (phone, &["pair", "seed", SEED, "alice-sensor"] as &[_]),
        (sensor, &["pair", "load", SEED]),
        (phone, &["pair", "start", "alice-sensor", "--seed", SEED]),
    ] {
        device.run::<Value>(args).await?;
        commands.push(device.role.prompt(args));
    }
    phone.remove(SEED)?;
    cast.until_paired().await?;
    Ok(commands)
}

/// No secret of the vault is in the loot; and what lies with the MLS state is found.
pub(super) fn vault_is_separate(
    cast: &Cast<'_>,
    telling: &mut Telling,
    (id, claim): (&'static str, &'static str),
) -> Result<(), DemoError> {
    let thief = cast.thief()?;
    let secrets = secrets_in(&cast.sensor.vault())?;
    let found = thief.find(&secrets)?.len();
    let control: Vec<_> = thief.known_nodes()?.into_iter().collect();
    let controls = thief.find(&control)?.len();
    telling.fact(
        id,
        claim,
        format!(
            "{found} of the vault's {} secrets are in the {} stolen files; of the {} keys that lie there, \
             the same search finds {controls}",
            secrets.len(),
            thief.files(),
            control.len()
        ),
        found == 0 && secrets.len() > 1 && controls == control.len() && controls > 0,
    );
    Ok(())
}

/// The service is the thief's, too: it delivers the healing commit a second time, as if it were new.
async fn replay(cast: &mut Cast<'_>, telling: &mut Telling) -> Result<(), DemoError> {
    let before = cast.sensor.tree(cast.group).await?;
    let old = cast.service.last_commit(&cast.group_id)?;
    let again = cast.service.deliver_again(&cast.group_id, &old)?;
    if let Some(thief) = &mut cast.thief {
        thief.skip(again);
    }
    let news = cast.sensor.sync().await?;
    let after = cast.sensor.tree(cast.group).await?;
    let stays = before.authenticator == after.authenticator;
    telling.fact(
        "replay-refused",
        "The paired commit, delivered a second time, is refused.",
        format!(
            "the service delivered it again, as number {again} of the log after number {}: the sensor \
             was in epoch {}, and is in epoch {}",
            old.position, before.epoch, after.epoch
        ),
        stays && news.is_empty(),
    );
    Ok(())
}

fn what_the_thief_has_got(cast: &Cast<'_>, telling: &mut Telling) -> Result<(), DemoError> {
    let after = telling.epochs().get(3..).unwrap_or_default();
    let (read, all) = (count_read(after), after.len());
    telling.fact(
        "thief-stays-out",
        "The thief does not come back.",
        format!("he read {read} of {all} later epochs"),
        read == 0 && all > 0,
    );
    let thief = cast.thief()?;
    telling.fact(
        "brute-force-opens-nothing",
        "Every byte string of his loot, tried as a key on every ciphertext, opens nothing.",
        format!("{} keys, {} attempts", thief.keys(), thief.attempts()),
        thief.attempts() > 0 && thief.opened() == 0 && read == 0,
    );
    Ok(())
}

fn what_the_sensor_has_sent(cast: &Cast<'_>, telling: &mut Telling) -> Result<(), DemoError> {
    let requests = cast.service.requests_of(&cast.sensor.id)?;
    telling.fact(
        "sensor-sent-nothing",
        "The sensor never sent the group a byte.",
        format!(
            "of its {} requests at the service, {} brought something into a group",
            requests.all, requests.into_groups
        ),
        requests.into_groups == 0 && requests.all > 0,
    );
    Ok(())
}

fn the_others_noticed_nothing(telling: &mut Telling) {
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
        let epochs = telling.epochs();
        let same = epochs.iter().filter(|epoch| epoch.together && epoch.reads(role)).count();
        let all = epochs.len();
        let measured = format!("the same epoch authenticator in {same} of {all} epochs");
        telling.fact(id, claim, measured, same == all);
    }
}

async fn the_sensor_wakes_up(cast: &mut Cast<'_>, telling: &mut Telling) -> Result<(), DemoError> {
    telling.act(
        "The sensor wakes up",
        "Roles are not fixed. The sensor gets a chance to send, and commits itself: the phone follows \
         by the tape.",
    )?;
    let wakes = ": it can send for once, and heals the phone";
    commit(cast, telling, Role::Sensor, wakes).await?;
    commit(cast, telling, Role::Phone, ", and it is the other way round again").await?;
    let epochs = telling.epochs();
    let fine = epochs.iter().filter(|epoch| epoch.paired && epoch.together).count();
    let all = epochs.len();
    // The control of what was counted before: this one is seen.
    let sent = cast.service.requests_of(&cast.sensor.id)?.into_groups;
    telling.fact(
        "role-switch",
        "Either device may commit, and heals the other.",
        format!(
            "{fine} of {all} commits were paired and followed by all; {sent} of them by the sensor"
        ),
        fine == all && sent == 1,
    );
    Ok(())
}
