//! `recordings why`: for a request, a recorded file or a trial of a run.

use std::io::Read;
use std::path::Path;

use serde_json::json;

use super::args::ListFormat;
use super::exit::ExitStatus;
use super::recordings::{Desk, Refused, WhyArgs, read_run};
use super::recordings_look::open;
use super::recordings_text::{indented, json as pretty, table};
use crate::record::TrialTag;
use crate::record::WireRequest;
use crate::record::runs::{Run, RunMatch, RunTrial};
use crate::record::why::{Considered, Verdict, Why, why as explain};
use crate::record::{library, request_file};
use crate::source::nearest::nearest;

/// Differences of one recording that are printed.
const DIFFERENCES_SHOWN: usize = 8;

/// One request that is explained, and what a run says about it.
struct Asked {
    title: Option<String>,
    request: WireRequest,
    trial: Option<TrialTag>,
}

pub(super) fn why(desk: &Desk, args: &WhyArgs) -> Result<ExitStatus, Refused> {
    let dir = desk.opened()?;
    let (asked, notes) = match (&args.run, args.what.as_deref()) {
        (Some(run), what) => of_run(dir, run, what)?,
        (None, Some("-")) => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| format!("cannot read standard input: {error}"))?;
            let request = request_file::read(&text).map_err(|error| format!("<stdin>:{error}"))?;
            (vec![Asked { title: None, request, trial: None }], Vec::new())
        }
        (None, Some(what)) => (vec![of_file(desk, what)?], Vec::new()),
        (None, None) => {
            return Err(
                "name a request file, a recording, or `-` for standard input; or --run FILE.jsonl".to_owned()
            );
        }
    };
    let explained: Vec<(Option<String>, Why)> = asked
        .into_iter()
        .map(|asked| {
            let tag = |id: &String| TrialTag { id: id.clone(), aliases: Vec::new() };
            let trial = args.trial.as_ref().map(tag).or(asked.trial);
            (asked.title, explain(dir, &asked.request, trial, args.nearest))
        })
        .collect();
    if desk.format == ListFormat::Json {
        let calls: Vec<_> = explained.iter().map(|(title, why)| json!({"call": title, "why": why})).collect();
        anstream::println!("{}", pretty(&json!({"calls": calls, "notes": notes})));
    } else {
        for (i, (title, why)) in explained.iter().enumerate() {
            if i > 0 {
                anstream::println!();
            }
            if let Some(title) = title {
                anstream::println!("{title}");
            }
            anstream::println!("{}", readable(why));
        }
        notes.iter().for_each(|note| anstream::println!("{note}"));
    }
    Ok(ExitStatus::Passed)
}

/// A request file, or a recording as its own trial would ask for it.
fn of_file(desk: &Desk, what: &str) -> Result<Asked, Refused> {
    let path = Path::new(what);
    let inside =
        path.canonicalize().ok().zip(desk.dir.canonicalize().ok()).is_some_and(|(p, d)| p.starts_with(d));
    if path.is_file() && !inside {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {what}: {error}"))?;
        let request = request_file::read(&text).map_err(|error| format!("{what}:{error}"))?;
        return Ok(Asked { title: None, request, trial: None });
    }
    let volume = open(desk, what)?;
    let owner = volume.recording.meta.trials.iter().find_map(|owner| owner.id.clone());
    let title = Some(format!("the request of {}", volume.entry.file));
    let trial = owner.map(|id| TrialTag { id, aliases: Vec::new() });
    Ok(Asked { title, request: volume.recording.request.wire, trial })
}

