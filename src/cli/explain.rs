//! `explain`: every resolved value and where it came from; `--list`: the plan, in text or JSON.

use serde_json::json;

use super::args::ListFormat;
use super::options::RunOptions;
use crate::plan::resolve::{Origin, Resolved};
use crate::plan::{Plan, Settings};
use crate::secret::{MASK, looks_secret};

/// The plan, one trial a line.
pub(super) fn list(plan: &Plan, format: ListFormat) -> String {
    match format {
        ListFormat::Text => {
            let mut lines: Vec<String> = plan
                .trials
                .iter()
                .map(|trial| match &trial.skip {
                    Some(reason) => format!("{}  # skipped: {reason}", trial.id),
                    None => trial.id.clone(),
                })
                .collect();
            lines.push(crate::report::text::count(plan.trials.len(), "trial"));
            lines.join("\n")
        }
        ListFormat::Json => {
            let trials: Vec<_> = plan
                .trials
                .iter()
                .map(|trial| {
                    json!({
                        "id": trial.id, "place": trial.case.span.file_line(), "upstream": trial.upstream,
                        "skip": trial.skip, "description": trial.case.description,
                    })
                })
                .collect();
            serde_json::to_string_pretty(&trials).unwrap_or_default()
        }
    }
}

/// Names, values, origins, and what each value hides.
pub(super) fn explain(options: &RunOptions, settings: &Settings<'_>, plan: &Plan) -> String {
    let mut rows: Vec<[String; 3]> = Vec::new();
    let mut row = |name: &str, value: String, origin: String| rows.push([name.to_owned(), value, origin]);
    match &settings.suite {
        Some((suite, Origin::Suite(_))) => {
            row(
                "suite",
                suite.name.value.clone(),
                format!("default: true in {}", suite.name.span.file.path.display()),
            );
        }
        Some((suite, origin)) => row("suite", suite.name.value.clone(), origin.to_string()),
        None => row("suite", "(none: all cases)".into(), "built in".into()),
    }
    if let Some((suite, _)) = settings.suite.as_ref().filter(|(suite, _)| !suite.contract.is_empty()) {
        let files: Vec<&str> = suite.contract.iter().map(|name| name.as_str()).collect();
        row("contract", files.join(","), format!("suite {}", suite.name.value));
    }
    match &settings.setup {
        Some((setup, origin)) => row("setup", setup.name.value.clone(), origin.to_string()),
        None => row("setup", "(none)".into(), "built in".into()),
    }
    row("stack-config", options.target.value.clone(), origin(&options.target, std::clone::Clone::clone));
    row("stack", options.stack.clone(), String::new());
    row("inference-mode", options.mode.value.to_string(), origin(&options.mode, ToString::to_string));
    row(
        "recording-dir",
        options.recordings.value.display().to_string(),
        origin(&options.recordings, |v| v.display().to_string()),
    );
    row("replay-speed", options.replay_speed.to_string(), String::new());
    if let Some(shard) = &options.shard {
        row("shard", shard.value.to_string(), origin(shard, ToString::to_string));
    }
    row("jobs", options.jobs.to_string(), String::new());
    for (parameter, resolved) in &settings.params {
        let value = if resolved.value.is_empty() { "(none)".to_owned() } else { resolved.value.join(",") };
        row(&parameter.flag(), value, origin(resolved, |v| v.join(",")));
    }
    for (name, resolved) in &settings.env {
        // The process's own environment is the machine's; what the project or the user adds is what matters here.
        if resolved.origin == Origin::Environment && resolved.hides.is_empty() {
            continue;
        }
        let secret = looks_secret(name);
        let shown = |v: &String| if secret { MASK.to_owned() } else { v.clone() };
        row(&format!("env {name}"), shown(&resolved.value), origin(resolved, shown));
    }
    row("trials", plan.trials.len().to_string(), String::new());
    table(&rows)
}

fn origin<T>(resolved: &Resolved<T>, show: impl Fn(&T) -> String) -> String {
    let hides: Vec<String> =
        resolved.hides.iter().map(|(value, origin)| format!("{} ({origin})", show(value))).collect();
    match hides.as_slice() {
        [] => resolved.origin.to_string(),
        hides => format!("{}, hides {}", resolved.origin, hides.join(", ")),
    }
}

fn table(rows: &[[String; 3]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1).min(60));
    let line = |row: &[String; 3]| format!("{:<first$}  {:<second$}  {}", row[0], row[1], row[2]);
    rows.iter().map(|row| line(row).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
