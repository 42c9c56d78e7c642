//! Which trials asked their providers otherwise than when they were recorded, and what became of recording them anew:
//! in text, Markdown and JSON.

use serde_json::{Value, json};

use super::text::count;
use crate::exec::event::{FailureKind, ProviderUse, Summary, TrialReport};
use crate::record::changes::Changes;
use crate::record::normalise::tells_of_a_change;

/// Requests of a trial that are not as they were recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedTrial {
    pub id: String,
    pub changes: Vec<ChangedRequest>,
}

/// One such request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedRequest {
    pub provider: String,
    pub endpoint: String,
    pub how: How,
    /// The recording that answered, or the nearest one.
    pub file: Option<String>,
}

/// How a request differs from what is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// No recording answers it; the differences to the nearest one, a line each.
    Missing(Vec<String>),
    /// A recording answers it once these normalisers have set something aside.
    Drifted(String),
    /// What the trial's fixtures or the stack's start asked is missing; more is not known.
    Before,
}

/// What a replay says about recordings.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// Trials that were looked at.
    pub trials: usize,
    pub changed: Vec<ChangedTrial>,
    /// Failures that no recording could mend: trial and first line.
    pub failing: Vec<(String, String)>,
    /// Whether the stack's start lacked a recording.
    pub boot: bool,
}

impl Survey {
    /// Reads a replay. With `drift`, requests that still find their recordings count, too, when what the stack sends
    /// has changed.
    pub fn of(trials: &[TrialReport], summary: &Summary, drift: bool) -> Self {
        let mut survey = Self { trials: trials.len(), ..Self::default() };
        survey.boot = summary.other_matches.iter().any(|used| used.tier == "miss");
        for trial in trials {
            let failures = trial.outcome.all_failures();
            let mut changes: Vec<_> = trial.matches.iter().filter_map(|used| change(used, drift)).collect();
            let missed = failures.iter().any(|failure| failure.kind == FailureKind::Miss);
            if missed && !changes.iter().any(|change| matches!(change.how, How::Missing(_))) {
                changes.push(ChangedRequest {
                    provider: String::new(),
                    endpoint: String::new(),
                    how: How::Before,
                    file: None,
                });
            }
            if !changes.is_empty() {
                changes.dedup();
                survey.changed.push(ChangedTrial { id: trial.trial.clone(), changes });
            } else if let Some(first) = failures.first() {
                survey.failing.push((trial.id.clone(), first.title.clone()));
            }
        }
        survey
    }

    /// Whether a trial's own requests are as recorded and what is missing was asked before it began.
    pub fn lacks_what_came_before(&self, trial: &str) -> bool {
        let of = |changed: &&ChangedTrial| changed.id == trial;
        self.changed
            .iter()
            .filter(of)
            .flat_map(|changed| &changed.changes)
            .any(|change| change.how == How::Before)
    }
}

fn change(used: &ProviderUse, drift: bool) -> Option<ChangedRequest> {
    let tier = used.tier.split("; ").next().unwrap_or_default();
    let changed = |how, file| {
        let (provider, endpoint) = (used.provider.clone(), used.endpoint.clone());
        Some(ChangedRequest { provider, endpoint, how, file })
    };
    if tier == "miss" {
        let differences = used.nearest.iter().flat_map(|nearest| &nearest.differences);
        let nearest = used.nearest.as_ref().map(|nearest| nearest.file.clone());
        return changed(How::Missing(differences.map(ToString::to_string).collect()), nearest);
    }
    let names: Vec<&str> = tier.split(", ").filter(|name| tells_of_a_change(name)).collect();
    let drifted = drift && used.file.is_some() && !names.is_empty();
    drifted.then(|| changed(How::Drifted(names.join(", ")), used.file.clone())).flatten()
}

/// Differences of one request that are shown.
const SHOWN: usize = 4;

impl ChangedRequest {
    /// The request and why it is on the list, in lines.
    fn lines(&self) -> Vec<String> {
        let asked = format!("{} {}", self.provider, self.endpoint);
        let file = self.file.as_deref().unwrap_or_default();
        match &self.how {
            How::Missing(_) if self.file.is_none() => {
                vec![format!("{asked}: no recording, and nothing like it")]
            }
            How::Missing(differences) => {
                let mut lines = vec![format!("{asked}: no recording; nearest {file}")];
                lines.extend(differences.iter().take(SHOWN).map(|difference| format!("  {difference}")));
                if differences.len() > SHOWN {
                    lines.push(format!("  and {} more", differences.len() - SHOWN));
                }
                lines
            }
            How::Drifted(names) => vec![format!("{asked}: {file} answers only after {names}")],
            How::Before => vec!["what its fixtures or the stack's start asked has no recording".to_owned()],
        }
    }

