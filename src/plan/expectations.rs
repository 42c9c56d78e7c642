//! What `expectations/*.yaml` says about trials: which entries count for one, and which count for none any more.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::resolve::Settings;
use super::select::{Candidate, Selector};
use super::tree;
use super::trial::{Condition, RulePlan};
use crate::schema::Documents;
use crate::schema::expectation::Listed;
use crate::source::nearest::suggestion;
use crate::source::project::Folder;
use crate::source::{Located, Problem, Problems};

/// What a list says about its trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListKind {
    /// They fail.
    XFail,
    /// They cannot be relied on.
    Quarantine,
}

impl ListKind {
    /// The word of the YAML and of reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::XFail => "xfail",
            Self::Quarantine => "quarantine",
        }
    }

    /// The kind of this word.
    pub fn of(word: &str) -> Option<Self> {
        [Self::XFail, Self::Quarantine].into_iter().find(|kind| kind.word() == word)
    }
}

/// Every entry of every list, in the order of files and lines.
pub(super) fn entries(documents: &Documents) -> impl Iterator<Item = (ListKind, &Listed)> {
    documents.expectations.iter().flat_map(|file| {
        let xfail = file.xfail.iter().map(|entry| (ListKind::XFail, entry));
        xfail.chain(file.quarantine.iter().map(|entry| (ListKind::Quarantine, entry)))
    })
}

/// The entries that count in a run.
#[derive(Debug, Default)]
pub(super) struct Lists {
    entries: Vec<(ListKind, Vec<Selector>, RulePlan)>,
    /// `file:line` and last day of the entries that counted until a day in the past.
    pub(super) expired: Vec<(String, Date)>,
}

impl Lists {
    /// Those for the run's setup that have not expired.
    pub(super) fn of(documents: &Documents, settings: &Settings<'_>, today: Date) -> Self {
        let setup = settings.setup.as_ref().map(|(setup, _)| setup.name.value.as_str());
        let mut lists = Self::default();
        for (kind, entry) in entries(documents) {
            if !is_for(entry, setup) {
                continue;
            }
            match expired(entry, today) {
                Some(last) => lists.expired.push((entry.span.file_line(), last.value)),
                None => lists.entries.push((kind, selectors(entry), rule(entry))),
            }
        }
        lists
    }

    /// What they say about one trial: the rules of either kind. `suffix` is the bracketed end of its id.
    pub(super) fn about(&self, candidate: Candidate<'_>, suffix: &str) -> (Vec<RulePlan>, Vec<RulePlan>) {
        let of = |wanted: ListKind| {
            let meant = |selectors: &[Selector]| {
                selectors.iter().any(|one| one.matches(candidate) && one.matches_trial(suffix))
            };
            let entries =
                self.entries.iter().filter(|(kind, selectors, _)| *kind == wanted && meant(selectors));
            entries.map(|(_, _, rule)| rule.clone()).collect()
        };
        (of(ListKind::XFail), of(ListKind::Quarantine))
    }
}

/// Whether an entry counts with a setup, or without one.
fn is_for(entry: &Listed, setup: Option<&str>) -> bool {
    entry.setup.is_empty() || entry.setup.iter().any(|name| Some(name.as_str()) == setup)
}

/// The last day of an entry, where that has passed.
fn expired(entry: &Listed, today: Date) -> Option<&Located<Date>> {
    entry.until.as_ref().filter(|last| last.value < today)
}

fn selectors(entry: &Listed) -> Vec<Selector> {
    entry.trials.iter().filter_map(|text| Selector::parse(text).ok()).collect()
}

fn rule(entry: &Listed) -> RulePlan {
    let kinds: Vec<_> = entry.target_is.iter().map(|kind| kind.value).collect();
    let target = (!kinds.is_empty()).then_some(Condition::Target { kinds, negated: false });
    RulePlan {
        conditions: target.into_iter().collect(),
        because: entry.because.value.clone(),
        span: entry.span.clone(),
    }
}

/// What is wrong in the lists themselves, whatever is selected.
pub(super) fn lists(documents: &Documents, problems: &mut Problems) {
    let setups: Vec<&str> = documents.setups.iter().map(|setup| setup.name.as_str()).collect();
    for (kind, entry) in entries(documents) {
        if entry.trials.is_empty() {
            let problem = Problem::new(format!("this {} entry names no trials", kind.word())).at(&entry.span);
            problems.push(problem.help("give it `trials`, such as `trials: inference/tools::*`"));
        }
        if entry.because.trim().is_empty() {
            problems
                .push(entry.because.problem("the reason is empty").help("say what is known, or link to it"));
        }
        for text in &entry.trials {
            if let Err(message) = Selector::parse(text) {
                problems.push(text.problem(message));
            }
        }
        for name in entry.setup.iter().filter(|name| !setups.contains(&name.as_str())) {
            if !documents.may_be_in_broken(Folder::Setups, name) {
                let problem = name.problem(format!("there is no setup `{}`", name.value));
                problems.push(problem.help(suggestion(name, &setups)));
            }
        }
    }
}

