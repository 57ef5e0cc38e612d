//! What goes on on one connection, and until when.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use paired_mls_api::DeviceId;
use tokio::time::Instant;

use super::{Counted, Place};
use crate::Limits;

/// How long each part of a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// From the connection to the end of the first head.
    pub(crate) head: Duration,
    /// With nothing to do.
    pub(crate) idle: Duration,
    /// From the end of a head to the head of the answer, the body of the request included.
    pub(crate) request: Duration,
    /// Until a client has taken a part of an answer.
    pub(crate) answer: Duration,
}

impl Times {
    /// Those of these limits.
    pub(crate) fn of(limits: &Limits) -> Self {
        let seconds = Duration::from_secs;
        Self {
            head: seconds(limits.head_seconds),
            idle: seconds(limits.idle_seconds),
            request: seconds(limits.body_seconds.saturating_add(limits.request_seconds)),
            answer: seconds(limits.answer_seconds),
        }
    }

    /// How often it is looked whether a connection has had its time.
    pub(crate) fn tick(&self) -> Duration {
        let shortest = self.head.min(self.idle).min(self.answer).min(Duration::from_secs(10));
        (shortest / 2).max(Duration::from_millis(50))
    }
}

/// One connection: each thing that is under way on it has a time of its own, so that a client that
/// stops in the middle of something, whatever it is, ends its connection and nothing else.
pub(crate) struct Connection {
    times: Times,
    carries: Carries,
    books: Mutex<Books>,
}

/// Whose requests a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Those of a client: it is counted for each device that signs one.
    Client,
    /// Those of many, from a proxy that the operator has named: it is counted for nobody.
    Proxy,
}

/// Why a connection is not a device's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// The device has as many connections as it may have.
    Connections,
    /// The connection is one of as many devices as it may be.
    Devices,
}

/// How long a connection that has no place stays, so that its client reads why.
const FAREWELL: Duration = Duration::from_secs(5);

struct Books {
    next: u64,
    /// Until when each has to be over; a subscription has no end of its own.
    flights: HashMap<u64, Option<Instant>>,
    /// Until when something has to begin.
    free_until: Instant,
    /// When it ends, whatever goes on; never by itself if `None`.
    end: Option<Instant>,
    /// The devices that have signed requests on it, with the place that it takes of what each may have.
    owners: HashMap<DeviceId, Place<DeviceId>>,
}

/// Something that is under way on a connection, until it is dropped.
pub(crate) struct Flight {
    connection: Arc<Connection>,
    number: u64,
}

impl Connection {
    /// How many devices a connection belongs to at most, and so how many are remembered for it.
    pub(crate) const DEVICES: usize = 1024;

    /// A connection that has just begun.
    pub(crate) fn new(times: Times, carries: Carries) -> Arc<Self> {
        let free_until = Instant::now() + times.head;
        let (flights, owners) = (HashMap::new(), HashMap::new());
        let books = Books { next: 0, flights, free_until, end: None, owners };
        Arc::new(Self { times, carries, books: Mutex::new(books) })
    }

    /// A device has signed a request on it: it is one of the device's connections from now on, until it ends.
    ///
    /// # Errors
    ///
    /// [`TooMany`]. Then this one ends soon.
    pub(crate) fn belongs_to(
        &self,
        device: &DeviceId,
        counted: &Counted<DeviceId>,
    ) -> Result<(), TooMany> {
        let mut books = self.books();
        if self.carries == Carries::Proxy || books.owners.contains_key(device) {
            return Ok(());
        }
        let place = match books.owners.len() < Self::DEVICES {
            true => counted.take(device).ok_or(TooMany::Connections),
            false => Err(TooMany::Devices),
        };
        match place {
            Ok(place) => {
                books.owners.insert(device.clone(), place);
                Ok(())
            }
            Err(too_many) => {
                // Whoever goes on asking does not keep it open.
                books.end.get_or_insert_with(|| Instant::now() + FAREWELL);
                Err(too_many)
            }
        }
    }

    pub(crate) fn times(&self) -> &Times {
        &self.times
    }

    /// A request has come, and is to be answered.
    pub(crate) fn request(this: &Arc<Self>) -> Flight {
        Self::flight(this, Some(this.times.request + this.times.answer))
    }

