//! `messages` and `deserialization`: what our views decode, they give back byte for byte.

use paired_mls::wire::{
    Content, ContentType, FramedContentTbs, KeyPackage, LeafNode, MlsMessage, PublicCommit,
    RatchetTree, WireError,
};
use serde::Deserialize;

use super::{Hex, vectors};

#[derive(Deserialize)]
struct Messages {
    mls_welcome: Hex,
    mls_group_info: Hex,
    mls_key_package: Hex,
    ratchet_tree: Hex,
    add_proposal: Hex,
    update_proposal: Hex,
    commit: Hex,
    public_message_application: Hex,
    public_message_proposal: Hex,
    public_message_commit: Hex,
    private_message: Hex,
}

/// A commit without its frame, in the frame of member 0.
fn framed(commit: &[u8]) -> Vec<u8> {
    let header = [0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 3];
    [&header, commit].concat()
}

fn content_type(message: &[u8]) -> ContentType {
    match MlsMessage::decode(message).unwrap() {
        MlsMessage::Framed(header) => header.content_type(),
        other => panic!("{other:?}"),
    }
}

/// Welcome, GroupInfo and PrivateMessage are recognised; of those we have no more than a header. For the
/// proposals other than Add and Update, and for GroupSecrets, we have no decoder.
#[test]
fn messages_are_decoded_and_encoded_again() {
    let Some(vectors) = vectors::<Messages>("messages") else { return };
    assert_eq!(vectors.len(), 300);
    for vector in &vectors {
        assert_eq!(MlsMessage::decode(&vector.mls_welcome.0), Ok(MlsMessage::Welcome));
        let group_info = MlsMessage::decode(&vector.mls_group_info.0).unwrap();
        assert!(matches!(group_info, MlsMessage::GroupInfo(_)), "{group_info:?}");
        let message = &vector.mls_key_package.0;
        let MlsMessage::KeyPackage(key_package) = MlsMessage::decode(message).unwrap() else {
            panic!("a KeyPackage is a KeyPackage");
        };
        assert_eq!([&[0, 1, 0, 5], key_package.encode().as_slice()].concat(), *message);

        let tree = RatchetTree::decode(&vector.ratchet_tree.0).unwrap();
        assert_eq!(tree.encode(), vector.ratchet_tree.0);
        let added = KeyPackage::decode(&vector.add_proposal.0).unwrap();
        assert_eq!(added.encode(), vector.add_proposal.0);
        let updated = LeafNode::decode(&vector.update_proposal.0).unwrap();
        assert_eq!(updated.encode(), vector.update_proposal.0);

        let commit = framed(&vector.commit.0);
        let content = FramedContentTbs::decode(&commit).unwrap();
        assert!(matches!(content.content(), Content::Commit(_)) && content.rest().is_empty());
        assert_eq!(content.encode(), commit);
        let message = &vector.public_message_commit.0;
        let public = PublicCommit::decode(message).unwrap().unwrap();
        assert_eq!(public.encode(), *message);

        assert_eq!(content_type(message), ContentType::COMMIT);
        assert_eq!(content_type(&vector.public_message_proposal.0), ContentType::PROPOSAL);
        assert_eq!(content_type(&vector.public_message_application.0), ContentType::APPLICATION);
        content_type(&vector.private_message.0);
    }
}

/// What is cut short or goes on is no message: of what is decoded as a whole.
#[test]
fn no_byte_is_missing_and_none_follows() {
    let Some(vectors) = vectors::<Messages>("messages") else { return };
    for vector in vectors.iter().step_by(10) {
        for message in
            [&vector.mls_key_package.0, &vector.public_message_commit.0, &vector.private_message.0]
        {
            let cut = &message[..message.len() - 1];
            assert!(MlsMessage::decode(cut).is_err());
            let longer = [message.as_slice(), &[0]].concat();
            assert!(matches!(MlsMessage::decode(&longer), Err(WireError::TrailingBytes(_))));
        }
    }
}

#[derive(Deserialize)]
struct Header {
    vlbytes_header: Hex,
    length: usize,
}

/// A GroupInfo whose group identifier has this header, and so many bytes.
fn group_info(header: &[u8], length: usize) -> Vec<u8> {
    let start = [&[0, 1, 0, 4, 0, 1, 0, 1], header].concat();
    [start, vec![7; length], vec![0; 8]].concat()
}

/// The header of a vector says its length. The longest is 2³⁰ − 1 bytes: there only the header is read, and the
/// bytes are missed.
#[test]
fn lengths_of_vectors() {
    let Some(vectors) = vectors::<Header>("deserialization") else { return };
    assert_eq!(vectors.len(), 14);
    for Header { vlbytes_header, length } in vectors {
        let header = vlbytes_header.0;
        if length < 1 << 20 {
            let decoded = MlsMessage::decode(&group_info(&header, length));
            let Ok(MlsMessage::GroupInfo(info)) = decoded else {
                panic!("{header:?}: {decoded:?}")
            };
            assert_eq!((info.group_id().len(), info.epoch()), (length, 0));
        }
        // With the epoch, 8 bytes, at least one is missing.
        let missed = MlsMessage::decode(&group_info(&header, length.saturating_sub(9).min(9)));
        let is_cut = matches!(
            missed,
            Err(WireError::Malformed { source: tls_codec::Error::EndOfStream, .. })
        );
        assert!(is_cut || length == 0, "{header:?}: {missed:?}");
    }
}
