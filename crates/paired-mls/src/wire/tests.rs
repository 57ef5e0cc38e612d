//! Structures that openmls 0.9.2 made, whole, cut short and changed.
//!
//! The bytes are of one group of suite 1 (X25519, Ed25519) with id "group": A creates it and adds B, C
//! and D, removes B with a path, adds E without one, removes D with a path, and adds F without one.
//! They were taken at the interface: what the `Signer` is given, what `export_ratchet_tree` returns.

use tls_codec::{DeserializeBytes, Serialize};

use super::*;

/// What A signs for the leaf node of that commit.
const LEAF_NODE_TBS_SIGNED: &str = "\
    134d4c5320312e30204c6561664e6f6465544253407e20e0ef2d6b148cd642df6c0c0ab1e5b09fbd6b22aa78956f\
    9ea4935240bbca37052051514b45ebb522805c3eebd778b172516f12cbcf360ad1f6fe467b25c9e5a04400010141\
    0200010200010000020001032006ac8590698a564bb08c3a6cc644cae66139e574119dcf105d94465187eb7cd200\
    0567726f757000000000";

/// What A signs for the commit that removes B, with the authenticated data "aad".
const COMMIT_SIGNED: &str = "\
    184d4c5320312e30204672616d6564436f6e74656e7454425341f9000100020567726f7570000000000000000101\
    00000000036161640307010003000000010120e0ef2d6b148cd642df6c0c0ab1e5b09fbd6b22aa78956f9ea49352\
    40bbca37052051514b45ebb522805c3eebd778b172516f12cbcf360ad1f6fe467b25c9e5a0440001014102000102\
    00010000020001032006ac8590698a564bb08c3a6cc644cae66139e574119dcf105d94465187eb7cd2004040d182\
    7b04a1d1b745a19078b6434219df5ba00f7733200215e0b12d86ccae90cf12d1daf4664595b4c71022a4e3f58b81\
    6b8c23f2c4766c96519c4093fc7dde0a40c720d06ff67907d5b788f768dc594af4e5ff15d38f82b9fb6268eaa68e\
    9326fcda4f40a4203fc02e27a2d1d2edc34a1f349d4e83826802bd92e4e92a6bfaaec52e3a3b294130c3196f1d48\
    d521963c0f7e12b6ab931b65df3a071a05a69f28fe1068d2d88a1ffdaf7d431148612d78b538e1a8e22d0220b53a\
    454facc237913820b218a13805da16f16e161a1ec236036d99430475b322302673e2650346cac493711f57edd2b1\
    79b463e0a2433854710ee0698d16c0d94f13fa6bd43d944da138d7f33afe43b3d5000100010567726f7570000000\
    0000000001206d5ff767b8267a95cd201f493cf39975b91400d9c4858b827a3189dfd44cfac9207e969e88a6ecb1\
    6eaa26baa135a1b049e737a155356a3e657661b87d47d57f0000";

/// What A signs for the application message "hello".
const APPLICATION_SIGNED: &str = "\
    184d4c5320312e30204672616d6564436f6e74656e745442534074000100020567726f7570000000000000000501\
    0000000000010568656c6c6f000100010567726f75700000000000000005205ba81127d176d206d1f27e41301c5d\
    7b48fc157c8b4f9209f79826c1d9f91192200f994b3c4a861122ca33ca6405dfa358fa052e716820010960f3ba45\
    b3c494a400";

