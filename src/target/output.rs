//! What a child prints: read as it comes, without its secrets, into a log, with the last lines kept at hand.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Lines kept for an error message.
const TAIL_LINES: usize = 30;
/// Bytes of one such line.
const TAIL_WIDTH: usize = 400;
/// Longer lines are cut into several, so that memory stays bounded.
const LINE_LIMIT: u64 = 1 << 20;
const MASK: &str = "***";

/// Values that are not to be printed.
#[derive(Clone)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    pub(super) fn new(mut values: Vec<String>) -> Self {
        values.retain(|value| !value.is_empty());
        // A secret may be part of a longer one.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self(values)
    }

    pub(super) fn mask(&self, text: String) -> String {
        self.0.iter().fold(text, |text, value| {
            if text.contains(value.as_str()) { text.replace(value.as_str(), MASK) } else { text }
        })
    }
}

/// The output of one process group.
#[derive(Debug)]
pub(super) struct Output {
    tail: Arc<Mutex<VecDeque<String>>>,
    ended: watch::Receiver<()>,
}

impl Output {
    /// Reads on a thread of its own, so that a child never blocks on a full pipe, whatever the runtime is doing.
    /// `secrets` are masked wherever they stand in a line.
    pub(super) fn drain(pipe: PipeReader, log: File, secrets: Secrets) -> std::io::Result<Self> {
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let (running, ended) = watch::channel(());
        let kept = Arc::clone(&tail);
        std::thread::Builder::new().name("server-output".to_owned()).spawn(move || {
            copy_lines(pipe, log, &secrets, &kept);
            drop(running);
        })?;
        Ok(Self { tail, ended })
    }

    /// The last lines, oldest first.
    pub(super) fn tail(&self) -> Vec<String> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Returns when every process that could still print has ended.
    pub(super) async fn ended(&mut self) {
        while self.ended.changed().await.is_ok() {}
    }
}

fn copy_lines(pipe: PipeReader, mut log: File, secrets: &Secrets, tail: &Mutex<VecDeque<String>>) {
    let mut lines = BufReader::new(pipe);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match lines.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = secrets.mask(String::from_utf8_lossy(&bytes).into_owned());
        // A full disk costs the log, not the run.
        let _ = log.write_all(line.as_bytes());
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(shortened(line.trim_end()));
    }
}

fn shortened(line: &str) -> String {
    if line.len() <= TAIL_WIDTH {
        return line.to_owned();
    }
    format!("{}…", &line[..line.floor_char_boundary(TAIL_WIDTH)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a log and a tail hold after `printed` went through.
    async fn drained(printed: &[u8], secrets: &[&str]) -> (String, Vec<String>) {
        let log = tempfile::NamedTempFile::new().expect("makes a file");
        let (reader, mut writer) = std::io::pipe().expect("makes a pipe");
        let secrets = Secrets::new(secrets.iter().map(|&secret| secret.to_owned()).collect());
        let mut output = Output::drain(reader, log.reopen().expect("opens"), secrets).expect("starts");
        writer.write_all(printed).expect("writes");
        drop(writer);
        output.ended().await;
        (std::fs::read_to_string(log.path()).expect("reads"), output.tail())
    }

    #[tokio::test]
    async fn the_log_has_everything_and_the_tail_the_end() {
        let printed: String = (1..=40).map(|n| format!("line {n}\n")).collect();
        let (log, tail) = drained(printed.as_bytes(), &[]).await;
        assert_eq!(log, printed);
        assert_eq!((tail.len(), tail[0].as_str(), tail[29].as_str()), (30, "line 11", "line 40"));
    }

    #[tokio::test]
    async fn secrets_are_masked_longest_first() {
        let (log, tail) = drained(b"key=abc-long, abc and abc", &["abc", "", "abc-long"]).await;
        assert_eq!(log, "key=***, *** and ***");
        assert_eq!(tail, ["key=***, *** and ***"]);
    }

    #[tokio::test]
    async fn long_lines_and_stray_bytes_are_kept_within_bounds() {
        let (log, tail) = drained(&["é".repeat(900_000).as_bytes(), b"\n\xff\n"].concat(), &[]).await;
        assert!(log.ends_with("\n\u{fffd}\n"), "{}", log.len());
        assert_eq!(tail.last().map(String::as_str), Some("\u{fffd}"));
        assert!(tail.iter().all(|line| line.len() <= TAIL_WIDTH + '…'.len_utf8()));
    }
}
