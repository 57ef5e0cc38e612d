//! What time it is. Signatures have it, and the service takes fresh ones only.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use thiserror::Error;

/// The clock that requests are signed by.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    pub(crate) fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub(crate) fn now(&self) -> u64 {
        seconds((self.0)())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The service did not take a signature for fresh: the clock of the device, or that of the service, is
/// wrong. In seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub struct WrongClock {
    /// The time of the device.
    pub here: u64,
    /// The time of the service, if it says so.
    pub there: Option<u64>,
}

impl WrongClock {
    /// From the header `Date` of the answer.
    pub(crate) fn new(here: u64, date: Option<&str>) -> Self {
        let there = date.and_then(|date| httpdate::parse_http_date(date).ok());
        Self { here, there: there.map(seconds) }
    }
}

impl fmt::Display for WrongClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.there {
            Some(there) if there > self.here => {
                write!(f, "the clock of this device is {} seconds behind", there - self.here)?;
                f.write_str(" that of the service: set it right")
            }
            Some(there) if there < self.here => {
                write!(f, "the clock of this device is {} seconds ahead of", self.here - there)?;
                f.write_str(" that of the service: set it right")
            }
            _ => f.write_str("the service finds the signature too old: check the device's clock"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_says_how_wrong_the_clock_is() {
        let date = Some("Thu, 01 Jan 1970 00:01:40 GMT");
        let behind = WrongClock::new(40, date).to_string();
        assert!(behind.contains("60 seconds behind"), "{behind}");
        let ahead = WrongClock::new(130, date).to_string();
        assert!(ahead.contains("30 seconds ahead"), "{ahead}");
        for date in [None, Some("yesterday"), date] {
            let unknown = WrongClock::new(100, date).to_string();
            assert!(unknown.contains("check the device's clock"), "{unknown}");
        }
    }
}
