//! The fourth act: the phone and the sensor behind one leaf, and nobody can tell.

use std::collections::BTreeSet;

use paired_mls::{
    EpochSecurity, Event, PairingId,
    conformance::{
        Content, Framing, Heard, Listener, Member, Refused, Thief as _,
        leaf::{LeafAdapter as _, LeafMember as _, Use},
    },
    wire::RatchetTree,
};
use paired_mls_peers::{
    LeafMode, OpenMlsLeafAdapter, OpenMlsLeafDevice, OpenMlsThief, StockMlsRs, StockOpenMls,
};
use tls_codec::Serialize as _;

use super::{
    cast::{Role, SUITE},
    facts::Fact,
    hidden_pairing::{Met, meet},
    picture::{View, picture},
    story::{Act, Epoch},
};

const FRAMING: Framing = Framing::Public;
const ALICE: &str = "Alice";

/// Alice's two devices behind one leaf, two members who see one Alice, and the thief.
struct Cast {
    phone: OpenMlsLeafDevice,
    sensor: OpenMlsLeafDevice,
    /// What both devices have shown when they met.
    digits: [String; 2],
    bob: StockOpenMls,
    carol: StockMlsRs,
    thief: Option<OpenMlsThief>,
}

/// Who commits, and whether the partner gets the Notify.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Move {
    Bob,
    Carol,
    Phone,
    PhoneWithoutNotify,
    Sensor,
}

/// Plays the act.
pub(super) fn act(facts: &mut Vec<Fact>) -> Result<Act, Refused> {
    let mut cast = Cast::gather()?;
    let [at_phone, at_sensor] = &cast.digits;
    facts.push(Fact::new(
        "leaf-paired-over-channel",
        "The seed and the leaf's key went over a 1-to-1 channel whose digits are the same on both.",
        at_phone.replace('\n', " "),
        at_phone == at_sensor,
    ));
    cast.thief = Some(adapter().steal(&cast.sensor));
    let what = "Bob and Carol see one Alice. Her phone and her sensor have joined by the same \
                Welcome, to a KeyPackage whose keys come from the tape. The thief copies the whole \
                MLS state of the leaf."
        .to_owned();
    let mut epochs = vec![cast.look(what, None, None)?];
    epochs.push(cast.play(Move::Bob, "Bob sends a commit: nothing heals yet")?);
    facts.push(Fact::new(
        "leaf-thief-follows-until-healed",
        "Behind one leaf, too, the thief reads until the leaf commits from the tape.",
        format!("he read {} of {} epochs", read(&epochs), epochs.len()),
        read(&epochs) == epochs.len(),
    ));

    let healing =
        cast.play(Move::Phone, "The phone commits from the tape; the sensor replays it")?;
    facts.push(Fact::new(
        "leaf-thief-out-at-first-tape-commit",
        "The first commit from the tape puts him out.",
        format!("epoch {}: the thief {}", healing.number, verb(&healing, "the thief")),
        !reads(&healing, "the thief"),
    ));
    facts.push(Fact::new(
        "leaf-sensor-follows",
        "The sensor makes the same commit from its tape, byte for byte, and follows.",
        format!("epoch {}: the sensor {}", healing.number, verb(&healing, Role::Sensor.name())),
        reads(&healing, Role::Sensor.name()) && healing.together,
    ));
    epochs.push(healing);

    let alone = "The phone commits again, and the Notify is lost on the way: the sensor finds the \
                 position of the tape by itself";
    let survived = cast.play(Move::PhoneWithoutNotify, alone)?;
    facts.push(Fact::new(
        "leaf-lost-notify-survived",
        "A lost Notify is survived.",
        format!("epoch {}: the sensor {}", survived.number, verb(&survived, Role::Sensor.name())),
        reads(&survived, Role::Sensor.name()) && survived.together,
    ));
    epochs.push(survived);
    epochs.push(cast.play(Move::Carol, "Carol sends a commit")?);

    let refused = cast.sensor.send(b"The window is open.").err();
    epochs.push(cast.play(
        Move::Sensor,
        "The sensor wants to speak for once: it takes the token with a commit of its own",
    )?);
    let spoke = cast.sensor.send(b"The window is open.")?;
    let heard = cast.bob.process(&spoke)?;
    facts.push(Fact::new(
        "leaf-token-enforced",
        "Only the device that made the leaf's last commit may speak.",
        refused.map_or("the sensor spoke without it".to_owned(), |error| error.to_string()),
        cast.phone.send(b"me too").is_err()
            && heard == Heard::Application(b"The window is open.".to_vec()),
    ));
    epochs.push(cast.play(Move::Phone, "The phone takes it back")?);

    let thief = cast.thief.as_ref().ok_or("the thief is on the stage")?;
    let later = epochs.get(3..).unwrap_or_default();
    facts.push(Fact::new(
        "leaf-thief-stays-out",
        "He does not come back; every byte string of his loot, tried as a key, opens nothing.",
        format!(
            "he read {} of {} later epochs; {} attempts, {} opened",
            read(later),
            later.len(),
            thief.attempts(),
            thief.opened()
        ),
        read(later) == 0 && thief.attempts() > 0 && thief.opened() == 0,
    ));
    facts.push(cast.nothing_to_see()?);
    Ok(Act {
        title: "Behind one leaf, hidden",
        intro: "The same theft, and no anchor to be seen. The phone and the sensor are one member of \
                the group, with one signature key. Every random choice of the leaf's commits comes \
                from the tape, so that both devices make the same commit; a message of its own, \
                which looks like one more commit, says which position to use.",
        epochs,
    })
}

