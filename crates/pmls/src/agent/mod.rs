//! One process has the home, and does for others what they ask: `pmls watch`, at a socket in the home.
//!
//! ```text
//! pmls group send …          pmls watch
//!       │ ── connect ────────────►│  between two messages
//!       │ ◄───────────── Hello ── │
//!       │ ── Request ────────────►│  arguments, folder, input
//!       │                         │  parses them, acts with its open device
//!       │ ◄──────────── Answer ── │  lines of both streams, exit code
//! ```
//!
//! One line of JSON each. The socket lies in the home, which only its owner can enter, and other users are
//! refused. Nothing is asked of the caller in between, no passphrase either: the vault is open already.
//! A caller sends its request only after the greeting, so that nothing is done for one that has given up.

mod caller;
mod host;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub(crate) use self::{caller::Host, host::Calls};
use crate::{
    output::Line,
    session::{Home, Profile, ServerPlace, SessionError, VaultPlace},
    settings::GlobalOptions,
};

/// The socket, in the home.
const SOCKET: &str = "socket";

/// The longest request, in bytes: room for a message of 12 MiB, which no service takes by default.
const MAX_REQUEST: u64 = 16 << 20;

/// The longest answer, in bytes.
const MAX_ANSWER: u64 = 256 << 20;

/// Who answers.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    pid: u32,
    version: String,
    /// Whose home this is: a socket may be reached by a name in another folder.
    home: PathBuf,
    bound: Bound,
}

/// What is to be done.
#[derive(Serialize, Deserialize)]
pub(crate) struct Request {
    /// The arguments, without the name of the program.
    pub(crate) arguments: Vec<String>,
    /// The folder that paths are relative to.
    pub(crate) folder: PathBuf,
    /// How long the service may take for an answer.
    pub(crate) timeout: Duration,
    /// Standard input, where the command reads it.
    #[serde(with = "base64_text")]
    pub(crate) input: Vec<u8>,
}

/// What came of it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) lines: Vec<Line>,
    pub(crate) exit_code: u8,
}

/// What an open device is bound to: a caller that wants something else would be misled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bound {
    server: ServerPlace,
    vault: VaultPlace,
}

impl Bound {
    /// What an open device is bound to.
    pub(crate) fn of(profile: &Profile) -> Self {
        Self { server: profile.server.clone(), vault: profile.vault.clone() }
    }

    /// What the device of these options would be bound to; `None` if none is set up in that home.
    fn wanted(options: &GlobalOptions) -> Result<Option<Self>, SessionError> {
        let Some(file) = Home::facts(options)? else { return Ok(None) };
        let (server, vault) = (file.server.with(options)?, file.vault.with(options)?);
        Ok(Some(Self { server, vault }))
    }
}

fn socket(home: &Path) -> PathBuf {
    home.join(SOCKET)
}

/// Bytes in JSON.
mod base64_text {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}