/// The tree at the end: leaves A, E, C and F, node 5 blank, F unmerged at the root.
const TREE: &str = "\
    431c010120a2fa01203c6534788d824e32f67adf2dd38b8ba385008c44c7e730d4e66efa102051514b45ebb52280\
    5c3eebd778b172516f12cbcf360ad1f6fe467b25c9e5a0440001014102000102000100000200010320e7bfa55552\
    d0accbfd284af95c2499d7b081410d08e7b972cbc361633055e46d0040400662bf0390bf8b6bebe75df53cc1b90c\
    ed98f360213841b59d6dde3e0e4c4a3504c029aa17d5289ac63a91f59e5577cedbf30cbb0ce07bd2fd1ae5575afa\
    290b010220a8acc610042e2cf4fb371d5f1bfd58b9e76372d79f1d902d2b04efbf3054693b206b6a2e579b3d9ad7\
    f4ca530f3ec0d4ceb6092404083c2bfab490e87d3a9f72500001012055f64c64918af6509f92c6279fb14566bc36\
    da8c4ddbcf989dc3f37dcf20c71c20c03eb03b5b864ebbccac77a1f95bcc2a46b0f8a9b7d8764f05faea7a3ce568\
    e900010145020001020001000002000101000000006b037225000000006b723e35004040c0ac2a8d1676b015c3eb\
    c317e57e4b2245d57e602a3ba0717bb6642a755919d5010337a8d87e995f772b328d627e13c1964990e37b459443\
    4781d10b742476050102203b8730f6d686d544a861ab173da299b4b346ac33830c223e428678e88d340222000400\
    000003010120c1a56f769aff313ded2c6764ca567bdc2a26f1a17936d3d77e4e96715c83492e2021a437c51383f8\
    19f3b02910c41788c2c98a45b3afc95ab91fa9438e640ec7e800010143020001020001000002000101000000006b\
    037225000000006b723e3500404097b292c3a9bcc5e4d30f73be2d380c50c11b878de729793ce9127ddb7035a2f5\
    682beb05327619659b5f1c1b5042f5c725914a42f01f99ab71e2f64f8d6ec30800010120783d3b49172662f62bc2\
    ffa44ef2eb85520f8a53fbe603bb7cdb3fb5f7819e2c2053c9221a80432719814f654ea25df66584ca9264eea1cb\
    3a028c65303e96685e00010146020001020001000002000101000000006b037225000000006b723e3500404081ee\
    c12c1605e3adbc9df46bd3434faef8913d2fe47cdedfeb6488beea8b5186917376cbd554c08ee3037db66863168e\
    8094abc38ebb481ccfc0b891cdd0190a";

fn bytes(fixture: &str) -> Vec<u8> {
    hex::decode(fixture).unwrap()
}

fn signed(fixture: &str) -> SignContent {
    SignContent::decode(&bytes(fixture)).unwrap()
}

fn commit_bytes() -> Vec<u8> {
    signed(COMMIT_SIGNED).content().to_vec()
}

fn path() -> UpdatePath {
    let tbs = FramedContentTbs::decode(&commit_bytes()).unwrap();
    let Content::Commit(commit) = tbs.content() else { panic!("not a commit") };
    commit.path().unwrap().clone()
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    value.tls_serialize_detached().unwrap()
}

#[test]
fn a_signed_commit() {
    let signed = signed(COMMIT_SIGNED);
    assert_eq!(signed.label(), Ok(SignContent::FRAMED_CONTENT_TBS));

    let tbs = FramedContentTbs::decode(signed.content()).unwrap();
    assert_eq!(tbs.wire_format(), WireFormat::PRIVATE_MESSAGE);
    assert_eq!(tbs.group_id(), b"group");
    assert_eq!(tbs.epoch(), 1);
    assert_eq!(tbs.sender(), Sender::Member(0));
    assert_eq!(tbs.authenticated_data(), b"aad");
    assert_eq!(tbs.content_type(), ContentType::COMMIT);

    let Content::Commit(commit) = tbs.content() else { panic!("not a commit") };
    // A proposal by value (1), a Remove (3), of leaf 1.
    assert_eq!(commit.proposals(), [1, 0, 3, 0, 0, 0, 1]);

    // Leaf 1 is blank now, so the filtered direct path of leaf 0 is the root alone; node 5 was never
    // set, so the copath resolves to the leaves of C and D.
    let path = commit.path().unwrap();
    let [root] = path.nodes() else { panic!("{} nodes", path.nodes().len()) };
    assert_eq!(root.encryption_key().len(), 32);
    assert_eq!(root.encrypted_path_secret().len(), 2);
    for ciphertext in root.encrypted_path_secret() {
        assert_eq!(ciphertext.kem_output().len(), 32);
        assert_eq!(ciphertext.ciphertext().len(), 32 + 16);
    }

    // The group context of epoch 1: mls10, suite 1, the group id.
    assert!(tbs.rest().starts_with(b"\x00\x01\x00\x01\x05group\0\0\0\0\0\0\0\x01"));
}

