//! Trials in, events out.

pub mod event;
