//! `serve` and `proxy`: the in-process stack, or the record/replay proxy, behind a port of 127.0.0.1.

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::args::{ProxyArgs, ServeArgs};
use super::exit::ExitStatus;
use super::machine::Machine;
use crate::record::{self, ProviderUpstream, ProxyOptions};
use crate::secret::Redactor;
use crate::stack::{RunConfig, Stack};
use crate::target::{StackSource, TargetSpec};

/// Serves until it is told to stop.
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
        axum::serve(listener, stack.router())
            .with_graceful_shutdown(stop_signal())
            .await
            .map_err(|error| error.to_string())?;
        Ok(ExitStatus::Passed)
    })
}

/// Serves the proxy alone and prints the address each provider has behind it.
pub(super) fn proxy(args: &ProxyArgs, machine: &Machine) -> Result<ExitStatus, String> {
    let providers = args
        .providers
        .iter()
        .map(|(name, url)| ProviderUpstream { name: name.clone(), base_url: url.clone(), api_key: None })
        .collect();
    let options = ProxyOptions {
        mode: args.inference_mode,
        dir: machine.cwd.join(&args.recording_dir),
        providers,
        setup: None,
        secrets: Redactor::from_env(&machine.env).values().to_vec(),
        mask_hosts: record::mask_hosts(&machine.env),
        port: args.port,
    };
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let proxy = match record::start(options).await {
            Ok(proxy) => proxy,
            Err(error) => {
                anstream::eprintln!("error: {error}");
                return Ok(ExitStatus::Usage);
            }
        };
        for (name, _) in &args.providers {
            anstream::println!("{name}: {}", proxy.url(name));
        }
        stop_signal().await;
        Ok(ExitStatus::Passed)
    })
}

fn usage(message: &str) -> Result<ExitStatus, String> {
    anstream::eprintln!("error: {message}");
    Ok(ExitStatus::Usage)
}

async fn stop_signal() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