#[test]
fn the_leaf_node_of_a_commit() {
    let path = path();
    let leaf = path.leaf_node();
    assert_eq!(leaf.encryption_key().len(), 32);
    assert_eq!(leaf.signature_key().len(), 32);
    assert_eq!(leaf.credential().credential_type(), CredentialType::BASIC);
    assert_eq!(leaf.credential().content(), b"A");
    assert_eq!(leaf.credential().identity(), Some(&b"A"[..]));
    assert_eq!(leaf.capabilities().versions(), [1]);
    assert_eq!(leaf.capabilities().cipher_suites(), [1]);
    assert_eq!(leaf.capabilities().extensions(), [0; 0]);
    assert_eq!(leaf.capabilities().proposals(), [0; 0]);
    assert_eq!(leaf.capabilities().credentials(), [1]);
    let LeafNodeSource::Commit(parent_hash) = leaf.source() else { panic!("{leaf:?}") };
    assert_eq!(parent_hash.len(), 32);
    assert_eq!(leaf.extensions(), []);
    assert_eq!(leaf.extension(ExtensionType(1)), None);
    assert_eq!(leaf.signature().len(), 64);
    assert_eq!(LeafNode::decode(&encoded(leaf)).as_ref(), Ok(leaf));
}

#[test]
fn other_signatures_are_told_apart() {
    assert_eq!(signed(LEAF_NODE_TBS_SIGNED).label(), Ok(SignContent::LEAF_NODE_TBS));

    let application = signed(APPLICATION_SIGNED);
    assert_eq!(application.label(), Ok(SignContent::FRAMED_CONTENT_TBS));
    let tbs = FramedContentTbs::decode(application.content()).unwrap();
    assert_eq!(tbs.wire_format(), WireFormat::PRIVATE_MESSAGE);
    assert_eq!(tbs.content(), &Content::NotCommit(ContentType::APPLICATION));
    assert_eq!(tbs.content_type(), ContentType::APPLICATION);
    assert!(tbs.rest().starts_with(b"\x05hello"));

    let foreign = SignContent::decode(b"\x0bTLS 1.3 foo\x03bar").unwrap();
    assert_eq!(foreign.label(), Err(WireError::ForeignLabel));
    assert_eq!(foreign.content(), b"bar");
}

#[test]
fn a_ratchet_tree() {
    let tree = RatchetTree::decode(&bytes(TREE)).unwrap();
    assert_eq!(tree.nodes().len(), 7);
    let names: Vec<_> =
        (0..5).map(|leaf| tree.leaf(leaf).and_then(|leaf| leaf.credential().identity())).collect();
    assert_eq!(names, [Some(&b"A"[..]), Some(b"E"), Some(b"C"), Some(b"F"), None]);
    assert_eq!(tree.leaf(u32::MAX), None);

    let [_, Some(Node::Parent(low)), _, Some(Node::Parent(root)), _, None, _] = tree.nodes() else {
        panic!("{tree:?}")
    };
    assert_eq!(low.unmerged_leaves(), [0; 0]);
    assert_eq!(low.encryption_key().len(), 32);
    assert_eq!(low.parent_hash().len(), 32);
    assert_eq!(root.unmerged_leaves(), [3]);
    assert_eq!(root.parent_hash(), b"");

    let LeafNodeSource::KeyPackage(lifetime) = tree.leaf(3).unwrap().source() else {
        panic!("{tree:?}")
    };
    assert!(lifetime.not_before() < lifetime.not_after());
}

#[test]
fn a_ratchet_tree_without_its_keys() {
    use crate::anchor::{LeafIndex, Tree};

    let tree = Tree::from(&RatchetTree::decode(&bytes(TREE)).unwrap());
    let members = (0..4).filter_map(LeafIndex::new);
    assert_eq!(tree, Tree::of_leaves(members).with_parent(1, &[]).with_parent(3, &[3]));
}

