//! The fourth act: the phone and the sensor behind one leaf, and nobody can tell.

use paired_mls::wire::RatchetTree;
use serde_json::Value;

use super::{
    DemoError,
    cast::{Cast, Happened},
    epoch::count_read,
    member::Order,
    role::{Role, Seating},
    stage::{News, Stage},
    story::vault_is_separate,
    telling::Telling,
};

/// What the sensor says, when it may.
const WORDS: &str = "The window is open.";

/// Plays the act.
pub(super) async fn act(stage: &Stage, telling: &mut Telling) -> Result<(), DemoError> {
    telling.act(
        "Behind one leaf, hidden",
        "The same theft, and no anchor to be seen. The phone and the sensor are one member of the \
         group, with one signature key. Every random choice of the leaf's commits comes from the tape, \
         so that both devices make the same commit; a message of its own, which looks like one more \
         commit, says which position to use.",
    )?;
    let mut cast = Cast::gather(stage, Seating::Together, "friends", Role::Dave).await?;
    let mut commands = pair(&cast, telling).await?;
    let add = ["group", "add", cast.group, "alice", "bob", "carol"];
    cast.dave.news(&add).await?;
    commands.push(Role::Dave.prompt(&add));
    cast.enter(&[Role::Phone, Role::Sensor]).await?;
    cast.fill(&[Role::Bob, Role::Carol]).await?;
    cast.look(Happened::default(), Role::Bob).await?;

    cast.theft()?;
    let claim = "Behind one leaf, too, nothing of the vault lies with the MLS state.";
    vault_is_separate(&cast, telling, ("leaf-vault-separate", claim))?;
    let what = "Dave has made a group. He, Bob and Carol see one Alice: her phone and her sensor have \
                joined by the same Welcome, to a KeyPackage whose keys come from the tape. The thief \
                copies the sensor's folder."
        .to_owned();
    let epoch = cast.look(Happened { what, commands, ..Happened::default() }, Role::Bob).await?;
    telling.epoch(epoch)?;
    play(&mut cast, telling, Role::Bob, "Bob sends a commit: nothing heals yet.").await?;
    let (read, all) = (count_read(telling.epochs()), telling.epochs().len());
    telling.fact(
        "leaf-thief-follows-until-healed",
        "Behind one leaf, too, the thief reads until the leaf commits from the tape.",
        format!("he read {read} of {all} epochs"),
        read == all,
    );

    healing(&mut cast, telling).await?;
    lost_notify(&mut cast, telling).await?;
    play(&mut cast, telling, Role::Carol, "Carol sends a commit.").await?;
    token(&mut cast, telling).await?;

    let later = telling.epochs().get(3..).unwrap_or_default();
    let (read, all) = (count_read(later), later.len());
    let thief = cast.thief()?;
    telling.fact(
        "leaf-thief-stays-out",
        "He does not come back; every byte string of his loot, tried as a key, opens nothing.",
        format!(
            "he read {read} of {all} later epochs; {} attempts, {} opened",
            thief.attempts(),
            thief.opened()
        ),
        read == 0 && all > 0 && thief.attempts() > 0 && thief.opened() == 0,
    );
    nothing_to_see(&mut cast, telling).await
}

/// The devices pair over a 1-to-1 channel: both show digits, and Alice compares them.
///
/// Returns the commands.
async fn pair(cast: &Cast<'_>, telling: &mut Telling) -> Result<Vec<String>, DemoError> {
    let (phone, sensor) = (&cast.phone, &cast.sensor);
    let start = ["pair", "start", "alice", "--anchor", "leaf", "--mode", "hidden"];
    let started: Value = phone.run(&start).await?;
    let at_phone = started.get("digits").and_then(Value::as_str).unwrap_or_default().to_owned();
    let offered = sensor.sync().await?.into_iter().find_map(|news| match news {
        News::PairingOffered { digits } => Some(digits),
        _ => None,
    });
    let at_sensor = offered.ok_or(DemoError::Missing("the sensor hears of the pairing"))?;
    sensor.news(&["pair", "confirm", "--digits", &at_phone]).await?;
    phone.news(&["pair", "confirm", "--digits", &at_sensor]).await?;
    let confirm = ["pair", "confirm", "--digits", "…"];
    let commands = vec![
        Role::Phone.prompt(&start),
        Role::Sensor.prompt(&confirm),
        Role::Phone.prompt(&confirm),
    ];
    cast.until_paired().await?;
    telling.fact(
        "leaf-paired-over-channel",
        "The seed and the leaf's key went over a 1-to-1 channel whose digits are the same on both.",
        at_phone.replace('\n', " "),
        at_phone == at_sensor && !at_phone.is_empty(),
    );
    Ok(commands)
}

