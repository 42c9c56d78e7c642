//! The stack under test: what `--stack-config` names, and how a server of it is started, awaited and ended.
//!
//! A server runs in its own process group. Whatever way the run ends, the group ends with it: [`Running::stop`]
//! asks politely, dropping a [`Running`] does not, [`kill_all`] serves signal and panic handlers, and a small
//! watchdog process covers the case in which this process is killed outright.

mod error;
mod group;
mod launch;
mod output;
mod port;
mod spec;

pub use error::StartError;
pub use group::kill_all;
pub use launch::{LaunchSpec, Running, Stopped, launch};
pub use port::{free_port, port_taken, probe};
pub use spec::{StackSource, TargetSpec, TargetSpecError};
