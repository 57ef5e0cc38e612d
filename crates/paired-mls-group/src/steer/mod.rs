//! Who answers what, while a library makes or opens a message.
//!
//! ```text
//! Sending     draw     the path secret: from the tape
//!             seal     of a path secret inside the anchor: a Notify
//!             sign     the guard: checks the commit in the clear before it is signed
//! Receiving   open     of a path secret: a Notify first, then ordinary HPKE
//! Replay      draw     everything: from the tape
//!             seal     with an ephemeral key from the tape
//!             export   the same
//!             sign     repeats the signatures of a partner, and gives none that nobody would accept
//! AnyKey      verify   a signature of any key of a leaf
//! ```

mod guard;
mod hpke;
mod key_vector;
mod receiving;
mod replay;
mod sending;

use paired_mls::wire::SignContent;
use spin::Mutex;

pub use self::{
    key_vector::AnyKey,
    receiving::Receiving,
    replay::{Recorded, Replay, SignedCommit},
    sending::Sending,
};
use crate::{Error, Refused};

/// The first error behind a call of the library, which reports only that something failed.
#[derive(Default)]
struct FirstError(Mutex<Option<Error>>);

impl FirstError {
    fn set(&self, error: impl Into<Error>) -> Refused {
        self.0.lock().get_or_insert(error.into());
        Refused
    }

    fn take(&self) -> Option<Error> {
        self.0.lock().take()
    }
}

/// Whether `info` is the `EncryptContext` of a path secret (RFC 9420 section 7.6).
fn is_path_node(info: &[u8]) -> bool {
    SignContent::decode(info).is_ok_and(|context| context.label() == Ok(b"UpdatePathNode"))
}
