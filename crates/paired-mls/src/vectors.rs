//! Runs every file of the workspace's `vectors` directory; its README says what is in them.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Value};

use crate::{
    CipherSuite, DeviceId, EpochContext, Index, Notify, NotifyError, PairingId, RecordError,
    SealedNotify, Secret, Seed, Spot, Tape, TapeError,
    group::vectors as group,
    leaf::vectors as leaf,
    tape::{Staged, Stored},
};

/// Bytes that a file gives in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex::decode(String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl Hex {
    fn secret(&self) -> Secret {
        Secret::copy_of(&self.0)
    }
}

fn concat(pieces: &[Hex]) -> Secret {
    Secret::new(pieces.iter().flat_map(|piece| piece.0.clone()).collect())
}

/// What every file has, and what is its kind's own.
#[derive(Deserialize)]
struct Scenario {
    kind: String,
    description: String,
    suite: u16,
    expected: Value,
    #[serde(flatten)]
    inputs: Map<String, Value>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case", deny_unknown_fields)]
enum Expected<Results> {
    Accepted(Results),
    Refused { layer: String },
}

/// One kind of scenario.
pub(crate) trait Run: DeserializeOwned {
    type Results: fmt::Debug + PartialEq + DeserializeOwned;

    /// Runs the scenario; an error is the layer that refused.
    fn run(&self, suite: CipherSuite) -> Result<Self::Results, Layer>;
}

pub(crate) struct Layer(pub(crate) &'static str);

impl From<TapeError> for Layer {
    fn from(error: TapeError) -> Self {
        Self(match error {
            TapeError::Spent => "tape: spent",
            TapeError::ForeignDevice(_) => "tape: foreign device",
            TapeError::LaneExhausted(_) => "tape: lane exhausted",
            TapeError::OpeningSpent(_) => "tape: opening spent",
            other => panic!("no vector expects: {other}"),
        })
    }
}

impl From<RecordError> for Layer {
    fn from(error: RecordError) -> Self {
        Self(match error {
            RecordError::Version(_) => "tape record: version",
            RecordError::Malformed => "tape record: malformed",
            other => panic!("no vector expects: {other}"),
        })
    }
}

impl From<NotifyError> for Layer {
    fn from(error: NotifyError) -> Self {
        Self(match error {
            NotifyError::Length { .. } => "notify: length",
            NotifyError::NotANotify => "notify: not a notify",
            NotifyError::Version(_) => "notify: version",
            NotifyError::Padding => "notify: padding",
            NotifyError::ForeignDevice(_) => "notify: foreign device",
            NotifyError::OwnLane(_) => "notify: own lane",
            other => panic!("no vector expects: {other}"),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    seed: Hex,
    pairing_id: Hex,
    devices: Vec<u16>,
    own_device: u16,
}

impl Start {
    pub(crate) fn tape_of(&self, suite: CipherSuite, own: DeviceId) -> Tape {
        let pairing = PairingId(self.pairing_id.0.clone().try_into().unwrap());
        let devices: Vec<_> = self.devices.iter().copied().map(DeviceId).collect();
        let seed = Seed::new(suite, self.seed.secret()).unwrap();
        Tape::new(suite, seed, &pairing, &devices, own).unwrap()
    }

    pub(crate) fn tape(&self, suite: CipherSuite) -> Tape {
        self.tape_of(suite, DeviceId(self.own_device))
    }
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    device: u16,
    opening: u64,
    position: u64,
}

impl Place {
    pub(crate) fn spot(&self) -> Spot {
        Spot { opening: self.opening, index: index(self.device, self.position) }
    }
}

/// The tape of a group, and the pairing's that it comes from.
pub(crate) struct GroupTape {
    pub(crate) parent: Tape,
    pub(crate) tape: Tape,
    id: Vec<u8>,
}

impl GroupTape {
    pub(crate) fn new(parent: Tape, group_id: &Hex) -> Self {
        let tape = parent.group(&group_id.0).unwrap();
        Self { parent, tape, id: group_id.0.clone() }
    }

    /// Opens the lane if it is not open, and takes a value from it.
    pub(crate) fn claim(&mut self, spot: Spot, binding: &[u8]) -> Result<Staged, TapeError> {
        if self.tape.opening(spot.index.device()) != Some(spot.opening) {
            let at = Index::new(spot.index.device(), spot.opening).unwrap();
            self.parent.open_lane(&mut self.tape, &self.id, at)?;
        }
        self.tape.claim(spot.index, binding)
    }
}

pub(crate) fn index(device: u16, position: u64) -> Index {
    Index::new(DeviceId(device), position).expect("a position of a lane")
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
enum Step {
    Draw { position: Option<u64>, value: Option<Hex> },
    Claim { device: u16, position: u64, binding: Hex, value: Option<Hex> },
    Settle,
    ForgetBefore { device: u16, position: u64 },
}

impl Step {
    fn run(&self, tape: &mut Tape) -> Result<(), Layer> {
        match self {
            Self::Draw { position, value } => {
                let before = tape.own_device().0;
                let staged = tape.draw(0)?;
                assert_eq!(Some(Hex(staged.value_for_tests().to_vec())), *value);
                let drawn = staged.release(tape.suite(), &Stored::after_write()).index();
                assert_eq!(Some(drawn), position.map(|position| index(before, position)));
            }
            Self::Claim { device, position, binding, value } => {
                let staged = tape.claim(index(*device, *position), &binding.0)?;
                assert_eq!(Some(Hex(staged.value_for_tests().to_vec())), *value);
            }
            Self::Settle => assert!(tape.settle(), "a value was in flight"),
            Self::ForgetBefore { device, position } => {
                tape.forget_before(index(*device, *position))?;
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TapeDerivation {
    tape: Start,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secrets {
    notify_secret: Hex,
    accept_secret: Hex,
    tape_root: Hex,
}

impl Secrets {
    fn of(tape: &Tape) -> Self {
        let nodes = tape.nodes_for_tests();
        let [(0, 0, root)] = nodes.as_slice() else { panic!("the tape is not whole: {nodes:?}") };
        Self {
            notify_secret: Hex(tape.notify_secret().expose().to_vec()),
            accept_secret: Hex(tape.accept_secret().expose().to_vec()),
            tape_root: Hex(root.clone()),
        }
    }
}

impl Run for TapeDerivation {
    type Results = Secrets;

    fn run(&self, suite: CipherSuite) -> Result<Secrets, Layer> {
        Ok(Secrets::of(&self.tape.tape(suite)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TapeValues {
    tape: Start,
    values: Vec<PlacedValue>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlacedValue {
    device: u16,
    position: u64,
    value: Hex,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTape {
    record: Pieces,
}

impl Run for TapeValues {
    type Results = StoredTape;

    fn run(&self, suite: CipherSuite) -> Result<StoredTape, Layer> {
        for PlacedValue { device, position, value } in &self.values {
            let staged = self.tape.tape(suite).claim(index(*device, *position), b"")?;
            assert_eq!(&Hex(staged.value_for_tests().to_vec()), value, "{device}:{position}");
        }
        let mut tape = self.tape.tape(suite);
        self.steps.iter().try_for_each(|step| step.run(&mut tape))?;
        let record = tape.to_record()?;
        let again = Tape::from_record(&record)?;
        assert_eq!(again.nodes_for_tests(), tape.nodes_for_tests());
        Ok(StoredTape { record: Pieces(vec![Hex(record.expose().to_vec())]) })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TapeSteps {
    tape: Option<Start>,
    record: Option<Vec<Hex>>,
    steps: Vec<Step>,
    last: Step,
}

impl Run for TapeSteps {
    type Results = Nothing;

    fn run(&self, suite: CipherSuite) -> Result<Nothing, Layer> {
        let mut tape = match (&self.tape, &self.record) {
            (Some(start), None) => start.tape(suite),
            (None, Some(record)) => Tape::from_record(&concat(record))?,
            _ => panic!("the scenario begins with either a tape or a record"),
        };
        assert_eq!(tape.suite(), suite);
        for step in &self.steps {
            if let Err(Layer(layer)) = step.run(&mut tape) {
                panic!("a step before the last was refused: {layer}");
            }
        }
        let before = tape.to_record()?;
        let outcome = self.last.run(&mut tape).map(|()| Nothing {});
        assert_eq!(tape.to_record()?, before, "a refusal changed the tape");
        outcome
    }
}

/// The results of a kind that is always refused.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TapeRecord {
    record: Vec<Hex>,
}

impl Run for TapeRecord {
    type Results = Nothing;

    fn run(&self, _: CipherSuite) -> Result<Nothing, Layer> {
        Tape::from_record(&concat(&self.record))?;
        Ok(Nothing {})
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TapePathSecret {
    tape: Start,
    device: u16,
    position: u64,
    context: Context,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    group_id: Hex,
    epoch: u64,
    confirmed_transcript_hash: Hex,
}

impl Context {
    /// The epoch that a commit creates.
    pub(crate) fn epoch(&self) -> EpochContext {
        EpochContext {
            group_id: self.group_id.0.clone(),
            epoch: self.epoch,
            confirmed_transcript_hash: self.confirmed_transcript_hash.0.clone(),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PathSecretResult {
    path_secret: Hex,
}

impl Run for TapePathSecret {
    type Results = PathSecretResult;

    fn run(&self, suite: CipherSuite) -> Result<PathSecretResult, Layer> {
        let staged = self.tape.tape(suite).claim(index(self.device, self.position), b"")?;
        let value = staged.release(suite, &Stored::after_write());
        let derived = value.derive("path", &self.context.epoch(), suite.kdf_len()).unwrap();
        Ok(PathSecretResult { path_secret: Hex(derived.expose().to_vec()) })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TapeGroup {
    tape: Start,
    group_id: Hex,
    claims: Vec<PlacedInLane>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlacedInLane {
    device: u16,
    opening: u64,
    position: u64,
    value: Hex,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupResult {
    notify_secret: Hex,
    accept_secret: Hex,
    record: Pieces,
    pairing_record: Pieces,
}

/// A record in pieces, which are a matter of the file's layout.
#[derive(Deserialize)]
#[serde(transparent)]
struct Pieces(Vec<Hex>);

impl PartialEq for Pieces {
    fn eq(&self, other: &Self) -> bool {
        concat(&self.0) == concat(&other.0)
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(concat(&self.0).expose()))
    }
}

impl Run for TapeGroup {
    type Results = GroupResult;

    fn run(&self, suite: CipherSuite) -> Result<GroupResult, Layer> {
        let mut group = GroupTape::new(self.tape.tape(suite), &self.group_id);
        for PlacedInLane { device, opening, position, value } in &self.claims {
            let spot = Spot { opening: *opening, index: index(*device, *position) };
            let staged = group.claim(spot, b"a commit")?;
            assert_eq!(&Hex(staged.value_for_tests().to_vec()), value, "{spot:?}");
        }
        let record = |tape: &Tape| -> Result<_, Layer> {
            let record = tape.to_record()?;
            Tape::from_record(&record)?;
            Ok(Pieces(vec![Hex(record.expose().to_vec())]))
        };
        Ok(GroupResult {
            notify_secret: Hex(group.tape.notify_secret().expose().to_vec()),
            accept_secret: Hex(group.tape.accept_secret().expose().to_vec()),
            record: record(&group.tape)?,
            pairing_record: record(&group.parent)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotifyVector {
    tape: Start,
    group_id: Hex,
    taken_before: Vec<Place>,
    info: Hex,
    kem_output: Hex,
    ciphertext: Hex,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotifyResult {
    device: u16,
    opening: u64,
    position: u64,
    level: u8,
    value: Hex,
}

impl Run for NotifyVector {
    type Results = NotifyResult;

    fn run(&self, suite: CipherSuite) -> Result<NotifyResult, Layer> {
        let mut group = GroupTape::new(self.tape.tape(suite), &self.group_id);
        for place in &self.taken_before {
            let _: Staged = group.claim(place.spot(), b"another commit")?;
            assert!(group.tape.settle());
        }
        let sealed = SealedNotify {
            kem_output: self.kem_output.0.clone(),
            ciphertext: self.ciphertext.0.clone(),
        };
        let notify = Notify::open(&group.tape, &sealed, &self.info.0)?;
        let spot = notify.spot;
        let partner = self.tape.tape_of(suite, spot.index.device());
        let partner = partner.group(&self.group_id.0)?;
        let same = notify.seal(&partner, self.kem_output.0.clone(), &self.info.0)?;
        assert_eq!(same, sealed);

        let staged = group.claim(spot, &self.ciphertext.0)?;
        Ok(NotifyResult {
            device: spot.index.device().0,
            opening: spot.opening,
            position: spot.index.position(),
            level: notify.level,
            value: Hex(staged.value_for_tests().to_vec()),
        })
    }
}

impl Scenario {
    /// Runs the scenario; an error if the file is none that we can run.
    fn check(self, name: &str) -> Result<String, serde_json::Error> {
        match self.kind.as_str() {
            "tape-derivation" => self.check_as::<TapeDerivation>(name),
            "tape-values" => self.check_as::<TapeValues>(name),
            "tape-steps" => self.check_as::<TapeSteps>(name),
            "tape-record" => self.check_as::<TapeRecord>(name),
            "tape-path-secret" => self.check_as::<TapePathSecret>(name),
            "tape-group" => self.check_as::<TapeGroup>(name),
            "notify" => self.check_as::<NotifyVector>(name),
            "leaf-randomness" => self.check_as::<leaf::RandomnessVector>(name),
            "leaf-notify" => self.check_as::<leaf::LeafNotifyVector>(name),
            "signature-keys" => self.check_as::<leaf::SignatureKeysVector>(name),
            "key-proofs" => self.check_as::<leaf::KeyProofsVector>(name),
            "key-proof-message" => self.check_as::<leaf::KeyProofMessageVector>(name),
            "chain" => self.check_as::<leaf::ChainVector>(name),
            "refresh" => self.check_as::<group::RefreshVector>(name),
            unknown => Err(serde_json::Error::custom(format!("unknown kind {unknown}"))),
        }
    }

    fn check_as<Kind: Run>(self, name: &str) -> Result<String, serde_json::Error> {
        let inputs: Kind = serde_json::from_value(Value::Object(self.inputs))?;
        let expected: Expected<Kind::Results> = serde_json::from_value(self.expected)?;
        let suite = CipherSuite::try_from(self.suite).map_err(serde_json::Error::custom)?;
        let found = match inputs.run(suite) {
            Ok(results) => Expected::Accepted(results),
            Err(Layer(layer)) => Expected::Refused { layer: layer.into() },
        };
        assert_eq!(found, expected, "{name}: {}", self.description);
        Ok(self.kind)
    }
}

fn check(name: &str, text: &str) -> Result<String, serde_json::Error> {
    serde_json::from_str::<Scenario>(text)?.check(name)
}

#[test]
fn every_file_of_the_vectors_directory() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors");
    let directories = [directory.clone(), directory.join("leaf"), directory.join("lies")];
    let files = directories.map(|directory| {
        fs::read_dir(&directory).expect("a directory of vectors").map(|entry| entry.unwrap().path())
    });
    let mut counts = BTreeMap::<_, usize>::new();
    for path in files.into_iter().flatten() {
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let kind = check(&name, &text).unwrap_or_else(|error| panic!("{name}: {error}"));
        *counts.entry(kind).or_default() += 1;
    }
    // A kind that has no file left is not tested any more.
    assert_eq!(counts.len(), 14, "files by kind: {counts:?}");
}

#[test]
fn a_file_of_unknown_kind_is_not_passed_over() {
    let known = r#"{ "kind": "tape-record", "description": "", "suite": 1, "record": ["00"],
        "expected": { "outcome": "refused", "layer": "tape record: version" } }"#;
    assert!(check("known", known).is_ok());
    for changed in [
        known.replace("tape-record", "tape-recorder"),
        known.replace("\"kind\"", "\"kinds\""),
        known.replace("refused", "ignored"),
        known.replace("\"record\":", "\"seed\": \"\", \"record\":"),
        known.replace("\"00\"", "\"0\""),
        known.replace("\"suite\": 1", "\"suite\": 4"),
        known.replace("\"layer\":", "\"step\": 1, \"layer\":"),
    ] {
        assert!(check("changed", &changed).is_err(), "{changed}");
    }
}
