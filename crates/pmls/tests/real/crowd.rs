//! A member on stock OpenMLS who proposes for ever.

use openmls_rust_crypto::RustCrypto;
use paired_mls_api::{Envelope, GroupId, KeyPackageUpload, PublishCommit, RosterChange, UserId};
use paired_mls_client::Publication;
use paired_mls_openmls::openmls::prelude::tls_codec::DeserializeBytes as _;
use paired_mls_openmls::{
    MAX_PROPOSALS_OF_ONE, MemoryProvider,
    openmls::prelude::{
        BasicCredential, KeyPackage, LeafNodeParameters, MlsGroupJoinConfig, MlsMessageBodyIn,
        MlsMessageIn, MlsMessageOut, PURE_PLAINTEXT_WIRE_FORMAT_POLICY, StagedWelcome,
    },
};

use crate::{
    node::Cast,
    stranger::{SUITE, Stranger},
    world::{World, agree, healed},
};

/// Mallory is let in. He proposes more than the devices keep, and then that Bob goes, and carries that out himself: the
/// devices have dropped it, and fetch it again with the commit. The service of this test takes more of one account than
/// a device keeps of one member.
#[test]
fn a_commit_of_proposals_that_were_not_kept_is_followed() {
    let cast = Cast::paired_in(World::with(&["--proposals-each", "100"]));
    let [phone, sensor, bob] = cast.all();
    let mallory = Stranger::new(&cast.world.url, "mallory");
    let provider = MemoryProvider::new(RustCrypto::default());
    let signer = mallory.signer();
    let credential = mallory.credential();
    let package = KeyPackage::builder().build(SUITE, &provider, &signer, credential).unwrap();
    let package = MlsMessageOut::from(package.into_key_package()).to_bytes().unwrap();
    let upload = KeyPackageUpload { key_packages: vec![package.into()], last_resort: Vec::new() };
    mallory.runtime.block_on(mallory.client.upload(&upload)).unwrap();
    phone.run(&["group", "add", "family", "mallory"]);
    for device in [sensor, bob] {
        device.sync();
    }
    let items = mallory.runtime.block_on(mallory.client.items(0, None)).unwrap().items;
    let welcome = items.into_iter().find_map(|item| {
        let envelope = Envelope::decode(item.envelope.0).ok()?;
        let message = MlsMessageIn::tls_deserialize_exact_bytes(envelope.content()).ok()?;
        match message.extract() {
            MlsMessageBodyIn::Welcome(welcome) => Some(welcome),
            _ => None,
        }
    });
    let config = MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .build();
    let staged =
        StagedWelcome::new_from_welcome(&provider, &config, welcome.unwrap(), None).unwrap();
    let mut group = staged.into_group(&provider).unwrap();
    let id = GroupId::new(group.group_id().as_slice()).unwrap();
    let publish = |message: MlsMessageOut| {
        let bytes = message.to_bytes().unwrap();
        mallory.runtime.block_on(mallory.client.publish_message(&id, &bytes)).unwrap();
    };

    for _ in 0..MAX_PROPOSALS_OF_ONE + 6 {
        let leaf = LeafNodeParameters::default();
        publish(group.propose_self_update(&provider, &signer, leaf).unwrap().0);
    }
    let leaf_of_bob = group.members().find(|member| {
        BasicCredential::try_from(member.credential.clone()).unwrap().identity() == b"bob"
    });
    let leaf_of_bob = leaf_of_bob.unwrap().index;
    publish(group.propose_remove_member(&provider, &signer, leaf_of_bob).unwrap().0);
    for device in [phone, sensor] {
        device.sync();
        assert_eq!(kept(&device.home), MAX_PROPOSALS_OF_ONE);
    }

    let (commit, _, group_info) = group.commit_to_pending_proposals(&provider, &signer).unwrap();
    let commit = commit.to_bytes().unwrap();
    let cover = Envelope::cover(&commit, |random| random.fill(7)).unwrap();
    let commit = PublishCommit {
        commit: commit.into(),
        account_envelope: cover.into_bytes().into(),
        welcomes: Vec::new(),
        envelopes: Vec::new(),
        group_info: group_info.map(|info| MlsMessageOut::from(info).to_bytes().unwrap().into()),
        roster: RosterChange { remove: vec![UserId::new("bob").unwrap()], add: Vec::new() },
    };
    let published = mallory.runtime.block_on(mallory.client.publish_commit(&id, &commit)).unwrap();
    assert!(matches!(published, Publication::Accepted(_)));
    group.merge_pending_commit(&provider).unwrap();
    for device in [phone, sensor] {
        device.sync();
        assert_eq!(device.epoch("family"), group.epoch().as_u64());
        assert_eq!(kept(&device.home), 0);
    }
    agree(&[phone, sensor], "family");
    phone.run(&["update", "family"]);
    assert!(healed(&sensor.sync(), &[1]));
    agree(&[phone, sensor], "family");
}

/// The service has no room for one more proposal in the epoch: whoever wants to leave is told what helps, and it does.
#[test]
fn who_finds_no_room_for_a_proposal_is_told_what_to_do() {
    let cast = Cast::paired_in(World::with(&["--proposals", "1"]));
    let [phone, sensor, bob] = cast.all();
    bob.run(&["group", "leave", "family"]);
    let (code, error) = phone.fails(&["group", "leave", "family"]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("as many proposals as may"), "{error}");
    assert!(error.contains("`pmls update` commits in the group"), "{error}");
    phone.run(&["update", "family"]);
    assert!(bob.sync().iter().any(|event| event.to_string().contains("removed")));
    phone.run(&["group", "leave", "family"]);
    sensor.sync();
    sensor.run(&["update", "family"]);
    phone.sync();
    let shown = sensor.run(&["group", "show", "family"]);
    assert_eq!(shown["members"].as_array().unwrap().len(), 1, "{shown}");
}

/// How many proposals lie in the MLS state.
fn kept(home: &std::path::Path) -> usize {
    let database = rusqlite::Connection::open(home.join("mls.sqlite")).unwrap();
    let sql = "SELECT count(*) FROM openmls_proposals";
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}
