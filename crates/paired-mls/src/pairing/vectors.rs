//! Runs every file of the workspace's `vectors/pairing` directory.
//!
//! | kind | scenario |
//! |---|---|
//! | `pairing-message` | decode one message, and what it says about the devices |
//! | `pairing-derivation` | the transcript, all tags, the short authentication strings |
//! | `pairing-step` | a device in a state receives a message: its next state, and what it sends |
//! | `pairing-signal` | what a device's leaf says of the pairing, and of those that its commit heals |

mod layer;

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Deserializer, de::Error as _};

use self::layer::{Layer, decode_layer, signal_layer, step_layer, terms_layer};
use super::*;
use crate::{CipherSuite, DeviceId, PairingId, Secret, Vault, vault::MemoryStorage};

/// Bytes that a file gives in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex::decode(String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl From<&[u8]> for Hex {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    device: u16,
    identity: Hex,
    signature_key: Hex,
}

/// A pairing, as a file says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pairing {
    seed: Hex,
    pairing_id: Hex,
    devices: Vec<Listed>,
    mode: String,
    anchor: String,
    initiator: u16,
    public_key: Option<Hex>,
    private_key: Option<Hex>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", deny_unknown_fields)]
enum Scenario {
    #[serde(rename = "pairing-message")]
    Message(MessageScenario),
    #[serde(rename = "pairing-derivation")]
    Derivation(Box<DerivationScenario>),
    #[serde(rename = "pairing-step")]
    Step(Box<StepScenario>),
    #[serde(rename = "pairing-signal")]
    Signal(Box<SignalScenario>),
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case", deny_unknown_fields)]
enum Expected<Results> {
    Accepted(Results),
    Refused { layer: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageScenario {
    description: String,
    suite: u16,
    message: Hex,
    expected: Expected<MessageResult>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageResult {
    r#type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DerivationScenario {
    description: String,
    suite: u16,
    pairing: Pairing,
    own: u16,
    exporter_secret: Hex,
    expected: Expected<DerivationResult>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct DerivationResult {
    transcript_hash: Hex,
    request_hash: Hex,
    accept_tag: Hex,
    cease_pair_tag: Hex,
    cease_ack_tag: Hex,
    channel_digits: String,
    pairing_digits: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepScenario {
    description: String,
    suite: u16,
    pairing: Pairing,
    own: u16,
    state: String,
    source: String,
    sender: Option<u16>,
    message: Hex,
    expected: Expected<StepResult>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepResult {
    state: String,
    sends: Vec<Hex>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignalScenario {
    description: String,
    suite: u16,
    pairing: Pairing,
    own: u16,
    healed: Vec<u16>,
    extension_data: Hex,
    expected: Expected<SignalResult>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignalResult {}

impl Pairing {
    fn roster(&self, suite: CipherSuite) -> Roster {
        let devices = self.devices.iter().map(|listed| PairingDevice {
            device: DeviceId(listed.device),
            party: Party {
                identity: listed.identity.0.clone(),
                signature_key: listed.signature_key.0.clone(),
            },
        });
        let pairing_id = PairingId(self.pairing_id.0.clone().try_into().unwrap());
        Roster::new(pairing_id, suite, devices.collect()).unwrap()
    }

    fn terms(&self, suite: CipherSuite) -> Terms {
        let mode = match (self.mode.as_str(), self.anchor.as_str(), &self.public_key) {
            ("standard", "leaf", None) => Mode::Standard(AnchorKind::Leaf),
            ("standard", "node", None) => Mode::Standard(AnchorKind::Node),
            ("hidden", "leaf", Some(key)) => Mode::Hidden { anchor_key: key.0.clone() },
            other => panic!("no mode: {other:?}"),
        };
        Terms::new(self.roster(suite), DeviceId(self.initiator), mode).unwrap()
    }

    fn seeded(&self, suite: CipherSuite, own: DeviceId) -> (Vault, Seeded) {
        let vault = Vault::new(MemoryStorage::new());
        let roster = self.roster(suite);
        let party = roster.party(own).unwrap().clone();
        let seed = Secret::copy_of(&self.seed.0);
        let seeded = Unpaired::new(party).load_seed(&vault, roster, &seed).unwrap();
        (vault, seeded)
    }

    /// A device that has the terms, from its own vault.
    fn invited(&self, suite: CipherSuite, own: DeviceId) -> (Vault, Invited) {
        let (vault, seeded) = self.seeded(suite, own);
        let private_key = Secret::copy_of(self.private_key.as_ref().map_or(&[], |key| &key.0));
        let init = InitPairing::of(&self.terms(suite), private_key);
        let init = PairingMessage::InitPairing(init).encode().unwrap();
        let channel = self.channel(suite);
        let initiator = self.roster(suite).party(DeviceId(self.initiator)).unwrap().clone();
        let pair = SignatureKeyPair {
            public_key: self.public_key.clone().map_or(vec![], |key| key.0),
            private_key: Secret::copy_of(self.private_key.as_ref().map_or(&[], |key| &key.0)),
        };
        let invited = if own == DeviceId(self.initiator) {
            let request = match self.terms(suite).mode() {
                Mode::Standard(anchor) => Request::Standard(*anchor),
                Mode::Hidden { .. } => Request::Hidden { key_pair: &pair, channel: &channel },
            };
            let (invited, outbound) = seeded.initiate(request).unwrap();
            assert_eq!(outbound.message, init);
            invited
        } else {
            let source = match self.terms(suite).mode() {
                Mode::Standard(_) => Source::Directory,
                Mode::Hidden { .. } => Source::OneToOne { channel: &channel, sender: &initiator },
            };
            match seeded.receive_init(source, init.expose(), |_, _| true).unwrap() {
                Joined::Standard { state, .. } | Joined::Hidden { state, .. } => state,
                Joined::Announced { .. } => panic!("the key is there"),
            }
        };
        (vault, invited)
    }

    /// A device that has the terms of hidden mode, and waits for the key.
    fn announced(&self, suite: CipherSuite, own: DeviceId) -> Invited {
        let (_, seeded) = self.seeded(suite, own);
        let init = InitPairing::of(&self.terms(suite), Secret::copy_of(&[]));
        let init = PairingMessage::InitPairing(init).encode().unwrap();
        let channel = self.channel(suite);
        let initiator = self.roster(suite).party(DeviceId(self.initiator)).unwrap().clone();
        let source = Source::OneToOne { channel: &channel, sender: &initiator };
        match seeded.receive_init(source, init.expose(), |_, _| false).unwrap() {
            Joined::Announced { state } => state,
            other => panic!("{other:?}"),
        }
    }

    fn registered(&self, suite: CipherSuite, own: DeviceId) -> (Vault, Invited) {
        let (vault, invited) = self.invited(suite, own);
        let terms = self.terms(suite);
        if let Mode::Hidden { .. } = terms.mode() {
            return (vault, invited);
        }
        let request_hash = transcript::request_hash(&terms).unwrap();
        let accept = DirectoryAccept { pairing_id: terms.roster().pairing_id(), request_hash };
        let accept = PairingMessage::DirectoryAccept(accept).encode().unwrap();
        match invited.receive(&vault, Source::Directory, accept.expose()).unwrap().0 {
            Confirmation::Waiting(state) => (vault, state),
            other => panic!("{other:?}"),
        }
    }

    fn paired(&self, suite: CipherSuite, own: DeviceId) -> (Vault, Paired) {
        let (vault, invited) = self.registered(suite, own);
        let mut next = Confirmation::Waiting(invited);
        for partner in self.roster(suite).numbers().into_iter().filter(|device| *device != own) {
            let (its_vault, its_state) = self.registered(suite, partner);
            let accept = its_state.accept(&its_vault).unwrap().message;
            let Confirmation::Waiting(state) = next else { panic!("paired too early") };
            next = state.receive(&vault, Source::Relay, accept.expose()).unwrap().0;
        }
        let Confirmation::Paired(state) = next else { panic!("not paired") };
        (vault, state)
    }

    fn channel(&self, suite: CipherSuite) -> OneToOne {
        let devices = self.roster(suite);
        let members = devices.devices().iter().map(|device| device.party.clone()).collect();
        OneToOne { members, trust: ChannelTrust::Compared }
    }
}

impl MessageScenario {
    fn run(&self) -> Result<MessageResult, Layer> {
        let message =
            PairingMessage::decode(&self.message.0).map_err(|error| decode_layer(&error))?;
        assert_eq!(message.encode().unwrap().expose(), self.message.0);
        let r#type = match &message {
            PairingMessage::ShareRand(message) => {
                message.roster().map_err(|error| terms_layer(&error))?;
                MessageType::ShareRand.to_string()
            }
            PairingMessage::InitPairing(message) => {
                message.terms().map_err(|error| terms_layer(&error))?;
                MessageType::InitPairing.to_string()
            }
            PairingMessage::Unknown { message_type, .. } => message_type.to_string(),
            other => other.message_type().to_string(),
        };
        Ok(MessageResult { r#type })
    }
}

impl SignalScenario {
    fn run(&self) -> Result<SignalResult, Layer> {
        let suite = CipherSuite::try_from(self.suite).unwrap();
        let healed: Vec<_> = self.healed.iter().copied().map(DeviceId).collect();
        let made = PairedSignal::new(&self.pairing.terms(suite), DeviceId(self.own), &healed);
        let made = made.map_err(|error| signal_layer(&error))?;
        let read = PairedSignal::decode(&self.extension_data.0);
        let read = read.map_err(|error| decode_layer(&error))?;
        assert_eq!((&read, made.encode().unwrap()), (&made, self.extension_data.0.clone()));
        Ok(SignalResult {})
    }
}

impl DerivationScenario {
    fn run(&self) -> DerivationResult {
        let suite = CipherSuite::try_from(self.suite).unwrap();
        let terms = self.pairing.terms(suite);
        let pairing_id = terms.roster().pairing_id();
        let (vault, _) = self.pairing.seeded(suite, DeviceId(self.own));
        let transcript = Transcript::of(&terms).unwrap();
        let tag = |input: TagInput<'_>| Hex(vault.pairing_tag(pairing_id, &input).unwrap());
        let plain = |purpose| tag(TagInput::new(purpose, &transcript));
        let cease = CeasePair::input(&transcript, DeviceId(self.own));
        let exporter = Secret::copy_of(&self.exporter_secret.0);
        let one_line = |digits: ShortAuthString| digits.to_string().replace('\n', " ");
        DerivationResult {
            transcript_hash: Hex::from(transcript.hash()),
            request_hash: Hex(transcript::request_hash(&terms).unwrap()),
            accept_tag: plain(TagPurpose::Accept),
            cease_pair_tag: tag(cease.unwrap()),
            cease_ack_tag: plain(TagPurpose::CeaseAck),
            channel_digits: one_line(ShortAuthString::of_channel(suite, &exporter).unwrap()),
            pairing_digits: one_line(
                ShortAuthString::derive(suite, &exporter, &transcript).unwrap(),
            ),
        }
    }
}

impl StepScenario {
    fn run(&self) -> Result<StepResult, Layer> {
        let suite = CipherSuite::try_from(self.suite).unwrap();
        let own = DeviceId(self.own);
        let roster = self.pairing.roster(suite);
        let channel = self.pairing.channel(suite);
        let sender = self.sender.map(|sender| roster.party(DeviceId(sender)).unwrap());
        let source = match (self.source.as_str(), sender) {
            ("offline", None) => Source::Offline,
            ("directory", None) => Source::Directory,
            ("relay", None) => Source::Relay,
            ("one-to-one", Some(sender)) => Source::OneToOne { channel: &channel, sender },
            other => panic!("no source: {other:?}"),
        };
        let (state, sends) = self.receive(suite, own, source)?;
        let sends = sends.iter().map(|outbound| Hex::from(outbound.message.expose())).collect();
        Ok(StepResult { state: state.into(), sends })
    }

    fn receive(
        &self,
        suite: CipherSuite,
        own: DeviceId,
        source: Source<'_>,
    ) -> Result<(&'static str, Vec<Outbound>), Layer> {
        let (pairing, message) = (&self.pairing, &self.message.0[..]);
        fn layer<S>(failed: Failed<S>) -> Layer {
            step_layer(failed.error())
        }
        let (state, sends) = match self.state.as_str() {
            "unpaired" => {
                let vault = Vault::new(MemoryStorage::new());
                let party = pairing.roster(suite).party(own).unwrap().clone();
                let next = Unpaired::new(party).receive_share_rand(&vault, source, message);
                next.map_err(layer)?;
                ("seeded", vec![])
            }
            "seeded" => {
                let (_, state) = pairing.seeded(suite, own);
                let private_key = pairing.private_key.as_ref().map(|key| &key.0[..]);
                let is_pair =
                    |_, pair: &SignatureKeyPair| Some(pair.private_key.expose()) == private_key;
                match state.receive_init(source, message, is_pair).map_err(layer)? {
                    Joined::Announced { state } => {
                        assert!(state.awaits_key());
                        ("announced", vec![])
                    }
                    Joined::Standard { request, .. } => ("invited", vec![request]),
                    Joined::Hidden { .. } => ("invited", vec![]),
                }
            }
            "announced" => {
                let state = pairing.announced(suite, own);
                let private_key = pairing.private_key.as_ref().map(|key| &key.0[..]);
                let is_pair =
                    |_, pair: &SignatureKeyPair| Some(pair.private_key.expose()) == private_key;
                let (_, _key_pair) = state.receive_key(source, message, is_pair).map_err(layer)?;
                ("invited", vec![])
            }
            "invited" | "registered" => {
                let (vault, state) = match self.state.as_str() {
                    "invited" => pairing.invited(suite, own),
                    _ => pairing.registered(suite, own),
                };
                let (next, sends) = state.receive(&vault, source, message).map_err(layer)?;
                let name = match next {
                    Confirmation::Waiting(_) => "invited",
                    Confirmation::Paired(_) => "paired",
                    Confirmation::Ending(ending) => ending_name(&ending),
                };
                (name, sends)
            }
            "paired" => {
                let (vault, state) = pairing.paired(suite, own);
                let (next, sends) = state.receive(&vault, message).map_err(layer)?;
                let name = match next {
                    Continuation::Paired(_) => "paired",
                    Continuation::Ending(ending) => ending_name(&ending),
                };
                (name, sends)
            }
            "ceasing" => {
                let (vault, state) = pairing.paired(suite, own);
                let (state, _) = state.end(&vault).unwrap();
                let (next, sends) = state.receive(&vault, message).map_err(layer)?;
                (ending_name(&next), sends)
            }
            "ceased" => {
                let (vault, state) = pairing.paired(suite, own);
                let state = state.end(&vault).unwrap().0.force_end();
                state.erase_tape(&vault, &[]).unwrap();
                let answer = state.answer(message).map_err(|error| step_layer(&error))?;
                ("ceased", vec![answer])
            }
            other => panic!("no state: {other}"),
        };
        Ok((state, sends))
    }
}

fn ending_name(ending: &Ending) -> &'static str {
    match ending {
        Ending::Ceasing(_) => "ceasing",
        Ending::Ceased(_) => "ceased",
    }
}

fn compare<R: PartialEq + std::fmt::Debug>(
    name: &str,
    description: &str,
    found: Result<R, Layer>,
    expected: Expected<R>,
) {
    let expected = match expected {
        Expected::Accepted(results) => Ok(results),
        Expected::Refused { layer } => Err(layer),
    };
    assert_eq!(found, expected, "{name}: {description}");
}

impl Scenario {
    fn check(self, name: &str) -> &'static str {
        match self {
            Self::Message(scenario) => {
                assert_eq!(scenario.suite, 1, "{name}");
                let found = scenario.run();
                compare(name, &scenario.description, found, scenario.expected);
                "message"
            }
            Self::Derivation(scenario) => {
                let found = Ok(scenario.run());
                compare(name, &scenario.description, found, scenario.expected);
                "derivation"
            }
            Self::Step(scenario) => {
                let found = scenario.run();
                compare(name, &scenario.description, found, scenario.expected);
                "step"
            }
            Self::Signal(scenario) => {
                let found = scenario.run();
                compare(name, &scenario.description, found, scenario.expected);
                "signal"
            }
        }
    }
}

#[test]
fn every_pairing_vector() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/pairing");
    let mut counts = BTreeMap::<_, usize>::new();
    for entry in fs::read_dir(&directory).expect("the vectors directory") {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".json") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let scenario: Scenario =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        *counts.entry(scenario.check(&name)).or_default() += 1;
    }
    // A kind that has no file left is not tested any more.
    assert_eq!(counts.len(), 4, "files by kind: {counts:?}");
}
