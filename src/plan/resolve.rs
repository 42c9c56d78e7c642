//! Which suite, setup, environment and parameters hold, and where each value came from.
//!
//! Precedence, highest first: flag, `--env`, process environment, `.env`, setup, suite, built in.

use std::collections::BTreeMap;
use std::fmt;

use super::params::Parameter;
use crate::schema::{Documents, Setup, StackDefinition, Suite};
use crate::source::nearest::suggestion;
use crate::source::project::Folder;
use crate::source::{Problem, Problems};

/// What the command line and the machine say; everything that is not a file of the project.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    pub suite: SuiteChoice,
    pub setup: Option<String>,
    /// Parameter name to the flag's comma list.
    pub params: BTreeMap<String, String>,
    /// `--env K=V`, in order; the last one wins.
    pub env_flags: Vec<(String, String)>,
    pub process_env: BTreeMap<String, String>,
    pub dotenv: BTreeMap<String, String>,
}

/// Which cases are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SuiteChoice {
    /// All cases of the project, whatever its suites say.
    #[default]
    All,
    /// Those of the suite with `default: true`; all, when there is none.
    Default,
    Named(String),
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Flag(String),
    Environment,
    /// A variable under another name than the value's.
    Variable(String),
    DotEnv,
    Setup(String),
    Suite(String),
    BuiltIn,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => write!(f, "{name}"),
            Self::Environment => write!(f, "environment"),
            Self::DotEnv => write!(f, ".env"),
            Self::Setup(name) => write!(f, "setup {name}"),
            Self::Suite(name) => write!(f, "suite {name}"),
            Self::BuiltIn => write!(f, "built in"),
        }
    }
}

/// A value with its origin, and the values it hides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved<T> {
    pub value: T,
    pub origin: Origin,
    pub hides: Vec<(T, Origin)>,
}

/// Takes the first of the candidates, highest precedence first.
pub fn first<T>(candidates: impl IntoIterator<Item = Option<(T, Origin)>>) -> Option<Resolved<T>> {
    let mut given = candidates.into_iter().flatten();
    let (value, origin) = given.next()?;
    Some(Resolved { value, origin, hides: given.collect() })
}

/// Everything resolved.
#[derive(Debug, Clone)]
pub struct Settings<'d> {
    pub suite: Option<(&'d Suite, Origin)>,
    pub setup: Option<(&'d Setup, Origin)>,
    /// The effective environment of the stack and of templates.
    pub env: BTreeMap<String, Resolved<String>>,
    /// In the order of ids.
    pub params: Vec<(Parameter, Resolved<Vec<String>>)>,
}

impl Settings<'_> {
    /// The values of a parameter; empty when it has none or does not exist.
    pub fn values(&self, param: &str) -> &[String] {
        self.params.iter().find(|(p, _)| p.name == param).map_or(&[], |(_, resolved)| &resolved.value)
    }

    pub fn env_value(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(|resolved| resolved.value.as_str())
    }

    /// The environment as plain pairs.
    pub fn plain_env(&self) -> BTreeMap<String, String> {
        self.env.iter().map(|(name, resolved)| (name.clone(), resolved.value.clone())).collect()
    }
}

/// Resolves names to documents and values to origins. Unknown names are problems, and as if they had not been given.
pub fn resolve<'d>(
    documents: &'d Documents,
    parameters: &[Parameter],
    inputs: &Inputs,
    problems: &mut Problems,
) -> Settings<'d> {
    let suite = resolve_suite(documents, &inputs.suite, problems);
    let setup = resolve_setup(documents, suite.as_ref().map(|(suite, _)| *suite), inputs, problems);
    let env = resolve_env(inputs, setup.as_ref().map(|(setup, _)| *setup));
    let params = parameters
        .iter()
        .map(|parameter| {
            (parameter.clone(), resolve_param(parameter, inputs, setup.as_ref().map(|(s, _)| *s)))
        })
        .collect();
    Settings { suite, setup, env, params }
}

/// The definition of how `server:` starts a stack.
pub fn stack<'d>(
    documents: &'d Documents,
    name: &str,
    problems: &mut Problems,
) -> Option<&'d StackDefinition> {
    let found = documents.stacks.iter().find(|stack| stack.name.value == name);
    if found.is_none() && documents.is_complete(Folder::Stacks) {
        let known: Vec<&str> = documents.stacks.iter().map(|stack| stack.name.as_str()).collect();
        problems.push(Problem::new(format!("there is no stack `{name}`")).help(suggestion(name, &known)));
    }
    found
}

