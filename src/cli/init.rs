//! `runner init`: a small project that is green at once. Existing files are never touched.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::ExitStatus;
use super::machine::Machine;
use super::scaffold::{self, Planned};
use crate::source::project::Project;

#[derive(Debug, Clone, Args)]
pub(super) struct InitArgs {
    /// Where the project goes; it is made when it does not exist
    #[arg(value_name = "DIR", default_value = ".", value_hint = clap::ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Keep files that exist and write only the others
    #[arg(long)]
    pub keep: bool,
}

/// Where a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Project,
    /// The root of the Git repository around the project, where services look for workflows; the project where there
    /// is none.
    Repository,
}

/// Writes the project, or says everything that is in the way.
pub(super) fn init(args: &InitArgs, machine: &Machine) -> ExitStatus {
    let result = Target::of(&machine.cwd.join(&args.dir)).and_then(|target| target.write(args.keep));
    match result {
        Ok(written) => {
            anstream::println!("{}", said(&written, &args.dir));
            ExitStatus::Passed
        }
        Err(message) => {
            anstream::eprintln!("error: {message}");
            ExitStatus::Usage
        }
    }
}

/// The folders that are written to.
struct Target {
    project: PathBuf,
    repository: PathBuf,
    /// The project as seen from the repository, with `/`.
    within: String,
}

impl Target {
    fn of(dir: &Path) -> Result<Self, String> {
        fs::create_dir_all(dir).map_err(|error| format!("{} cannot be made: {error}", dir.display()))?;
        let project = dir.canonicalize().map_err(|error| format!("{}: {error}", dir.display()))?;
        let repository = project.ancestors().find(|dir| dir.join(".git").exists());
        let repository = repository.unwrap_or(&project).to_owned();
        let within = match project.strip_prefix(&repository) {
            Ok(path) if path.as_os_str().is_empty() => ".".to_owned(),
            Ok(path) => {
                path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
            }
            Err(error) => return Err(format!("{}: {error}", project.display())),
        };
        // It becomes a quoted string of YAML.
        if within.contains(['"', '\\']) || within.chars().any(char::is_control) {
            return Err(format!("a project cannot lie in `{within}`: the workflow could not name it"));
        }
        Ok(Self { project, repository, within })
    }

    fn path(&self, file: &Planned) -> PathBuf {
        let place = match file.place {
            Place::Project => &self.project,
            Place::Repository => &self.repository,
        };
        place.join(&file.path)
    }

    /// The path as a user in the project's folder would write it.
    fn shown(&self, file: &Planned) -> String {
        match file.place {
            Place::Repository if self.within != "." => {
                format!("{}{}", "../".repeat(self.within.split('/').count()), file.path)
            }
            _ => file.path.clone(),
        }
    }

    /// Writes all files, or none when something is in the way. With `keep`, files that exist stay as they are.
    fn write(&self, keep: bool) -> Result<Vec<Written>, String> {
        let files = scaffold::files(&self.within);
        let in_the_way: Vec<&Planned> = files.iter().filter(|file| exists(&self.path(file))).collect();
        let blocked: Vec<String> = files.iter().filter_map(|file| blocked(&self.path(file))).collect();
        let already = Project::find(&self.project).filter(|found| found.root == self.project);
        let mut wrong = blocked;
        if !keep {
            wrong.extend(in_the_way.iter().map(|file| format!("{} exists", self.shown(file))));
        }
        wrong.dedup();
        if !wrong.is_empty() {
            let help = "nothing was written; `runner init --keep` keeps what exists and writes the rest";
            return Err(format!("files are in the way:\n  {}\n{help}", wrong.join("\n  ")));
        }
        if let (Some(project), false) = (already, keep) {
            let help = "`runner init --keep` adds to it";
            return Err(format!("{} is a project already; {help}", project.root.display()));
        }
        let mut written = Vec::new();
        for file in &files {
            let is_new = match write_new(&self.path(file), &file.text) {
                Ok(()) => true,
                Err(error) if keep && error.kind() == io::ErrorKind::AlreadyExists => false,
                Err(error) => {
                    let done: Vec<String> = written.iter().map(|file: &Written| file.path.clone()).collect();
                    let done = if done.is_empty() { "nothing".to_owned() } else { done.join(", ") };
                    return Err(format!(
                        "{} cannot be written: {error} (written so far: {done})",
                        self.shown(file)
                    ));
                }
            };
            written.push(Written { path: self.shown(file), purpose: file.purpose, is_new });
        }
        Ok(written)
    }
}

/// A file that is there now.
struct Written {
    path: String,
    purpose: &'static str,
    is_new: bool,
}

/// Whether something has this name, a dangling link included.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// What stands where a folder has to be.
fn blocked(path: &Path) -> Option<String> {
    let file = path.ancestors().skip(1).find(|folder| exists(folder) && !folder.is_dir())?;
    Some(format!("{} is no folder", file.display()))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

/// The files and what to do with them.
fn said(written: &[Written], dir: &Path) -> String {
    let width = written.iter().map(|file| file.path.len()).max().unwrap_or(0);
    let line = |file: &Written| {
        let purpose = if file.is_new { file.purpose } else { "kept as it was" };
        format!("  {:<width$}  {purpose}", file.path).trim_end().to_owned()
    };
    let files: Vec<String> = written.iter().map(line).collect();
    let enter = if dir == Path::new(".") { String::new() } else { format!("\n  cd {}", dir.display()) };
    format!(
        "A project, with\n{}\n\nNext:{enter}\n  \
         runner       # the cases over the recordings: no model, no network\n  \
         runner -v    # and which recording answered\n\
         After a change of test_cases/chat.yaml, record what is missing; setups/*.yaml say with which models:\n  \
         runner --setup=ollama --inference-mode=record-if-missing",
        files.join("\n")
    )
}
