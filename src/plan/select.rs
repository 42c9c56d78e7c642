//! Which cases a suite's roots and the command line's selectors name.

use globset::{Glob, GlobMatcher};

/// `folder`, `file`, `file::case`, a glob, or a whole trial id.
#[derive(Debug, Clone)]
pub struct Selector {
    written: String,
    path: PathForm,
    /// `*` and `?` stand for other characters.
    case: Option<String>,
    /// Brackets of a trial id, with `*` and `?` as in `case`.
    trial: Option<String>,
}

#[derive(Debug, Clone)]
enum PathForm {
    Plain(String),
    Glob(GlobMatcher),
}

/// What a selector is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Below `test_cases/`, without the extension: `inference/embeddings`.
    pub file: &'a str,
    pub case: &'a str,
}

impl Selector {
    /// # Errors
    /// A bad glob pattern, in the words of the glob library.
    pub fn parse(written: &str) -> Result<Self, String> {
        let (path, case) = match written.split_once("::") {
            Some((path, case)) => (path, Some(case)),
            None => (written, None),
        };
        let (case, trial) =
            match case.map(|case| case.split_once('[').map_or((case, None), |(c, t)| (c, Some(t)))) {
                Some((case, trial)) => (Some(case.to_owned()), trial.map(|t| format!("[{t}"))),
                None => (None, None),
            };
        let path = normal(path);
        let is_glob = path.contains(['*', '?', '{', '[']);
        let path = if is_glob {
            let glob =
                Glob::new(path).map_err(|error| format!("bad pattern `{written}`: {}", error.kind()))?;
            PathForm::Glob(glob.compile_matcher())
        } else {
            PathForm::Plain(path.to_owned())
        };
        Ok(Self { written: written.to_owned(), path, case, trial })
    }

    pub fn written(&self) -> &str {
        &self.written
    }

    /// The case that is named, in `file::case`.
    pub fn case(&self) -> Option<&str> {
        self.case.as_deref()
    }

    pub fn matches(&self, candidate: Candidate<'_>) -> bool {
        let path = match &self.path {
            PathForm::Plain(path) => {
                let below = candidate.file.strip_prefix(path.as_str());
                path.is_empty() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            PathForm::Glob(glob) => {
                glob.is_match(candidate.file)
                    || candidate.file.match_indices('/').any(|(at, _)| glob.is_match(&candidate.file[..at]))
            }
        };
        path && self.case.as_ref().is_none_or(|case| is_like(candidate.case, case))
    }

    /// Whether a case of this file could match, whatever its name.
    pub fn may_match_in(&self, file: &str) -> bool {
        let case = self.case.as_deref().unwrap_or_default();
        self.matches(Candidate { file, case })
    }

    /// Whether a trial of a matching case is meant: `suffix` is the bracketed end of its id, or empty.
    pub fn matches_trial(&self, suffix: &str) -> bool {
        self.trial.as_ref().is_none_or(|trial| is_like(suffix, trial))
    }

    /// Whether the trial with this whole id is meant.
    pub fn matches_id(&self, id: &str) -> bool {
        let (file, rest) = id.split_once("::").unwrap_or((id, ""));
        let (case, suffix) = rest.split_at(rest.find('[').unwrap_or(rest.len()));
        self.matches(Candidate { file, case }) && self.matches_trial(suffix)
    }
}

/// Whether a text is what a pattern says: `*` stands for any characters, `?` for one. Brackets stand for themselves,
/// because trial ids have them.
fn is_like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut next) = (0, 0);
    // Where the last `*` stands, and the first character that it might not cover.
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(next) {
            Some('*') => {
                star = Some((next, at));
                next += 1;
            }
            Some(c) if *c == '?' || *c == text[at] => (at, next) = (at + 1, next + 1),
            _ => match star {
                Some((place, covered)) => {
                    star = Some((place, covered + 1));
                    (at, next) = (covered + 1, place + 1);
                }
                None => return false,
            },
        }
    }
    pattern[next..].iter().all(|c| *c == '*')
}

/// The path as trial ids have it: below `test_cases/`, no extension, no trailing slash.
fn normal(path: &str) -> &str {
    let path = path.strip_prefix("./").unwrap_or(path);
    let path = path.strip_prefix("test_cases/").unwrap_or(if path == "test_cases" { "" } else { path });
    let path = path.strip_suffix(".yaml").or_else(|| path.strip_suffix(".yml")).unwrap_or(path);
    let path = path.trim_end_matches('/');
    if path == "." { "" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(selector: &str, yes: &[&str], no: &[&str]) {
        let parsed = Selector::parse(selector).expect("parses");
        let holds = |id: &str| {
            let (file, case) = id.split_once("::").expect("has a case");
            parsed.matches(Candidate { file, case })
        };
        yes.iter().for_each(|id| assert!(holds(id), "{selector} should match {id}"));
        no.iter().for_each(|id| assert!(!holds(id), "{selector} should not match {id}"));
    }

    #[test]
    fn folders_files_cases_and_globs() {
        check(
            "inference",
            &["inference/a::x", "inference/b/c::x"],
            &["inference2/a::x", "safety/inference::x"],
        );
        check("inference/a.yaml", &["inference/a::x"], &["inference/ab::x"]);
        check("test_cases/inference/a::x", &["inference/a::x"], &["inference/a::y"]);
        check("*/vision*", &["inference/vision_chat::x"], &["inference/chat::x"]);
        check("**/a", &["inference/a::x", "p/q/a::x"], &["p/b::x"]);
        check("./", &["inference/a::x"], &[]);
    }

    #[test]
    fn a_trial_id_selects_that_trial() {
        let selector = Selector::parse("inference/a::x[txt=m-row]").expect("parses");
        assert!(selector.matches(Candidate { file: "inference/a", case: "x" }));
        assert!(selector.matches_trial("[txt=m-row]") && !selector.matches_trial("[txt=m-other]"));
    }

    #[test]
    fn cases_and_trials_may_be_patterns() {
        check("inference/a::chat_*", &["inference/a::chat_x"], &["inference/a::x", "inference/b::chat_x"]);
        check("**::*tools*", &["inference/a::tools", "b::with_tools_2"], &["tools::x"]);
        let id = |pattern: &str, id: &str| Selector::parse(pattern).expect("parses").matches_id(id);
        let trial = "a::x[openai_client-txt=ollama/m:3b-row]";
        assert!(id("a::x[*txt=ollama/*]", trial) && id("a::?[*-row]", trial) && id("a::*", trial));
        assert!(!id("a::x[*txt=vllm/*]", trial) && !id("a::x[*-ro]", trial) && !id("a::x[]", trial));
        assert!(id("a::x", "a::x") && !id("a::x[*]", "a::x"));
    }

    #[test]
    fn a_bad_glob_is_an_error() {
        assert_eq!(Selector::parse("inference/{a").map(|_| ()), Err("bad pattern `inference/{a`: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)".to_owned()));
    }
}
