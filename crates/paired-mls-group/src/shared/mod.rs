//! A leaf that several devices share.

mod difference;

pub use self::difference::Difference;
