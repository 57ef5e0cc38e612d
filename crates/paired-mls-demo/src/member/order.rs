//! What a stock member is told, and what it answers: one line of JSON each.

use paired_mls_api::{Base64Url, GroupId};
use serde::{Deserialize, Serialize};

/// An order, on standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Join a group by the Welcome in the mailbox.
    Join {
        /// Which group.
        group: GroupId,
    },
    /// Read the group's log from where it was read last.
    Sync,
    /// Commit new keys.
    Commit,
    /// Say something to the group.
    Send {
        /// What.
        text: String,
    },
}

impl Order {
    /// What it tells a member to do, for an error.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Join { .. } => "join the group",
            Self::Sync => "follow the group",
            Self::Commit => "commit",
            Self::Send { .. } => "send a message",
        }
    }
}

/// An answer, on standard output: the first when the member is registered, and then one for each
/// order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// It is done.
    Done(State),
    /// It is not.
    Failed {
        /// Why.
        error: String,
    },
}

/// Where a member is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The epoch.
    pub(crate) epoch: u64,
    /// The epoch's authenticator in hexadecimal, as `pmls tree` shows it.
    pub(crate) authenticator: String,
    /// The ratchet tree that the member sees, as the extension of a GroupInfo has it; empty outside of
    /// any group.
    pub(crate) tree: Base64Url,
    /// What it has heard since its last answer.
    pub(crate) heard: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_answers_are_lines_of_json() {
        let order = Order::Send { text: "hello".to_owned() };
        let line = serde_json::to_string(&order).unwrap();
        assert_eq!(line, r#"{"do":"send","text":"hello"}"#);
        assert_eq!(serde_json::from_str::<Order>(&line).unwrap(), order);
        for answer in [Answer::Done(State::default()), Answer::Failed { error: "a\nb".to_owned() }]
        {
            let line = serde_json::to_string(&answer).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer);
        }
    }
}
