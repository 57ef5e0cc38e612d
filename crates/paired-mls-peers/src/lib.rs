//! Stock members and a thief, for the conformance suite and the demo.
//!
//! | | |
//! |---|---|
//! | [`StockOpenMls`], [`StockMlsRs`] | members that have never heard of Paired MLS |
//! | [`OpenMlsDevice`] | a device with the adapter for OpenMLS |
//! | [`OpenMlsThief`] | somebody with a copy of such a device's MLS state |
//! | [`OpenMlsAdapter`] | the adapter as the conformance suite sees it |

mod adapter;
mod config;
mod device;
mod stock_mls_rs;
mod stock_openmls;
mod thief;

pub use adapter::OpenMlsAdapter;
pub use device::{OpenMlsDevice, TestPlatform};
pub use stock_mls_rs::StockMlsRs;
pub use stock_openmls::StockOpenMls;
pub use thief::OpenMlsThief;
