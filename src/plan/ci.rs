//! A CI matrix into jobs: suite × setup × stack × shard. Pure.

use std::collections::BTreeSet;

use super::select::{Candidate, Selector};
use super::shard::Shard;
use crate::record::Mode;
use crate::schema::ci::{CiEntry, CiMatrix};
use crate::schema::{Documents, Suite};
use crate::source::nearest::suggestion;
use crate::source::{Located, Problems};

/// One job of CI: one run of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub suite: String,
    pub setup: Option<String>,
    pub stack_config: Option<String>,
    pub stack: Option<String>,
    pub inference_mode: Option<String>,
    pub shard: Option<Shard>,
}

impl Job {
    /// Unique in a matrix, and a file name: `base-ollama-server-starter-2of3`.
    pub fn name(&self) -> String {
        let parts = [Some(&self.suite), self.setup.as_ref(), self.stack.as_ref(), self.stack_config.as_ref()];
        let mut name: Vec<String> = parts.into_iter().flatten().cloned().collect();
        name.extend(self.inference_mode.clone());
        name.extend(self.shard.map(|shard| format!("{}of{}", shard.index, shard.count)));
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '_' { c } else { '-' };
        name.join("-").chars().map(plain).collect()
    }

    /// The flags of the run.
    pub fn args(&self) -> Vec<String> {
        let flag =
            |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("--{name}={value}"));
        [
            Some(format!("--suite={}", self.suite)),
            flag("setup", &self.setup),
            flag("stack-config", &self.stack_config),
            flag("stack", &self.stack),
            flag("inference-mode", &self.inference_mode),
            self.shard.map(|shard| format!("--shard={shard}")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Which of a matrix's lists counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum List {
    Default,
    /// A cron expression, or `stainless`.
    Schedule(String),
}

/// The jobs of a list, in the order written, each once. Names that the project does not have are problems.
pub fn jobs(matrix: &CiMatrix, list: &List, documents: &Documents, problems: &mut Problems) -> Vec<Job> {
    let mut entries: Vec<&CiEntry> = matrix.default.iter().chain(&matrix.stainless).collect();
    entries.extend(matrix.schedules.iter().flat_map(|(_, entries)| entries));
    entries.iter().for_each(|entry| names(entry, documents, problems));
    let chosen: &[CiEntry] = match list {
        List::Default => &matrix.default,
        List::Schedule(name) => match matrix.schedules.get(name) {
            Some(entries) => entries,
            None if name == "stainless" => &matrix.stainless,
            None => {
                let known: Vec<&str> = matrix.schedules.iter().map(|(name, _)| name.value.as_str()).collect();
                let problem = crate::source::Problem::new(format!("the matrix has no schedule `{name}`"));
                problems.push(problem.at(&matrix.span).help(suggestion(name, &known)));
                &[]
            }
        },
    };
    let mut jobs: Vec<Job> = Vec::new();
    for job in chosen.iter().flat_map(|entry| expand(entry, documents)) {
        if !jobs.contains(&job) {
            jobs.push(job);
        }
    }
    jobs
}

fn expand(entry: &CiEntry, documents: &Documents) -> Vec<Job> {
    let text = |value: &Option<Located<String>>| value.as_ref().map(|value| value.value.clone());
    // Without a setup a suite's own is taken, so that the job says what it runs with.
    let setups = |suite: &str| -> Vec<Option<String>> {
        if !entry.setup.is_empty() {
            return each(&entry.setup);
        }
        let suite = documents.suites.iter().find(|known| known.name.value == suite);
        vec![suite.and_then(|suite| text(&suite.default_setup))]
    };
    let count = entry.shards.as_ref().and_then(|count| usize::try_from(count.value).ok()).unwrap_or(1).max(1);
    let mut jobs = Vec::new();
    for suite in &entry.suite {
        for setup in setups(suite) {
            for stack_config in each(&entry.stack_config) {
                if !allowed(entry, stack_config.as_deref()) {
                    continue;
                }
                jobs.extend((1..=count).map(|index| Job {
                    suite: suite.value.clone(),
                    setup: setup.clone(),
                    stack_config: stack_config.clone(),
                    stack: text(&entry.stack),
                    inference_mode: text(&entry.inference_mode),
                    shard: (count > 1).then_some(Shard { index, count }),
                }));
            }
        }
    }
    jobs
}

/// Every element, or nothing at all once.
fn each(list: &[Located<String>]) -> Vec<Option<String>> {
    match list {
        [] => vec![None],
        list => list.iter().map(|value| Some(value.value.clone())).collect(),
    }
}

fn allowed(entry: &CiEntry, stack_config: Option<&str>) -> bool {
    let stack_config = stack_config.unwrap_or_default();
    let server = ["server:", "http:", "https:"].iter().any(|scheme| stack_config.starts_with(scheme));
    let kind = if server { "server" } else { "library" };
    entry.allowed_clients.is_empty() || entry.allowed_clients.iter().any(|client| client.value == kind)
}

fn names(entry: &CiEntry, documents: &Documents, problems: &mut Problems) {
    if entry.suite.is_empty() {
        problems.push(crate::source::Problem::new("an entry needs a `suite`").at(&entry.span));
    }
    let suites: Vec<&str> = documents.suites.iter().map(|suite| suite.name.value.as_str()).collect();
    let setups: Vec<&str> = documents.setups.iter().map(|setup| setup.name.value.as_str()).collect();
    let stacks: Vec<&str> = documents.stacks.iter().map(|stack| stack.name.value.as_str()).collect();
    for (what, written, known) in [
        ("suite", entry.suite.as_slice(), &suites),
        ("setup", entry.setup.as_slice(), &setups),
        ("stack", entry.stack.as_slice(), &stacks),
    ] {
        for name in written.iter().filter(|name| !known.contains(&name.value.as_str())) {
            problems
                .push(name.problem(format!("unknown {what} `{}`", name.value)).help(suggestion(name, known)));
        }
    }
    let modes = Mode::ALL.map(Mode::as_str);
    for mode in entry.inference_mode.iter().filter(|mode| !modes.contains(&mode.value.as_str())) {
        problems.push(
            mode.problem(format!("unknown inference mode `{}`", mode.value)).help(suggestion(mode, &modes)),
        );
    }
    for count in entry.shards.iter().filter(|count| count.value == 0) {
        problems.push(count.problem("a job has at least one shard"));
    }
}

/// Whether changed files, as paths from the project's root, can change what a job does. Cases count when the suite
/// holds them, setups and recordings when they are the job's; whatever is not known to be harmless counts.
pub fn concerns(job: &Job, changed: &BTreeSet<String>, documents: &Documents) -> bool {
    let suite = documents.suites.iter().find(|suite| suite.name.value == job.suite);
    changed.iter().any(|path| {
        let (folder, below) = path.split_once('/').unwrap_or(("", path.as_str()));
        let stem = below.rsplit_once('.').map_or(below, |(stem, _)| stem);
        match folder {
            "test_cases" => suite.is_none_or(|suite| holds(suite, stem)),
            "suites" => stem == job.suite,
            "setups" => job.setup.as_deref() == Some(stem),
            "stacks" => job.stack.as_deref().is_none_or(|stack| stack == stem),
            "docs" => false,
            "" => !matches!(path.rsplit_once('.'), Some((_, "md"))),
            _ => true,
        }
    })
}

/// Whether the suite has cases of this file. A file beside the cases, such as an image, counts for its folder.
fn holds(suite: &Suite, file: &str) -> bool {
    let any = |written: &[Located<String>]| {
        written.iter().filter_map(|text| Selector::parse(text).ok()).any(|root| {
            let case = root.case().unwrap_or_default().to_owned();
            let at = |path: &str| root.matches(Candidate { file: path, case: &case });
            at(file) || (root.case().is_none() && file.rsplit_once('/').is_some_and(|(folder, _)| at(folder)))
        })
    };
    any(&suite.roots) && !any(&suite.exclude)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::parse;
    use crate::source::SourceFile;

    fn documents() -> Documents {
        let suite = |text: &str| {
            parse::<Suite>(&SourceFile::inline("s.yaml", text), &mut Problems::default()).expect("is a suite")
        };
        let setup = |name: &str| {
            let file = SourceFile::inline("s.yaml", &format!("name: {name}\n"));
            parse(&file, &mut Problems::default()).expect("is a setup")
        };
        Documents {
            suites: vec![
                suite("{name: base, roots: ['**'], exclude: [responses], default_setup: ollama}"),
                suite("{name: responses, roots: [responses], default_setup: gpt}"),
                suite("{name: vision, roots: ['inference/vision']}"),
            ],
            setups: vec![setup("ollama"), setup("gpt")],
            ..Documents::default()
        }
    }

    fn expanded(yaml: &str, list: List) -> (Vec<Job>, Vec<String>) {
        let mut problems = Problems::default();
        let matrix = parse(&SourceFile::inline("ci_matrix.yaml", yaml), &mut problems).expect("parses");
        let jobs = jobs(&matrix, &list, &documents(), &mut problems);
        (jobs, problems.iter().map(|problem| problem.message.clone()).collect())
    }

    fn check(yaml: &str, list: List, want: &[&str]) {
        let (jobs, problems) = expanded(yaml, list);
        let mut lines: Vec<String> = jobs.iter().map(|job| job.args().join(" ")).collect();
        lines.extend(problems);
        assert_eq!(lines, want);
    }

    #[test]
    fn lists_multiply() {
        check(
            "default: [{suite: base, setup: [ollama, gpt], stack_config: [starter, 'server:starter'], shards: 2}]",
            List::Default,
            &[
                "--suite=base --setup=ollama --stack-config=starter --shard=1/2",
                "--suite=base --setup=ollama --stack-config=starter --shard=2/2",
                "--suite=base --setup=ollama --stack-config=server:starter --shard=1/2",
                "--suite=base --setup=ollama --stack-config=server:starter --shard=2/2",
                "--suite=base --setup=gpt --stack-config=starter --shard=1/2",
                "--suite=base --setup=gpt --stack-config=starter --shard=2/2",
                "--suite=base --setup=gpt --stack-config=server:starter --shard=1/2",
                "--suite=base --setup=gpt --stack-config=server:starter --shard=2/2",
            ],
        );
    }

    #[test]
    fn upstreams_file_is_read() {
        let file = r#"{"default": [{"suite": "base", "setup": "ollama", "allowed_clients": ["library"]},
            {"suite": "responses"}, {"suite": "responses", "setup": "gpt"}],
            "schedules": {"1 0 * * 0": [{"suite": "base", "setup": "gpt", "inference_mode": "replay"}]}, "stainless": []}"#;
        check(file, List::Default, &["--suite=base --setup=ollama", "--suite=responses --setup=gpt"]);
        check(
            file,
            List::Schedule("1 0 * * 0".to_owned()),
            &["--suite=base --setup=gpt --inference-mode=replay"],
        );
        check(file, List::Schedule("1 0 * * 1".to_owned()), &["the matrix has no schedule `1 0 * * 1`"]);
    }

