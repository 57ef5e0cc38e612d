//! The directory's decision.

use super::*;

fn request(mode: TestMode) -> Secret {
    let [a, _] = two(seeded(2, TestRoad::File));
    a.state.initiate(Request::Standard(standard(mode))).unwrap().1.message
}

#[test]
fn it_registers_what_all_devices_ask_for() {
    let request = request(TestMode::Leaf);
    let entry = RegistryEntry::open(&party(A), request.expose()).unwrap();
    let RegistryEntry::Pending(pending) = &entry else { panic!("one of two has asked") };
    assert_eq!(pending.waiting_for(), [B]);
    assert_eq!(entry.request(), request.expose());

    // The same device twice is one device.
    let entry = entry.submit(&party(A), request.expose()).unwrap();
    assert!(matches!(entry, RegistryEntry::Pending(_)));
    let entry = entry.submit(&party(B), request.expose()).unwrap();
    let RegistryEntry::Registered(registered) = &entry else { panic!("both have asked") };
    assert_eq!(registered.anchor(), (A, AnchorKind::Leaf));
    let keys: Vec<_> = registered.signature_keys().collect();
    assert_eq!(keys, [&party(A).signature_key[..], &party(B).signature_key]);
    let accept = registered.accept().unwrap();

    // A device that lost the answer asks again.
    let entry = entry.submit(&party(B), request.expose()).unwrap();
    let RegistryEntry::Registered(registered) = entry else { panic!("it stays registered") };
    assert_eq!(registered.accept().unwrap(), accept);
}

#[test]
fn an_entry_lives_on_after_every_refusal() {
    let good = request(TestMode::Leaf);
    let mut entry = RegistryEntry::open(&party(A), good.expose()).unwrap();
    let hidden = {
        let pair = key_pair();
        let channel = channel_of(&roster(2), ChannelTrust::Compared);
        let [a, _] = two(seeded(2, TestRoad::File));
        let request = Request::Hidden { key_pair: &pair, channel: &channel };
        a.state.initiate(request).unwrap().1.message
    };
    let accept = accepts(&registered(2, TestMode::Leaf, TestRoad::File)).remove(0);
    let cut = Secret::copy_of(&good.expose()[..20]);
    let cases = [
        (party(B), request(TestMode::Node), "differs from the one that is already there"),
        (party(STRANGER), Secret::copy_of(good.expose()), "does not list the device"),
        (party_of(b"mallory", B), Secret::copy_of(good.expose()), "does not list the device"),
        (party(B), hidden, "none of the directory's business"),
        (party(B), accept, "was sent Accept"),
        (party(B), cut, "malformed"),
    ];
    for (requester, message, cause) in cases {
        let (back, error) = refused(entry.submit(&requester, message.expose()));
        assert!(error.to_string().contains(cause), "{error}");
        assert!(matches!(&back, RegistryEntry::Pending(p) if p.waiting_for() == [B]));
        let opened = RegistryEntry::open(&requester, message.expose());
        match error {
            DirectoryError::Differs(_) => assert!(opened.is_ok()),
            error => assert_eq!(opened.unwrap_err(), error),
        }
        entry = back;
    }
    let entry = entry.submit(&party(B), good.expose()).unwrap();
    assert!(matches!(entry, RegistryEntry::Registered(_)));
}

#[test]
fn three_devices_all_have_to_ask() {
    let [a, ..] = three(seeded(3, TestRoad::File));
    let request = Request::Standard(AnchorKind::Node);
    let request = a.state.initiate(request).unwrap().1.message;
    let entry = RegistryEntry::open(&party(C), request.expose()).unwrap();
    let entry = entry.submit(&party(A), request.expose()).unwrap();
    assert!(matches!(&entry, RegistryEntry::Pending(p) if p.waiting_for() == [B]));
    let entry = entry.submit(&party(B), request.expose()).unwrap();
    assert!(matches!(entry, RegistryEntry::Registered(_)));
    assert_eq!(entry.terms().initiator(), A);
}
