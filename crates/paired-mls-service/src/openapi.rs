//! The interface as an OpenAPI document, made from the types that it is made of.

use paired_mls_api::{
    Approval, ApprovalView, CreateGroup, DeviceView, EVENT_STREAM, GroupView, JSON,
    KeyPackageCount, KeyPackageUpload, LogEntry, LogPage, MLS_MESSAGE, MailboxItem, MailboxPage,
    PAIRING_MESSAGE, PROBLEM, PairingView, Problem, PublishCommit, Published, Recover, Recovered,
    RecoveryKey, RecoveryKeyView, RegisterDevice, RevokeDevice, RosterRepair, RosterRepaired,
    ServiceView, UserView, path,
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// What a body is.
enum Body {
    None,
    Json(Value),
    Bytes(&'static str),
    Events(Value),
}

struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    query: &'static [&'static str],
    request: Body,
    status: u16,
    response: Body,
}

impl Operation {
    fn new(
        (method, path): (&'static str, &'static str),
        summary: &'static str,
        request: Body,
        (status, response): (u16, Body),
    ) -> Self {
        Self { method, path, summary, query: &[], request, status, response }
    }

    fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    fn signed(&self) -> bool {
        ![path::SERVICE, path::OPENAPI, path::LIVE, path::READY].contains(&self.path)
    }

    fn show(&self) -> Value {
        let ids = self.path.split(['{', '}']).skip(1).step_by(2).map(|name| {
            let schema = json!({ "type": "string", "contentEncoding": "base64url" });
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        });
        let query = self.query.iter().map(|name| {
            let schema = json!({ "type": "integer", "minimum": 0 });
            json!({ "name": name, "in": "query", "required": *name == "suite" || *name == "through",
                    "schema": schema })
        });
        let mut shown = json!({
            "summary": self.summary,
            "parameters": ids.chain(query).collect::<Vec<_>>(),
            "responses": {
                self.status.to_string(): self.response.answer("Done."),
                "default": { "$ref": "#/components/responses/Problem" },
            },
        });
        if let Some(content) = self.request.content() {
            insert(&mut shown, "requestBody", json!({ "required": true, "content": content }));
        }
        if self.signed() {
            insert(&mut shown, "security", json!([{ "signature": [] }]));
        }
        shown
    }
}

impl Body {
    fn content(&self) -> Option<Value> {
        match self {
            Self::None => None,
            Self::Json(schema) => Some(json!({ JSON: { "schema": schema } })),
            Self::Bytes(media_type) => Some(json!({ *media_type: {} })),
            // OpenAPI 3.1 has no word for what the data of an event is.
            Self::Events(schema) => Some(json!({
                EVENT_STREAM: { "schema": { "type": "string" }, "x-event-data": schema },
            })),
        }
    }

    fn answer(&self, description: &str) -> Value {
        let mut answer = json!({ "description": description });
        if let Some(content) = self.content() {
            insert(&mut answer, "content", content);
        }
        answer
    }
}

fn insert(value: &mut Value, key: &str, member: Value) {
    if let Value::Object(members) = value {
        members.insert(key.to_owned(), member);
    }
}

/// The document.
pub(crate) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let operations = operations(&mut generator);
    let problem = Body::Json(schema::<Problem>(&mut generator));
    let mut problem = problem.answer("A problem document (RFC 9457).");
    if let Some(content) = problem.pointer_mut("/content").and_then(Value::as_object_mut) {
        let json = content.remove(JSON).unwrap_or_default();
        content.insert(PROBLEM.to_owned(), json);
    }
    let mut paths = Map::new();
    for operation in &operations {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        insert(item, operation.method, operation.show());
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Paired MLS: delivery service and directory",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": { "Problem": problem },
            "securitySchemes": { "signature": {
                "type": "apiKey", "in": "header", "name": "Signature",
                "description": "HTTP Message Signature (RFC 9421) by the device's key, labelled pmls, \
                    over @method, @authority, @path, @query and content-digest, with the parameters \
                    created, nonce, keyid (the device id) and tag=\"paired-mls\", in this order.",
            } },
        },
    })
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().into()
}

