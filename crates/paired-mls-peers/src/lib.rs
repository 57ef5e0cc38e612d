//! Stock members and a thief, for the conformance suite and the demo.
//!
//! | | |
//! |---|---|
//! | [`StockOpenMls`], [`StockMlsRs`] | members that have never heard of Paired MLS |
//! | [`Stock`] | what they can do at a service |
//! | [`OpenMlsDevice`] | a device with the adapter for OpenMLS |
//! | [`MlsRsDevice`], [`MlsRsThief`] | a device with the adapter for mls-rs, and a thief of it |
//! | [`MixedAdapter`] | pairings whose devices are on different libraries |
//! | [`OpenMlsLeafDevice`] | a device that shares its leaf |
//! | [`OpenMlsThief`] | somebody with a copy of such a device's MLS state, its records or its file |
//! | [`foreign`] | members in other languages, each in a process of its own |
//! | [`play`] | random plays of all of them, with thieves who look on |
//! | [`OpenMlsAdapter`], [`OpenMlsLeafAdapter`], [`MlsRsAdapter`] | the adapters as the conformance suite sees them |

mod adapter;
mod config;
mod device;
pub mod foreign;
mod forge;
mod leaf_adapter;
mod leaf_device;
mod liar;
mod mixed;
mod mls_rs;
pub mod play;
mod stock;
mod stock_mls_rs;
mod stock_openmls;
mod suites;
mod thief;
mod watch;

pub use self::mls_rs::{MlsRsAdapter, MlsRsDevice, MlsRsThief};
pub use adapter::OpenMlsAdapter;
pub use config::Door;
pub use device::{OpenMlsDevice, TestCrypto, TestPlatform};
pub use leaf_adapter::OpenMlsLeafAdapter;
pub use leaf_device::{LeafMode, OpenMlsLeafDevice};
pub use mixed::{MixedAdapter, MixedDevice, MixedThief, OnLibrary};
pub use stock::{SignFn, Stock};
pub use stock_mls_rs::StockMlsRs;
pub use stock_openmls::StockOpenMls;
pub use thief::{OpenMlsThief, Spoils};
pub use watch::{NonceWatch, WatchedCrypto};
