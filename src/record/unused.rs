//! Recordings that a run could have used and did not.
//!
//! A recording is judged only where the run says something about it: it was made with the run's setup, at a provider
//! that the run reached through the proxy, and every trial it belongs to either ran to a good end in this run or is no
//! trial of the project any more. What belongs to a trial that was not selected, skipped or failed may still be needed.

use std::collections::{BTreeSet, HashSet};

use super::entry::{Entry, FileFormat};
use super::scope::bare;

/// What a run covered.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// Files that answered, or were recorded.
    pub used: BTreeSet<String>,
    /// Ids and upstream test ids of the trials that ran to a good end.
    pub ended: BTreeSet<String>,
    pub setup: Option<String>,
    /// The ids of all trials that the project has with this setup.
    pub known: BTreeSet<String>,
    /// Whether `known` is what the setup says, and not what parameters given by hand make of it. Otherwise only cases
    /// are told apart.
    pub known_is_exact: bool,
    /// Whether every known trial ended well or can never run with this setup: then recordings for nobody count too.
    pub is_complete: bool,
}

/// A recording that nobody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused {
    /// Relative to the recordings directory.
    pub file: String,
    /// The first trial that it was made for.
    pub owner: Option<String>,
    /// No trial of the project has that name any more.
    pub is_orphan: bool,
}

/// The unused among `entries`, in order of files.
pub(crate) fn unused(entries: &[Entry], providers: &[&str], run: &Coverage) -> Vec<Unused> {
    let ended: HashSet<&str> = run.ended.iter().map(|id| bare(id)).collect();
    let cases: HashSet<&str> = run.known.iter().map(|id| case_of(id)).collect();
    // Lists of models with one key are served merged, so they are used together.
    let lists: HashSet<&str> = entries
        .iter()
        .filter(|entry| entry.is_model_list && run.used.contains(&entry.file))
        .map(|entry| entry.key.as_str())
        .collect();
    let is_used = |entry: &Entry| {
        run.used.contains(&entry.file) || (entry.is_model_list && lists.contains(entry.key.as_str()))
    };
    let is_orphan = |id: &str, format: FileFormat| {
        // Upstream's tests are not ours to know.
        format == FileFormat::Native
            && if run.known_is_exact { !run.known.contains(id) } else { !cases.contains(case_of(id)) }
    };
    let judge = |entry: &Entry| -> Option<Unused> {
        let mut orphans = 0;
        for owner in &entry.owners {
            match &owner.id {
                None if run.is_complete && entry.format == FileFormat::Native => {}
                None => return None,
                Some(id) if ended.contains(bare(id)) => {}
                Some(id) if is_orphan(id, entry.format) => orphans += 1,
                Some(_) => return None,
            }
        }
        let owner = entry.owners.iter().find_map(|owner| owner.id.clone());
        let is_orphan = orphans > 0 && orphans == entry.owners.len();
        Some(Unused { file: entry.file.clone(), owner, is_orphan })
    };
    let is_the_runs = |entry: &Entry| {
        providers.contains(&entry.provider.as_str())
            && (entry.format == FileFormat::Upstream || entry.setup == run.setup)
    };
    let mut found: Vec<Unused> =
        entries.iter().filter(|entry| is_the_runs(entry) && !is_used(entry)).filter_map(judge).collect();
    found.sort_by(|a, b| a.file.cmp(&b.file));
    found
}

/// `path::case` of a trial's id.
fn case_of(id: &str) -> &str {
    id.split('[').next().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests;
    use super::super::key::{WireBody, WireRequest};
    use super::*;

    /// A recording in a file named after what it asks, at provider `p`, made with setup `s` or, in a file `other…`, `t`.
    fn entry(file: &str, owners: &[Option<&str>], format: FileFormat) -> Entry {
        let request = WireRequest {
            provider: "p".into(),
            method: "POST".into(),
            path: "/v1/chat/completions".into(),
            body: WireBody::Json(file.into()),
        };
        let owners: Vec<_> = owners.iter().map(|id| (*id, 1)).collect();
        let setup = if file.starts_with("other") { "t" } else { "s" };
        Entry { format, setup: Some(setup.into()), ..tests::entry(file, request, &owners) }
    }

    fn native(file: &str, owners: &[Option<&str>]) -> Entry {
        entry(file, owners, FileFormat::Native)
    }

    fn set(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    /// Trials `f::a[1]` and `f::b` ran well; `f::c` exists and did not run.
    fn run() -> Coverage {
        Coverage {
            used: set(&["used"]),
            ended: set(&["f::a[1]", "f::b", "tests/integration/up.py::t"]),
            setup: Some("s".into()),
            known: set(&["f::a[1]", "f::b", "f::c"]),
            known_is_exact: true,
            is_complete: false,
        }
    }

    fn names(entries: &[Entry], run: &Coverage) -> String {
        let found = unused(entries, &["p"], run);
        found
            .iter()
            .map(|u| format!("{}{}", u.file, if u.is_orphan { "!" } else { "" }))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn only_what_the_run_could_have_used_is_judged() {
        let a = Some("f::a[1]");
        let entries = [
            native("used", &[a]),
            native("left", &[a]),
            native("both-ran", &[a, Some("f::b")]),
            native("shared-with-one-that-did-not-run", &[a, Some("f::c")]),
            native("not-run", &[Some("f::c")]),
            native("nobodys", &[None]),
            native("gone", &[Some("f::a[2]")]),
            native("gone-but-shared", &[Some("g::x"), a]),
            native("other-setup", &[a]),
            Entry { provider: "q".into(), ..native("other-provider", &[a]) },
        ];
        assert_eq!(names(&entries, &run()), "both-ran gone! gone-but-shared left");
        let complete = Coverage { is_complete: true, ..run() };
        assert_eq!(names(&entries, &complete), "both-ran gone! gone-but-shared left nobodys");
    }

    #[test]
    fn with_other_parameters_a_case_is_gone_only_with_its_name() {
        let by_hand = Coverage { known_is_exact: false, ..run() };
        let entries = [native("row", &[Some("f::a[2]")]), native("case", &[Some("f::gone[1]")])];
        assert_eq!(names(&entries, &by_hand), "case!");
    }

    #[test]
    fn of_upstreams_recordings_only_those_of_tests_that_ran_are_judged() {
        let upstream = |file: &str, owner| entry(file, &[owner], FileFormat::Upstream);
        let entries = [
            upstream("other-ran", Some("up.py::t")),
            upstream("strange", Some("up.py::u")),
            upstream("flat", None),
        ];
        assert_eq!(names(&entries, &Coverage { is_complete: true, ..run() }), "other-ran");
    }

    #[test]
    fn merged_lists_of_models_are_used_together() {
        let list = |file: &str| Entry {
            is_model_list: true,
            key: "k".into(),
            ..entry(file, &[Some("up.py::t")], FileFormat::Upstream)
        };
        assert_eq!(names(&[list("used"), list("merged")], &run()), "");
    }
}