/// The calls of one trial of a run, or every miss of the run.
fn of_run(dir: &Path, run: &Path, what: Option<&str>) -> Result<(Vec<Asked>, Vec<String>), Refused> {
    let run: Run = read_run(run)?;
    let chosen: Vec<&RunTrial> = match what {
        None => run.trials.iter().collect(),
        Some(id) => {
            let Some(trial) = run.trials.iter().find(|t| t.id == id || t.upstream.as_deref() == Some(id))
            else {
                let known = run.trials.iter().map(|trial| trial.id.as_str());
                let hint =
                    nearest(id, known).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
                return Err(format!("the run has no trial {id}{hint}"));
            };
            vec![trial]
        }
    };
    let (mut asked, mut notes) = (Vec::new(), Vec::new());
    let wanted = |used: &&RunMatch| what.is_some() || used.tier == "miss";
    for trial in &chosen {
        let tag = TrialTag { id: trial.id.clone(), aliases: trial.upstream.iter().cloned().collect() };
        for used in trial.matches.iter().filter(wanted) {
            match of_match(dir, used, Some((trial.id.as_str(), tag.clone()))) {
                Ok(one) => asked.push(one),
                Err(note) => notes.push(note),
            }
        }
    }
    if what.is_none() {
        for used in run.others.iter().filter(wanted) {
            match of_match(dir, used, None) {
                Ok(one) => asked.push(one),
                Err(note) => notes.push(note),
            }
        }
    }
    if asked.is_empty() && notes.is_empty() {
        notes.push(match what {
            Some(id) => format!("{id} made no provider calls"),
            None => "the run had no misses; name a trial to see its matches".to_owned(),
        });
    }
    Ok((asked, notes))
}

fn of_match(dir: &Path, used: &RunMatch, trial: Option<(&str, TrialTag)>) -> Result<Asked, String> {
    let RunMatch { provider, endpoint, tier, file, request } = used;
    let who = trial.as_ref().map(|(id, _)| format!("{id}: ")).unwrap_or_default();
    let from = file.as_ref().map(|file| format!(" from {file}")).unwrap_or_default();
    let title = format!("{who}{provider} {endpoint} ({tier}{from})");
    let tag = trial.map(|(_, tag)| tag);
    if let Some(request) = request {
        let request = request_file::of(request).map_err(|error| format!("{title}:{error}"))?;
        return Ok(Asked { title: Some(title), request, trial: tag });
    }
    let Some(file) = file else { return Err(format!("{title}: the run does not say what was asked")) };
    match library::volume(dir, file) {
        Ok(Some(volume)) => {
            Ok(Asked { title: Some(title), request: volume.recording.request.wire, trial: tag })
        }
        Ok(None) => Err(format!("{title}: {file} holds no provider call")),
        Err(problem) => Err(format!("{title}: {problem}")),
    }
}

fn readable(why: &Why) -> String {
    let mut text = format!("{} {} (provider {})\n", why.method, why.path, why.provider);
    let who = why.trial.as_deref().unwrap_or("no trial in particular");
    text.push_str(&format!(
        "  key      {}\n  asked by {who}\n  result   {}\n",
        why.key,
        verdict(&why.verdict)
    ));
    text.push_str("tiers\n");
    let rows = why.tiers.iter().map(|tier| {
        let change = tier.changes.first().cloned().unwrap_or_else(|| "-".to_owned());
        let more = match tier.changes.len() {
            0 | 1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        vec![format!("  {}", tier.name), format!("{} equal", tier.equal), format!("{change}{more}")]
    });
    text.push_str(&table(&rows.collect::<Vec<_>>(), &[1]));
    text.push_str("\nconsidered\n");
    for considered in &why.considered {
        text.push_str(&recording(considered));
    }
    if why.considered.is_empty() {
        text.push_str("  nothing is recorded for this endpoint\n");
    }
    for (reason, count) in &why.rest {
        text.push_str(&format!("  {count} more: {reason}\n"));
    }
    text.trim_end().to_owned()
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Served { file, normalisers, scope } if normalisers.is_empty() => {
            format!("{file}: exact, {scope}")
        }
        Verdict::Served { file, normalisers, scope } => {
            format!("{file}: after {}, {scope}", normalisers.join(", "))
        }
        Verdict::Merged { files } => format!("{} lists of models, merged", files.len()),
        Verdict::Ambiguous { files } => {
            format!("miss: {} recordings look alike and answer differently", files.len())
        }
        Verdict::Miss => "miss: no recording is equal at any tier".to_owned(),
    }
}

fn recording(considered: &Considered) -> String {
    let mut text = format!("  {}\n    {}\n", considered.file, considered.because);
    let shown = considered.differences.iter().take(DIFFERENCES_SHOWN);
    let lines: Vec<_> = shown.map(ToString::to_string).collect();
    if !lines.is_empty() {
        text.push_str(&indented(&lines.join("\n"), 3));
        text.push('\n');
    }
    let more = considered.differences.len().saturating_sub(DIFFERENCES_SHOWN);
    if more > 0 {
        text.push_str(&format!("      and {more} more\n"));
    }
    text
}
