use paired_mls::{DeviceId, EpochSecurity, LeafKey};

use super::*;

fn followed(events: &[Event]) -> Followed {
    Followed {
        group: "family".to_owned(),
        epoch: 7,
        members: Some(3),
        events: events.iter().map(Into::into).collect(),
        security: Some("secure"),
        names: BTreeMap::from([(0, "this device".to_owned()), (1, "a sensor".to_owned())]),
    }
}

/// Whoever reads the first lines knows what was not done, before he reads that the device is secure.
#[test]
fn what_was_not_done_is_said_first() {
    let (phone, sensor) = (DeviceId(0), DeviceId(1));
    let changed = Event::SecurityChanged {
        device: phone,
        from: EpochSecurity::Exposed,
        to: EpochSecurity::Secure(LeafKey::Fresh),
    };
    let good = followed(std::slice::from_ref(&changed)).to_string();
    assert!(good.starts_with("family: epoch 7, 3 members, this device is secure\n"), "{good}");

    let left_out = Event::NotHealed { by: phone, device: sensor, why: NotHealed::Placement };
    let alarm = Event::Impostor { device: sensor, act: Act::Commit };
    for warning in [left_out, alarm, Event::HealingFailed] {
        let mut told = followed(&[changed.clone(), warning]);
        told.events.push(PairingEvent::PairingUnused { pairing: "0707".to_owned() });
        let text = told.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "family: epoch 7, 3 members");
        assert!(lines[2].contains("NOT healed: the other devices of pairing 0707"), "{text}");
        assert_eq!(lines[3], "    this device is secure", "{text}");
        assert!(lines[4].contains("was exposed and is secure"), "{text}");
    }
}

/// Scripts can tell the kinds apart.
#[test]
fn the_events_have_names() {
    let left_out =
        Event::NotHealed { by: DeviceId(0), device: DeviceId(1), why: NotHealed::Impostor };
    let json = serde_json::to_value(followed(&[left_out])).unwrap();
    let expected =
        serde_json::json!({ "what": "not-healed", "by": 0, "device": 1, "why": "impostor" });
    assert_eq!(json["events"][0], expected);
    let alarm = Event::Impostor { device: DeviceId(1), act: Act::ExternalCommit };
    let json = serde_json::to_value(followed(&[alarm])).unwrap();
    let expected = serde_json::json!({ "what": "impostor", "device": 1, "act": "external-commit" });
    assert_eq!(json["events"][0], expected);
}
