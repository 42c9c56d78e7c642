//! Entries of lists of known failures whose trials all passed: what such a list no longer needs to say.

use std::collections::BTreeMap;

use super::text::count;
use crate::exec::event::{Listed, Outcome, TrialReport};
use crate::plan::expectations::ListKind;

/// An entry all of whose trials passed in this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surplus<'t> {
    pub entry: &'t Listed,
    /// How many trials it applied to.
    pub trials: usize,
}

/// In the order of files and lines. Entries that applied to nothing in this run are not judged.
pub fn surplus(trials: &[TrialReport]) -> Vec<Surplus<'_>> {
    let mut entries: BTreeMap<(&str, u64, ListKind), (&Listed, usize, bool)> = BTreeMap::new();
    for trial in trials {
        let passed = matches!(trial.outcome, Outcome::Passed | Outcome::XPassed(_)) && trial.attempts == 1;
        for entry in &trial.listed {
            let (file, line) = entry.place.rsplit_once(':').unwrap_or((&entry.place, ""));
            let key = (file, line.parse().unwrap_or(0), entry.kind);
            let (_, trials, all_passed) = entries.entry(key).or_insert((entry, 0, true));
            *trials += 1;
            *all_passed &= passed;
        }
    }
    let surplus = entries.into_values().filter(|(.., all_passed)| *all_passed);
    surplus.map(|(entry, trials, _)| Surplus { entry, trials }).collect()
}

impl Surplus<'_> {
    /// What to tell the user, without the place.
    pub fn advice(&self) -> String {
        let Listed { kind, because, .. } = self.entry;
        let passed = if self.trials == 1 {
            "its trial passed".to_owned()
        } else {
            format!("all its {} passed", count(self.trials, "trial"))
        };
        let advice = match kind {
            ListKind::XFail => "remove it",
            ListKind::Quarantine => "remove it if that is reliable now",
        };
        format!("{}, but {passed}; {advice} ({because})", kind.word())
    }
}

/// A line for each.
pub fn lines(trials: &[TrialReport]) -> Vec<String> {
    surplus(trials).iter().map(|entry| format!("{}: {}", entry.entry.place, entry.advice())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::read::RecordedRun;

    fn check(trials: &[(&str, &str, u64)], want: &[&str]) {
        let mut run = String::from("{\"event\":\"run_started\",\"format\":1}\n");
        for (place, outcome, attempts) in trials {
            let kind = if outcome.starts_with('x') { "xfail" } else { "quarantine" };
            let listed = serde_json::json!([{"kind": kind, "place": place, "because": "bug 7"}]);
            let trial = serde_json::json!({"event": "trial_finished", "id": "a::b", "outcome": outcome, "attempts": attempts, "listed": listed});
            run.push_str(&format!("{trial}\n"));
        }
        assert_eq!(lines(&RecordedRun::parse(&run).unwrap().trials), want);
    }

    #[test]
    fn an_entry_is_surplus_when_all_its_trials_passed() {
        check(
            &[
                ("e.yaml:10", "xpassed", 1),
                ("e.yaml:10", "xpassed", 1),
                ("e.yaml:2", "passed", 1),
                ("e.yaml:3", "xfailed", 1),
                ("e.yaml:3", "xpassed", 1),
                ("e.yaml:4", "quarantined", 1),
                ("e.yaml:5", "passed", 2),
            ],
            &[
                "e.yaml:2: quarantine, but its trial passed; remove it if that is reliable now (bug 7)",
                "e.yaml:10: xfail, but all its 2 trials passed; remove it (bug 7)",
            ],
        );
    }
}
