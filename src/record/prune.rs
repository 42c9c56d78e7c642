//! Recordings that a set of runs did not use.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::Path;

use serde::Serialize;

use super::library::survey;
use super::runs::Run;

/// What could be deleted, and what speaks against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Prune {
    /// Files and bytes, in order of names.
    pub unused: Vec<(String, u64)>,
    /// Recordings that were used.
    pub kept: usize,
    /// Why an unused file may still be needed.
    pub objections: Vec<String>,
}

impl Prune {
    pub fn bytes(&self) -> u64 {
        self.unused.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// What is known of a file here.
#[derive(Debug, Clone)]
struct Shelved {
    file: String,
    size: u64,
    /// Lists of models with one key are served merged, so they are used together.
    list_key: Option<String>,
}

/// Compares the recordings below `dir` with what `runs` used. Files that cannot be read are never counted as unused.
pub fn prune(dir: &Path, runs: &[Run]) -> Prune {
    let found = survey(dir, |volume| Shelved {
        size: volume.size,
        list_key: volume.entry.is_model_list.then_some(volume.entry.key),
        file: volume.entry.file,
    });
    plan(&found.items, runs)
}

fn plan(files: &[Shelved], runs: &[Run]) -> Prune {
    let used: BTreeSet<&str> = runs.iter().flat_map(Run::files).collect();
    let lists: HashSet<&str> = files
        .iter()
        .filter(|file| used.contains(file.file.as_str()))
        .filter_map(|file| file.list_key.as_deref())
        .collect();
    let is_used = |file: &Shelved| {
        used.contains(file.file.as_str()) || file.list_key.as_deref().is_some_and(|key| lists.contains(key))
    };
    let unused: Vec<_> =
        files.iter().filter(|f| !is_used(f)).map(|file| (file.file.clone(), file.size)).collect();
    let mut objections: Vec<_> = runs.iter().flat_map(|run| run.objections.clone()).collect();
    let here: HashSet<&str> = files.iter().map(|file| file.file.as_str()).collect();
    if let Some(strange) = used.iter().find(|file| !here.contains(*file)) {
        objections.push(format!("a run used {strange}, which is not here: was it another directory's?"));
    }
    if used.is_empty() {
        objections.push("no run used a recording".to_owned());
    }
    objections.dedup();
    Prune { kept: files.len() - unused.len(), unused, objections }
}

/// Deletes one file below `dir`.
///
/// # Errors
/// What the file system says, and [`io::ErrorKind::PermissionDenied`] for a file that lies elsewhere (by a symbolic link).
pub fn delete(dir: &Path, file: &str) -> io::Result<()> {
    let path = dir.join(file);
    let folder = path.parent().unwrap_or(dir).canonicalize()?;
    let is_link = std::fs::symlink_metadata(&path)?.is_symlink();
    if is_link || !folder.starts_with(dir.canonicalize()?) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it lies outside the recordings directory",
        ));
    }
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::library::tests::{chat, directory, name_of};
    use super::super::runs::tests::lines;
    use super::*;

    fn run(files: &[&str]) -> Run {
        Run::read(&lines(files, &json!({}))).unwrap()
    }

    #[test]
    fn what_no_run_used_is_unused() {
        let (one, two, three) = (chat("1", "a", &[]), chat("2", "a", &[]), chat("3", "a", &[]));
        let names = [&one, &two, &three].map(name_of);
        let files: Vec<_> =
            names.iter().zip([&one, &two, &three]).map(|(n, r)| (n.as_str(), r.to_json())).collect();
        let dir = directory(&[files, vec![("broken.json", "{".into())]].concat());
        let found = prune(dir.path(), &[run(&[&names[0]]), run(&[&names[1]])]);
        assert_eq!(found.unused, [(names[2].clone(), three.to_json().len() as u64)]);
        assert_eq!((found.kept, found.objections.len()), (2, 0));
        delete(dir.path(), &names[2]).unwrap();
        assert!(prune(dir.path(), &[run(&[&names[0], &names[1]])]).unused.is_empty());
    }

    #[test]
    fn lists_of_models_that_are_served_merged_stay_together() {
        let list = |file: &str| Shelved { file: file.into(), size: 1, list_key: Some("k".into()) };
        let found = plan(&[list("a.json"), list("b.json")], &[run(&["a.json"])]);
        assert!(found.unused.is_empty());
    }

    #[test]
    fn a_run_over_another_directory_is_an_objection() {
        assert!(plan(&[], &[run(&["x.json"])]).objections[0].contains("x.json"));
        assert_eq!(plan(&[], &[run(&[])]).objections, ["no run used a recording"]);
    }

    #[test]
    fn nothing_outside_the_directory_is_deleted() {
        let outside = directory(&[("a.json", "x".into())]);
        let dir = directory(&[]);
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("a.json"), dir.path().join("b.json")).unwrap();
        for file in ["link/a.json", "b.json", "../a.json"] {
            assert!(delete(dir.path(), file).is_err(), "{file}");
        }
        assert!(outside.path().join("a.json").exists());
    }
}
