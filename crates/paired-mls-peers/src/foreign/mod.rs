//! Members on implementations of RFC 9420 in other languages, each in a process of its own.
//!
//! ```text
//! -> {"do": "commit", "adds": ["…"], "removes": [3]}
//! <- {"done": {"commit": "…", "welcome": "…"}}        or {"refused": "why"}
//! ```
//!
//! One JSON object a line, bytes in hexadecimal; the programs are in `foreign/`. What they can and cannot do says
//! [`Kind`].

mod line;

use std::{path::Path, process::Command, sync::Mutex};

use paired_mls::{
    CipherSuite, Event,
    anchor::LeafIndex,
    conformance::{Content, Framing, Heard, Listener, Member, Refused, Sent},
};
use serde_json::{Value, json};

use self::line::Line;

/// An implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `ts-mls` 1.6.4, on Node. Suites 1 to 3, both framings. Publishes no GroupInfo: its extension `external_pub`
    /// has no length.
    TsMls,
    /// `rfc9420` 1.3.0, on Python. Suite 1, PublicMessage. It joins, follows commits without proposals, and sends
    /// application messages; what it commits is refused by others, since the signature of its new leaf is invalid.
    Rfc9420,
}

impl Kind {
    /// Whether a member on it can be in a group of this suite and framing.
    pub fn knows(self, suite: CipherSuite, framing: Framing) -> bool {
        match self {
            Self::TsMls => suite.code_point() <= 3,
            Self::Rfc9420 => suite.code_point() == 1 && framing == Framing::Public,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::TsMls => "ts-mls",
            Self::Rfc9420 => "rfc9420",
        }
    }

    /// The program, with its packages below `tools`, as `cargo xtask peers --install` puts them there.
    fn command(self, tools: &Path) -> Command {
        let (program, script) = match self {
            Self::TsMls => ("node".into(), tools.join("ts-mls/peer.mjs")),
            Self::Rfc9420 => (tools.join("rfc9420/venv/bin/python"), tools.join("rfc9420/peer.py")),
        };
        let mut command = Command::new(program);
        command.arg(script);
        command
    }
}

/// A member in a process of its own. The process ends with it.
pub struct Foreign {
    kind: Kind,
    line: Mutex<Line>,
}

impl Foreign {
    /// Starts the process: a member outside of any group.
    ///
    /// # Errors
    ///
    /// A program that does not start, or does not know the suite.
    pub fn start(
        kind: Kind,
        tools: &Path,
        suite: CipherSuite,
        framing: Framing,
        identity: &str,
    ) -> Result<Self, Refused> {
        let line = Mutex::new(Line::open(kind.command(tools))?);
        let member = Self { kind, line };
        let framing = match framing {
            Framing::Public => "public",
            Framing::Private => "private",
        };
        let suite = suite.code_point();
        member.ask(
            json!({ "do": "new", "suite": suite, "framing": framing, "identity": identity }),
        )?;
        Ok(member)
    }

    fn ask(&self, request: Value) -> Result<Value, Refused> {
        let mut line = self.line.lock().map_err(|_| "an earlier request has panicked")?;
        let answer =
            line.ask(&request).map_err(|error| format!("{}: {error}", self.kind.name()))?;
        match answer.get("refused").and_then(Value::as_str) {
            Some(why) => Err(format!("{} refuses: {why}", self.kind.name()).into()),
            None => Ok(answer.get("done").cloned().unwrap_or_default()),
        }
    }

    fn status(&self) -> Result<Value, Refused> {
        self.ask(json!({ "do": "status" }))
    }
}

/// A field of an answer that holds bytes.
fn bytes(answer: &Value, field: &str) -> Result<Vec<u8>, Refused> {
    optional(answer, field)?.ok_or_else(|| format!("the answer has no {field}").into())
}

fn optional(answer: &Value, field: &str) -> Result<Option<Vec<u8>>, Refused> {
    let digits = answer.get(field).and_then(Value::as_str);
    Ok(digits.map(hex::decode).transpose()?)
}

impl Listener for Foreign {
    fn epoch(&self) -> u64 {
        self.status().ok().and_then(|status| status.get("epoch")?.as_u64()).unwrap_or_default()
    }

    fn epoch_authenticator(&self) -> Vec<u8> {
        self.status().and_then(|status| bytes(&status, "epoch_authenticator")).unwrap_or_default()
    }

    fn process(&mut self, message: &[u8]) -> Result<Heard, Refused> {
        let answer = self.ask(json!({ "do": "process", "message": hex::encode(message) }))?;
        match answer.get("heard").and_then(Value::as_str) {
            Some("application") => Ok(Heard::Application(bytes(&answer, "message")?)),
            Some("proposal") => Ok(Heard::Proposal),
            Some("commit") => Ok(Heard::Commit { events: Vec::new(), heal: None }),
            _ => Err(format!("{} heard {answer}", self.kind.name()).into()),
        }
    }
}

impl Member for Foreign {
    fn key_package(&mut self) -> Result<Vec<u8>, Refused> {
        bytes(&self.ask(json!({ "do": "key_package" }))?, "message")
    }

    fn create(&mut self, group_id: &[u8]) -> Result<(), Refused> {
        self.ask(json!({ "do": "create", "group_id": hex::encode(group_id) })).map(drop)
    }

    fn join(&mut self, welcome: &[u8]) -> Result<(), Refused> {
        self.ask(json!({ "do": "join", "message": hex::encode(welcome) })).map(drop)
    }

    fn commit(&mut self, content: &Content) -> Result<Sent, Refused> {
        let adds: Vec<_> = content.adds.iter().map(hex::encode).collect();
        let removes: Vec<_> = content.removes.iter().map(|leaf| leaf.value()).collect();
        let answer = self.ask(json!({ "do": "commit", "adds": adds, "removes": removes }))?;
        Ok(Sent {
            commit: bytes(&answer, "commit")?,
            welcome: optional(&answer, "welcome")?,
            refresh: None,
            group_info: None,
            notify: None,
        })
    }

    fn confirm(&mut self) -> Result<Vec<Event>, Refused> {
        self.ask(json!({ "do": "confirm" }))?;
        Ok(Vec::new())
    }

    fn discard(&mut self) -> Result<(), Refused> {
        self.ask(json!({ "do": "discard" })).map(drop)
    }

    fn send(&mut self, message: &[u8]) -> Result<Vec<u8>, Refused> {
        let answer = self.ask(json!({ "do": "send", "message": hex::encode(message) }))?;
        bytes(&answer, "message")
    }

    fn leave(&mut self) -> Result<Vec<u8>, Refused> {
        Err(format!("{} is not asked to leave", self.kind.name()).into())
    }

    fn propose_remove(&mut self, _: LeafIndex) -> Result<Vec<u8>, Refused> {
        Err(format!("{} is not asked to propose", self.kind.name()).into())
    }
}
