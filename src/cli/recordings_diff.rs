//! `recordings diff`.

use std::time::Duration;

use serde_json::json;

use super::args::ListFormat;
use super::exit::ExitStatus;
use super::recordings::{Desk, DiffArgs, Refused};
use super::recordings_look::{open, warn};
use super::recordings_text::{count, json as pretty};
use crate::record::compare::{Comparison, Depth, Request, answers, directories};
use crate::record::live;

/// How long a provider may take to answer.
const LIVE_LIMIT: Duration = Duration::from_secs(300);

/// Exit status 1 when there are differences.
pub(super) fn diff(desk: &Desk, args: &DiffArgs) -> Result<ExitStatus, Refused> {
    let depth = if args.values { Depth::Values } else { Depth::Structure };
    match &args.b {
        Some(b) => of_directories(desk, &args.a, b, depth),
        None => with_live(desk, args, depth),
    }
}

fn of_directories(desk: &Desk, a: &str, b: &str, depth: Depth) -> Result<ExitStatus, Refused> {
    let (a, b) = (desk.cwd.join(a), desk.cwd.join(b));
    for dir in [&a, &b] {
        if !dir.is_dir() {
            return Err(format!("{} is no directory (to compare with a provider: --live)", dir.display()));
        }
    }
    let (comparison, problems) = directories(&a, &b, depth);
    match desk.format {
        ListFormat::Json => anstream::println!("{}", pretty(&comparison)),
        ListFormat::Text => anstream::println!("{}", readable(&comparison)),
    }
    warn(&problems);
    Ok(if comparison.is_same() { ExitStatus::Passed } else { ExitStatus::TestsFailed })
}

fn readable(comparison: &Comparison) -> String {
    let mut text = String::new();
    for changed in &comparison.changed {
        text.push_str(&format!("{} | {}\n  {}\n", changed.a.file, changed.b, request(&changed.a)));
        changed.drifts.iter().for_each(|drift| text.push_str(&format!("    {drift}\n")));
    }
    for (name, only) in [("A", &comparison.only_a), ("B", &comparison.only_b)] {
        if !only.is_empty() {
            text.push_str(&format!("only in {name}\n"));
        }
        only.iter().for_each(|one| text.push_str(&format!("  {}  {}\n", one.file, request(one))));
    }
    let (changed, a, b) = (comparison.changed.len(), comparison.only_a.len(), comparison.only_b.len());
    text + &format!("{} the same, {changed} changed, {a} only in A, {b} only in B", comparison.same)
}

fn request(request: &Request) -> String {
    let Request { provider, method, endpoint, model, .. } = request;
    format!("{method} {endpoint} ({provider} {model})").replace(" )", ")")
}

fn with_live(desk: &Desk, args: &DiffArgs, depth: Depth) -> Result<ExitStatus, Refused> {
    if !args.live {
        return Err("name a second directory, or --live to ask the provider".to_owned());
    }
    let volume = open(desk, &args.a)?;
    let provider = &volume.entry.provider;
    let Some((_, url)) = args.provider.iter().find(|(name, _)| name == provider) else {
        return Err(format!(
            "{} was recorded from {provider}; say where it is: --provider {provider}=URL",
            volume.entry.file
        ));
    };
    let key = desk.api_key(provider);
    let runtime =
        tokio::runtime::Runtime::new().map_err(|error| format!("cannot start the runtime: {error}"))?;
    let asked = live::ask(&volume.recording.request, url, key.as_deref(), LIVE_LIMIT);
    let answer = runtime.block_on(asked).map_err(|error| desk.scrubber.text(&error))?;
    let drifts = answers(&volume.recording.answer, &answer, depth);
    if desk.format == ListFormat::Json {
        let shown = json!({"file": volume.entry.file, "status": answer.status, "drifts": drifts});
        anstream::println!("{}", desk.scrubber.text(&pretty(&shown)));
    } else {
        for drift in &drifts {
            anstream::println!("{}", desk.scrubber.text(&drift.to_string()));
        }
        let found =
            if drifts.is_empty() { "no difference".to_owned() } else { count(drifts.len(), "difference") };
        anstream::println!("A is {}, B what {provider} answers now: {found}", volume.entry.file);
    }
    Ok(if drifts.is_empty() { ExitStatus::Passed } else { ExitStatus::TestsFailed })
}