    fn json(&self) -> Value {
        let (how, differences, normalisers) = match &self.how {
            How::Missing(differences) => ("missing", json!(differences), Value::Null),
            How::Drifted(names) => ("drifted", Value::Null, json!(names)),
            How::Before => ("before", Value::Null, Value::Null),
        };
        json!({"provider": self.provider, "endpoint": self.endpoint, "how": how, "file": self.file,
            "differences": differences, "normalisers": normalisers})
    }
}

/// One trial that was recorded anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedTrial {
    pub id: String,
    /// Outcome while recording, and of the replay after it; `None` where it did not come to that.
    pub recorded: Option<String>,
    pub replayed: Option<String>,
    /// Requests that were recorded, and tokens as far as they were counted.
    pub requests: usize,
    pub tokens: Option<u64>,
}

/// What recording came to.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    pub trials: Vec<RecordedTrial>,
    pub files: Changes,
    /// Recordings that these trials do not use any more and that are still there.
    pub obsolete: Vec<String>,
    pub requests: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// Answers without a count.
    pub uncounted: u64,
}

impl RecordedTrial {
    /// The outcome while recording, and what was asked.
    fn done(&self) -> String {
        let tokens = self.tokens.map(|tokens| format!(", {tokens} tokens")).unwrap_or_default();
        format!("{}: {}{tokens}", word(self.recorded.as_ref()), count(self.requests, "request"))
    }
}

fn word(word: Option<&String>) -> &str {
    word.map_or("-", String::as_str)
}

impl Recorded {
    fn of(&self, trial: &str) -> Option<&RecordedTrial> {
        self.trials.iter().find(|row| row.id == trial)
    }