fn adapter() -> OpenMlsLeafAdapter {
    OpenMlsLeafAdapter::new(LeafMode::Hidden, &[SUITE])
}

fn reads(epoch: &Epoch, name: &str) -> bool {
    epoch.readers.iter().any(|(who, reads)| *who == name && *reads)
}

fn verb(epoch: &Epoch, name: &str) -> &'static str {
    if reads(epoch, name) { "reads" } else { "is out" }
}

fn read(epochs: &[Epoch]) -> usize {
    epochs.iter().filter(|epoch| reads(epoch, "the thief")).count()
}

impl Cast {
    fn gather() -> Result<Self, Refused> {
        let Met { mut phone, mut sensor, digits } = meet(ALICE, FRAMING, PairingId([0xa2; 16]))?;
        let mut bob = StockOpenMls::new(SUITE, FRAMING, Role::Bob.name())?;
        let mut carol = StockMlsRs::new(SUITE, FRAMING, Role::Carol.name())?;
        bob.create(b"demo, act 4")?;
        let key_package = phone.publish(Use::Once)?;
        sensor.adopt(&key_package)?;
        let adds = vec![key_package, carol.key_package()?];
        let sent = bob.commit(&Content { adds, ..Content::default() })?;
        bob.confirm()?;
        let welcome = sent.welcome.ok_or("an Add gives a Welcome")?;
        phone.join(&welcome)?;
        sensor.join(&welcome)?;
        carol.join(&welcome)?;
        Ok(Self { phone, sensor, digits, bob, carol, thief: None })
    }

