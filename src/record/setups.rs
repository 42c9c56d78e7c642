//! Which setups a directory of recordings was made with.

use std::collections::BTreeSet;
use std::path::Path;

use super::recording::Recording;
use super::scan;

/// The names of setups in the files' `meta`. Upstream's formats name none, and so does a file that is no recording.
///
/// # Errors
/// What cannot be read.
pub fn setups_recorded(dir: &Path) -> Result<BTreeSet<String>, String> {
    let mut problems = Vec::new();
    let listed = scan::list(dir, &mut problems);
    if let Some(problem) = problems.first() {
        return Err(problem.to_string());
    }
    let mut setups = BTreeSet::new();
    for file in listed {
        let text = std::fs::read(dir.join(&file.file)).map_err(|error| format!("{}: {error}", file.file))?;
        let recording =
            serde_json::from_slice(&text).ok().and_then(|value| Recording::from_value(value).ok());
        setups.extend(recording.and_then(|recording| recording.meta.setup));
    }
    Ok(setups)
}
