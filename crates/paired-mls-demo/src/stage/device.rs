//! A device of the command line: each command is a process of its own.

use std::{fs, path::PathBuf, process::Output};

use pmls::Exit;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::Url;

use super::Stage;
use crate::{
    DemoError,
    role::{Role, Seating},
};

/// A device: its MLS state in one folder, its vault in another.
pub(crate) struct Device<'a> {
    stage: &'a Stage,
    pub(crate) role: Role,
    folder: PathBuf,
    server: Url,
    /// Its id at the service.
    pub(crate) id: String,
}

/// What `pmls sync` and other commands report, as far as the story needs it.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum News {
    /// A commit, and what it changed for the pairing.
    Commit {
        #[serde(default)]
        events: Vec<Change>,
    },
    /// A message.
    Message { text: String },
    /// Another device wants to pair.
    PairingOffered { digits: String },
    /// Anything else.
    #[serde(other)]
    Other,
}

/// What a commit changed for a pairing.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Change {
    what: String,
}

#[derive(Deserialize)]
struct Told {
    events: Vec<News>,
}

/// What `pmls tree` says, as far as the story needs it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TreeView {
    pub(crate) epoch: u64,
    pub(crate) authenticator: String,
    pub(crate) security: Option<String>,
    pub(crate) nodes: Vec<NodeView>,
}

/// One node of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct NodeView {
    pub(crate) device: Option<u16>,
    pub(crate) security: Option<String>,
}

#[derive(Deserialize)]
struct Pairings {
    pairings: Vec<Pairing>,
}

#[derive(Deserialize)]
struct Pairing {
    state: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

#[derive(Deserialize)]
struct Shown {
    device: String,
}

impl News {
    /// Whether a commit among these has healed a device.
    pub(crate) fn healed(news: &[Self]) -> bool {
        news.iter().any(|news| match news {
            Self::Commit { events } => events.iter().any(|change| change.what == "healed"),
            _ => false,
        })
    }

    /// Whether this was said.
    pub(crate) fn said(news: &[Self], expected: &str) -> bool {
        news.iter().any(|news| matches!(news, Self::Message { text } if text == expected))
    }
}

impl<'a> Device<'a> {
    /// Makes a device, registers it, and offers KeyPackages. If the user has one already, that one
    /// approves it.
    pub(crate) async fn new(
        stage: &'a Stage,
        (seating, server): (Seating, &Url),
        role: Role,
        approved_by: Option<&Self>,
    ) -> Result<Self, DemoError> {
        let folder = stage.folder(&format!("{}-{}", seating.name(), role.short()))?;
        let server = server.clone();
        let mut device = Self { stage, role, folder, server, id: String::new() };
        let (user, name) = (role.user(seating), role.short());
        let init = ["device", "init", "--vault", "plain", "--user", user, "--name", name];
        match approved_by {
            None => device.run::<Value>(&init).await.map(drop)?,
            Some(_) => {
                let waits = device.output(&init).await?;
                if waits.status.code() != Some(Exit::Waiting as i32) {
                    return Err(device.failed(&init, &waits));
                }
            }
        }
        device.id = device.run::<Shown>(&["device", "show"]).await?.device;
        if let Some(other) = approved_by {
            other.run::<Value>(&["device", "approve", &device.id]).await?;
            device.run::<Value>(&["device", "register"]).await?;
        }
        device.run::<Value>(&["device", "publish", "--count", "2"]).await?;
        Ok(device)
    }

    /// The folder of its MLS state: what a thief of the device gets.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// The folder of its vault.
    pub(crate) fn vault(&self) -> PathBuf {
        self.folder.join("vault")
    }

    /// Runs a command that works; what it has printed last.
    pub(crate) async fn run<T: DeserializeOwned>(&self, args: &[&str]) -> Result<T, DemoError> {
        let output = self.output(args).await?;
        if !output.status.success() {
            return Err(self.failed(args, &output));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or_default();
        let who = self.role.name();
        serde_json::from_str(last).map_err(|source| DemoError::Answer { who, source })
    }

    /// Runs a command that has to be refused; why it was.
    pub(crate) async fn refused(&self, args: &[&str]) -> Result<String, DemoError> {
        let output = self.output(args).await?;
        match output.status.code() {
            Some(code) if code == Exit::Failed as i32 => Ok(told(&output)),
            Some(0) => {
                let command = args.join(" ");
                Err(DemoError::NotRefused { who: self.role.name(), command })
            }
            _ => Err(self.failed(args, &output)),
        }
    }

    /// Runs a command that reports what happened.
    pub(crate) async fn news(&self, args: &[&str]) -> Result<Vec<News>, DemoError> {
        Ok(self.run::<Told>(args).await?.events)
    }

    /// Fetches and follows everything that waits.
    pub(crate) async fn sync(&self) -> Result<Vec<News>, DemoError> {
        self.news(&["sync"]).await
    }

    /// Looks at a group.
    pub(crate) async fn tree(&self, group: &str) -> Result<TreeView, DemoError> {
        self.run(&["tree", group]).await
    }

    /// Whether its pairing has come about.
    pub(crate) async fn is_paired(&self) -> Result<bool, DemoError> {
        let Pairings { pairings } = self.run(&["pair", "status"]).await?;
        Ok(pairings.iter().any(|pairing| pairing.state == "paired"))
    }

    /// Removes a file beside the device's folders.
    pub(crate) fn remove(&self, file: &str) -> Result<(), DemoError> {
        let path = self.folder.join(file);
        fs::remove_file(&path).map_err(DemoError::folder("remove", path))
    }

    async fn output(&self, args: &[&str]) -> Result<Output, DemoError> {
        let mut command = self.stage.command(&self.folder);
        command.arg("--home").arg(self.home()).arg("--vault-path").arg(self.vault());
        command.args(["--server", self.server.as_str()]).args(args);
        let who = self.role.name();
        command.output().await.map_err(|source| DemoError::Process { who, source })
    }

    fn failed(&self, args: &[&str], output: &Output) -> DemoError {
        let command = args.join(" ");
        DemoError::Command { who: self.role.name(), command, error: told(output) }
    }
}

/// What a command has said on standard error.
fn told(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let text = text.trim();
    let refusal = serde_json::from_str(text).map(|Refusal { error }| error);
    refusal.unwrap_or_else(|_| format!("{}: {text}", output.status))
}
