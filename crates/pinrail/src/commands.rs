//! The commands, one file each: its arguments, what it asks the server, and how the answer looks.

pub mod agent;
pub mod apply;
pub mod bench;
pub mod completions;
pub mod context;
pub mod deploy;
pub mod deployment;
pub mod doctor;
pub mod hold;
pub mod init;
pub mod key;
pub mod ledger;
pub mod member;
pub mod memory;
pub mod model;
pub mod paging;
pub mod pointers;
pub mod provider;
pub mod readiness;
pub mod release;
pub mod run;
pub mod sim;
pub mod state_by;
pub mod up;
pub mod vectors;
pub mod watch;
