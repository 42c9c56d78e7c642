//! Which shard this machine runs: the flag, or what CI services say of parallel jobs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::machine::Machine;
use crate::plan::resolve::{Origin, Resolved};
use crate::plan::shard::{Shard, Split};
use crate::report::read::RecordedRun;
use crate::source::{Problem, Problems};

/// A CI service's variables: index, count, and what the first index is.
const SERVICES: [(&str, &str, usize); 5] = [
    // GitLab
    ("CI_NODE_INDEX", "CI_NODE_TOTAL", 1),
    ("CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", 0),
    ("BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT", 0),
    // Kubernetes sets the index of an Indexed Job; its manifest has to tell the count.
    ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS", 0),
    ("RUNNER_SHARD_INDEX", "RUNNER_SHARD_TOTAL", 1),
];

/// `--shard-by`: `hash`, or `duration=RUN.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ShardBy {
    Hash,
    Duration(PathBuf),
}

impl FromStr for ShardBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("duration", path)) if !path.is_empty() => Ok(Self::Duration(path.into())),
            None if text == "hash" => Ok(Self::Hash),
            _ => Err("write hash, or duration=RUN.jsonl with the report of an earlier run".to_owned()),
        }
    }
}

/// The shard to run; `None` for the whole plan. The flag wins, also `--shard=1/1`.
///
/// # Errors
/// A service's variables that name no shard.
pub(super) fn chosen(flag: Option<Shard>, machine: &Machine) -> Result<Option<Resolved<Shard>>, Problem> {
    let resolved = |value, origin| Resolved { value, origin, hides: Vec::new() };
    if let Some(shard) = flag {
        return Ok((shard.count > 1).then(|| resolved(shard, Origin::Flag("--shard".to_owned()))));
    }
    for (index_name, count_name, first) in SERVICES {
        let (Some(index), Some(count)) = (machine.var(index_name), machine.var(count_name)) else { continue };
        let shard = match (index.parse::<usize>(), count.parse::<usize>()) {
            (Ok(index), Ok(count)) => Shard::new((index + 1).saturating_sub(first), count),
            _ => Err("these are no numbers".to_owned()),
        };
        let shard = shard.map_err(|message| {
            let text = format!("{index_name}={index} and {count_name}={count} name no shard: {message}");
            Problem::new(text).help("--shard=INDEX/COUNT wins over them; --shard=1/1 runs everything")
        })?;
        return Ok((shard.count > 1).then(|| resolved(shard, Origin::Variable(index_name.to_owned()))));
    }
    Ok(None)
}

/// What decides where a trial goes; the report of an earlier run is read here.
pub(super) fn split(by: &ShardBy, machine: &Machine, problems: &mut Problems) -> Split {
    let ShardBy::Duration(path) = by else { return Split::Hash };
    match RecordedRun::load(&machine.cwd.join(path)) {
        Ok(run) => Split::Duration(run.trials.iter().map(|trial| (trial.id.clone(), trial.took)).collect()),
        Err(message) => {
            problems.push(Problem::new(format!("--shard-by duration={}: {message}", path.display())));
            Split::Duration(BTreeMap::<String, Duration>::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(flag: Option<&str>, env: &[(&str, &str)]) -> String {
        let machine = Machine {
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..Machine::read()
        };
        let flag = flag.map(|flag| flag.parse().expect("is a shard"));
        match chosen(flag, &machine) {
            Ok(None) => "all".to_owned(),
            Ok(Some(shard)) => format!("{} by {}", shard.value, shard.origin),
            Err(problem) => problem.message,
        }
    }

    #[test]
    fn the_flag_wins_over_what_a_service_says() {
        let gitlab = [("CI_NODE_INDEX", "2"), ("CI_NODE_TOTAL", "3")];
        assert_eq!(shard(None, &gitlab), "2/3 by CI_NODE_INDEX");
        assert_eq!(shard(Some("1/2"), &gitlab), "1/2 by --shard");
        assert_eq!(shard(Some("1/1"), &gitlab), "all");
    }

    #[test]
    fn services_count_from_their_own_first() {
        assert_eq!(
            shard(None, &[("CIRCLE_NODE_INDEX", "0"), ("CIRCLE_NODE_TOTAL", "4")]),
            "1/4 by CIRCLE_NODE_INDEX"
        );
        let buildkite = [("BUILDKITE_PARALLEL_JOB", "3"), ("BUILDKITE_PARALLEL_JOB_COUNT", "4")];
        assert_eq!(shard(None, &buildkite), "4/4 by BUILDKITE_PARALLEL_JOB");
        let kubernetes = [("JOB_COMPLETION_INDEX", "1"), ("JOB_COMPLETIONS", "3")];
        assert_eq!(shard(None, &kubernetes), "2/3 by JOB_COMPLETION_INDEX");
        assert_eq!(shard(None, &kubernetes[..1]), "all");
        assert_eq!(shard(None, &[("CI_NODE_INDEX", "1"), ("CI_NODE_TOTAL", "1")]), "all");
    }

    #[test]
    fn what_names_no_shard_is_an_error() {
        assert_eq!(
            shard(None, &[("CI_NODE_INDEX", "4"), ("CI_NODE_TOTAL", "3")]),
            "CI_NODE_INDEX=4 and CI_NODE_TOTAL=3 name no shard: there is no shard 4 of 3; shards count from 1"
        );
    }
}