fn resolve_suite<'d>(
    documents: &'d Documents,
    choice: &SuiteChoice,
    problems: &mut Problems,
) -> Option<(&'d Suite, Origin)> {
    let name = match choice {
        SuiteChoice::All => return None,
        SuiteChoice::Default => {
            let marked = |suite: &&Suite| suite.default.as_ref().is_some_and(|default| default.value);
            let suite = documents.suites.iter().find(marked)?;
            return Some((suite, Origin::Suite(suite.name.value.clone())));
        }
        SuiteChoice::Named(name) => name,
    };
    let found = documents.suites.iter().find(|suite| suite.name.value == *name);
    if found.is_none() && documents.is_complete(Folder::Suites) {
        let known: Vec<&str> = documents.suites.iter().map(|s| s.name.as_str()).collect();
        problems.push(Problem::new(format!("there is no suite `{name}`")).help(suggestion(name, &known)));
    }
    found.map(|suite| (suite, Origin::Flag("--suite".to_owned())))
}

fn resolve_setup<'d>(
    documents: &'d Documents,
    suite: Option<&'d Suite>,
    inputs: &Inputs,
    problems: &mut Problems,
) -> Option<(&'d Setup, Origin)> {
    let from_suite = suite.and_then(|suite| suite.default_setup.as_ref().map(|name| (suite, name)));
    let (name, origin) = match (&inputs.setup, from_suite) {
        (Some(name), _) => (name.as_str(), Origin::Flag("--setup".to_owned())),
        (None, Some((suite, name))) => (name.as_str(), Origin::Suite(suite.name.value.clone())),
        (None, None) => return None,
    };
    let found = documents.setups.iter().find(|setup| setup.name.value == name);
    if found.is_none() && documents.is_complete(Folder::Setups) {
        let known: Vec<&str> = documents.setups.iter().map(|s| s.name.as_str()).collect();
        let problem = match (&inputs.setup, from_suite) {
            (None, Some((_, name))) => name.problem(format!("there is no setup `{}`", name.value)),
            _ => Problem::new(format!("there is no setup `{name}`")),
        };
        problems.push(problem.help(suggestion(name, &known)));
    }
    found.map(|setup| (setup, origin))
}

fn resolve_env(inputs: &Inputs, setup: Option<&Setup>) -> BTreeMap<String, Resolved<String>> {
    let mut names: Vec<&String> = inputs.env_flags.iter().map(|(name, _)| name).collect();
    names.extend(inputs.process_env.keys().chain(inputs.dotenv.keys()));
    names.extend(setup.iter().flat_map(|setup| setup.env.iter()).map(|(name, _)| &name.value));
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| {
            let flag =
                inputs.env_flags.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            let own =
                setup.and_then(|s| Some((s.env.get(name)?.0.clone(), Origin::Setup(s.name.value.clone()))));
            first([
                flag.map(|value| (value, Origin::Flag("--env".to_owned()))),
                inputs.process_env.get(name).map(|value| (value.clone(), Origin::Environment)),
                inputs.dotenv.get(name).map(|value| (value.clone(), Origin::DotEnv)),
                own,
            ])
            .map(|resolved| (name.clone(), resolved))
        })
        .collect()
}

fn resolve_param(parameter: &Parameter, inputs: &Inputs, setup: Option<&Setup>) -> Resolved<Vec<String>> {
    let flag = inputs
        .params
        .get(&parameter.name)
        .map(|list| (split(list), Origin::Flag(format!("--{}", parameter.flag()))));
    let own = setup.and_then(|setup| {
        let values = setup.defaults.get(&parameter.name)?;
        let values = values.iter().flat_map(|value| split(&value.0)).collect();
        Some((values, Origin::Setup(setup.name.value.clone())))
    });
    let built_in = parameter.built_in().map(|value| (vec![value.to_owned()], Origin::BuiltIn));
    first([flag, own, built_in]).unwrap_or(Resolved {
        value: Vec::new(),
        origin: Origin::BuiltIn,
        hides: Vec::new(),
    })
}

