//! The binary under faults: killed at named points and at random ones, without room, without rights, on damaged
//! files, over its limits, told to stop; and what must hold afterwards (I2, I3, I8, I9).
//!
//! Start reading at `node` (a server as a process), then `seen` (what must hold of a store, whoever killed its
//! server). Nothing here waits for time to pass: whoever waits blocks on a pipe or a socket.

#![expect(clippy::unwrap_used, reason = "test code: a surprise must panic")]

mod client;
mod damage;
mod drain;
mod folder;
mod full;
mod gates;
mod keys;
mod lifecycle;
mod limits;
mod load;
mod node;
mod points;
mod provider;
mod seen;
mod single;
mod stage;
mod webhooks;
