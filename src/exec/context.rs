//! What every trial of a run shares.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::sync::{RwLock, watch};

use super::event::Event;
use super::facts::Facts;
use super::fixtures::Fixtures;
use super::review::Demands;
use super::trace::ExchangeLog;
use super::traffic::Traffic;
use crate::check::Contract;
use crate::http::client::Transport;
use crate::schema::case::TargetKind;
use crate::secret::Redactor;

/// Shared by all trials; built once the target answers.
#[derive(Debug)]
pub struct RunContext {
    pub transport: Transport,
    pub kind: TargetKind,
    pub facts: Facts,
    pub fixtures: Fixtures,
    pub traffic: Traffic,
    /// The project's root, for files that cases upload.
    pub root: PathBuf,
    pub redactor: Redactor,
    /// What every answer is held against.
    pub contract: Option<Arc<Contract>>,
    /// For a trial that names no time-out of its own.
    pub timeout: Duration,
    pub retries: u32,
    /// Before the first retry; doubled before each further one.
    pub retry_delay: Duration,
    /// What the run demands of its recordings.
    pub demands: Demands,
    /// Whether the wire tells which trial a provider request belongs to.
    pub scope_is_known: bool,
    /// Trials take it shared; one that must be the only cause of provider traffic takes it alone.
    pub alone: RwLock<()>,
    pub events: Sender<Event>,
    /// What trials said to the stack.
    pub exchanges: ExchangeLog,
    pub stop: Stop,
}

/// Stops a run: softly after too many failures, at once on Ctrl-C.
#[derive(Debug)]
pub struct Stop {
    no_more: AtomicBool,
    interrupt: watch::Sender<bool>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { no_more: AtomicBool::new(false), interrupt: watch::channel(false).0 }
    }
}

impl Stop {
    /// No further trial starts.
    pub fn no_more(&self) {
        self.no_more.store(true, Ordering::SeqCst);
    }

    /// Running trials end too; their cleanup still runs.
    pub fn interrupt(&self) {
        self.no_more();
        self.interrupt.send_replace(true);
    }

    pub fn interrupted(&self) -> bool {
        *self.interrupt.borrow()
    }
}

impl RunContext {
    pub(super) fn emit(&self, event: Event) {
        // Nobody listens any more only when the run is over.
        let _ = self.events.send(event);
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.no_more.load(Ordering::SeqCst)
    }

    /// Resolves when the user interrupts the run.
    pub(super) async fn interrupted(&self) {
        let mut interrupt = self.stop.interrupt.subscribe();
        if interrupt.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
