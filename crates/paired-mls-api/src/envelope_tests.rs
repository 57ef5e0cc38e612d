use std::{fs, path::Path};

use paired_mls::wire::{ContentType, PrivateHeader};
use serde_json::Value;
use tls_codec::Serialize as _;

use super::*;

/// The commits of a shared leaf in the clear, each with its Notify, from the replay vectors: with and without
/// proposals, with one and with two signature keys in the leaf, of the curves of the suites.
fn commits_with_notify() -> Vec<(Vec<u8>, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/replay");
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let vector: Value =
            serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap();
        if vector["framing"] != "public" {
            continue;
        }
        for entry in vector["log"].as_array().unwrap() {
            let bytes = |name: &str| entry[name].as_str().map(|hex| hex::decode(hex).unwrap());
            found.extend(bytes("commit").zip(bytes("notify")));
        }
    }
    found
}

fn cover(commit: &[u8]) -> Envelope {
    Envelope::cover(commit, |random| random.fill(9)).unwrap()
}

/// Puts more into one of the vectors of a commit that are empty: where it is, and how much.
fn lengthen(commit: &[u8], at: usize, by: usize) -> Vec<u8> {
    assert_eq!(commit[at], 0);
    let mut longer = commit[..at].to_vec();
    let vector = VLByteSlice(&vec![7; by]).tls_serialize_detached();
    longer.extend(vector.unwrap());
    longer.extend_from_slice(&commit[at + 1..]);
    longer
}

#[test]
fn content_survives_and_lengths_are_few() {
    for len in [0, 1, 1020, 1021, 4092, 5000, 70_000, Envelope::MAX_CONTENT] {
        let content = vec![7; len];
        let envelope = Envelope::seal(&content).unwrap();
        assert!(PADDED_LENGTHS.contains(&envelope.as_bytes().len()));
        let read = Envelope::decode(envelope.clone().into_bytes()).unwrap();
        assert_eq!(read.content(), content);
    }
    let long = vec![0; Envelope::MAX_CONTENT + 1];
    assert_eq!(Envelope::seal(&long), Err(EnvelopeError::TooLong(long.len())));
}

#[test]
fn other_forms_are_refused() {
    let good = Envelope::seal(b"hello").unwrap().into_bytes();
    let short = good[..1000].to_vec();
    assert_eq!(Envelope::decode(short), Err(EnvelopeError::Length(1000)));
    let mut padded = good.clone();
    padded[1023] = 1;
    assert_eq!(Envelope::decode(padded), Err(EnvelopeError::Padding));
    let mut long = good.clone();
    long[2] = 4;
    assert_eq!(Envelope::decode(long), Err(EnvelopeError::Content(1029)));
    let mut roomy = good;
    roomy.resize(4096, 0);
    assert_eq!(Envelope::decode(roomy), Err(EnvelopeError::Content(5)));
}

#[test]
fn cover_has_the_header_of_a_commit() {
    let mut commit = vec![0, 1, 0, 2, 5];
    commit.extend_from_slice(b"group");
    commit.extend_from_slice(&5_u64.to_be_bytes());
    commit.extend_from_slice(&[3, 0, 1, 7, 2, 7, 7]);
    let cover = Envelope::cover(&commit, |random| random.fill(9)).unwrap();
    let header = PrivateHeader::decode(cover.content()).unwrap().unwrap();
    assert_eq!(header.group_id(), b"group");
    assert_eq!(header.epoch(), 5);
    assert_eq!(header.content_type(), ContentType::COMMIT);
    assert_eq!(cover.as_bytes().len(), 1024);
    let nothing = Envelope::cover(b"nothing", |_| {});
    assert_eq!(nothing, Err(EnvelopeError::NotACommit));
}

#[test]
fn cover_is_as_long_as_the_notify_of_the_same_commit() {
    let commits = commits_with_notify();
    let mut lengths: Vec<_> = commits.iter().map(|(_, notify)| notify.len()).collect();
    for (commit, notify) in &commits {
        assert_eq!(cover(commit).content().len(), notify.len());
    }
    lengths.sort_unstable();
    lengths.dedup();
    assert!(lengths.len() >= 6, "several shapes: {lengths:?}");
}

#[test]
fn cover_grows_as_the_notify_does() {
    let (commit, notify) = commits_with_notify().swap_remove(0);
    let group = PrivateHeader::decode(&notify).unwrap().unwrap().group_id().len();
    // Behind version, wire format, group, epoch and sender.
    let authenticated_data = 4 + 1 + group + 8 + 5;
    let proposals = authenticated_data + 2;
    let before = cover(&commit).content().len();
    // At 64 and at 16,384 bytes the length of a vector takes more room; so does that of the ciphertext.
    for (by, growth) in
        [(0, 0), (63, 63), (64, 65), (16_000, 16_001), (16_383, 16_386), (16_384, 16_389)]
    {
        for at in [authenticated_data, proposals] {
            let longer = cover(&lengthen(&commit, at, by));
            assert_eq!(longer.content().len(), before + growth, "{by} bytes at {at}");
        }
    }
}
