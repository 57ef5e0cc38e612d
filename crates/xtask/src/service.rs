//! The service, as a process that is killed and started again at the same address.

use std::{
    env,
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use paired_mls_api::path;
use tokio::time::sleep;

use crate::Failure;

/// How long the service may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(200);
/// In what `/proc` counts the time of processors, in milliseconds: 100 in a second, whatever the kernel counts by.
const TICK_OF_PROC: u64 = 10;

pub(crate) struct Service {
    program: PathBuf,
    address: SocketAddr,
    url: String,
    database: String,
    log: PathBuf,
    options: Vec<String>,
    process: Child,
}

impl Service {
    pub(crate) fn start(
        program: Option<&Path>,
        database: &str,
        folder: &Path,
        options: Vec<String>,
    ) -> Result<Self, Failure> {
        let program = match program {
            Some(program) => program.to_owned(),
            None => env::current_exe()?.with_file_name("pmls"),
        };
        if !program.exists() {
            let program = program.display();
            return Err(format!("there is no {program}: build it, with the same profile").into());
        }
        // Free now; nobody else on this machine is expected to take it.
        let address = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let log = folder.join("service.log");
        let process = launch(&program, address, database, &log, &options)?;
        let url = format!("http://{address}");
        let database = database.to_owned();
        let service = Self { program, address, url, database, log, options, process };
        service.wait_blocking()?;
        Ok(service)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn kill_and_restart(&mut self) -> Result<(), Failure> {
        self.process.kill()?;
        self.process.wait()?;
        self.process =
            launch(&self.program, self.address, &self.database, &self.log, &self.options)?;
        Ok(())
    }

    /// Waits until the service says that it is ready.
    pub(crate) async fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + PATIENCE;
        while !self.is_ready() {
            if let Some(status) = self.process.try_wait()? {
                return Err(
                    format!("the service has ended by itself: {status}{}", self.tail()).into()
                );
            }
            if Instant::now() > until {
                return Err(format!("the service is not ready{}", self.tail()).into());
            }
            sleep(TICK).await;
        }
        Ok(())
    }

    fn wait_blocking(&self) -> Result<(), Failure> {
        let until = Instant::now() + PATIENCE;
        while !self.is_ready() {
            if Instant::now() > until {
                return Err(format!("the service is not ready{}", self.tail()).into());
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        use std::io::{Read as _, Write as _};
        let Ok(mut socket) = std::net::TcpStream::connect_timeout(&self.address, TICK) else {
            return false;
        };
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            path::READY,
            self.address
        );
        let mut answer = [0; 12];
        let asked = socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .and_then(|()| socket.write_all(request.as_bytes()))
            .and_then(|()| socket.read_exact(&mut answer));
        asked.is_ok() && answer.starts_with(b"HTTP/1.1 20")
    }

    /// The most resident memory so far, in bytes; `None` if the process is gone.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib << 10)
    }

    /// The time of processors that it has taken so far; `None` if the process is gone.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).ok()?;
        // The name of the program, in brackets, may hold anything; behind it, these are the 12th and the 13th.
        let (_, fields) = stat.rsplit_once(')')?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>());
        let ticks: u64 = ticks.sum::<Result<_, _>>().ok()?;
        Some(Duration::from_millis(ticks * TICK_OF_PROC))
    }

    fn tail(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().fold(String::new(), |all, line| format!("{all}\n  {line}"))
    }

    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn launch(
    program: &Path,
    address: SocketAddr,
    database: &str,
    log: &Path,
    options: &[String],
) -> Result<Child, Failure> {
    let log = File::options().create(true).append(true).open(log)?;
    Ok(Command::new(program)
        .args(["serve", "--until-stdin-ends", "--listen", &address.to_string()])
        .args(["--database", database])
        .args(options)
        .env("RUST_LOG", "warn")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?)
}

/// The most resident memory that any of the service's processes took.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<AtomicU64>);

impl Memory {
    /// Looks at the service for a while.
    pub(crate) async fn watch(&self, service: &mut Service, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if let Some(bytes) = service.memory() {
                self.0.fetch_max(bytes, Ordering::Relaxed);
            }
            if let Some(status) = service.process.try_wait()? {
                let tail = service.tail();
                return Err(format!("the service has ended by itself: {status}{tail}").into());
            }
            sleep(TICK).await;
        }
        Ok(())
    }

    pub(crate) fn peak(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
