//! How many proposals wait on a device for a commit.
//!
//! A member can propose for ever, and nobody is obliged to commit. So a device keeps so many of an epoch, and of
//! each sender fewer: whoever sends more is refused, and nobody else. A commit may carry out what was refused
//! all the same, so that the device has to be given those proposals again with it.

/// How many proposals of one epoch a device keeps.
pub const MAX_PROPOSALS: usize = 4_096;
/// How long they are together, in bytes.
pub const MAX_PROPOSAL_BYTES: usize = 16 << 20;
/// How many of them are of one member. Those who are no members count as one.
pub const MAX_PROPOSALS_OF_ONE: usize = 64;
/// How long these are together, in bytes.
pub const MAX_PROPOSAL_BYTES_OF_ONE: usize = 1 << 20;

/// The proposals that wait, beside one that has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    all: Size,
    of_sender: Size,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    items: usize,
    bytes: usize,
}

/// Whose a proposal that waits is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Of the sender of the one that has come.
    Sender,
    /// Of somebody else.
    Another,
}

impl Waiting {
    /// One that waits, of so many bytes.
    pub fn add(&mut self, of: Of, bytes: usize) {
        self.all.add(bytes);
        if of == Of::Sender {
            self.of_sender.add(bytes);
        }
    }

    /// Whether there is room for one of so many bytes.
    pub fn takes(self, bytes: usize) -> bool {
        self.all.takes(bytes, MAX_PROPOSALS, MAX_PROPOSAL_BYTES)
            && self.of_sender.takes(bytes, MAX_PROPOSALS_OF_ONE, MAX_PROPOSAL_BYTES_OF_ONE)
    }
}

impl Size {
    fn add(&mut self, bytes: usize) {
        self.items += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn takes(self, bytes: usize, most: usize, most_bytes: usize) -> bool {
        self.items < most && self.bytes.saturating_add(bytes) <= most_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(of: Of, items: usize, bytes: usize) -> Waiting {
        let mut waiting = Waiting::default();
        (0..items).for_each(|_| waiting.add(of, bytes));
        waiting
    }

    #[test]
    fn each_bound_is_exact() {
        let one = MAX_PROPOSALS_OF_ONE;
        assert!(waiting(Of::Sender, one - 1, 10).takes(10));
        assert!(!waiting(Of::Sender, one, 10).takes(10), "of one sender");
        assert!(waiting(Of::Another, one, 10).takes(10), "and of nobody else");
        assert!(waiting(Of::Another, MAX_PROPOSALS - 1, 10).takes(10));
        assert!(!waiting(Of::Another, MAX_PROPOSALS, 10).takes(10), "of all");
        assert!(waiting(Of::Sender, 1, MAX_PROPOSAL_BYTES_OF_ONE - 10).takes(10));
        assert!(!waiting(Of::Sender, 1, MAX_PROPOSAL_BYTES_OF_ONE - 10).takes(11), "bytes of one");
        assert!(waiting(Of::Another, 1, MAX_PROPOSAL_BYTES - 10).takes(10));
        assert!(!waiting(Of::Another, 1, MAX_PROPOSAL_BYTES - 10).takes(11), "bytes of all");
    }
}
