//! Runs every file of the workspace's `vectors/feed` directory; its generator says what is in them.

use std::{collections::BTreeMap, convert::Infallible, fs, path::Path, time::SystemTime};

use ed25519_dalek::{Signer as _, SigningKey};
use paired_mls_api::{DeviceId, EntryKind, GroupId, LogChain, LogEntry, SignatureScheme};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    BeaconKey, BeaconSigner, Bundle, BundleError, Framing, GroupInfoObject, Limits, LogObject,
    MailObject, Object, Received, Receiver, packet::Packet, slip,
};

struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex::decode(String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Scenario {
    FeedBundle {
        description: String,
        beacons: Vec<Hex>,
        signature_key: Hex,
        bundle: Hex,
        canonical: bool,
        expected: Expected<Opened>,
    },
    FeedPacket {
        description: String,
        public_key: Hex,
        packets: Vec<Hex>,
        expected: Expected<Assembled>,
    },
    Slip {
        description: String,
        packet: Hex,
        expected: Expected<Framed>,
    },
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case", deny_unknown_fields)]
enum Expected<Results> {
    Accepted(Results),
    Refused { layer: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opened {
    key_id: Hex,
    time: u64,
    objects: Vec<Said>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assembled {
    of_feed: Vec<bool>,
    bundle: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Framed {
    framed: Hex,
}

#[derive(Deserialize)]
#[serde(tag = "object", rename_all = "kebab-case", deny_unknown_fields)]
enum Said {
    Log {
        group_id: Hex,
        position: u64,
        epoch: u64,
        entry: EntryKind,
        message: Hex,
        before: Hex,
        chain: Hex,
    },
    Mail {
        device: Hex,
        position: u64,
        content: Hex,
    },
    GroupInfo {
        group_id: Hex,
        epoch: u64,
        message: Hex,
    },
}

impl From<Said> for Object {
    fn from(said: Said) -> Self {
        match said {
            Said::Log { group_id, position, epoch, entry: kind, message, before, chain } => {
                let chain = LogChain::from_bytes(&chain.0).unwrap();
                let before = LogChain::from_bytes(&before.0).unwrap();
                let entry = LogEntry { position, epoch, kind, message: message.0.into(), chain };
                let group = GroupId::new(group_id.0).unwrap();
                Self::Log(LogObject::new(group, before, entry).unwrap())
            }
            Said::Mail { device, position, content } => {
                let device = DeviceId::new(device.0).unwrap();
                Self::Mail(MailObject { device, position, content: content.0 })
            }
            Said::GroupInfo { group_id, epoch, message } => {
                let group = GroupId::new(group_id.0).unwrap();
                Self::GroupInfo(GroupInfoObject { group, epoch, message: message.0 })
            }
        }
    }
}

struct Beacon(SigningKey, BeaconKey);

impl Beacon {
    fn new(private: &[u8]) -> Self {
        let key = SigningKey::from_bytes(private.try_into().unwrap());
        let public = beacon_key(key.verifying_key().as_bytes());
        Self(key, public)
    }
}

impl BeaconSigner for Beacon {
    type Error = Infallible;

    fn key(&self) -> &BeaconKey {
        &self.1
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Infallible> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }
}

fn beacon_key(public_key: &[u8]) -> BeaconKey {
    BeaconKey::new(SignatureScheme::Ed25519, public_key).unwrap()
}

fn layer(error: BundleError) -> &'static str {
    match error {
        BundleError::Version(_) => "bundle: version",
        BundleError::UnknownBeacon(_) => "bundle: unknown beacon",
        BundleError::Forged => "bundle: forged",
        BundleError::Malformed => "bundle: malformed",
    }
}

fn run(scenario: Scenario) -> String {
    match scenario {
        Scenario::FeedBundle {
            description,
            beacons,
            signature_key,
            bundle,
            canonical,
            expected,
        } => {
            let beacons: Vec<_> = beacons.iter().map(|key| beacon_key(&key.0)).collect();
            let opened = Bundle::open(&bundle.0, &beacons);
            match expected {
                Expected::Accepted(Opened { key_id, time, objects }) => {
                    let objects: Vec<Object> = objects.into_iter().map(Object::from).collect();
                    let opened = opened.unwrap();
                    assert_eq!(opened.key_id.0, key_id.0[..]);
                    assert_eq!(opened.time, time);
                    assert_eq!(opened.objects, objects);
                    let signer = Beacon::new(&signature_key.0);
                    let sealed = Bundle::seal(&objects, time, &signer).unwrap();
                    assert_eq!(sealed == bundle.0, canonical, "{description}");
                    assert_eq!(Bundle::open(&sealed, &beacons).unwrap().objects, objects);
                }
                Expected::Refused { layer: by } => {
                    assert_eq!(layer(opened.unwrap_err()), by, "{description}");
                }
            }
            "feed-bundle".to_owned()
        }
        Scenario::FeedPacket { description, public_key, packets, expected } => {
            let Expected::Accepted(Assembled { of_feed, bundle }) = expected else {
                panic!("{description}")
            };
            let beacon = beacon_key(&public_key.0);
            let decoded = packets.iter().map(|packet| Packet::decode(&packet.0, beacon.device()));
            let decoded: Vec<_> = decoded.collect();
            assert_eq!(decoded.iter().map(Result::is_ok).collect::<Vec<_>>(), of_feed);
            for (packet, bytes) in decoded.iter().zip(&packets) {
                if let Ok(packet) = packet {
                    assert_eq!(packet.encode(beacon.device()), bytes.0);
                    assert_eq!(packet.bundle, Bundle::name(&bundle.0));
                }
            }
            let mut receiver =
                Receiver::new(Framing::Narrow, vec![beacon.clone()], Limits::default());
            let received =
                packets.iter().map(|packet| receiver.push(&packet.0, SystemTime::UNIX_EPOCH));
            let received: Vec<_> = received.collect();
            let whole = Bundle::open(&bundle.0, &[beacon]).unwrap();
            assert_eq!(received.last(), Some(&Received::Bundle(whole)), "{description}");
            "feed-packet".to_owned()
        }
        Scenario::Slip { description, packet, expected } => {
            let Expected::Accepted(Framed { framed }) = expected else { panic!("{description}") };
            assert_eq!(slip::frame(&packet.0), framed.0, "{description}");
            assert_eq!(slip::framed_len(&packet.0), framed.0.len());
            let mut found = Vec::new();
            slip::Unframer::new(256).push(&framed.0, |packet| found.push(packet.to_vec()));
            let expected: &[Vec<u8>] =
                if packet.0.is_empty() { &[] } else { std::slice::from_ref(&packet.0) };
            assert_eq!(found, expected);
            "slip".to_owned()
        }
    }
}

#[test]
fn every_vector_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/feed");
    let mut kinds = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let scenario = serde_json::from_slice(&fs::read(&path).unwrap());
            let kind = run(scenario.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
            *kinds.entry(kind).or_insert(0) += 1;
        }
    }
    let kinds: Vec<_> = kinds.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(kinds, [("feed-bundle", 21), ("feed-packet", 3), ("slip", 5)]);
}
