//! The command that would record what a replay lacks.

/// A command line of this program, without what selects trials.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordCommand {
    /// As `--setup=ollama`; without secrets, and without what is the default anyway.
    pub flags: Vec<String>,
    /// What selected the run's trials, for what belongs to none of them: selectors, `--suite`, `-k`.
    pub selection: Vec<String>,
}

impl RecordCommand {
    /// For one trial, or, where it is not known which, for the whole selection. Quoted for a shell.
    pub fn for_trial(&self, trial: Option<&str>) -> String {
        let selection = match trial {
            Some(id) => std::slice::from_ref(&id.to_owned()).to_vec(),
            None => self.selection.clone(),
        };
        let words = std::iter::once("runner").chain(selection.iter().chain(&self.flags).map(String::as_str));
        words.map(quoted).collect::<Vec<_>>().join(" ")
    }
}

/// A word as a POSIX shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_the_trial_and_is_quoted() {
        let command = RecordCommand {
            flags: vec!["--setup=ollama".into(), "--env=A=it's b".into()],
            selection: vec!["--suite=base".into()],
        };
        assert_eq!(
            command.for_trial(Some("inference/a::b[txt=x/y-row]")),
            "runner 'inference/a::b[txt=x/y-row]' --setup=ollama '--env=A=it'\\''s b'"
        );
        assert_eq!(command.for_trial(None), "runner --suite=base --setup=ollama '--env=A=it'\\''s b'");
    }
}
