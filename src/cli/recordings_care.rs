//! `recordings verify`, `recordings scrub` and `recordings stats`.

use serde_json::json;

use super::args::ListFormat;
use super::exit::ExitStatus;
use super::recordings::{Desk, Refused, ScrubArgs, VerifyArgs};
use super::recordings_look::warn;
use super::recordings_text::{files, json as pretty, size, table};
use crate::record::figures::{Amount, DIMENSIONS, stats as count};
use crate::record::foreign::Limits;
use crate::record::library::{self, survey};
use crate::record::scrub::{Scrubbed, rewrite, scrub as scrubbed};
use crate::record::verify::{Finding, FindingKind, Report, verify as check, verify_foreign};

/// Findings of one kind that are printed without `--all`.
const SHOWN: usize = 10;

pub(super) fn verify(desk: &Desk, args: &VerifyArgs) -> Result<ExitStatus, Refused> {
    let report = if args.foreign {
        let limits = Limits { file: args.max_file, total: args.max_total };
        verify_foreign(&desk.dir, &desk.scrubber, limits)
    } else {
        check(desk.opened()?, &desk.scrubber)
    };
    if desk.format == ListFormat::Json {
        let counts: serde_json::Map<_, _> = report
            .counts()
            .into_iter()
            .map(|(kind, (count, bytes))| (kind.as_str().to_owned(), json!({"files": count, "bytes": bytes})))
            .collect();
        let mut shown = serde_json::to_value(&report).unwrap_or_default();
        shown["counts"] = counts.into();
        anstream::println!("{}", pretty(&shown));
    } else {
        anstream::println!("{}", verdict(&report, if args.all { usize::MAX } else { SHOWN }));
    }
    let bad = report.findings.iter().any(|finding| !args.allow.contains(&finding.kind));
    Ok(if bad { ExitStatus::TestsFailed } else { ExitStatus::Passed })
}

fn verdict(report: &Report, most: usize) -> String {
    let mut text = String::new();
    for (kind, (number, bytes)) in report.counts() {
        let of_kind: Vec<_> = report.findings.iter().filter(|finding| finding.kind == kind).collect();
        text.push_str(&format!(
            "{} ({}, {}): {}\n",
            kind.as_str(),
            files(number),
            size(bytes),
            kind.meaning()
        ));
        of_kind.iter().take(most).for_each(|finding| text.push_str(&line(finding)));
        if number > most {
            text.push_str(&format!("  and {} more (--all)\n", number - most));
        }
        text.push('\n');
    }
    let skipped = match report.skipped {
        0 => String::new(),
        n => format!(", {} without a provider call left out", files(n)),
    };
    let sum = format!("{} of recordings, {}{skipped}", files(report.recordings), size(report.bytes));
    let found = report.findings.len();
    text + &if found == 0 { format!("{sum}: clean") } else { format!("{sum}: {found} findings") }
}

fn line(finding: &Finding) -> String {
    let other = match (finding.kind, &finding.other) {
        (_, None) => String::new(),
        (FindingKind::Conflict | FindingKind::Shadowed, Some(other)) => format!(" (served: {other})"),
        (_, Some(other)) => format!(" (as {other})"),
    };
    match &finding.detail {
        // A problem's text begins with the file.
        Some(detail) if finding.kind == FindingKind::Unusable => format!("  {detail}\n"),
        Some(detail) => format!("  {}{other}: {detail}\n", finding.file),
        None => format!("  {}{other}\n", finding.file),
    }
}

pub(super) fn scrub(desk: &Desk, args: &ScrubArgs) -> Result<ExitStatus, Refused> {
    let dir = desk.opened()?;
    let look = |volume: library::Volume| {
        let path = dir.join(&volume.entry.file);
        let value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        Some((volume.entry.file, scrubbed(value, &desk.scrubber).ok()??))
    };
    let found = survey(dir, look);
    let dirty: Vec<(String, Scrubbed)> = found.items.into_iter().flatten().collect();
    let mut rows = Vec::new();
    for (file, change) in &dirty {
        let new = if args.write {
            rewrite(dir, file, change).map_err(|error| format!("cannot rewrite {file}: {error}"))?
        } else {
            file.clone()
        };
        rows.push((file, new, change));
    }
    if desk.format == ListFormat::Json {
        let row = |(file, new, change): &(&String, String, &Scrubbed)| json!({"file": file, "now": new, "places": change.places});
        let shown: Vec<_> = rows.iter().map(row).collect();
        anstream::println!("{}", pretty(&json!({"written": args.write, "files": shown})));
    } else {
        for (file, new, change) in &rows {
            let renamed = if *file == new { String::new() } else { format!(" -> {new}") };
            anstream::println!("{file}{renamed}: {}", change.places.join(", "));
        }
        let done = if args.write { "scrubbed" } else { "would change (--write rewrites them)" };
        anstream::println!("{} {done}", files(rows.len()));
    }
    warn(&found.problems);
    Ok(ExitStatus::Passed)
}

pub(super) fn stats(desk: &Desk) -> Result<ExitStatus, Refused> {
    let (stats, problems) = count(desk.opened()?);
    if desk.format == ListFormat::Json {
        anstream::println!("{}", pretty(&stats));
    } else {
        let cells = |name: &str, amount: &Amount| {
            let tokens = format!("{}+{}", amount.prompt_tokens, amount.completion_tokens);
            vec![name.to_owned(), amount.files.to_string(), size(amount.bytes), tokens]
        };
        let heading = |name: &str| {
            ["", "files", "bytes", "tokens"].map(|h| if h.is_empty() { name } else { h }.to_owned()).to_vec()
        };
        let mut rows =
            vec![heading(""), cells("total", &stats.total), cells("duplicates", &stats.duplicates)];
        for dimension in DIMENSIONS {
            rows.extend([vec![], vec![dimension.to_owned()]]);
            let amounts = stats.by.get(dimension).into_iter().flatten();
            rows.extend(amounts.map(|(label, amount)| cells(&format!("  {label}"), amount)));
        }
        anstream::println!("{}", table(&rows, &[1, 2, 3]));
        anstream::println!("\nlargest");
        let largest: Vec<_> =
            stats.largest.iter().map(|(f, bytes)| vec![format!("  {f}"), size(*bytes)]).collect();
        anstream::println!("{}", table(&largest, &[1]));
        if stats.skipped > 0 {
            anstream::println!("\n{} without a provider call left out", files(stats.skipped));
        }
    }
    warn(&problems);
    Ok(ExitStatus::Passed)
}
