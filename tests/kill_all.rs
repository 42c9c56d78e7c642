//! `kill_all` ends every server of this process, so it has a process of its own here.

#![cfg(target_os = "linux")]

use std::io::Read;
use std::os::fd::AsRawFd;
use std::time::Duration;

use stack_runner::target::{LaunchSpec, free_port, kill_all, launch};

#[tokio::test]
async fn a_handler_ends_servers_with_their_children() {
    let (mut pipe, writer) = std::io::pipe().expect("makes a pipe");
    let folder = tempfile::tempdir().expect("makes a folder");
    // The pipe is at its end when neither process of the script is left.
    let script = format!(
        "exec 3>/proc/{}/fd/{}; (echo up >&3; exec sleep 60) & wait",
        std::process::id(),
        writer.as_raw_fd()
    );
    let spec = LaunchSpec {
        command: ["sh", "-c", &script].map(str::to_owned).to_vec(),
        env: Vec::new(),
        port: free_port().expect("finds a port"),
        ready_path: "/".to_owned(),
        within: Duration::from_secs(50),
        log: folder.path().join("server.log"),
        cwd: folder.path().to_owned(),
        secrets: Vec::new(),
    };
    let handler = tokio::task::spawn_blocking(move || {
        pipe.read_exact(&mut [0; 3]).expect("the script starts");
        drop(writer);
        kill_all();
        pipe.read_to_end(&mut Vec::new()).expect("reads to the end");
    });
    let error = launch(spec).await.expect_err("was killed").to_string();
    assert!(error.contains("ended before it was ready (signal: 9 (SIGKILL))"), "{error}");
    handler.await.expect("everything ends");
}
