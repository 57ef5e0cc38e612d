//! The handle of a stock member, which is a process that stays.

use std::path::PathBuf;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{ChildStdin, ChildStdout},
};
use url::Url;

use super::{Pipes, Stage, last_words};
use crate::{
    DemoError,
    member::{Answer, Library, Order, State},
    role::{Role, Seating},
};

/// A member on a stock library.
pub(crate) struct Member {
    role: Role,
    stdin: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    errors: PathBuf,
}

impl Member {
    /// Starts it, and waits until the service knows it.
    pub(crate) async fn start(
        stage: &Stage,
        (seating, server): (Seating, &Url),
        role: Role,
        library: Library,
    ) -> Result<Self, DemoError> {
        let folder = stage.folder(&format!("{}-{}", seating.name(), role.short()))?;
        let mut command = stage.program(&folder);
        command.args(["member", "--server", server.as_str(), "--user", role.user(seating)]);
        command.args(["--library", library.name()]);
        let pipes = stage.start(role.name(), command, folder.join("errors"))?;
        let Pipes { stdin, stdout, errors } = pipes;
        let answers = BufReader::new(stdout).lines();
        let mut member = Self { role, stdin, answers, errors };
        member.answer("register").await?;
        Ok(member)
    }

    /// Gives an order, and waits until it is carried out.
    pub(crate) async fn order(&mut self, order: &Order) -> Result<State, DemoError> {
        let who = self.role.name();
        let line =
            serde_json::to_string(order).map_err(|source| DemoError::Answer { who, source })?;
        let sent = self.stdin.write_all(format!("{line}\n").as_bytes()).await;
        if sent.is_err() {
            return Err(DemoError::Ended { who, error: last_words(&self.errors) });
        }
        self.answer(order.name()).await
    }

    async fn answer(&mut self, order: &'static str) -> Result<State, DemoError> {
        let who = self.role.name();
        let line = self.answers.next_line().await;
        let line = line.map_err(|source| DemoError::Process { who, source })?;
        let Some(line) = line else {
            return Err(DemoError::Ended { who, error: last_words(&self.errors) });
        };
        match serde_json::from_str(&line).map_err(|source| DemoError::Answer { who, source })? {
            Answer::Done(state) => Ok(state),
            Answer::Failed { error } => Err(DemoError::Member { who, order, error }),
        }
    }
}