#[test]
fn what_was_decoded_encodes_to_the_same_bytes() {
    assert_eq!(encoded(&signed(COMMIT_SIGNED)), bytes(COMMIT_SIGNED));
    let path = path();
    assert_eq!(UpdatePath::decode(&encoded(&path)), Ok(path.clone()));
    let commit = commit_bytes();
    assert!(commit.windows(encoded(&path).len()).any(|window| window == encoded(&path)));
    let tree = RatchetTree::decode(&bytes(TREE)).unwrap();
    assert_eq!(encoded(&tree.nodes().to_vec()), bytes(TREE));
}

#[test]
fn every_truncation_and_every_trailing_byte_is_an_error() {
    fn check<T: std::fmt::Debug>(whole: &[u8], decode: impl Fn(&[u8]) -> Result<T, WireError>) {
        decode(whole).unwrap();
        for len in 0..whole.len() {
            decode(&whole[..len]).expect_err(&format!("{len} of {} bytes", whole.len()));
        }
        let longer = [whole, &[0]].concat();
        assert!(matches!(decode(&longer), Err(WireError::TrailingBytes(_))));
    }
    check(&bytes(COMMIT_SIGNED), SignContent::decode);
    check(&encoded(path().leaf_node()), LeafNode::decode);
    check(&encoded(&path()), UpdatePath::decode);
    check(&bytes(TREE), RatchetTree::decode);

    // The group context that follows a commit is not decoded: cut before it.
    let commit = commit_bytes();
    let end = commit.len() - FramedContentTbs::decode(&commit).unwrap().rest().len();
    for len in 0..end {
        FramedContentTbs::decode(&commit[..len]).expect_err(&format!("{len} bytes"));
    }
}

#[test]
fn no_changed_byte_makes_the_decoders_panic() {
    let (commit, tree) = (commit_bytes(), bytes(TREE));
    for (original, is_tree) in [(commit, false), (tree, true)] {
        for position in 0..original.len() {
            let flips = (0..8).map(|bit| original[position] ^ (1 << bit));
            for value in flips.chain([0, u8::MAX]) {
                let mut changed = original.clone();
                changed[position] = value;
                if is_tree {
                    if let Ok(tree) = RatchetTree::decode(&changed) {
                        let _ = crate::anchor::Tree::from(&tree);
                    }
                } else {
                    let _ = FramedContentTbs::decode(&changed);
                }
            }
        }
    }
}

#[test]
fn errors_name_the_field() {
    let commit = commit_bytes();
    let error = FramedContentTbs::decode(&commit[..20]).unwrap_err();
    assert!(error.to_string().starts_with("FramedContentTBS.sender is malformed"), "{error}");

    let mut other_version = commit.clone();
    other_version[1] = 2;
    assert_eq!(FramedContentTbs::decode(&other_version), Err(WireError::UnsupportedVersion(2)));
}

#[test]
fn the_senders() {
    for (bytes, sender) in [
        (&[1, 0, 0, 0, 7][..], Sender::Member(7)),
        (&[2, 0, 0, 0, 1], Sender::External(1)),
        (&[3], Sender::NewMemberProposal),
        (&[4], Sender::NewMemberCommit),
    ] {
        assert_eq!(Sender::tls_deserialize_exact_bytes(bytes), Ok(sender));
    }
    assert!(Sender::tls_deserialize_exact_bytes(&[5]).is_err());
    assert!(Sender::tls_deserialize_exact_bytes(&[0, 0, 0, 0, 0]).is_err());
}

