//! Bodies that are about KeyPackages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Base64Url;

/// KeyPackages of the device that sends the request. All are taken, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyPackageUpload {
    /// Each a `MLSMessage` that holds a KeyPackage. Each is given out once.
    #[serde(default)]
    pub key_packages: Vec<Base64Url>,
    /// Those of the last resort, one for each cipher suite: given out, again and again, where no other
    /// one is left. Each replaces the one that was there. Of those whose time begins later, there is one for
    /// each beginning.
    #[serde(default)]
    pub last_resort: Vec<Base64Url>,
}

/// How many KeyPackages of one device and suite can still be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyPackageCount {
    /// The code point of the cipher suite.
    pub suite: u16,
    /// Those that are given out once.
    pub once: u64,
    /// Those of the last resort: 0 or 1.
    pub last_resort: u64,
    /// Those whose time begins later, of both kinds.
    #[serde(default, skip_serializing_if = "is_none")]
    pub later: u64,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}