    fn kinds(&self) -> [(&'static str, &[String]); 4] {
        let Changes { added, changed, removed } = &self.files;
        [("added", added), ("changed", changed), ("removed", removed), ("obsolete", &self.obsolete)]
    }

    /// Whether every trial was recorded and is replayed without a failure.
    pub fn is_good(&self) -> bool {
        let good =
            |word: &Option<String>| word.as_deref().is_some_and(|word| !["failed", "broken"].contains(&word));
        self.trials.iter().all(|trial| good(&trial.recorded) && good(&trial.replayed))
    }
}

/// The list of what changed and what became of it, for a terminal. `recorded` is absent for a plan.
pub fn text(survey: &Survey, recorded: Option<&Recorded>) -> String {
    let mut out = String::new();
    for trial in &survey.changed {
        out.push_str(&format!("{}\n", trial.id));
        for line in trial.changes.iter().flat_map(ChangedRequest::lines) {
            out.push_str(&format!("  {line}\n"));
        }
        if let Some(row) = recorded.and_then(|all| all.of(&trial.id)) {
            out.push_str(&format!("  {}; replay: {}\n", row.done(), word(row.replayed.as_ref())));
        }
    }
    if !survey.changed.is_empty() {
        out.push('\n');
    }
    out.push_str(&headline(survey));
    for (kind, files) in recorded.into_iter().flat_map(Recorded::kinds) {
        files.iter().for_each(|file| out.push_str(&format!("\n{kind} {file}")));
    }
    for (id, title) in &survey.failing {
        out.push_str(&format!("\nfails for another reason, and is left alone: {id}\n  {title}"));
    }
    out
}

fn headline(survey: &Survey) -> String {
    let trials = count(survey.trials, "trial");
    match survey.changed.len() {
        0 => format!("{trials}: every provider request is as recorded"),
        n => format!("{n} of {trials} to record anew"),
    }
}

/// A summary for a pull request. `recorded` is absent for a plan.
pub fn markdown(survey: &Survey, recorded: Option<&Recorded>) -> String {
    let mut out = String::from("## Recordings\n\n");
    match recorded {
        None => out.push_str(&format!("{}.\n", headline(survey))),
        Some(recorded) => out.push_str(&result(survey, recorded)),
    }
    if !survey.changed.is_empty() {
        out.push_str("\n| trial | changed | recorded | replay |\n|---|---|---|---|\n");
    }
    for trial in &survey.changed {
        let row = recorded.and_then(|all| all.of(&trial.id));
        let done = row.map_or_else(|| "-".to_owned(), RecordedTrial::done);
        let replayed = word(row.and_then(|row| row.replayed.as_ref()));
        let why: Vec<_> = trial.changes.iter().flat_map(ChangedRequest::lines).collect();
        let why = why.iter().map(|line| code(line.trim())).collect::<Vec<_>>().join("<br>");
        out.push_str(&format!("| {} | {why} | {done} | {replayed} |\n", code(&trial.id)));
    }
    if let Some(recorded) = recorded {
        out.push_str(&files(recorded));
    }
    if !survey.failing.is_empty() {
        out.push_str("\nFailing for another reason, and left alone:\n\n");
        survey.failing.iter().for_each(|(id, title)| {
            out.push_str(&format!("- {}: {}\n", code(id), code(title)));
        });
    }
    out
}

fn result(survey: &Survey, recorded: &Recorded) -> String {
    let replayed = recorded.trials.iter().filter(|trial| trial.replayed.is_some()).count();
    let n = recorded.trials.len();
    let mut out = match n {
        0 => format!("{}; nothing was recorded.\n", headline(survey)),
        _ if recorded.is_good() => {
            format!("{n} of {} recorded anew; replay agrees.\n", count(survey.trials, "trial"))
        }
        _ => format!(
            "**Not all is well**: {n} of {} to record, {replayed} replayed; see the table.\n",
            count(survey.trials, "trial")
        ),
    };
    if recorded.requests > 0 {
        let (prompt, completion) = (recorded.prompt_tokens, recorded.completion_tokens);
        let requests = count(usize::try_from(recorded.requests).unwrap_or(usize::MAX), "request");
        out.push_str(&format!(
            "\nSent to providers: {requests}, {} tokens ({prompt} of prompts, {completion} of answers)",
            prompt + completion
        ));
        if recorded.uncounted > 0 {
            out.push_str(&format!("; {} answers without a count", recorded.uncounted));
        }
        out.push_str(".\n");
    }
    out
}

fn files(recorded: &Recorded) -> String {
    let kinds = recorded.kinds();
    let counts: Vec<String> = kinds.iter().map(|(word, files)| format!("{} {word}", files.len())).collect();
    if kinds.iter().all(|(_, files)| files.is_empty()) {
        return String::new();
    }
    let mut out = format!("\nFiles: {}.\n\n", counts.join(", "));
    for (word, files) in kinds {
        files.iter().for_each(|file| out.push_str(&format!("- {word}: {}\n", code(file))));
    }
    if !recorded.obsolete.is_empty() {
        out.push_str(
            "\nObsolete: recordings that these trials do not use any more; `--prune` deletes them.\n",
        );
    }
    out
}

/// Text that Markdown shows as it is, also in a table: nothing in it is read as markup.
fn code(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ").replace('|', "\\|");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// All of it, for programs.
pub fn json(survey: &Survey, recorded: Option<&Recorded>) -> Value {
    let changed = survey.changed.iter().map(|trial| {
        json!({"trial": trial.id, "requests": trial.changes.iter().map(ChangedRequest::json).collect::<Vec<_>>()})
    });
    let failing = survey.failing.iter().map(|(id, title)| json!({"trial": id, "title": title}));
    let mut all = json!({"trials": survey.trials, "changed": changed.collect::<Vec<_>>(),
        "failing": failing.collect::<Vec<_>>(), "boot": survey.boot});
    if let Some(recorded) = recorded {
        let trials = recorded.trials.iter().map(|trial| {
            json!({"trial": trial.id, "recorded": trial.recorded, "replayed": trial.replayed,
                "requests": trial.requests, "tokens": trial.tokens})
        });
        all["recorded"] = json!({"trials": trials.collect::<Vec<_>>(), "files": recorded.files,
            "obsolete": recorded.obsolete, "requests": recorded.requests, "uncounted": recorded.uncounted,
            "tokens": {"prompt": recorded.prompt_tokens, "completion": recorded.completion_tokens}});
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_name_stays_text() {
        assert_eq!(code("a::b[x|y]"), "`a::b[x\\|y]`");
        assert_eq!(code("say `hi`\n<b>"), "``say `hi` <b>``");
        assert_eq!(code("`a"), "`` `a ``");
    }

    fn used(tier: &str, file: Option<&str>) -> ProviderUse {
        ProviderUse {
            provider: "p".to_owned(),
            endpoint: "/v1/x".to_owned(),
            tier: tier.to_owned(),
            file: file.map(str::to_owned),
            ..ProviderUse::default()
        }
    }

    #[test]
    fn what_differs_from_run_to_run_is_no_change() {
        let check = |tier: &str, drift: bool, want: Option<How>| {
            assert_eq!(change(&used(tier, Some("f")), drift).map(|change| change.how), want, "{tier}");
        };
        check("exact", true, None);
        check("masked-ids", true, None);
        check("recorded", true, None);
        check("exact; declared fault: delay", true, None);
        check("dropped-nulls, masked-ids", true, Some(How::Drifted("dropped-nulls".to_owned())));
        check(
            "client-defaults; declared fault: delay",
            true,
            Some(How::Drifted("client-defaults".to_owned())),
        );
        check("client-defaults", false, None);
        check("miss", false, Some(How::Missing(Vec::new())));
    }
}