    fn play(&mut self, who: Move, what: &str) -> Result<Epoch, Refused> {
        let member: &mut dyn Member = match who {
            Move::Bob => &mut self.bob,
            Move::Carol => &mut self.carol,
            Move::Phone | Move::PhoneWithoutNotify => &mut self.phone,
            Move::Sensor => &mut self.sensor,
        };
        let sent = member.commit(&Content::default())?;
        let mut events = member.confirm()?;
        let others: [(&mut dyn Member, bool); 4] = [
            (&mut self.phone, matches!(who, Move::Phone | Move::PhoneWithoutNotify)),
            (&mut self.sensor, who == Move::Sensor),
            (&mut self.bob, who == Move::Bob),
            (&mut self.carol, who == Move::Carol),
        ];
        let notify = sent.notify.as_ref().filter(|_| who != Move::PhoneWithoutNotify);
        for (n, (other, is_sender)) in others.into_iter().enumerate() {
            if is_sender {
                continue;
            }
            // The Notify goes to the other device of the leaf.
            if let Some(notify) = notify.filter(|_| n < 2) {
                other.process(notify)?;
            }
            if let (Heard::Commit { events: heard, .. }, true) =
                (other.process(&sent.commit)?, n == 1)
            {
                events = heard;
            }
        }
        if let Some(thief) = &mut self.thief {
            // Whether he has followed is seen by what he reads.
            let _ = thief.process(&sent.commit);
        }
        let healed = events.iter().any(|event| matches!(event, Event::Healed { .. }));
        let committer = match who {
            Move::Bob => Role::Bob.name(),
            Move::Carol => Role::Carol.name(),
            _ => ALICE,
        };
        let mut epoch = self.look(format!("{what}."), Some(committer), Some(sent.commit.len()))?;
        epoch.paired = healed;
        Ok(epoch)
    }

    /// Looks at the epoch as it is now: Bob says something, and everybody tries to read it.
    fn look(
        &mut self,
        what: String,
        committer: Option<&str>,
        commit_bytes: Option<usize>,
    ) -> Result<Epoch, Refused> {
        let said = format!("said in epoch {}", self.phone.epoch()).into_bytes();
        let message = self.bob.send(&said)?;
        let hears =
            |heard: Result<Heard, Refused>| matches!(heard, Ok(Heard::Application(h)) if h == said);
        let mut readers = vec![
            (Role::Phone.name(), hears(self.phone.process(&message))),
            (Role::Sensor.name(), hears(self.sensor.process(&message))),
            (Role::Bob.name(), true),
            (Role::Carol.name(), hears(self.carol.process(&message))),
        ];
        if let Some(thief) = &mut self.thief {
            readers.push(("the thief", hears(thief.process(&message))));
        }
        let known = self.thief.as_ref().map(|thief| thief.known_nodes()).unwrap_or_default();
        let tree = self.tree()?;
        let view = View { tree: &tree, known, committer, anchor: None };
        Ok(Epoch {
            number: self.phone.epoch(),
            what,
            commit_bytes,
            paired: false,
            security: self.phone.security().map(EpochSecurity::name),
            readers,
            together: self.together(),
            tree: picture(&view)?,
        })
    }

    fn tree(&self) -> Result<RatchetTree, Refused> {
        let tree = self.phone.group()?.mls().export_ratchet_tree();
        Ok(RatchetTree::decode(&tree.tls_serialize_detached()?)?)
    }

    fn together(&self) -> bool {
        let all: [&dyn Listener; 4] = [&self.phone, &self.sensor, &self.bob, &self.carol];
        let tags: BTreeSet<_> = all.iter().map(|member| member.epoch_authenticator()).collect();
        tags.len() == 1
    }

    /// The leaf has what Bob's leaf has, and nothing else.
    fn nothing_to_see(&self) -> Result<Fact, Refused> {
        let tree = self.tree()?;
        let leaf = |name: &str| {
            (0..4)
                .filter_map(|n| tree.leaf(n))
                .find(|leaf| leaf.credential().identity() == Some(name.as_bytes()))
        };
        let (alice, bob) = (leaf(ALICE).ok_or("Alice")?, leaf(Role::Bob.name()).ok_or("Bob")?);
        let same = alice.capabilities() == bob.capabilities()
            && alice.extensions().is_empty()
            && bob.extensions().is_empty()
            && alice.signature_key().len() == bob.signature_key().len();
        Ok(Fact::new(
            "leaf-hidden-looks-ordinary",
            "Nothing in the leaf tells that two devices stand behind it.",
            format!(
                "{} extensions, {} signature key bytes, capabilities {} Bob's",
                alice.extensions().len(),
                alice.signature_key().len(),
                if alice.capabilities() == bob.capabilities() { "as" } else { "unlike" }
            ),
            same,
        ))
    }
}