    /// A part of an answer is to be taken by the client.
    pub(crate) fn part(this: &Arc<Self>) -> Flight {
        Self::flight(this, Some(this.times.answer))
    }

    /// A subscription begins.
    pub(crate) fn endless(this: &Arc<Self>) -> Flight {
        Self::flight(this, None)
    }

    fn flight(this: &Arc<Self>, time: Option<Duration>) -> Flight {
        let mut books = this.books();
        let number = books.next;
        books.next = books.next.wrapping_add(1);
        let until = time.map(|time| Instant::now() + time);
        books.flights.insert(number, until);
        Flight { connection: Arc::clone(this), number }
    }

    /// Whether the connection has had its time at `now`.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        let books = self.books();
        if books.end.is_some_and(|end| end <= now) {
            return true;
        }
        match books.flights.is_empty() {
            true => books.free_until <= now,
            false => books.flights.values().flatten().any(|until| *until <= now),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut books = self.connection.books();
        books.flights.remove(&self.number);
        if books.flights.is_empty() {
            books.free_until = Instant::now() + self.connection.times.idle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times() -> Times {
        let seconds = Duration::from_secs;
        Times { head: seconds(10), idle: seconds(60), request: seconds(30), answer: seconds(120) }
    }

    #[test]
    fn everything_under_way_has_its_time() {
        let silent = Connection::new(times(), Carries::Client);
        let at = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert!(!silent.is_overdue(at(9)));
        assert!(silent.is_overdue(at(10)));

        let connection = Connection::new(times(), Carries::Client);
        let request = Connection::request(&connection);
        assert!(!connection.is_overdue(at(149)));
        assert!(connection.is_overdue(at(150)));
        let part = Connection::part(&connection);
        drop(request);
        assert!(!connection.is_overdue(at(119)));
        assert!(connection.is_overdue(at(120)));
        let subscription = Connection::endless(&connection);
        drop(part);
        assert!(!connection.is_overdue(at(1_000_000)));
        let stuck = Connection::part(&connection);
        assert!(connection.is_overdue(at(120)));
        drop((stuck, subscription));
        assert!(!connection.is_overdue(at(59)));
        assert!(connection.is_overdue(at(60)));
    }

    #[test]
    fn a_connection_beyond_what_a_device_may_have_ends_though_it_goes_on_asking() {
        let counted = Counted::new(1);
        let [alice, bob] = [1, 2].map(|id| DeviceId::new([id; 32]).unwrap());
        let first = Connection::new(times(), Carries::Client);
        assert_eq!(first.belongs_to(&alice, &counted), Ok(()));
        assert_eq!(first.belongs_to(&alice, &counted), Ok(()), "it is counted once");
        assert_eq!(first.belongs_to(&bob, &counted), Ok(()));
        let second = Connection::new(times(), Carries::Client);
        let _subscription = Connection::endless(&second);
        assert_eq!(second.belongs_to(&alice, &counted), Err(TooMany::Connections));
        assert_eq!(second.belongs_to(&alice, &counted), Err(TooMany::Connections));
        assert!(!second.is_overdue(Instant::now()));
        assert!(second.is_overdue(Instant::now() + FAREWELL));
        let proxy = Connection::new(times(), Carries::Proxy);
        assert_eq!(proxy.belongs_to(&alice, &counted), Ok(()));
        drop(first);
        let third = Connection::new(times(), Carries::Client);
        assert_eq!(third.belongs_to(&alice, &counted), Ok(()));
        assert_eq!(third.belongs_to(&bob, &counted), Ok(()));
    }

    #[test]
    fn a_connection_belongs_to_so_many_devices() {
        let counted = Counted::new(1);
        let device = |number: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            DeviceId::new(id).unwrap()
        };
        let connection = Connection::new(times(), Carries::Client);
        for number in 0..Connection::DEVICES {
            assert_eq!(connection.belongs_to(&device(number), &counted), Ok(()));
        }
        let further = device(Connection::DEVICES);
        assert_eq!(connection.belongs_to(&further, &counted), Err(TooMany::Devices));
        assert_eq!(connection.belongs_to(&device(0), &counted), Ok(()));
        assert!(connection.is_overdue(Instant::now() + FAREWELL));
    }
}
