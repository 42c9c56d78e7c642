//! Writing a file so that a crash at any moment leaves either the old content or the new.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes `bytes` to `path` by a hidden temporary file beside it. Hidden, so that no scan ever reads a half file.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when the file exists and `overwrite` is false; otherwise what the file system says.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], overwrite: bool) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("the path has no folder"))?;
    let mut file = tempfile::Builder::new()
        .prefix(".")
        .suffix(".tmp")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    if overwrite {
        file.persist(path)?;
    } else {
        file.persist_noclobber(path)?;
    }
    // The rename itself is only safe on disk once the folder is.
    std::fs::File::open(folder)?.sync_all()
}

/// Removes temporary files that killed runs left in `folder`. One that another runner may still be writing is younger than
/// `age`, and stays.
pub(crate) fn remove_leftovers(folder: &Path, age: std::time::Duration) {
    let is_ours = |name: &std::ffi::OsStr| {
        name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(".tmp"))
    };
    let is_old = |entry: &std::fs::DirEntry| {
        let modified = entry.metadata().and_then(|meta| meta.modified());
        modified.is_ok_and(|at| at.elapsed().is_ok_and(|passed| passed >= age))
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for leftover in entries.filter(|entry| is_ours(&entry.file_name()) && is_old(entry)) {
        // Harmless where it stays.
        let _ = std::fs::remove_file(leftover.path());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_old_leftovers_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".old.tmp", "a.json", ".hidden", "b.tmp"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        remove_leftovers(dir.path(), Duration::from_secs(3600));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4);
        remove_leftovers(dir.path(), Duration::ZERO);
        assert!(!dir.path().join(".old.tmp").exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_is_replaced_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomically(&path, b"one", false).unwrap();
        let refused = write_atomically(&path, b"two", false).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        write_atomically(&path, b"three", true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"three");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
