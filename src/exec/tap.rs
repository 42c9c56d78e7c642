//! A tap on a trial's answers: it listens to a clean run, or corrupts one answer before anything is judged.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::http::Response;
use crate::mutate::{Corruption, apply};
use crate::source::Span;

/// A poll gets this long at least once answers are corrupted, and [`POLL_FACTOR`] times what it took without. What waits
/// for a clock that counts seconds may take a whole one longer than it did at first.
const POLL_LEAST: Duration = Duration::from_secs(2);
const POLL_FACTOR: u32 = 5;

/// One answer of a clean run: the last one, where a step polled.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    /// `file:line` of the step.
    pub place: String,
    /// The step's first line as written: the path in it is the same in every run.
    pub step: String,
    pub response: Response,
    /// How long the step took, all tries of a poll together.
    took: Duration,
}

/// Stands between the transport and the checks of one attempt at a trial.
#[derive(Debug)]
pub(super) struct Tap {
    kind: Kind,
    /// Exchanges so far; all tries of a poll are one.
    count: AtomicUsize,
}

#[derive(Debug)]
enum Kind {
    Listening(Mutex<Vec<Heard>>),
    /// The exchange with this number is answered corruptly. What that leads to may be a poll for something that never
    /// comes: it has only so much patience.
    Corrupting {
        exchange: usize,
        corruption: Corruption,
        within: Vec<Duration>,
    },
    /// Nothing is corrupted, but polls have the same patience: what fails so would be blamed on a corruption.
    Quiet {
        within: Vec<Duration>,
    },
}

/// One exchange of the attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    number: usize,
    began: Instant,
}

impl Tap {
    pub(super) fn listening() -> Self {
        Self { kind: Kind::Listening(Mutex::default()), count: AtomicUsize::new(0) }
    }

    pub(super) fn corrupting(exchange: usize, corruption: Corruption, heard: &[Heard]) -> Self {
        let kind = Kind::Corrupting { exchange, corruption, within: patience(heard) };
        Self { kind, count: AtomicUsize::new(0) }
    }

    pub(super) fn quiet(heard: &[Heard]) -> Self {
        Self { kind: Kind::Quiet { within: patience(heard) }, count: AtomicUsize::new(0) }
    }

    /// The attempt begins, once more if the one before it said nothing.
    pub(super) fn rewind(&self) {
        self.count.store(0, Ordering::Relaxed);
    }

    /// The next exchange begins.
    pub(super) fn slot(&self) -> Slot {
        Slot { number: self.count.fetch_add(1, Ordering::Relaxed), began: Instant::now() }
    }

    /// How long a poll may go on, as far as the tap limits it.
    pub(super) fn within(&self, slot: Slot, written: Duration) -> Duration {
        match &self.kind {
            Kind::Listening(_) => written,
            Kind::Corrupting { within, .. } | Kind::Quiet { within } => {
                within.get(slot.number).copied().unwrap_or(POLL_LEAST).min(written)
            }
        }
    }

    /// Takes note of an answer, if that is what this tap does.
    pub(super) fn hear(&self, slot: Slot, response: &Response, step: &Span) {
        let Kind::Listening(heard) = &self.kind else { return };
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.truncate(slot.number);
        heard.push(Heard {
            place: step.file_line(),
            step: first_line(step),
            response: response.clone(),
            took: slot.began.elapsed(),
        });
    }

    /// What the checks get to see instead of the answer, where it is this one that is to be corrupted.
    pub(super) fn corrupted(&self, slot: Slot, response: &Response) -> Option<Response> {
        match &self.kind {
            Kind::Corrupting { exchange, corruption, .. } if *exchange == slot.number => {
                Some(apply(corruption, response))
            }
            _ => None,
        }
    }

    /// What was heard, in order.
    pub(super) fn heard(self) -> Vec<Heard> {
        match self.kind {
            Kind::Listening(heard) => heard.into_inner().unwrap_or_else(PoisonError::into_inner),
            _ => Vec::new(),
        }
    }
}

fn first_line(step: &Span) -> String {
    let text = &step.file.text[step.start.min(step.file.text.len())..];
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn patience(heard: &[Heard]) -> Vec<Duration> {
    heard.iter().map(|answer| answer.took * POLL_FACTOR + POLL_LEAST).collect()
}
