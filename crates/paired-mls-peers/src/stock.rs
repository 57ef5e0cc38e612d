//! What a stock member can do besides MLS: sign, and show the tree that it sees.

use paired_mls::conformance::{Member, Refused};

/// Signs with a member's signature key; it does not borrow the member.
pub type SignFn = Box<dyn Fn(&[u8]) -> Result<Vec<u8>, Refused> + Send + Sync>;

/// A member on a stock library, who uses a service like anybody else.
pub trait Stock: Member {
    /// The public signature key, as in the member's leaf.
    fn signature_key(&self) -> Vec<u8>;

    /// Signs requests with it.
    fn signer(&self) -> SignFn;

    /// The ratchet tree of the current epoch, as the extension of a GroupInfo has it (RFC 9420 section
    /// 12.4.3.3).
    ///
    /// # Errors
    ///
    /// A member outside of any group.
    fn ratchet_tree(&self) -> Result<Vec<u8>, Refused>;
}
