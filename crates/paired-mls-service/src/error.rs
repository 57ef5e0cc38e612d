//! Why a server does not start.

use std::io;

use thiserror::Error;

use crate::{LimitError, StoreError};

/// Why a server does not start. To blame is its operator, or the machine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database is not there, or is of a later version.
    #[error("the database cannot be used: check --database")]
    Database(#[from] StoreError),
    /// A limit that nothing could keep, or that would keep out everything.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The certificate or its key.
    #[error("the certificate or its private key cannot be read, or do not fit")]
    Tls(#[source] io::Error),
    /// While it ran.
    #[error("the server stopped")]
    Serve(#[source] io::Error),
}
