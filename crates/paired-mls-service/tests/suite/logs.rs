//! Logs: ids, and never a payload.

use std::{fs, path::Path};

use paired_mls_api::{JSON, KeyPackageUpload, MLS_MESSAGE, PublishCommit, WelcomeFor, path};

use crate::{
    backend::{Backend, on_both},
    device::random,
    messages::*,
    restart,
    sockets::Remote,
};

on_both!(logs_hold_ids_and_no_payload);

/// The ways in which bytes could have been written into a log.
fn shapes(bytes: &[u8]) -> Vec<String> {
    let list: Vec<_> = bytes.iter().map(u8::to_string).collect();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let base64 = paired_mls_api::Base64Url(bytes.to_vec()).to_string();
    let standard = base64.replace('-', "+").replace('_', "/");
    let escaped = bytes.escape_ascii().to_string();
    let twice = escaped.replace('\\', r"\\");
    vec![list.join(", "), list.join(","), hex.to_uppercase(), hex, base64, standard, escaped, twice]
}

/// Bytes that are found again wherever they are in a message: three alignments of base64.
struct Marked {
    marks: Vec<Vec<u8>>,
}

impl Marked {
    /// Fresh bytes that are looked for.
    fn bytes(&mut self) -> Vec<u8> {
        let bytes = random::<24>().to_vec();
        self.marks.push(bytes.clone());
        bytes
    }

    fn found_in(&self, text: &str) -> Vec<String> {
        let parts = self.marks.iter().flat_map(|mark| (0..3).map(|skip| &mark[skip..skip + 12]));
        parts.flat_map(shapes).filter(|shape| text.contains(shape)).collect()
    }
}

/// An MLS message of the group that ends with `mark`.
fn message(header: &[u8], mark: &[u8]) -> Vec<u8> {
    let kept = header.len() - mark.len();
    [&header[..kept], mark].concat()
}

async fn logs_hold_ids_and_no_payload(backend: Backend) {
    let (file, log) = (backend.folder.path().join("address"), backend.folder.path().join("log"));
    let (victim, remote) = restart::start_logging(&backend.config.database, &file, &log).await;
    let mut marked = Marked { marks: Vec::new() };
    let group = speak(&remote, &mut marked).await;
    drop(victim);

    let text = read(&log);
    assert_eq!(marked.found_in(&text), [""; 0]);
    // It says a lot else: each line is an object, and a request has its route and its device.
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let served = |route: &str, status: u64| {
        lines.iter().any(|line| {
            line["span"]["route"] == route
                && line["fields"]["status"] == status
                && line["span"]["device"].is_string()
        })
    };
    assert!(served(path::GROUP_COMMITS, 201) && served(path::GROUP_COMMITS, 409), "{text}");
    assert!(served(path::GROUP_MESSAGES, 201) && served(path::KEY_PACKAGES, 422), "{text}");
    // A group is in the path, and of a path only the form is written.
    assert!(!text.contains(&group));
    // The control: what is looked for would have been found.
    let mark = &marked.marks[0];
    for leak in shapes(&[&[1, 2], mark.as_slice()].concat()) {
        assert!(!marked.found_in(&leak).is_empty(), "{leak}");
    }
}

/// Everything that a device can say, right and wrong.
async fn speak(remote: &Remote, marked: &mut Marked) -> String {
    let alice = remote.register("alice").await;
    let group = remote.group(&alice).await;
    let commits = path::of_group(path::GROUP_COMMITS, &group);
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    let commit = message(&commit(&group, 0), &marked.bytes());
    let body = PublishCommit {
        account_envelope: envelope(&marked.bytes()),
        welcomes: vec![WelcomeFor {
            recipients: vec![alice.id.clone()],
            envelope: envelope(&marked.bytes()),
        }],
        commit: commit.into(),
        ..publish(&group, 0)
    };
    let unread = message(&group_info(&group, 1), &marked.bytes());
    let unread = PublishCommit { group_info: Some(unread.into()), ..body.clone() };
    let unread = serde_json::to_vec(&unread).unwrap();
    let body = serde_json::to_vec(&body).unwrap();
    let post = async |path: &str, media_type, body: Vec<u8>, status: u16| {
        let answer = remote.send(&alice, "POST", path, media_type, body).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    };
    post(&commits, JSON, unread, 422).await;
    post(&commits, JSON, body, 201).await;
    let late = PublishCommit {
        commit: message(&crate::messages::commit(&group, 0), &marked.bytes()).into(),
        ..publish(&group, 0)
    };
    post(&commits, JSON, serde_json::to_vec(&late).unwrap(), 409).await;
    for spoken in [application(&group, 1), proposal(&group, 1)] {
        post(&messages, MLS_MESSAGE, message(&spoken, &marked.bytes()), 201).await;
    }
    post(&messages, MLS_MESSAGE, marked.bytes(), 422).await;
    let mailbox = path::of_device(path::DEVICE_MAILBOX, &alice.id);
    let octets = "application/octet-stream";
    post(&mailbox, octets, envelope(&marked.bytes()).0, 204).await;
    post(&mailbox, octets, marked.bytes(), 422).await;
    let upload =
        KeyPackageUpload { key_packages: vec![marked.bytes().into()], last_resort: Vec::new() };
    post(path::KEY_PACKAGES, JSON, serde_json::to_vec(&upload).unwrap(), 422).await;
    let unknown = format!("{{\"unknown\": \"{}\"}}", shapes(&marked.bytes())[2]);
    post(path::KEY_PACKAGES, JSON, unknown.into_bytes(), 400).await;
    post(path::PAIRINGS, paired_mls_api::PAIRING_MESSAGE, marked.bytes(), 422).await;
    for path in [messages.as_str(), path::MAILBOX] {
        assert_eq!(remote.send(&alice, "GET", path, "", Vec::new()).await.unwrap().status(), 200);
    }
    group.to_string()
}

fn read(log: &Path) -> String {
    fs::read_to_string(log).unwrap()
}
