//! The side that does it.

use std::{
    fs,
    future::pending,
    io::{self, ErrorKind},
    path::PathBuf,
    time::Duration,
};

use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use super::{Answer, Bound, Hello, MAX_REQUEST, Request, socket};
use crate::session::Home;

/// How long a caller may take to say what it wants, and to hear what came of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where others call.
pub(crate) struct Calls {
    listener: UnixListener,
    path: PathBuf,
    home: PathBuf,
    bound: Bound,
}

/// One that has called.
pub(crate) struct Call(UnixStream);

impl Calls {
    /// Opens the socket of a home that this process has.
    pub(crate) fn open(home: &Home, bound: Bound) -> io::Result<Self> {
        let path = socket(home.folder());
        // The one of a process that has died: who has the lock is the only one that may be here.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        Ok(Self { listener, path, home: home.folder().to_owned(), bound })
    }

    /// Waits for the next call of this user; for ever where there is no socket.
    pub(crate) async fn next(calls: Option<&Self>) -> Call {
        let Some(calls) = calls else { return pending().await };
        loop {
            match calls.listener.accept().await {
                Ok((stream, _)) if is_of_this_user(&stream) => return Call(stream),
                Ok(_) => {}
                // No descriptor is left, for instance.
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }

    /// Has done what a caller wants. What goes wrong with the caller concerns nobody else.
    pub(crate) async fn serve(&self, call: Call, act: impl AsyncFnOnce(Request) -> Answer) {
        let _ = self.converse(call, act).await;
    }

    async fn converse(
        &self,
        Call(stream): Call,
        act: impl AsyncFnOnce(Request) -> Answer,
    ) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let (home, bound) = (self.home.clone(), self.bound.clone());
        let hello = Hello { pid: std::process::id(), version, home, bound };
        say(&mut stream, &hello).await?;
        let mut line = Vec::new();
        let mut bounded = (&mut stream).take(MAX_REQUEST);
        timeout(PATIENCE, bounded.read_until(b'\n', &mut line)).await??;
        let answer = act(serde_json::from_slice(&line)?).await;
        say(&mut stream, &answer).await
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        // What stays behind leads nowhere, and the next one removes it.
        let _ = fs::remove_file(&self.path);
    }
}

async fn say(stream: &mut BufReader<UnixStream>, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    timeout(PATIENCE, stream.write_all(&line)).await?
}

fn is_of_this_user(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}
