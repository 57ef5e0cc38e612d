//! What the pairing protocol needs of MLS: the 1-to-1 channel.
//!
//! The protocol itself is [`PairingBook`](paired_mls::pairing::PairingBook) in the core: it says what
//! is to be sent and which way. Here is the way for what may go over the 1-to-1 channel only.
//!
//! ```text
//!    PairingBook ── Route::OneToOne ──► Channel::send ──► the delivery service, to the partners
//!    PairingBook ◄── Source::OneToOne ── Channel::receive ◄──
//! ```

mod channel;

pub use self::channel::Channel;