fn operations(generator: &mut SchemaGenerator) -> Vec<Operation> {
    let mut operations = directory(generator);
    operations.extend(mailbox(generator));
    operations.extend(groups(generator));
    let plain =
        |path, summary, response| Operation::new(("get", path), summary, Body::None, response);
    let service = schema::<ServiceView>(generator);
    let summary = "What the service says of itself: its names and limits.";
    operations.push(plain(path::SERVICE, summary, (200, Body::Json(service))));
    operations.push(plain(path::OPENAPI, "This document.", (200, Body::Json(json!(true)))));
    operations.push(plain(path::LIVE, "The process runs.", (204, Body::None)));
    operations.push(plain(path::READY, "The database answers.", (204, Body::None)));
    operations
}

fn directory(generator: &mut SchemaGenerator) -> Vec<Operation> {
    let g = generator;
    let new = Operation::new;
    vec![
        new(
            ("post", path::DEVICES),
            "Register the device that signs the request: the proof that it has the key.",
            Body::Json(schema::<RegisterDevice>(g)),
            (201, Body::Json(schema::<DeviceView>(g))),
        ),
        new(
            ("get", path::DEVICE),
            "What is known of a device.",
            Body::None,
            (200, Body::Json(schema::<DeviceView>(g))),
        ),
        new(
            ("delete", path::DEVICE),
            "Revoke a device of one's own user, for ever.",
            Body::None,
            (200, Body::Json(schema::<RevokeDevice>(g))),
        ),
        new(
            ("get", path::USER),
            "What is known of a user.",
            Body::None,
            (200, Body::Json(schema::<UserView>(g))),
        ),
        new(
            ("post", path::APPROVALS),
            "Let a further device of one's own user register, for a day.",
            Body::Json(schema::<Approval>(g)),
            (204, Body::None),
        ),
        new(
            ("get", path::APPROVALS),
            "The approvals of one's own user that no device has used.",
            Body::None,
            (200, Body::Json(schema::<Vec<ApprovalView>>(g))),
        ),
        new(
            ("delete", path::APPROVAL),
            "Take an approval of one's own user back.",
            Body::None,
            (204, Body::None),
        ),
        new(
            ("get", path::RECOVERY_KEY),
            "The recovery key of one's own user.",
            Body::None,
            (200, Body::Json(schema::<RecoveryKeyView>(g))),
        ),
        new(
            ("put", path::RECOVERY_KEY),
            "Give one's own user a recovery key in place of the one that it has.",
            Body::Json(schema::<RecoveryKey>(g)),
            (204, Body::None),
        ),
        new(
            ("delete", path::RECOVERY_KEY),
            "Take the recovery key of one's own user away.",
            Body::None,
            (204, Body::None),
        ),
        new(
            ("post", path::RECOVERY),
            "Let a device register for a user, for a day: signed by the user's recovery key.",
            Body::Json(schema::<Recover>(g)),
            (200, Body::Json(schema::<Recovered>(g))),
        ),
        new(
            ("post", path::PAIRINGS),
            "Ask for a pairing of standard mode. 200 once all of its devices have asked.",
            Body::Bytes(PAIRING_MESSAGE),
            (202, Body::Json(schema::<PairingView>(g))),
        ),
        new(
            ("get", path::PAIRING),
            "What is known of a pairing of standard mode.",
            Body::None,
            (200, Body::Json(schema::<PairingView>(g))),
        ),
        new(
            ("post", path::KEY_PACKAGES),
            "Upload KeyPackages: all are taken, or none.",
            Body::Json(schema::<KeyPackageUpload>(g)),
            (204, Body::None),
        ),
        new(
            ("get", path::KEY_PACKAGES),
            "Count one's own KeyPackages, by suite.",
            Body::None,
            (200, Body::Json(schema::<Vec<KeyPackageCount>>(g))),
        ),
        new(
            ("delete", path::KEY_PACKAGES),
            "Withdraw all of one's own KeyPackages, those of the last resort too.",
            Body::None,
            (204, Body::None),
        ),
        new(
            ("post", path::DEVICE_KEY_PACKAGE),
            "Claim a KeyPackage of a device.",
            Body::None,
            (200, Body::Bytes(MLS_MESSAGE)),
        )
        .query(&["suite"]),
    ]
}