/// A member commits, and everybody looks at the epoch that follows.
async fn play(
    cast: &mut Cast<'_>,
    telling: &mut Telling,
    by: Role,
    what: &str,
) -> Result<(), DemoError> {
    let happened = cast.commit(by).await?;
    let epoch = cast.look(Happened { what: what.to_owned(), ..happened }, Role::Bob).await?;
    telling.epoch(epoch)
}

async fn healing(cast: &mut Cast<'_>, telling: &mut Telling) -> Result<(), DemoError> {
    let what = "The phone commits from the tape; the sensor replays it.";
    play(cast, telling, Role::Phone, what).await?;
    let healing = telling.last()?.clone();
    telling.fact(
        "leaf-thief-out-at-first-tape-commit",
        "The first commit from the tape puts him out.",
        healing.of_the_thief(),
        !healing.thief_reads(),
    );
    telling.fact(
        "leaf-sensor-follows",
        "The sensor makes the same commit from its tape, byte for byte, and follows.",
        healing.of_the_sensor(),
        healing.reads(Role::Sensor) && healing.paired && healing.together,
    );
    Ok(())
}

/// The network is the thief's: he makes the Notify disappear.
async fn lost_notify(cast: &mut Cast<'_>, telling: &mut Telling) -> Result<(), DemoError> {
    let happened = cast.commit(Role::Phone).await?;
    let lost = cast.service.lose_mail(&cast.sensor.id)?;
    let what = "The phone commits again, and the thief makes the Notify disappear on the way: the \
                sensor finds the position of the tape by itself."
        .to_owned();
    let epoch = cast.look(Happened { what, ..happened }, Role::Bob).await?;
    telling.epoch(epoch)?;
    let survived = telling.last()?.clone();
    telling.fact(
        "leaf-lost-notify-survived",
        "A lost Notify is survived.",
        format!("{lost} taken from the mailbox; {}", survived.of_the_sensor()),
        lost > 0 && survived.reads(Role::Sensor) && survived.paired && survived.together,
    );
    Ok(())
}

/// The sensor speaks, once it has the token; the phone then has it no more.
async fn token(cast: &mut Cast<'_>, telling: &mut Telling) -> Result<(), DemoError> {
    let send = ["group", "send", cast.group, WORDS];
    let refused = cast.sensor.refused(&send).await?;
    let what = "The sensor wants to speak for once: it takes the token with a commit of its own.";
    play(cast, telling, Role::Sensor, what).await?;
    cast.sensor.news(&send).await?;
    let heard = cast.bob.order(&Order::Sync).await?.heard;
    cast.phone.refused(&["group", "send", cast.group, "me too"]).await?;
    telling.fact(
        "leaf-token-enforced",
        "Only the device that made the leaf's last commit may speak.",
        refused,
        heard == [WORDS],
    );
    play(cast, telling, Role::Phone, "The phone takes it back.").await
}

/// The leaf has what Bob's leaf has, and nothing else.
async fn nothing_to_see(cast: &mut Cast<'_>, telling: &mut Telling) -> Result<(), DemoError> {
    let state = cast.bob.order(&Order::Sync).await?;
    let decoded = RatchetTree::decode(&state.tree.0);
    let tree = decoded.map_err(DemoError::mls("decode the tree that Bob sees"))?;
    let leaf = |role: Role| {
        let mut leaves = (0..4).filter_map(|leaf| tree.leaf(leaf));
        leaves.find(|leaf| {
            leaf.credential().identity() == Some(role.user(Seating::Together).as_bytes())
        })
    };
    let (Some(alice), Some(bob)) = (leaf(Role::Phone), leaf(Role::Bob)) else {
        return Err(DemoError::Missing("Alice and Bob are in the group"));
    };
    let alike = alice.capabilities() == bob.capabilities();
    telling.fact(
        "leaf-hidden-looks-ordinary",
        "Nothing in the leaf tells that two devices stand behind it.",
        format!(
            "{} extensions, {} signature key bytes, capabilities {} Bob's",
            alice.extensions().len(),
            alice.signature_key().len(),
            if alike { "as" } else { "unlike" }
        ),
        alike
            && alice.extensions().is_empty()
            && bob.extensions().is_empty()
            && alice.signature_key().len() == bob.signature_key().len(),
    );
    Ok(())
}
