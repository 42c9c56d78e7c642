//! A child's process group, and the promise that none of it outlives this process.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Groups that have not been ended.
static LIVE: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Kills every group that is still running, at once. For handlers of signals and panics, when nothing else of
/// the run will get a turn.
pub fn kill_all() {
    let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    for &id in live.iter() {
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
}

/// One process group; dropping it kills what is left of it.
#[derive(Debug)]
pub(super) struct Group {
    id: Pid,
    watchdog: Option<Child>,
}

impl Group {
    /// Starts a group's leader and takes charge of the group. No [`kill_all`] gets in between, or it would miss
    /// a process that has just started.
    pub(super) fn start(
        mut command: tokio::process::Command,
    ) -> std::io::Result<(tokio::process::Child, Self)> {
        let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.process_group(0).spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let id = id.ok_or_else(|| std::io::Error::other("the new process has no id"))?;
        live.insert(id);
        drop(live);
        Ok((child, Self::of(id)))
    }

    fn of(leader: i32) -> Self {
        Self { id: Pid::from_raw(leader), watchdog: watchdog(leader).ok() }
    }

    /// Sends to every process of the group. Nothing happens when there is none any more.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = killpg(self.id, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id.as_raw());
        if let Some(mut watchdog) = self.watchdog.take() {
            dismiss(&mut watchdog);
        }
    }
}

/// Starts a shell that waits for a line from this process. When the pipe closes without one, this process was
/// killed, and the shell ends the group: the portable, safe form of Linux's parent-death signal.
fn watchdog(group: i32) -> std::io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", "read -r _ || kill -s KILL -- \"-$0\"", &group.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .env_clear()
        .process_group(0)
        .spawn()
}

fn dismiss(watchdog: &mut Child) {
    let told = watchdog.stdin.take().is_some_and(|mut stdin| stdin.write_all(b"done\n").is_ok());
    if !told {
        let _ = watchdog.kill();
    }
    let _ = watchdog.wait();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// A leader that starts a second process; both hold the pipe, which is at its end when both are gone.
    fn family() -> (Child, std::io::PipeReader) {
        let (mut reader, writer) = std::io::pipe().expect("makes a pipe");
        let leader = Command::new("/bin/sh")
            .args(["-c", "(echo up; exec sleep 60) & wait"])
            .stdout(writer)
            .process_group(0)
            .spawn()
            .expect("starts");
        let mut up = [0; 3];
        reader.read_exact(&mut up).expect("the second process prints");
        (leader, reader)
    }

    fn id(child: &Child) -> i32 {
        i32::try_from(child.id()).expect("fits")
    }

    #[track_caller]
    fn all_gone(mut leader: Child, mut output: impl Read) {
        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("reads to the end");
        assert_eq!(rest, "");
        assert!(!leader.wait().expect("is reaped").success());
    }

    #[test]
    fn dropping_a_group_ends_grandchildren() {
        let (leader, output) = family();
        drop(Group::of(id(&leader)));
        all_gone(leader, output);
    }

    #[test]
    fn a_watchdog_that_loses_its_master_ends_the_group() {
        let (leader, output) = family();
        let mut watchdog = watchdog(id(&leader)).expect("starts");
        drop(watchdog.stdin.take());
        all_gone(leader, output);
        watchdog.wait().expect("is reaped");
    }

    #[test]
    fn a_dismissed_watchdog_leaves_the_group_alone() {
        let (mut leader, output) = family();
        let mut watchdog = watchdog(id(&leader)).expect("starts");
        dismiss(&mut watchdog);
        assert!(leader.try_wait().expect("can be asked").is_none());
        drop(Group::of(id(&leader)));
        all_gone(leader, output);
    }
}
