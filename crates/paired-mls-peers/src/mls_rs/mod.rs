//! Devices with the adapter for mls-rs, and a thief of theirs.

mod adapter;
mod device;
mod impostor;
mod loot;
mod state;
mod stolen;
mod thief;

pub use adapter::MlsRsAdapter;
pub use device::MlsRsDevice;
pub(crate) use impostor::MlsRsImpostor;
pub use thief::MlsRsThief;
