//! What everything from outside passes: connections with their time-outs, and what all requests
//! together may hold.

mod budget;
mod connection;
mod counted;
mod gate;
mod held;
mod limit;
mod timed;

pub(crate) use self::{
    budget::{Budget, Share},
    connection::{Carries, Connection, Flight, Times, TooMany},
    counted::{Counted, Place},
    gate::Gate,
    held::{Endless, hold},
    limit::LiveLimits,
};