/// A comma list; blanks are dropped, and a value given twice counts once.
fn split(list: &str) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for value in list.split(',').map(str::trim).filter(|value| !value.is_empty()) {
        if !values.iter().any(|known| known == value) {
            values.push(value.to_owned());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::params;
    use crate::source::SourceFile;

    fn documents() -> Documents {
        let mut problems = Problems::default();
        let mut read = |path: &str, text: &str| {
            crate::schema::parse::<Setup>(&SourceFile::inline(path, text), &mut problems)
        };
        let setups = vec![
            read(
                "setups/ollama.yaml",
                "name: ollama\nenv: {OLLAMA_URL: u, X: s}\ndefaults: {text_model: a/b, embedding_dimension: 768}\n",
            ),
            read("setups/gpt.yaml", "name: gpt\ndefaults: {text_model: 'c, d,c'}\n"),
        ];
        let suite = crate::schema::parse::<Suite>(
            &SourceFile::inline("suites/base.yaml", "name: base\nroots: []\ndefault_setup: ollama\n"),
            &mut problems,
        );
        Documents {
            setups: setups.into_iter().flatten().collect(),
            suites: suite.into_iter().collect(),
            ..Documents::default()
        }
    }

    fn check(inputs: &Inputs, want: &str) {
        let documents = documents();
        let parameters = params::find(&documents.setups, &[]);
        let mut problems = Problems::default();
        let settings = resolve(&documents, &parameters, inputs, &mut problems);
        let got = match problems.or(settings) {
            Ok(settings) => {
                let mut lines = vec![format!(
                    "setup {:?}",
                    settings.setup.map(|(s, o)| (s.name.value.clone(), o.to_string()))
                )];
                lines.extend(settings.env.iter().map(|(k, v)| format!("{k}={} ({})", v.value, v.origin)));
                let set = settings.params.iter().filter(|(_, v)| !v.value.is_empty());
                lines.extend(set.map(|(p, v)| format!("{}={:?} ({})", p.name, v.value, v.origin)));
                lines.join("\n")
            }
            Err(problems) => {
                problems.iter().map(|p| format!("{}; {:?}", p.message, p.help)).collect::<Vec<_>>().join("\n")
            }
        };
        assert_eq!(got, want);
    }

    fn pairs(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn named(suite: &str) -> SuiteChoice {
        SuiteChoice::Named(suite.to_owned())
    }

    #[test]
    fn a_suite_brings_its_setup_and_no_built_in_hides_it() {
        check(
            &Inputs { suite: named("base"), ..Inputs::default() },
            "setup Some((\"ollama\", \"suite base\"))\nOLLAMA_URL=u (setup ollama)\nX=s (setup ollama)\ntext_model=[\"a/b\"] (setup ollama)\nembedding_dimension=[\"768\"] (setup ollama)",
        );
    }

    #[test]
    fn flags_win_then_env_flags_then_the_process_then_dotenv() {
        let inputs = Inputs {
            suite: named("base"),
            setup: Some("gpt".into()),
            params: pairs(&[("text_model", "x/y,z")]),
            env_flags: vec![("A".into(), "1".into()), ("A".into(), "flag".into())],
            process_env: pairs(&[("A", "process"), ("B", "process")]),
            dotenv: pairs(&[("B", "dotenv"), ("C", "dotenv")]),
        };
        check(
            &inputs,
            "setup Some((\"gpt\", \"--setup\"))\nA=flag (--env)\nB=process (environment)\nC=dotenv (.env)\ntext_model=[\"x/y\", \"z\"] (--text-model)\nembedding_dimension=[\"384\"] (built in)",
        );
    }

    #[test]
    fn an_empty_flag_takes_a_value_away() {
        let inputs =
            Inputs { setup: Some("gpt".into()), params: pairs(&[("text_model", "")]), ..Inputs::default() };
        check(&inputs, "setup Some((\"gpt\", \"--setup\"))\nembedding_dimension=[\"384\"] (built in)");
    }

    #[test]
    fn unknown_names_are_problems_with_the_nearest_one() {
        let inputs = Inputs { suite: named("bas"), setup: Some("olama".into()), ..Inputs::default() };
        check(
            &inputs,
            "there is no suite `bas`; Some(\"did you mean `base`?\")\nthere is no setup `olama`; Some(\"did you mean `ollama`?\")",
        );
    }
}
