//! `--stack-config`: text to [`TargetSpec`], without touching the machine.

use std::fmt;
use std::path::PathBuf;

/// What is tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetSpec {
    /// A server that somebody else runs; the base address, without a trailing slash.
    Url(String),
    /// A server process of this run (or one that already answers at the port).
    Server {
        /// A distribution's name, a file or an ad-hoc list, handed to the stack's launch command.
        config: String,
        /// The port that was asked for; any free one when absent.
        port: Option<u16>,
    },
    /// The stack inside this process.
    InProcess(StackSource),
}

/// What an in-process stack is built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StackSource {
    /// A built-in distribution, as `starter` or `starter::run.yaml`.
    Distribution(String),
    /// A `run.yaml`.
    File(PathBuf),
    /// `api=provider` pairs, separated by commas, as `inference=ollama,vector_io=sqlite-vec`.
    AdHoc(String),
}

/// Why a `--stack-config` cannot be used. The text ends with what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetSpecError {
    Empty,
    /// `http://` with nothing usable after it, or more than a base address.
    Url {
        text: String,
        reason: String,
    },
    /// `server:` and nothing after it.
    ServerWithoutConfig,
    /// A URL and `server:` in one.
    ServerUrl {
        url: String,
    },
    Port {
        config: String,
        port: String,
    },
    /// `localhost:8321`: perhaps a URL without its scheme, perhaps a server without `server:`.
    Colon(String),
    /// A part of an ad-hoc list that is not `api=provider`.
    Pair {
        text: String,
        part: String,
    },
    Name(String),
    /// `starter::other.yaml`: a file of a distribution that is not its run configuration.
    DistributionFile {
        name: String,
        file: String,
    },
}

impl TargetSpec {
    /// Reads the text: a URL, then `server:`, then a file by its ending, then a list by its `=`, then a path by
    /// its `/`, and a distribution's name otherwise.
    pub fn parse(text: &str) -> Result<Self, TargetSpecError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TargetSpecError::Empty);
        }
        if is_url(text) {
            return base_address(text).map(Self::Url);
        }
        if let Some(rest) = text.strip_prefix("server:") {
            return server(rest);
        }
        source(text).map(Self::InProcess)
    }
}

fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

fn base_address(text: &str) -> Result<String, TargetSpecError> {
    let wrong = |reason: &str| TargetSpecError::Url { text: text.to_owned(), reason: reason.to_owned() };
    let url = reqwest::Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("a base address has neither `?` nor `#`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Not repeated in the message: it would put the password on the screen and into reports.
        let reason =
            "a user name or password in it would be printed; put a proxy that adds them in front".to_owned();
        return Err(TargetSpecError::Url { text: url.origin().ascii_serialization(), reason });
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn server(rest: &str) -> Result<TargetSpec, TargetSpecError> {
    if is_url(rest) {
        return Err(TargetSpecError::ServerUrl { url: rest.to_owned() });
    }
    let (config, port) = match rest.rsplit_once(':') {
        // `inference=remote::ollama` ends in a provider type, not in a port.
        Some((before, _)) if before.ends_with(':') => (rest, None),
        Some((before, port)) => (before, Some(port)),
        None => (rest, None),
    };
    if config.is_empty() || config == ":" {
        return Err(TargetSpecError::ServerWithoutConfig);
    }
    let written = config;
    let number = |port: &str| {
        let wrong = || TargetSpecError::Port { config: written.to_owned(), port: port.to_owned() };
        port.parse::<u16>().ok().filter(|number| *number > 0).ok_or_else(wrong)
    };
    let config = match source(config)? {
        // Whatever it is written like: what the stack's command takes is the name.
        StackSource::Distribution(name) => name,
        _ => config.to_owned(),
    };
    Ok(TargetSpec::Server { config, port: port.map(number).transpose()? })
}

fn source(text: &str) -> Result<StackSource, TargetSpecError> {
    if let Some((name, file)) = text.split_once("::")
        && is_name(name)
        && !text.contains('=')
    {
        return match file {
            "run.yaml" => Ok(StackSource::Distribution(name.to_owned())),
            _ => Err(TargetSpecError::DistributionFile { name: name.to_owned(), file: file.to_owned() }),
        };
    }
    if text.ends_with(".yaml") || text.ends_with(".yml") {
        return Ok(StackSource::File(PathBuf::from(text)));
    }
    if text.contains('=') {
        return match text.split([',', ';']).find(|part| !is_pair(part)) {
            Some(part) => Err(TargetSpecError::Pair { text: text.to_owned(), part: part.trim().to_owned() }),
            None => Ok(StackSource::AdHoc(text.to_owned())),
        };
    }
    if text.contains('/') || text.starts_with('.') || text.starts_with('~') {
        return Ok(StackSource::File(PathBuf::from(text)));
    }
    if text.contains(':') {
        return Err(TargetSpecError::Colon(text.to_owned()));
    }
    if !is_name(text) {
        return Err(TargetSpecError::Name(text.to_owned()));
    }
    Ok(StackSource::Distribution(text.to_owned()))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
}

fn is_pair(part: &str) -> bool {
    part.split_once('=').is_some_and(|(api, provider)| {
        let api = api.trim();
        let word = !api.is_empty() && api.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        word && !provider.trim().is_empty() && !provider.contains('=')
    })
}

impl fmt::Display for TargetSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Server { config, port: Some(port) } => write!(f, "server:{config}:{port}"),
            Self::Server { config, port: None } => write!(f, "server:{config}"),
            Self::InProcess(StackSource::Distribution(text) | StackSource::AdHoc(text)) => f.write_str(text),
            Self::InProcess(StackSource::File(path)) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Display for TargetSpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "the stack config is empty: give a distribution (`starter`), a `run.yaml`, \
                 a list (`inference=ollama`), `server:CONFIG` or a URL",
            ),
            Self::Url { text, reason } => {
                write!(
                    f,
                    "`{text}` is not a usable base address: {reason}. Write it as `http://127.0.0.1:8321`"
                )
            }
            Self::ServerWithoutConfig => f.write_str(
                "`server:` does not say what to start: write `server:CONFIG` or `server:CONFIG:PORT`, \
                 as `server:starter:8321`",
            ),
            Self::ServerUrl { url } => write!(
                f,
                "`server:` starts a process, `{url}` names one that runs already: give `{url}` alone, \
                 or `server:CONFIG`"
            ),
            Self::Port { config, port } => write!(
                f,
                "`{port}` is not a port: write `server:{config}:8321` (1 to 65535), \
                 or `server:{config}` for any free one"
            ),
            Self::Colon(text) => write!(
                f,
                "`{text}` is neither a URL nor a distribution: write `http://{text}` for a server that runs, \
                 `server:{text}` to start one"
            ),
            Self::Pair { text, part } => write!(
                f,
                "`{part}` in the list `{text}` is not `api=provider`: write it as \
                 `inference=ollama,vector_io=sqlite-vec`"
            ),
            Self::Name(text) => write!(
                f,
                "`{text}` cannot be a distribution's name (letters, digits, `-`, `_`, `.`): \
                 for a file, write `./{text}`"
            ),
            Self::DistributionFile { name, file } => write!(
                f,
                "`{file}` of the distribution `{name}` is not built in, only its `run.yaml`: write `{name}` or \
                 `{name}::run.yaml`, or the path of a file"
            ),
        }
    }
}