/// Entries that count for nothing: past their day, or naming no trial that the project has with their setups.
/// `known` has the ids of all trials by setup.
pub fn stale(
    documents: &Documents,
    known: &BTreeMap<Option<String>, BTreeSet<String>>,
    today: Date,
    problems: &mut Problems,
) {
    for (_, entry) in entries(documents) {
        if let Some(last) = expired(entry, today) {
            let problem = last.problem(format!("this entry counted until {}, which has passed", last.value));
            problems.push(problem.help("remove the entry, or give it another day if the reason still holds"));
        }
        let of_setups = known.iter().filter(|(setup, _)| is_for(entry, setup.as_deref()));
        // Without any plan of these setups nothing can be said.
        let ids: Vec<&String> = of_setups.flat_map(|(_, ids)| ids).collect();
        for text in entry.trials.iter().filter(|_| !ids.is_empty()) {
            let Ok(selector) = Selector::parse(text) else { continue };
            if ids.iter().any(|id| selector.matches_id(id)) {
                continue;
            }
            let problem = tree::unmatched(&selector, documents);
            let problem =
                Problem { message: format!("no trial matches `{}`{}", text.value, with(entry)), ..problem };
            problems.push(problem.at(&text.span));
        }
    }
}

fn with(entry: &Listed) -> String {
    match entry.setup.as_slice() {
        [] => String::new(),
        names => {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            format!(" with setup {}", names.join(" or "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ExpectationFile, parse};
    use crate::source::SourceFile;

    fn documents(yaml: &str) -> Documents {
        let mut problems = Problems::default();
        let file = SourceFile::inline("expectations/e.yaml", yaml);
        let expectations = vec![parse::<ExpectationFile>(&file, &mut problems).expect("parses")];
        let setups = ["local", "gpt"].map(|name| {
            let text = format!("name: {name}\n");
            parse(&SourceFile::inline("setups/s.yaml", &text), &mut problems).expect("parses")
        });
        assert!(problems.is_empty(), "{problems:?}");
        Documents { expectations, setups: setups.into(), ..Documents::default() }
    }

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    /// What the lists come to for a trial with a setup: the reasons, xfail first.
    fn check(yaml: &str, setup: Option<&str>, id: &str, want: &[&str]) {
        let documents = documents(yaml);
        let settings = Settings {
            suite: None,
            setup: setup.map(|name| {
                let setup = documents.setups.iter().find(|s| s.name.value == name).expect("is there");
                (setup, crate::plan::resolve::Origin::BuiltIn)
            }),
            env: BTreeMap::new(),
            params: Vec::new(),
        };
        let lists = Lists::of(&documents, &settings, day("2026-06-15"));
        let (file, rest) = id.split_once("::").unwrap();
        let (case, suffix) = rest.split_at(rest.find('[').unwrap_or(rest.len()));
        let (xfail, quarantine) = lists.about(Candidate { file, case }, suffix);
        let mut got: Vec<String> = xfail.iter().map(|rule| format!("xfail {}", rule.because)).collect();
        got.extend(quarantine.iter().map(|rule| format!("quarantine {}", rule.because)));
        got.extend(lists.expired.iter().map(|(place, last)| format!("expired {place} {last}")));
        assert_eq!(got, want);
    }

    const LISTS: &str = "\
xfail:
  - {trials: 'chat/tools::calls*', setup: [local], because: no tools}
  - {trials: ['chat/tools', 'chat/other::x[*row]'], because: old, until: 2026-06-14}
quarantine:
  - {trials: 'chat::*[*txt=m*]', because: slow, until: 2026-06-15}
  - {trials: 'chat/**::*[*txt=m*]', because: flaky, until: 2026-06-15}
";

    #[test]
    fn setup_pattern_and_day_decide() {
        let expired = "expired expectations/e.yaml:3 2026-06-14";
        check(
            LISTS,
            Some("local"),
            "chat/tools::calls_two[txt=m-a]",
            &["xfail no tools", "quarantine slow", "quarantine flaky", expired],
        );
        check(
            LISTS,
            Some("gpt"),
            "chat/tools::calls_two[txt=m-a]",
            &["quarantine slow", "quarantine flaky", expired],
        );
        check(LISTS, None, "chat/tools::other[txt=n]", &[expired]);
    }

    #[test]
    fn what_counts_for_nothing_is_found() {
        let documents = documents(LISTS);
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
        let mut known = BTreeMap::from([
            (Some("local".to_owned()), ids(&["chat/a::b[txt=m]"])),
            (None, ids(&["chat/tools::calls[txt=m]", "chat/other::x[r-row]"])),
        ]);
        let stale = |known: &BTreeMap<_, _>| {
            let mut problems = Problems::default();
            stale(&documents, known, day("2026-06-15"), &mut problems);
            problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>()
        };
        let expired = "this entry counted until 2026-06-14, which has passed";
        assert_eq!(stale(&known), ["no trial matches `chat/tools::calls*` with setup local", expired]);
        known.remove(&None);
        assert_eq!(stale(&known).len(), 4, "{:?}", stale(&known));
    }
}
