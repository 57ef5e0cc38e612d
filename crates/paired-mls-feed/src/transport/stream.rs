//! Streams of bytes: a FIFO, a serial line. Each packet is framed by SLIP.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
    termios::{InputModes, OptionalActions, tcgetattr, tcsetattr},
};

use super::{Delivery, MAX_PACKET};
use crate::slip::{Unframer, frame};

/// How long a FIFO that nobody has opened for writing is left alone.
const NOBODY: Duration = Duration::from_millis(100);

fn flags(flags: OFlags) -> i32 {
    i32::try_from(flags.bits()).unwrap_or_default()
}

/// Raw bytes: no echo, no translation, and no flow control, which would send.
fn make_raw(file: &File, baud: Option<u32>) -> io::Result<()> {
    let mut settings = tcgetattr(file)?;
    settings.make_raw();
    settings.input_modes.remove(InputModes::IXOFF | InputModes::IXON | InputModes::IXANY);
    if let Some(baud) = baud {
        settings.set_speed(baud)?;
    }
    tcsetattr(file, OptionalActions::Now, &settings)?;
    Ok(())
}

#[derive(Debug)]
pub(super) enum StreamOutlet {
    Serial(File),
    Fifo(PathBuf, Option<File>),
}

impl StreamOutlet {
    pub(super) fn serial(path: &Path, baud: Option<u32>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.write(true).custom_flags(flags(OFlags::NOCTTY)).open(path)?;
        make_raw(&file, baud)?;
        Ok(Self::Serial(file))
    }

    pub(super) fn fifo(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path)?;
        Ok(Self::Fifo(path.to_owned(), None))
    }

    pub(super) fn send(&mut self, packet: &[u8]) -> io::Result<Delivery> {
        let framed = frame(packet);
        match self {
            Self::Serial(file) => file.write_all(&framed).map(|()| Delivery::Sent),
            Self::Fifo(path, open) => {
                if open.is_none() {
                    *open = open_fifo(path)?;
                }
                let Some(file) = open else { return Ok(Delivery::Lost) };
                match file.write(&framed) {
                    Ok(length) if length == framed.len() => Ok(Delivery::Sent),
                    // The frame is cut off; the next one begins with END.
                    Ok(_) => Ok(Delivery::Lost),
                    Err(error) => match error.kind() {
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {
                            Ok(Delivery::Lost)
                        }
                        io::ErrorKind::BrokenPipe => {
                            *open = None;
                            Ok(Delivery::Lost)
                        }
                        _ => Err(error),
                    },
                }
            }
        }
    }
}

/// Opens a FIFO for writing, if somebody has opened it for reading.
fn open_fifo(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).custom_flags(flags(OFlags::NONBLOCK)).open(path);
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[derive(Debug)]
pub(super) struct StreamInlet {
    file: File,
    unframer: Unframer,
    buffer: Vec<u8>,
}

impl StreamInlet {
    pub(super) fn serial(path: &Path, baud: Option<u32>) -> io::Result<Self> {
        let inlet = Self::open(path, OFlags::NONBLOCK | OFlags::NOCTTY)?;
        make_raw(&inlet.file, baud)?;
        Ok(inlet)
    }

    pub(super) fn fifo(path: &Path) -> io::Result<Self> {
        Self::open(path, OFlags::NONBLOCK)
    }

    fn open(path: &Path, how: OFlags) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(flags(how)).open(path)?;
        Ok(Self { file, unframer: Unframer::new(MAX_PACKET), buffer: vec![0; 4096] })
    }

    pub(super) fn receive(
        &mut self,
        timeout: Duration,
        found: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let time = Timespec::try_from(timeout).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut wanted = [PollFd::new(&self.file, PollFlags::IN)];
        match poll(&mut wanted, Some(&time)) {
            Ok(0) => return Ok(()),
            Err(rustix::io::Errno::INTR) => return Ok(()),
            done => done?,
        };
        match self.file.read(&mut self.buffer) {
            // Nobody has it open for writing.
            Ok(0) => sleep(NOBODY.min(timeout)),
            Ok(length) => self.unframer.push(self.buffer.get(..length).unwrap_or_default(), found),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
        Ok(())
    }
}