impl std::error::Error for TargetSpecError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn reads(text: &str, want: &TargetSpec) {
        assert_eq!(TargetSpec::parse(text).as_ref(), Ok(want), "{text}");
    }

    #[track_caller]
    fn refuses(text: &str, parts: &[&str]) {
        let message = TargetSpec::parse(text).expect_err(text).to_string();
        for part in parts {
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    fn server(config: &str, port: Option<u16>) -> TargetSpec {
        TargetSpec::Server { config: config.to_owned(), port }
    }

    #[test]
    fn urls_lose_their_trailing_slash() {
        reads("http://127.0.0.1:8321", &TargetSpec::Url("http://127.0.0.1:8321".to_owned()));
        reads(" https://stack.example/base/ ", &TargetSpec::Url("https://stack.example/base".to_owned()));
        reads("HTTP://Localhost:1/", &TargetSpec::Url("http://localhost:1".to_owned()));
    }

    #[test]
    fn servers_take_a_config_and_perhaps_a_port() {
        reads("server:starter", &server("starter", None));
        reads("server:starter:8321", &server("starter", Some(8321)));
        reads("server:starter::run.yaml", &server("starter", None));
        reads("server:starter::run.yaml:8321", &server("starter", Some(8321)));
        reads("server:../dir/run.yaml:1", &server("../dir/run.yaml", Some(1)));
        reads("server:inference=remote::ollama", &server("inference=remote::ollama", None));
        reads("server:inference=remote::ollama:8321", &server("inference=remote::ollama", Some(8321)));
    }

    #[test]
    fn anything_else_runs_in_process() {
        let file = |path: &str| TargetSpec::InProcess(StackSource::File(PathBuf::from(path)));
        reads("starter", &TargetSpec::InProcess(StackSource::Distribution("starter".to_owned())));
        reads("starter::run.yaml", &TargetSpec::InProcess(StackSource::Distribution("starter".to_owned())));
        reads("run.yaml", &file("run.yaml"));
        reads("a=b/run.yml", &file("a=b/run.yml"));
        reads("./stack", &file("./stack"));
        let list = "inference=ollama,vector_io=inline::faiss";
        reads(list, &TargetSpec::InProcess(StackSource::AdHoc(list.to_owned())));
    }

    #[test]
    fn a_refusal_says_what_to_write() {
        refuses(" ", &["empty", "`starter`", "`server:CONFIG`"]);
        refuses("server:", &["what to start", "`server:CONFIG:PORT`"]);
        refuses("server::8321", &["what to start"]);
        refuses("server:http://localhost:1", &["give `http://localhost:1` alone"]);
        refuses("server:starter:http", &["`http` is not a port", "`server:starter:8321`"]);
        refuses("server:starter:0", &["`0` is not a port"]);
        refuses("server:starter:65536", &["`65536` is not a port"]);
        refuses("server:starter:", &["`` is not a port"]);
        refuses("localhost:8321", &["`http://localhost:8321`"]);
        refuses("inference=ollama,safety", &["`safety`", "api=provider"]);
        refuses("inference=", &["`inference=`"]);
        refuses("server:inference=", &["`inference=`"]);
        refuses(
            "starter::other.yaml",
            &["`other.yaml` of the distribution `starter`", "`starter::run.yaml`"],
        );
        refuses("two words", &["`./two words`"]);
        refuses("http://", &["not a usable base address"]);
        refuses("http://h/?a=1", &["neither `?` nor `#`"]);
    }

    #[test]
    fn a_password_is_not_repeated() {
        let message = TargetSpec::parse("https://user:hunter22@host/").expect_err("refused").to_string();
        assert!(message.contains("https://host") && !message.contains("hunter22"), "{message}");
    }

    proptest! {
        #[test]
        fn what_was_read_reads_the_same_again(text in "(server:|http://|)[a-z0-9=,:./ -]{0,24}") {
            if let Ok(spec) = TargetSpec::parse(&text) {
                prop_assert_eq!(TargetSpec::parse(&spec.to_string()), Ok(spec));
            }
        }
    }
}
