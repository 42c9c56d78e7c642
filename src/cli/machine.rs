//! The machine, read once: environment, directory, terminal, cores.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

/// Everything read from the machine; the rest of the program takes it from here.
#[derive(Debug, Clone)]
pub struct Machine {
    pub argv: Vec<OsString>,
    pub env: BTreeMap<String, String>,
    pub cwd: PathBuf,
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
    pub cores: usize,
    /// The day, in UTC.
    pub today: jiff::civil::Date,
    /// Whether the project's `.env` counts.
    pub reads_dotenv: bool,
    /// This binary.
    pub runner: PathBuf,
}

impl Machine {
    pub fn read() -> Self {
        Self {
            argv: std::env::args_os().collect(),
            env: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            reads_dotenv: true,
            today: jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            runner: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("runner")),
        }
    }

    /// A variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of `--root`, looked up before the arguments can be parsed: flags depend on the project.
    pub fn root_flag(&self) -> Option<PathBuf> {
        let mut args = self.argv.iter().skip(1);
        while let Some(arg) = args.next() {
            if arg == "--root" {
                return args.next().map(PathBuf::from);
            }
            if let Some(value) = arg.to_str().and_then(|arg| arg.strip_prefix("--root=")) {
                return Some(value.into());
            }
        }
        None
    }
}

/// `KEY=VALUE` lines of a `.env` file: comments, `export`, and quotes around a value are understood.
///
/// # Errors
/// The number of the first line that is none of these.
pub(super) fn parse_dotenv(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut values = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((key, value)) = line.split_once('=').filter(|(key, _)| !key.trim().is_empty()) else {
            return Err(index + 1);
        };
        let value = value.trim();
        let quoted = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
        let value = quoted.unwrap_or_else(|| value.split(" #").next().unwrap_or_default().trim_end());
        values.insert(key.trim().to_owned(), value.to_owned());
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotenv_lines() {
        let text = "# c\nA=1\nexport B = 'x y'  \nC=\"q\" \nD=v # note\n\nE=";
        let want = [("A", "1"), ("B", "x y"), ("C", "q"), ("D", "v"), ("E", "")];
        let want: BTreeMap<String, String> = want.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(parse_dotenv(text), Ok(want));
        assert_eq!(parse_dotenv("A=1\nnonsense\n"), Err(2));
    }
}
