//! The names of places: `udp://ADDRESS:PORT`, `serial:PATH?baud=N`, `fifo:PATH`, `dir:PATH`.

use std::{
    net::{AddrParseError, SocketAddr},
    num::ParseIntError,
    path::PathBuf,
    str::FromStr,
};

use thiserror::Error;

use crate::Framing;

/// Where packets go to or come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `udp://ADDRESS:PORT`, of the listener, of a multicast group, or of all hosts of a network;
    /// `?igmp=join` joins the group.
    Udp {
        /// The address and port that packets are sent to.
        address: SocketAddr,
        /// Whether a listener joins the multicast group.
        igmp: Igmp,
    },
    /// `serial:PATH`, a serial line; `?baud=N` sets its speed.
    Serial {
        /// The device.
        path: PathBuf,
        /// Its speed, in symbols a second. Otherwise it is left as it is.
        baud: Option<u32>,
    },
    /// `fifo:PATH`, a FIFO, or any file that bytes come from.
    Fifo(PathBuf),
    /// `dir:PATH`, a directory that files of packets are put into, and carried or copied.
    Dir(PathBuf),
}

/// Whether a listener joins a multicast group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Igmp {
    /// It does not, and the host sends no IGMP for it. The packets have to reach the host otherwise.
    #[default]
    Silent,
    /// It does: *the host sends IGMP* (MLD for IPv6).
    Join,
}

/// Why a name is none of a place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// It begins with nothing that is known.
    #[error(
        "a feed is at udp://ADDRESS:PORT, serial:PATH, fifo:PATH or dir:PATH, and not at {0:?}"
    )]
    Scheme(String),
    /// The address is none. Names are not looked up: that would be a question.
    #[error("{0:?} is not ADDRESS:PORT; names are not looked up, since that would send a question")]
    Address(String, #[source] AddrParseError),
    /// The speed is no number.
    #[error("{0:?} is not a speed in baud")]
    Baud(String, #[source] ParseIntError),
    /// The option is none of this place.
    #[error("a feed of this kind has no option {0:?}")]
    Option(String),
    /// The path is missing.
    #[error("the path is missing")]
    Path,
}

impl Place {
    /// How packets are made for it: FLUTE for IP, the narrow framing for all else.
    pub fn framing(&self) -> Framing {
        match self {
            Self::Udp { .. } => Framing::Flute,
            Self::Serial { .. } | Self::Fifo(_) | Self::Dir(_) => Framing::Narrow,
        }
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let unknown = || PlaceError::Scheme(text.to_owned());
        let (scheme, rest) = text.split_once(':').ok_or_else(unknown)?;
        match scheme {
            "udp" => udp(rest.strip_prefix("//").ok_or_else(unknown)?),
            "serial" => serial(rest),
            "fifo" => path(rest).map(Self::Fifo),
            "dir" => path(rest).map(Self::Dir),
            _ => Err(unknown()),
        }
    }
}

fn path(text: &str) -> Result<PathBuf, PlaceError> {
    if text.is_empty() { Err(PlaceError::Path) } else { Ok(text.into()) }
}

fn udp(rest: &str) -> Result<Place, PlaceError> {
    let (address, igmp) = match rest.split_once('?') {
        None => (rest, Igmp::Silent),
        Some((address, "igmp=join")) => (address, Igmp::Join),
        Some((_, option)) => return Err(PlaceError::Option(option.to_owned())),
    };
    let parsed = address.parse().map_err(|error| PlaceError::Address(address.to_owned(), error));
    parsed.map(|address| Place::Udp { address, igmp })
}

fn serial(rest: &str) -> Result<Place, PlaceError> {
    let (name, baud) = match rest.split_once('?') {
        None => (rest, None),
        Some((name, option)) => {
            let baud = option.strip_prefix("baud=");
            let baud = baud.ok_or_else(|| PlaceError::Option(option.to_owned()))?;
            let number = baud.parse().map_err(|error| PlaceError::Baud(baud.to_owned(), error))?;
            (name, Some(number))
        }
    };
    Ok(Place::Serial { path: path(name)?, baud })
}
