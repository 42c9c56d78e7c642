//! What became of the files of a recordings directory between two moments.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::scan;

/// The content of every recording file at one moment, as hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, [u8; 32]>);

/// Files by what became of them, in order of names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

impl Snapshot {
    /// Reads a directory; one that does not exist is empty. Files that cannot be read are left out: whoever needs
    /// them says so.
    pub fn of(dir: &Path) -> Self {
        let hash = |file: String| {
            let bytes = std::fs::read(dir.join(&file)).ok()?;
            Some((file, Sha256::digest(bytes).into()))
        };
        Self(scan::list(dir, &mut Vec::new()).into_iter().filter_map(|listed| hash(listed.file)).collect())
    }

    /// What has to happen to this one to become `later`.
    pub fn until(&self, later: &Self) -> Changes {
        let mut changes = Changes::default();
        for (file, content) in &later.0 {
            match self.0.get(file) {
                None => changes.added.push(file.clone()),
                Some(before) if before != content => changes.changed.push(file.clone()),
                Some(_) => {}
            }
        }
        changes.removed = self.0.keys().filter(|file| !later.0.contains_key(*file)).cloned().collect();
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_what_became_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| std::fs::write(dir.path().join(file), text).unwrap();
        for file in ["same.json", "other.json", "gone.json", "no-recording.txt"] {
            write(file, "{}");
        }
        let before = Snapshot::of(dir.path());
        write("other.json", "{ }");
        write("new.json", "{}");
        write("no-recording.txt", "");
        std::fs::remove_file(dir.path().join("gone.json")).unwrap();
        let changes = before.until(&Snapshot::of(dir.path()));
        assert_eq!(
            (changes.added, changes.changed, changes.removed),
            (vec!["new.json".to_owned()], vec!["other.json".to_owned()], vec!["gone.json".to_owned()])
        );
        assert_eq!(Snapshot::of(&dir.path().join("nowhere")), Snapshot::default());
    }
}
