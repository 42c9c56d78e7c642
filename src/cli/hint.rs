//! A run's own flags as the command that records: only what differs from the defaults, and no secrets.

use super::run::Prepared;
use crate::exec::hint::RecordCommand;
use crate::plan::resolve::Origin;
use crate::record::Mode;
use crate::secret::looks_secret;

/// The command that would record what this run lacks.
pub(super) fn record_command(prepared: &Prepared<'_>) -> RecordCommand {
    let (options, settings) = (&prepared.options, &prepared.settings);
    let mut flags = Vec::new();
    let mut flag = |name: &str, value: &str| flags.push(format!("--{name}={value}"));
    if let Some((setup, _)) = &settings.setup {
        flag("setup", &setup.name.value);
    }
    for (parameter, _) in &settings.params {
        if let Some(value) = options.inputs.params.get(&parameter.name) {
            flag(&parameter.flag(), value);
        }
    }
    for (name, value) in options.inputs.env_flags.iter().filter(|(name, _)| !looks_secret(name)) {
        flag("env", &format!("{name}={value}"));
    }
    if options.target.origin != Origin::BuiltIn {
        flag("stack-config", &options.target.value);
    }
    if options.stack != super::args::DEFAULT_STACK {
        flag("stack", &options.stack);
    }
    flag("inference-mode", Mode::RecordIfMissing.as_str());
    if options.recordings.origin != Origin::BuiltIn {
        let dir = &options.recordings.value;
        flag("recording-dir", &dir.strip_prefix(&prepared.machine.cwd).unwrap_or(dir).to_string_lossy());
    }
    if let Some(root) = prepared.machine.root_flag() {
        flag("root", &root.to_string_lossy());
    }
    let mut selection: Vec<_> =
        options.selection.selectors.iter().map(|selector| selector.written().to_owned()).collect();
    selection.extend(settings.suite.as_ref().map(|(suite, _)| format!("--suite={}", suite.name.value)));
    selection.extend(options.keyword.iter().map(|keyword| format!("-k={keyword}")));
    RecordCommand { flags, selection }
}
