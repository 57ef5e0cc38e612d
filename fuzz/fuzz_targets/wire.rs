//! The structures of RFC 9420 that the core reads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paired_mls::wire::{
    FramedContentTbs, KeyPackage, LeafNode, MlsMessage, PrivateHeader, PublicCommit, RatchetTree,
    SignContent,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(leaf) = LeafNode::decode(bytes) {
        assert_eq!(leaf.encode(), bytes);
    }
    if let Ok(Some(commit)) = PublicCommit::decode(bytes) {
        if let Some(path) = commit.commit().and_then(|commit| commit.path()) {
            let leaf = path.leaf_node().encode();
            assert_eq!(LeafNode::decode(&leaf).as_ref(), Ok(path.leaf_node()));
        }
    }
    if let Ok(content) = SignContent::decode(bytes) {
        let _ = (content.label(), FramedContentTbs::decode(content.content()));
    }
    let _ = FramedContentTbs::decode(bytes);
    let _ = MlsMessage::decode(bytes);
    let _ = PrivateHeader::decode(bytes);
    let _ = KeyPackage::decode(bytes);
    if let Ok(tree) = RatchetTree::decode(bytes) {
        let _ = paired_mls::anchor::Tree::from(&tree);
    }
});
