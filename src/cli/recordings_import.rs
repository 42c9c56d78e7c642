//! `recordings import`.

use std::path::Path;

use serde_json::json;

use super::args::ListFormat;
use super::exit::ExitStatus;
use super::recordings::{Desk, ImportArgs, Refused};
use super::recordings_look::warn;
use super::recordings_text::{files, json as pretty};
use crate::record::har::{self, Options};
use crate::record::import::{Import, Skip, plan};
use crate::record::library::{Volume, of_recording, survey, volume};
use crate::record::{FileFormat, Scrubber, scrub};

/// Skipped sources that are printed.
const SHOWN: usize = 10;

/// What was found at the sources.
#[derive(Default)]
struct Found {
    candidates: Vec<Volume>,
    skipped: Vec<Skip>,
    secrets: Vec<String>,
}

pub(super) fn import(desk: &Desk, args: &ImportArgs) -> Result<ExitStatus, Refused> {
    let mut found = Found::default();
    for source in &args.sources {
        read(desk, args, source, &mut found)?;
    }
    let scrubber = Scrubber::new([desk.secrets.clone(), found.secrets].concat());
    let mut candidates = Vec::with_capacity(found.candidates.len());
    for mut candidate in found.candidates {
        match scrub::apply(&scrubber, &mut candidate.recording) {
            Ok(()) => {
                candidate.refresh();
                candidates.push(candidate);
            }
            Err(because) => found.skipped.push(Skip { source: candidate.entry.file, because }),
        }
    }
    let existing = match std::fs::create_dir_all(&desk.dir) {
        Ok(()) => survey(&desk.dir, |volume| volume),
        Err(error) => return Err(format!("cannot make {}: {error}", desk.dir.display())),
    };
    let native = existing.items.into_iter().filter(|volume| volume.entry.format == FileFormat::Native);
    let mut import = plan(candidates, native.map(|volume| (volume.entry.file, volume.recording)).collect());
    import.skipped.splice(0..0, found.skipped);
    if !args.dry_run {
        for write in &import.writes {
            let written = write.write(&desk.dir, &scrubber);
            written.map_err(|error| format!("cannot write {}: {error}", write.file))?;
        }
    }
    match desk.format {
        ListFormat::Json => anstream::println!("{}", scrubber.text(&as_json(&import, args.dry_run))),
        ListFormat::Text => anstream::println!("{}", scrubber.text(&readable(desk, &import, args.dry_run))),
    }
    warn(&existing.problems);
    Ok(ExitStatus::Passed)
}

/// A directory of recordings, one of its files, or an HTTP archive.
fn read(desk: &Desk, args: &ImportArgs, source: &Path, found: &mut Found) -> Result<(), Refused> {
    let path = desk.cwd.join(source);
    let shown = source.display();
    let same =
        |a: &Path, b: &Path| a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b);
    if path.is_dir() {
        if same(&path, &desk.dir) {
            return Err(format!(
                "{shown} is the directory that is imported into; name another with --recording-dir"
            ));
        }
        let survey = survey(&path, |volume| volume);
        found.candidates.extend(survey.items);
        let problem = |p: &crate::record::RecordingProblem| Skip {
            source: p.file.display().to_string(),
            because: p.to_string(),
        };
        found.skipped.extend(survey.problems.iter().map(problem));
        if survey.skipped > 0 {
            let because = format!("{} without a provider call", files(survey.skipped));
            found.skipped.push(Skip { source: shown.to_string(), because });
        }
        return Ok(());
    }
    let text = std::fs::read_to_string(&path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let is_har = path.extension().is_some_and(|extension| extension == "har");
    if is_har || serde_json::from_str(&text).is_ok_and(|value| har::is_archive(&value)) {
        let options = Options {
            providers: args.provider.clone(),
            trial: args.trial.clone(),
            setup: args.setup.clone(),
        };
        let archive =
            har::read(&shown.to_string(), &text, &options).map_err(|error| format!("{shown}:{error}"))?;
        found.skipped.extend(archive.skipped);
        found.secrets.extend(archive.secrets);
        found
            .candidates
            .extend(archive.recordings.into_iter().map(|(name, recording)| of_recording(&name, recording)));
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match volume(folder, &name) {
        Ok(Some(volume)) => found.candidates.push(volume),
        Ok(None) => {
            found.skipped.push(Skip { source: shown.to_string(), because: "no provider call".to_owned() });
        }
        Err(problem) => return Err(problem.to_string()),
    }
    Ok(())
}

fn as_json(import: &Import, dry_run: bool) -> String {
    let write = |w: &crate::record::import::Write| json!({"file": w.file, "extends": w.extends, "sources": w.sources});
    let writes: Vec<_> = import.writes.iter().map(write).collect();
    pretty(
        &json!({"dry_run": dry_run, "writes": writes, "skipped": import.skipped, "present": import.present}),
    )
}

fn readable(desk: &Desk, import: &Import, dry_run: bool) -> String {
    let mut text = String::new();
    for skip in import.skipped.iter().take(SHOWN) {
        text.push_str(&format!("skipped {}: {}\n", skip.source, skip.because));
    }
    if import.skipped.len() > SHOWN {
        text.push_str(&format!(
            "and {} more skipped (--format json lists them)\n",
            import.skipped.len() - SHOWN
        ));
    }
    let made: usize = import.writes.iter().map(|write| write.sources.len()).sum();
    let extended = import.writes.iter().filter(|write| write.extends).count();
    let verb = if dry_run { "would become" } else { "became" };
    text.push_str(&format!(
        "{made} recordings {verb} {} in {} ({extended} there already and extended), {} were there, {} skipped",
        files(import.writes.len()),
        desk.dir.display(),
        import.present,
        import.skipped.len()
    ));
    text
}