    #[test]
    fn clients_that_are_not_allowed_are_left_out() {
        check(
            "default: [{suite: base, stack_config: [starter, 'server:starter'], allowed_clients: server}]",
            List::Default,
            &["--suite=base --setup=ollama --stack-config=server:starter"],
        );
    }

    #[test]
    fn every_wrong_name_is_a_problem() {
        check(
            "default: [{suite: bas, shards: 0}]\nschedules: {x: [{suite: base, setup: gtp, inference_mode: rec}]}",
            List::Default,
            &[
                "--suite=bas",
                "unknown suite `bas`",
                "a job has at least one shard",
                "unknown setup `gtp`",
                "unknown inference mode `rec`",
            ],
        );
    }

    #[test]
    fn jobs_have_names_that_are_files() {
        let (jobs, _) = expanded(
            "default: [{suite: base, stack_config: 'server:starter:8321', shards: 2}]",
            List::Default,
        );
        assert_eq!(jobs[1].name(), "base-ollama-server-starter-8321-2of2");
    }

    #[test]
    fn changed_files_choose_jobs() {
        let (jobs, _) = expanded("default: [{suite: [base, responses, vision]}]", List::Default);
        let concerned = |path: &str| -> Vec<String> {
            let changed = BTreeSet::from([path.to_owned()]);
            let jobs = jobs.iter().filter(|job| concerns(job, &changed, &documents()));
            jobs.map(|job| job.suite.clone()).collect()
        };
        assert_eq!(concerned("test_cases/responses/basic.yaml"), ["responses"]);
        assert_eq!(concerned("test_cases/responses/experts.pdf"), ["responses"]);
        assert_eq!(concerned("test_cases/inference/vision.yaml"), ["base", "vision"]);
        assert_eq!(concerned("test_cases/inference/tools.yaml"), ["base"]);
        assert_eq!(concerned("setups/gpt.yaml"), ["responses"]);
        assert_eq!(concerned("suites/vision.yaml"), ["vision"]);
        assert_eq!(concerned("README.md"), [""; 0]);
        assert_eq!(concerned("docs/cases.md"), [""; 0]);
        assert_eq!(concerned("src/main.rs"), ["base", "responses", "vision"]);
        assert_eq!(concerned("Cargo.lock"), ["base", "responses", "vision"]);
    }
}