fn mailbox(generator: &mut SchemaGenerator) -> Vec<Operation> {
    let g = generator;
    let new = Operation::new;
    vec![
        new(
            ("post", path::DEVICE_MAILBOX),
            "Put an envelope into a device's mailbox.",
            Body::Bytes("application/octet-stream"),
            (204, Body::None),
        ),
        new(
            ("get", path::MAILBOX),
            "The items of one's own mailbox after a cursor.",
            Body::None,
            (200, Body::Json(schema::<MailboxPage>(g))),
        )
        .query(&["after", "limit", "bytes"]),
        new(
            ("delete", path::MAILBOX),
            "Drop the items up to a position.",
            Body::None,
            (204, Body::None),
        )
        .query(&["through"]),
        new(
            ("get", path::MAILBOX_EVENTS),
            "The items after a cursor or Last-Event-ID, and then as they come.",
            Body::None,
            (200, Body::Events(schema::<MailboxItem>(g))),
        )
        .query(&["after"]),
        new(
            ("get", path::MAILBOX_SOCKET),
            "The same by WebSocket: one text message for each item.",
            Body::None,
            (101, Body::None),
        )
        .query(&["after"]),
    ]
}

fn groups(generator: &mut SchemaGenerator) -> Vec<Operation> {
    let g = generator;
    let new = Operation::new;
    vec![
        new(
            ("post", path::GROUPS),
            "Create a group.",
            Body::Json(schema::<CreateGroup>(g)),
            (201, Body::Json(schema::<GroupView>(g))),
        ),
        new(
            ("get", path::GROUP),
            "Where a group is.",
            Body::None,
            (200, Body::Json(schema::<GroupView>(g))),
        ),
        new(
            ("post", path::GROUP_COMMITS),
            "Publish a commit with all that belongs to it. 200 for a retry; 409 with current_epoch for \
             the loser of a race.",
            Body::Json(schema::<PublishCommit>(g)),
            (201, Body::Json(schema::<Published>(g))),
        ),
        new(
            ("post", path::GROUP_MESSAGES),
            "Publish a proposal or an application message. 200 for a retry.",
            Body::Bytes(MLS_MESSAGE),
            (201, Body::Json(schema::<Published>(g))),
        ),
        new(
            ("get", path::GROUP_MESSAGES),
            "The log after a cursor.",
            Body::None,
            (200, Body::Json(schema::<LogPage>(g))),
        )
        .query(&["after", "limit", "bytes"]),
        new(
            ("get", path::GROUP_INFO),
            "The GroupInfo of the current epoch.",
            Body::None,
            (200, Body::Bytes(MLS_MESSAGE)),
        ),
        new(
            ("put", path::GROUP_INFO),
            "Publish the GroupInfo of the current epoch, with the ratchet tree, for others to join by.",
            Body::Bytes(MLS_MESSAGE),
            (204, Body::None),
        ),
        new(
            ("post", path::GROUP_ROSTER),
            "Put accounts back on the roster that were removed.",
            Body::Json(schema::<RosterRepair>(g)),
            (200, Body::Json(schema::<RosterRepaired>(g))),
        ),
        new(
            ("get", path::GROUP_EVENTS),
            "The log after a cursor or Last-Event-ID, and then as it grows.",
            Body::None,
            (200, Body::Events(schema::<LogEntry>(g))),
        )
        .query(&["after"]),
        new(
            ("get", path::GROUP_SOCKET),
            "The same by WebSocket: one text message for each entry.",
            Body::None,
            (101, Body::None),
        )
        .query(&["after"]),
    ]
}
