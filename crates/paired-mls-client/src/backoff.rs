//! How long to wait before something is tried again.

use std::time::Duration;

use crate::ClientError;

/// The first wait is half to all of this, and each further one twice as long.
const FIRST: Duration = Duration::from_millis(200);
/// No wait of its own is longer.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest that the service can tell to wait.
const LONGEST_TOLD: u64 = 60;

/// Counts what failed in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How many failures there were.
    pub(crate) fn failures(self) -> u32 {
        self.failures
    }

    /// Waits after a further failure: for as long as the service has told, or twice as long as before,
    /// with jitter, so that not all clients of a service come back at once.
    pub(crate) async fn wait(&mut self, told: Option<u64>) -> Result<(), ClientError> {
        let wait = self.duration(told)?;
        self.failures = self.failures.saturating_add(1);
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn duration(self, told: Option<u64>) -> Result<Duration, ClientError> {
        match told {
            Some(seconds) => Ok(Duration::from_secs(seconds.min(LONGEST_TOLD))),
            None => jitter(self.delay()),
        }
    }

    fn delay(self) -> Duration {
        FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST)
    }
}

/// From half of `delay` to all of it.
fn jitter(delay: Duration) -> Result<Duration, ClientError> {
    let random = getrandom::u32().map_err(ClientError::Randomness)?;
    let half = delay / 2;
    Ok(half + half.mul_f64(f64::from(random) / f64::from(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let delay = |failures| Backoff { failures }.delay().as_millis();
        assert_eq!([delay(0), delay(1), delay(2)], [200, 400, 800]);
        assert_eq!([delay(7), delay(8), delay(u32::MAX)], [25_600, 30_000, 30_000]);
        for _ in 0..100 {
            let wait = jitter(LONGEST).unwrap();
            assert!((LONGEST / 2..=LONGEST).contains(&wait), "{wait:?}");
        }
    }

    #[test]
    fn the_service_can_say_how_long() {
        let wait = |told| Backoff { failures: 9 }.duration(Some(told)).unwrap().as_secs();
        assert_eq!([wait(0), wait(7), wait(u64::MAX)], [0, 7, 60]);
    }
}
