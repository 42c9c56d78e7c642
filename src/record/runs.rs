//! What a run's JSON Lines say about recordings: which were used, for which trial, and whether the run saw all there is.
//!
//! The lines are read as data of a versioned format, not through the reporter that wrote them.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// Version of the lines that this program reads.
const FORMAT: u64 = 1;

/// One finished run, as far as recordings are concerned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    pub trials: Vec<RunTrial>,
    /// Provider calls that belong to no trial: a stack's boot, and late or earlier ones.
    pub others: Vec<RunMatch>,
    /// Why what it did not use may still be needed.
    pub objections: Vec<String>,
}

/// A trial and its provider calls.
#[derive(Debug, Clone, PartialEq)]
pub struct RunTrial {
    pub id: String,
    pub upstream: Option<String>,
    pub outcome: String,
    pub matches: Vec<RunMatch>,
}

/// A provider call and what answered it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunMatch {
    pub provider: String,
    pub endpoint: String,
    /// `exact`, names of normalisers, `recorded`, `forwarded`, `miss` or `failed`.
    pub tier: String,
    /// Relative to the run's recordings directory.
    pub file: Option<String>,
    /// The request itself, kept for misses.
    pub request: Option<Value>,
}

/// A line that is none of a run's. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotARun {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl fmt::Display for NotARun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}; a run writes such a file with --report PATH.jsonl",
            self.line, self.column, self.message
        )
    }
}

impl std::error::Error for NotARun {}

impl Run {
    /// Reads the lines of one run.
    ///
    /// # Errors
    /// The first line that is no JSON or of another format.
    pub fn read(text: &str) -> Result<Self, NotARun> {
        let mut run = Self::default();
        let mut finished = None;
        let mut started = false;
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let error = |column, message: String| NotARun { line: index + 1, column, message };
            let event: Value = serde_json::from_str(line).map_err(|source| {
                let message = source.to_string();
                error(source.column(), message.split(" at line ").next().unwrap_or_default().to_owned())
            })?;
            match event["event"].as_str() {
                Some("run_started") if event["format"].as_u64() != Some(FORMAT) => {
                    return Err(error(1, format!("format {}, this program reads {FORMAT}", event["format"])));
                }
                Some("run_started") => {
                    started = true;
                    if event["mode"] == "live" {
                        run.objections.push("it was a live run, which uses no recordings".to_owned());
                    }
                }
                Some("trial_finished") => run.trials.push(trial(&event)),
                Some("run_finished") => finished = Some(event),
                Some(_) => {}
                None => return Err(error(1, "no `event`".to_owned())),
            }
        }
        if !started {
            return Err(NotARun { line: 1, column: 1, message: "no `run_started`".to_owned() });
        }
        run.finish(finished);
        Ok(run)
    }

    fn finish(&mut self, finished: Option<Value>) {
        let Some(event) = finished else {
            self.objections.push("it did not end".to_owned());
            return;
        };
        let strays = event["stray_misses"].as_array().map_or(0, Vec::len);
        let counted = |name: &str| event[name].as_u64().unwrap_or(0);
        let failed = counted("failed") + counted("broken");
        if counted("missed") > 0 || strays > 0 {
            self.objections.push("it had replay misses".to_owned());
        }
        if failed > counted("missed") {
            self.objections.push(format!("{failed} of its trials failed"));
        }
        if counted("not_run") > 0 || event["interrupted"] == true {
            self.objections.push("not all of its trials were run".to_owned());
        }
        match event["matches"].as_array() {
            Some(others) => self.others = others.iter().map(used).collect(),
            None => self.objections.push("it does not say what the stack asked outside trials".to_owned()),
        }
    }

    /// The files that answered, or were recorded.
    pub fn files(&self) -> BTreeSet<&str> {
        let matches = self.trials.iter().flat_map(|trial| &trial.matches).chain(&self.others);
        matches.filter_map(|used| used.file.as_deref()).collect()
    }
}

fn trial(event: &Value) -> RunTrial {
    RunTrial {
        id: text(&event["id"]),
        upstream: event["upstream"].as_str().map(str::to_owned),
        outcome: text(&event["outcome"]),
        matches: event["matches"].as_array().into_iter().flatten().map(used).collect(),
    }
}

fn used(value: &Value) -> RunMatch {
    RunMatch {
        provider: text(&value["provider"]),
        endpoint: text(&value["endpoint"]),
        tier: text(&value["tier"]),
        file: value["file"].as_str().map(str::to_owned),
        request: value.get("request").filter(|request| !request.is_null()).cloned(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// Lines of a run in which one trial used `files`; `end` is merged into its last line.
    pub(crate) fn lines(files: &[&str], end: &Value) -> String {
        let matches: Vec<_> = files
            .iter()
            .map(|file| json!({"provider": "p", "endpoint": "/v1/x", "tier": "exact", "file": file}))
            .collect();
        let mut finished = json!({"event": "run_finished", "passed": 1, "failed": 0, "missed": 0, "broken": 0,
            "stray_misses": [], "not_run": 0, "interrupted": false, "matches": []});
        for (name, value) in end.as_object().unwrap() {
            finished[name] = value.clone();
        }
        let started = json!({"event": "run_started", "format": 1, "mode": "replay"});
        let trial = json!({"event": "trial_finished", "id": "a::b", "upstream": "u", "outcome": "passed", "matches": matches});
        format!("{started}\n{trial}\n{finished}\n")
    }

    #[test]
    fn a_good_run_has_files_and_no_objections() {
        let boot = json!({"matches": [{"provider": "p", "endpoint": "/v1/models", "tier": "exact", "file": "boot.json"}]});
        let run = Run::read(&lines(&["a.json"], &boot)).unwrap();
        assert_eq!(run.files().into_iter().collect::<Vec<_>>(), ["a.json", "boot.json"]);
        assert_eq!(run.objections, Vec::<String>::new());
    }

    #[test]
    fn whatever_a_run_did_not_see_is_an_objection() {
        let objections = |end: Value| Run::read(&lines(&[], &end)).unwrap().objections.join("; ");
        assert_eq!(
            objections(json!({"failed": 2, "missed": 1})),
            "it had replay misses; 2 of its trials failed"
        );
        assert_eq!(objections(json!({"failed": 1, "missed": 1})), "it had replay misses");
        assert_eq!(objections(json!({"stray_misses": ["x"]})), "it had replay misses");
        assert_eq!(objections(json!({"broken": 1})), "1 of its trials failed");
        assert_eq!(objections(json!({"not_run": 1})), "not all of its trials were run");
        assert!(objections(json!({"matches": null})).contains("outside trials"));
        let cut = lines(&[], &json!({}));
        let cut = cut.lines().next().unwrap();
        assert_eq!(Run::read(cut).unwrap().objections, ["it did not end"]);
        assert!(Run::read(&cut.replace("replay", "live")).unwrap().objections[0].contains("live"));
    }

    #[test]
    fn what_is_no_run_is_refused_with_its_place() {
        let error = |text: &str| {
            let NotARun { line, column, message } = Run::read(text).unwrap_err();
            format!("{line}:{column} {message}")
        };
        let good = lines(&[], &json!({}));
        assert_eq!(error(&format!("{good}{{\"a\":")), "4:5 EOF while parsing a value");
        assert_eq!(error("{}"), "1:1 no `event`");
        assert_eq!(error(""), "1:1 no `run_started`");
        assert_eq!(
            error(&good.replace("\"format\":1", "\"format\":2")),
            "1:1 format 2, this program reads 1"
        );
    }
}
