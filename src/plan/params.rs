//! Model parameters: found in the YAML, so that a new one gets its flag without recompiling.

use crate::schema::{CaseFile, Setup};

/// A parameter that setups give values to and cases take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    /// How it stands in trial ids, as `txt` in `txt=…`.
    pub prefix: String,
    /// Cases that take it.
    pub cases: usize,
    /// Setups that give it a value.
    pub setups: Vec<String>,
}

/// Upstream's parameters in the order of its ids, with their prefixes and help texts. They exist even where
/// no file mentions them, because CI scripts pass their flags to every run.
const UPSTREAM: [(&str, &str, &str); 6] = [
    ("text_model", "txt", "text models"),
    ("vision_model", "vis", "vision models"),
    ("embedding_model", "emb", "embedding models"),
    ("safety_shield", "shield", "safety shields"),
    ("judge_model", "judge", "judge models"),
    ("embedding_dimension", "dim", "output dimensions of the embedding model [default: 384]"),
];

impl Parameter {
    /// `text_model` is set by `--text-model`.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Whether a setup gives it a value, or it is one of upstream's; others are typing mistakes of cases.
    pub fn is_declared(&self) -> bool {
        !self.setups.is_empty() || self.is_upstreams()
    }

    /// Whether it is one of upstream's, which exist also where no case takes them.
    pub fn is_upstreams(&self) -> bool {
        UPSTREAM.iter().any(|(name, ..)| *name == self.name)
    }

    /// One line for `--help`.
    pub fn describe(&self) -> String {
        let what = UPSTREAM
            .iter()
            .find(|(name, ..)| *name == self.name)
            .map_or_else(|| self.name.replace('_', " "), |(_, _, what)| (*what).to_owned());
        let cases = if self.cases == 1 { "1 case".to_owned() } else { format!("{} cases", self.cases) };
        let setups = if self.setups.is_empty() {
            String::new()
        } else {
            format!("; set by {}", self.setups.join(", "))
        };
        format!("Comma-separated {what} ({cases}{setups})")
    }

    /// The value that stands when nothing else gives one.
    pub fn built_in(&self) -> Option<&'static str> {
        (self.name == "embedding_dimension").then_some("384")
    }
}

/// All parameters of a project, upstream's first, others by name.
pub fn find(setups: &[Setup], files: &[CaseFile]) -> Vec<Parameter> {
    let mut names: Vec<&str> = UPSTREAM.iter().map(|(name, ..)| *name).collect();
    let taken =
        files.iter().flat_map(|file| &file.cases).flat_map(|case| &case.params).map(|p| p.value.as_str());
    let given = setups.iter().flat_map(|setup| setup.defaults.iter()).map(|(name, _)| name.value.as_str());
    let mut others: Vec<&str> = taken.chain(given).filter(|name| !names.contains(name)).collect();
    others.sort_unstable();
    others.dedup();
    names.extend(others);
    names
        .into_iter()
        .map(|name| Parameter {
            name: name.to_owned(),
            prefix: prefix(name),
            cases: files
                .iter()
                .flat_map(|file| &file.cases)
                .filter(|case| case.params.iter().any(|p| p.value == name))
                .count(),
            setups: setups
                .iter()
                .filter(|s| s.defaults.get(name).is_some())
                .map(|s| s.name.value.clone())
                .collect(),
        })
        .collect()
}

fn prefix(name: &str) -> String {
    let known = UPSTREAM.iter().find(|(known, ..)| *known == name).map(|(_, prefix, _)| *prefix);
    known.unwrap_or_else(|| name.strip_suffix("_model").unwrap_or(name)).to_owned()
}

/// Upstream's short names for models in test ids (its MODEL_SHORT_IDS): exact matches only.
const SHORT: [(&str, &str); 11] = [
    ("meta-llama/Llama-3.2-3B-Instruct", "3B"),
    ("meta-llama/Llama-3.1-8B-Instruct", "8B"),
    ("meta-llama/Llama-3.1-70B-Instruct", "70B"),
    ("meta-llama/Llama-3.1-405B-Instruct", "405B"),
    ("meta-llama/Llama-3.2-11B-Vision-Instruct", "11B"),
    ("meta-llama/Llama-3.2-90B-Vision-Instruct", "90B"),
    ("meta-llama/Llama-3.3-70B-Instruct", "70B"),
    ("meta-llama/Llama-Guard-3-1B", "Guard1B"),
    ("meta-llama/Llama-Guard-3-8B", "Guard8B"),
    ("all-MiniLM-L6-v2", "MiniLM"),
    ("nomic-ai/nomic-embed-text-v1.5", "Nomic-v1.5"),
];

/// A value as it stands in an id: the short name, unless two of the parameter's values share it.
pub fn short_name<'a>(value: &'a str, all: &[String]) -> &'a str {
    let short = |value: &str| SHORT.iter().find(|(long, _)| *long == value).map(|(_, short)| *short);
    match short(value) {
        Some(name) if !all.iter().any(|other| other != value && short(other) == Some(name)) => name,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_never_make_two_models_look_the_same() {
        let one = ["meta-llama/Llama-3.1-70B-Instruct".to_owned()];
        assert_eq!(short_name(&one[0], &one), "70B");
        let two = [one[0].clone(), "meta-llama/Llama-3.3-70B-Instruct".to_owned()];
        assert_eq!(short_name(&two[1], &two), "meta-llama/Llama-3.3-70B-Instruct");
        assert_eq!(short_name("ollama/x", &[]), "ollama/x");
    }

    #[test]
    fn a_parameter_named_only_in_yaml_is_found() {
        let file = crate::source::SourceFile::inline(
            "setups/x.yaml",
            "name: x\ndefaults: {rerank_model: r/1, text_model: t/1}\n",
        );
        let mut problems = crate::source::Problems::default();
        let setup: Setup = crate::schema::parse(&file, &mut problems).expect("decodes");
        let found = find(&[setup], &[]);
        let last = found.last().expect("has parameters");
        assert_eq!((last.flag().as_str(), last.prefix.as_str()), ("rerank-model", "rerank"));
        assert_eq!(found[0].describe(), "Comma-separated text models (0 cases; set by x)");
    }
}
