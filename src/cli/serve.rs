//! `serve`: the in-process stack behind a port of 127.0.0.1.

use std::future::IntoFuture as _;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::args::ServeArgs;
use super::exit::ExitStatus;
use super::machine::Machine;
use super::signals::StopSignals;
use crate::stack::{RunConfig, Stack};
use crate::target::{StackSource, TargetSpec};

/// How long requests that are being answered when the stack is told to stop may take to end.
const FINISH_WITHIN: Duration = Duration::from_secs(30);

/// Serves until it is told to stop, and answers then what it was asked before.
pub(super) fn stack(args: &ServeArgs, machine: &Machine) -> Result<ExitStatus, String> {
    let source = match TargetSpec::parse(&args.stack_config) {
        Ok(TargetSpec::InProcess(source)) => source,
        Ok(_) => return usage("`serve` takes a distribution, a run.yaml or api=provider pairs"),
        Err(error) => return usage(&error.to_string()),
    };
    let env = &machine.env;
    let config = match &source {
        StackSource::Distribution(name) => RunConfig::distribution(name, env),
        StackSource::AdHoc(list) => RunConfig::ad_hoc(list, env),
        StackSource::File(path) => match std::fs::read_to_string(path) {
            Ok(text) => RunConfig::from_yaml(&text, &path.display().to_string(), env),
            Err(error) => return usage(&format!("cannot read {}: {error}", path.display())),
        },
    };
    let config = match config {
        Ok(config) => config,
        Err(error) => return usage(&error.to_string()),
    };
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    let mut signals = StopSignals::catch(&runtime)?;
    runtime.block_on(async {
        let listener = match TcpListener::bind(("127.0.0.1", args.port)).await {
            Ok(listener) => listener,
            Err(error) => {
                anstream::eprintln!("error: cannot listen on 127.0.0.1:{}: {error}", args.port);
                return Ok(ExitStatus::TargetDidNotStart);
            }
        };
        let stack = match Stack::start(config).await {
            Ok(stack) => stack,
            Err(error) => {
                anstream::eprintln!("error: {error}");
                return Ok(ExitStatus::TargetDidNotStart);
            }
        };
        for warning in stack.warnings() {
            anstream::eprintln!("warning: {warning}");
        }
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        anstream::println!("listening on http://{address}");
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = axum::serve(listener, stack.router())
            .with_graceful_shutdown(async move { drop(stopped.await) })
            .into_future();
        tokio::pin!(serving);
        tokio::select! {
            ended = &mut serving => return ended.map(|()| ExitStatus::Passed).map_err(|error| error.to_string()),
            () = signals.next() => {}
        }
        // From here on nobody new is let in.
        drop(stop);
        tokio::select! {
            ended = &mut serving => return ended.map(|()| ExitStatus::Passed).map_err(|error| error.to_string()),
            () = tokio::time::sleep(FINISH_WITHIN) => {}
            // Asked twice, it does not wait any longer.
            () = signals.next() => {}
        }
        anstream::eprintln!("error: stopped while requests were still being answered");
        Ok(ExitStatus::Interrupted)
    })
}

pub(super) fn usage(message: &str) -> Result<ExitStatus, String> {
    anstream::eprintln!("error: {message}");
    Ok(ExitStatus::Usage)
}
