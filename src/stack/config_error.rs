//! What can be wrong with a run configuration, and what to do about it.

use std::fmt;

/// A run configuration that cannot be used. The message names the place, the mistake and a way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigError {
    /// The text is not YAML. `message` has line and column.
    Yaml { file: String, message: String },
    /// Only version 2, Llama Stack 0.3's, is read.
    Version { file: String, found: String },
    /// A value has the wrong form.
    Shape { place: String, expected: String },
    /// `${env.NAME}` without a default, and NAME is not set.
    UnsetVariable { place: String, variable: String },
    /// Providers for an API that Llama Stack does not have.
    UnknownApi { place: String, api: String, nearest: Option<String> },
    /// A provider type that does not exist.
    UnknownProvider {
        place: String,
        provider_id: String,
        api: String,
        provider_type: String,
        nearest: Option<String>,
    },
    /// A provider type that exists in Llama Stack and cannot run in this process.
    NotServed { place: String, provider_id: String, api: String, provider_type: String },
    /// A provider type that only builds with this Cargo feature have.
    NotBuilt { place: String, provider_id: String, provider_type: String, feature: &'static str },
    /// Two providers of one API with the same id.
    DuplicateProvider { place: String, provider_id: String },
    /// A provider that has no address.
    NoAddress { place: String, provider_id: String, field: String },
    /// Providers whose APIs need others that the configuration lacks.
    MissingApis {
        place: String,
        lacking: Vec<Needs>,
        /// `api=provider` pairs that would do.
        add: Vec<String>,
    },
    /// A distribution that is not built in.
    UnknownDistribution { name: String, known: String, nearest: Option<String> },
}

/// A provider and the APIs it lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// `api=provider type`
    pub provider: String,
    pub missing: Vec<&'static str>,
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.missing.len() == 1 { "" } else { "s" };
        write!(f, "{} needs the API{plural} ", self.provider)?;
        match self.missing.as_slice() {
            [rest @ .., before, last] => {
                rest.iter().try_for_each(|api| write!(f, "{api}, "))?;
                write!(f, "{before} and {last}")
            }
            one => f.write_str(&one.concat()),
        }
    }
}

const INSTEAD: &str = "use a real Llama Stack instead: --stack-config=server:<run.yaml> --stack=llama-stack";

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yaml { file, message } => write!(f, "{file}: not valid YAML: {message}"),
            Self::Version { file, found } => {
                write!(
                    f,
                    "{file}: `version` is {found}, but only version 2 (Llama Stack 0.3) is read; {INSTEAD}"
                )
            }
            Self::Shape { place, expected } => write!(f, "{place}: {expected}"),
            Self::UnsetVariable { place, variable } => write!(
                f,
                "{place}: environment variable {variable} is not set or empty; set it, or write \
                 ${{env.{variable}:=default}}, or ${{env.{variable}:+value}} to make the field conditional"
            ),
            Self::UnknownApi { place, api, nearest } => {
                write!(f, "{place}: Llama Stack has no API `{api}`{}", Meant(nearest.as_deref()))
            }
            Self::UnknownProvider { place, provider_id, api, provider_type, nearest } => write!(
                f,
                "{place}: provider `{provider_id}` has the unknown type `{provider_type}` for the API \
                 `{api}`{}; for a provider of your own, {INSTEAD}",
                Meant(nearest.as_deref())
            ),
            Self::NotServed { place, provider_id, api, provider_type } => write!(
                f,
                "{place}: provider `{provider_id}`: the in-process stack cannot run `{provider_type}` for the API \
                 `{api}`; remove it, or {INSTEAD}"
            ),
            Self::NotBuilt { place, provider_id, provider_type, feature } => write!(
                f,
                "{place}: provider `{provider_id}`: this build of runner has no `{provider_type}`; build one that has \
                 it with `cargo build --features {feature}`, or {INSTEAD}"
            ),
            Self::DuplicateProvider { place, provider_id } => {
                write!(
                    f,
                    "{place}: there already is a provider `{provider_id}` for this API; give it another id"
                )
            }
            Self::NoAddress { place, provider_id, field } => {
                write!(f, "{place}: provider `{provider_id}` has no address; set `{field}` in its `config`")
            }
            Self::MissingApis { place, lacking, add } => {
                let needs: Vec<String> = lacking.iter().map(ToString::to_string).collect();
                let is = match lacking.as_slice() {
                    [Needs { missing, .. }] if missing.len() == 1 => "is",
                    _ => "are",
                };
                let needs = needs.join(", ");
                write!(f, "{place}: {needs}, which {is} not there; add {}", add.join(","))
            }
            Self::UnknownDistribution { name, known, nearest } => write!(
                f,
                "no distribution `{name}` is built in{}, only {known}; give the path of a run.yaml, or {INSTEAD}",
                Meant(nearest.as_deref())
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

struct Meant<'a>(Option<&'a str>);

impl fmt::Display for Meant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nearest) => write!(f, " (did you mean `{nearest}`?)"),
            None => Ok(()),
        }
    }
}
