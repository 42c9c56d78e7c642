//! Where a project lies and which YAML files it has.

use std::path::{Path, PathBuf};

/// A directory with `suites/` and `test_cases/`, and the files below it.
#[derive(Debug, Clone)]
pub struct Project {
    pub root: PathBuf,
}

/// The folders of a project that hold definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    Suites,
    Setups,
    Stacks,
    Fixtures,
    TestCases,
    Expectations,
    /// Read where a suite or a case names a file of it.
    Shapes,
}

impl Folder {
    pub fn name(self) -> &'static str {
        match self {
            Self::Suites => "suites",
            Self::Setups => "setups",
            Self::Stacks => "stacks",
            Self::Fixtures => "fixtures",
            Self::TestCases => "test_cases",
            Self::Expectations => "expectations",
            Self::Shapes => "shapes",
        }
    }
}

impl Project {
    /// The nearest directory from `start` upwards that holds `suites/` and `test_cases/`.
    pub fn find(start: &Path) -> Option<Self> {
        let is_root = |dir: &&Path| dir.join("suites").is_dir() && dir.join("test_cases").is_dir();
        start.ancestors().find(is_root).map(|root| Self { root: root.to_owned() })
    }

    /// Every `.yaml`/`.yml` file below a folder, relative to the root, in a stable order.
    ///
    /// # Errors
    /// The path and the system's reason, when a directory cannot be read.
    pub fn files(&self, folder: Folder) -> Result<Vec<PathBuf>, (PathBuf, std::io::Error)> {
        self.files_below(Path::new(folder.name()))
    }

    /// The same below a path from the root; none where there is no such directory.
    ///
    /// # Errors
    /// As [`Project::files`].
    pub fn files_below(&self, path: &Path) -> Result<Vec<PathBuf>, (PathBuf, std::io::Error)> {
        let mut found = Vec::new();
        let top = self.root.join(path);
        if top.is_dir() {
            walk(&top, &mut found)?;
        }
        let mut relative: Vec<PathBuf> = found
            .into_iter()
            .filter_map(|path| path.strip_prefix(&self.root).map(Path::to_owned).ok())
            .collect();
        relative.sort();
        Ok(relative)
    }
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), (PathBuf, std::io::Error)> {
    let entries = std::fs::read_dir(dir).map_err(|error| (dir.to_owned(), error))?;
    for entry in entries {
        let path = entry.map_err(|error| (dir.to_owned(), error))?.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml") {
            found.push(path);
        }
    }
    Ok(())
}