#[test]
fn unknown_types_are_kept() {
    let path = path();
    let mut leaf = encoded(path.leaf_node());
    // After the two keys of 1 + 32 bytes: the credential's type.
    leaf[66..68].copy_from_slice(&[0xf0, 0x01]);
    let leaf = LeafNode::decode(&leaf).unwrap();
    assert_eq!(leaf.credential().credential_type(), CredentialType(0xf001));
    assert_eq!(leaf.credential().identity(), None);
    assert_eq!(leaf.credential().content(), b"A");

    // The extensions are an empty vector before the signature of 2 + 64 bytes.
    let mut leaf = encoded(&leaf);
    let position = leaf.len() - 67;
    leaf.splice(position..=position, [5, 0xab, 0xcd, 2, 8, 9]);
    let leaf = LeafNode::decode(&leaf).unwrap();
    assert_eq!(leaf.extension(ExtensionType(0xabcd)), Some(&[8, 9][..]));
    assert_eq!(leaf.extensions()[0].extension_type(), ExtensionType(0xabcd));
}

#[test]
fn lengths_are_minimal_and_bounded() {
    assert!(SignContent::decode(&[1, 7, 1, 8]).is_ok());
    for overlong in [
        &[0x40, 1, 7, 1, 8][..],
        &[0x80, 0, 0, 1, 7, 1, 8],
        &[0xc0, 0, 0, 0, 0, 0, 0, 1, 7, 1, 8],
        &[0xff; 12],
    ] {
        let error = SignContent::decode(overlong).unwrap_err();
        let source = tls_codec::Error::InvalidVectorLength;
        let (structure, field) = (Structure::SignContent, "label");
        assert_eq!(error, WireError::Malformed { structure, field, source });
    }
}

/// A ratchet tree of these nodes: `None` is blank, `Some(None)` a leaf, `Some(Some(_))` a parent with
/// these unmerged leaves.
fn decode_tree(nodes: &[Option<Option<&[u8]>>]) -> Result<RatchetTree, WireError> {
    let leaf = encoded(path().leaf_node());
    let mut content = Vec::new();
    for node in nodes {
        match node {
            None => content.push(0),
            Some(None) => content.extend([&[1, 1][..], &leaf].concat()),
            Some(Some(unmerged)) => {
                content.extend([1, 2, 1, 9, 0, 4 * u8::try_from(unmerged.len()).unwrap()]);
                content.extend(unmerged.iter().flat_map(|&leaf| [0, 0, 0, leaf]));
            }
        }
    }
    RatchetTree::decode(&encoded(&tls_codec::VLByteSlice(&content)))
}

#[test]
fn nodes_that_make_no_tree() {
    const BLANK: Option<Option<&[u8]>> = None;
    const LEAF: Option<Option<&[u8]>> = Some(None);
    const fn parent(unmerged: &[u8]) -> Option<Option<&[u8]>> {
        Some(Some(unmerged))
    }

    decode_tree(&[LEAF]).unwrap();
    decode_tree(&[BLANK, parent(&[1]), LEAF]).unwrap();
    decode_tree(&[LEAF, BLANK, LEAF, parent(&[0, 1, 2]), LEAF]).unwrap();

    for nodes in [&[][..], &[BLANK], &[LEAF, BLANK], &[LEAF, parent(&[])], &[LEAF, BLANK, BLANK]] {
        assert_eq!(decode_tree(nodes), Err(WireError::LastNodeNotALeaf));
    }
    assert_eq!(decode_tree(&[parent(&[]), BLANK, LEAF]), Err(WireError::MisplacedNode(0)));
    assert_eq!(decode_tree(&[LEAF, LEAF, LEAF]), Err(WireError::MisplacedNode(1)));

    let invalid = |node, leaf| Err(WireError::InvalidUnmergedLeaf { node, leaf });
    // Not a member; not below the node; not in the tree; not in order; twice.
    assert_eq!(decode_tree(&[BLANK, parent(&[0]), LEAF]), invalid(1, 0));
    assert_eq!(decode_tree(&[LEAF, parent(&[2]), LEAF, BLANK, LEAF]), invalid(1, 2));
    assert_eq!(decode_tree(&[LEAF, BLANK, LEAF, parent(&[3]), LEAF]), invalid(3, 3));
    assert_eq!(decode_tree(&[LEAF, parent(&[1, 0]), LEAF]), invalid(1, 0));
    assert_eq!(decode_tree(&[LEAF, parent(&[1, 1]), LEAF]), invalid(1, 1));
}
