//! A recordings directory that somebody else made, looked at before anything in it is read: nothing but plain files
//! with plain names, and none of a size that reading would notice.

use std::fs::{DirEntry, Metadata};
use std::io;
use std::path::Path;

use super::verify::{Finding, FindingKind};

/// Files of a directory; one with more was not made by a run.
const MOST_FILES: usize = 20_000;
/// Folders within folders; upstream's format has four.
const DEEPEST: usize = 8;
/// Characters of a name.
const LONGEST_NAME: usize = 128;

/// What a foreign directory may hold, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub file: u64,
    pub total: u64,
}

/// What does not belong there, in order of names. Links are not followed, and no file is opened.
pub fn inspect(dir: &Path, limits: Limits) -> Vec<Finding> {
    let mut inspection = Inspection { limits, files: 0, total: 0, findings: Vec::new() };
    match std::fs::symlink_metadata(dir) {
        Ok(meta) if meta.is_dir() => inspection.folder(dir, "", 0),
        Ok(_) => inspection.find(FindingKind::Stray, ".", "it is no directory", 0),
        Err(error) => inspection.find(FindingKind::Stray, ".", &error.to_string(), 0),
    }
    let Inspection { files, total, mut findings, .. } = inspection;
    if files > MOST_FILES {
        findings.push(finding(FindingKind::TooLarge, ".", &format!("more than {MOST_FILES} files"), total));
    } else if total > limits.total {
        let detail = format!("{total} bytes together, {} at most", limits.total);
        findings.push(finding(FindingKind::TooLarge, ".", &detail, total));
    }
    findings.sort_by(|a, b| a.file.cmp(&b.file));
    findings
}

struct Inspection {
    limits: Limits,
    files: usize,
    total: u64,
    findings: Vec<Finding>,
}

fn finding(kind: FindingKind, file: &str, detail: &str, size: u64) -> Finding {
    Finding { kind, file: file.to_owned(), other: None, detail: Some(detail.to_owned()), size }
}

impl Inspection {
    fn find(&mut self, kind: FindingKind, file: &str, detail: &str, size: u64) {
        self.findings.push(finding(kind, file, detail, size));
    }

    fn folder(&mut self, path: &Path, below: &str, depth: usize) {
        let entries = match std::fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<DirEntry>>>) {
            Ok(entries) => entries,
            Err(error) => return self.find(FindingKind::Stray, below, &error.to_string(), 0),
        };
        for entry in entries {
            // A directory without an end has been seen for what it is by then.
            if self.files > MOST_FILES {
                return;
            }
            self.files += 1;
            let name = entry.file_name().to_string_lossy().into_owned();
            let file = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            match entry.metadata() {
                Ok(meta) if meta.is_dir() && depth + 1 >= DEEPEST => {
                    self.find(FindingKind::Stray, &file, "it lies too deep", 0);
                }
                Ok(meta) if meta.is_dir() && is_plain(&name) => self.folder(&entry.path(), &file, depth + 1),
                Ok(meta) => self.file(&name, &file, &meta),
                Err(error) => self.find(FindingKind::Stray, &file, &error.to_string(), 0),
            }
        }
    }

    /// `meta` is the entry's own, and not that of what a link points to.
    fn file(&mut self, name: &str, file: &str, meta: &Metadata) {
        let size = meta.len();
        if meta.is_file() {
            self.total = self.total.saturating_add(size);
        }
        let wrong = if meta.is_symlink() {
            "it is a link"
        } else if !meta.is_file() && !meta.is_dir() {
            "it is no plain file"
        } else if meta.is_dir() || !is_plain(name) {
            "its name has other characters than letters, digits, `-`, `_` and `.`, begins with a dot, or is too long"
        } else if !has_extension(name) {
            "it is no .json file"
        } else if is_executable(meta) {
            "it may be executed"
        } else {
            if size > self.limits.file {
                let detail = format!("{size} bytes, {} at most", self.limits.file);
                self.find(FindingKind::TooLarge, file, &detail, size);
            }
            return;
        };
        self.find(FindingKind::Stray, file, wrong, size);
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.starts_with('.') && name.len() <= LONGEST_NAME && name.chars().all(plain)
}

fn has_extension(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "json")
}

#[cfg(unix)]
fn is_executable(meta: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    meta.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &Metadata) -> bool {
    false
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { file: 10, total: 100 };

    fn found(make: impl Fn(&Path)) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("responses")).unwrap();
        std::fs::write(dir.path().join("responses/0123abcd-2.json"), "{}").unwrap();
        make(dir.path());
        let line = |f: Finding| format!("{} {}: {}", f.kind.as_str(), f.file, f.detail.unwrap_or_default());
        inspect(dir.path(), LIMITS).into_iter().map(line).collect()
    }

    fn check(make: impl Fn(&Path), want: &[&str]) {
        let found = found(make);
        let same = found.len() == want.len() && found.iter().zip(want).all(|(f, w)| f.starts_with(w));
        assert!(same, "{found:?}, not {want:?}");
    }

    #[test]
    fn plain_files_are_all_that_is_let_in() {
        check(|_| (), &[]);
        check(
            |dir| std::os::unix::fs::symlink("/etc/passwd", dir.join("responses/a.json")).unwrap(),
            &["stray responses/a.json: it is a link"],
        );
        check(
            |dir| std::os::unix::fs::symlink("responses", dir.join("more")).unwrap(),
            &["stray more: it is a link"],
        );
        let write = |name: &'static str| move |dir: &Path| std::fs::write(dir.join(name), "{}").unwrap();
        check(write("responses/a b.json"), &["stray responses/a b.json: its name has"]);
        check(write("responses/.json"), &["stray responses/.json: its name has"]);
        check(write("index.sqlite"), &["stray index.sqlite: it is no .json file"]);
        check(
            |dir| {
                std::fs::create_dir(dir.join(".git")).unwrap();
                std::fs::write(dir.join(".git/config.json"), "{}").unwrap();
            },
            &["stray .git: its name has"],
        );
        check(
            |dir| std::fs::create_dir_all(dir.join("a/b/c/d/e/f/g/h/i")).unwrap(),
            &["stray a/b/c/d/e/f/g/h: it lies too deep"],
        );
        check(
            |dir| {
                use std::os::unix::fs::PermissionsExt;
                let path = dir.join("a.json");
                std::fs::write(&path, "{}").unwrap();
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
            },
            &["stray a.json: it may be executed"],
        );
        check(
            |dir| drop(std::os::unix::net::UnixListener::bind(dir.join("a.json")).unwrap()),
            &["stray a.json: it is no plain file"],
        );
    }

    #[test]
    fn sizes_have_limits() {
        let write = |name: &'static str, size: usize| {
            move |dir: &Path| std::fs::write(dir.join(name), "x".repeat(size)).unwrap()
        };
        check(write("a.json", 10), &[]);
        check(write("a.json", 11), &["too-large a.json: 11 bytes, 10 at most"]);
        check(
            |dir| {
                (0..10).for_each(|n| std::fs::write(dir.join(format!("{n}.json")), "x".repeat(10)).unwrap());
            },
            &["too-large .: 102 bytes together, 100 at most"],
        );
        assert_eq!(inspect(Path::new("/nowhere/at/all"), LIMITS).len(), 1);
    }
}
