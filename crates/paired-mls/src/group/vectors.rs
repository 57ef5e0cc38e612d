//! The kinds of scenario in the workspace's `vectors/lies` directory that are about groups.

use serde::Deserialize;

use super::{RefreshError, RefreshWelcome};
use crate::{
    CipherSuite, VaultError,
    vectors::{Hex, Layer, Run, Start},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshVector {
    tape: Start,
    group_id: Hex,
    message: Hex,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshResult {
    epoch: u64,
    tree_hash: Hex,
    welcome: Hex,
}

impl Run for RefreshVector {
    type Results = RefreshResult;

    fn run(&self, suite: CipherSuite) -> Result<RefreshResult, Layer> {
        let tape = self.tape.tape(suite);
        let opened = RefreshWelcome::open(&tape, &self.group_id.0, &self.message.0);
        let refresh = opened.map_err(|error| match error {
            VaultError::Refresh(RefreshError::Malformed) => Layer("refresh: malformed"),
            VaultError::Refresh(RefreshError::OtherGroup) => Layer("refresh: other group"),
            VaultError::Refresh(RefreshError::Forged) => Layer("refresh: forged"),
            other => panic!("no vector expects: {other}"),
        })?;
        let RefreshWelcome { epoch, tree_hash, welcome, .. } = refresh.clone();
        let again = RefreshWelcome { tag: Vec::new(), ..refresh }.seal(&tape).unwrap();
        assert_eq!(Hex(again), self.message, "a partner writes the same message");
        Ok(RefreshResult { epoch, tree_hash: Hex(tree_hash), welcome: Hex(welcome) })
    }
}
