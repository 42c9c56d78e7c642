//! A run as its JSON Lines tell it: what every other report can be made from again.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::jsonl::{EXCHANGES, FORMAT};
use crate::exec::event::{
    ExchangeReport, Failure, FailureKind, Listed, Outcome, Price, ProviderUse, RequestTrace, Requests,
    RunInfo, ShardInfo, Summary, TrialReport,
};
use crate::exec::review::{Review, Stale};
use crate::plan::expectations::ListKind;
use crate::record::structure::Structure;
use crate::record::{Spent, Tokens, Unused};

/// A run that was written down.
#[derive(Debug, Clone, Default)]
pub struct RecordedRun {
    pub info: RunInfo,
    /// In the order in which they ended.
    pub trials: Vec<TrialReport>,
    /// What the run itself counted; `None` when it was cut off.
    pub summary: Option<Summary>,
    /// What its answers were made of, where these are the lines of `--report exchanges=PATH`.
    pub exchanges: Vec<ExchangeReport>,
    /// Whether they are: then nothing is said of trials.
    pub holds_exchanges: bool,
}

impl RecordedRun {
    /// Reads a file that `--report PATH.jsonl` wrote.
    ///
    /// # Errors
    /// What is wrong with it, with the line; the path is for the caller to name.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
        Self::parse(&text)
    }

    /// Reads the lines of one run. A last line that was cut off is left out: the run was killed while writing it.
    ///
    /// # Errors
    /// The first line that is none of a run's.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut run = Self::default();
        let mut started = false;
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let event: Value = match serde_json::from_str(line) {
                Ok(event) => event,
                Err(_) if started && index + 1 == lines.len() && !text.ends_with('\n') => break,
                Err(error) => return Err(format!("line {} is not JSON: {error}", index + 1)),
            };
            match event["event"].as_str() {
                Some("run_started") if event["format"] != FORMAT => {
                    return Err(format!("it has format {}, this program reads {FORMAT}", event["format"]));
                }
                Some("run_started") if started => {
                    return Err(format!("line {}: a second run begins", index + 1));
                }
                Some("run_started") => {
                    started = true;
                    run.info = info(&event);
                    run.holds_exchanges = event["lines"] == EXCHANGES;
                }
                Some("trial_finished") => {
                    let trial =
                        trial(&event).ok_or_else(|| format!("line {}: not a trial's end", index + 1))?;
                    run.trials.push(trial);
                }
                Some("exchange") => {
                    let exchange =
                        exchange(&event).ok_or_else(|| format!("line {}: not an exchange", index + 1))?;
                    // Those of earlier versions do not say at their head what they are.
                    run.holds_exchanges = true;
                    run.exchanges.push(exchange);
                }
                Some("run_finished") => run.summary = Some(summary(&event)),
                Some(_) => {}
                None => return Err(format!("line {} is no event of a run", index + 1)),
            }
        }
        if started { Ok(run) } else { Err("no run is in it; --report PATH.jsonl writes one".to_owned()) }
    }
}

fn info(event: &Value) -> RunInfo {
    let shard = &event["shard"];
    let params = event["params"].as_object().into_iter().flatten();
    let prices = event["prices"].as_object().into_iter().flatten();
    RunInfo {
        suite: optional(&event["suite"]),
        setup: optional(&event["setup"]),
        target: text(&event["target"]),
        mode: text(&event["mode"]),
        jobs: count(&event["jobs"]),
        trials: count(&event["trials"]),
        seed: event["seed"].as_u64().and_then(|seed| u32::try_from(seed).ok()),
        prices: prices.map(|(model, value)| (model.clone(), price(value))).collect(),
        params: params.map(|(name, values)| (name.clone(), list(values, text))).collect(),
        started: event["started"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default(),
        shard: shard.is_object().then(|| ShardInfo {
            index: count(&shard["index"]),
            count: count(&shard["count"]),
            by: text(&shard["by"]),
            planned: count(&shard["planned"]),
        }),
    }
}

fn price(value: &Value) -> Price {
    let amount = |name: &str| value[name].as_f64().unwrap_or_default();
    Price { prompt: amount("prompt"), completion: amount("completion") }
}

fn trial(event: &Value) -> Option<TrialReport> {
    let reason = || text(&event["reason"]);
    let failures = || list(&event["failures"], failure);
    let outcome = match event["outcome"].as_str()? {
        "passed" => Outcome::Passed,
        "failed" => Outcome::Failed(failures()),
        "skipped" => Outcome::Skipped(reason()),
        "xfailed" => Outcome::XFailed(reason()),
        "xpassed" => Outcome::XPassed(reason()),
        "broken" => Outcome::Broken(failures()),
        "quarantined" => Outcome::Quarantined(reason(), failures()),
        _ => return None,
    };
    let axes = event["axes"].as_object().into_iter().flatten();
    Some(TrialReport {
        id: event["id"].as_str()?.to_owned(),
        trial: plain_id(event["id"].as_str()?),
        axes: axes.map(|(name, value)| (name.clone(), text(value))).collect(),
        place: text(&event["place"]),
        upstream: optional(&event["upstream"]),
        outcome,
        took: seconds(&event["seconds"]),
        attempts: u32::try_from(count(&event["attempts"])).unwrap_or(u32::MAX),
        matches: list(&event["matches"], provider_use),
        listed: list(&event["listed"], listed).into_iter().flatten().collect(),
        tokens: counted(&event["tokens"]),
        requests: Requests {
            traces: list(&event["requests"], request),
            more: count(&event["more_requests"]),
        },
    })
}

fn listed(value: &Value) -> Option<Listed> {
    let kind = ListKind::of(value["kind"].as_str()?)?;
    Some(Listed { kind, place: text(&value["place"]), because: text(&value["because"]) })
}

fn exchange(event: &Value) -> Option<ExchangeReport> {
    let path = text(&event["path"]);
    let written = optional(&event["endpoint"]);
    Some(ExchangeReport {
        id: event["id"].as_str()?.to_owned(),
        place: text(&event["place"]),
        method: text(&event["method"]),
        endpoint: written.unwrap_or_else(|| path.split('?').next().unwrap_or_default().to_owned()),
        path,
        took: seconds(&event["seconds"]),
        answer: Structure::read(event)?,
    })
}

fn failure(value: &Value) -> Failure {
    Failure {
        kind: FailureKind::of(value["kind"].as_str().unwrap_or_default()),
        title: text(&value["title"]),
        place: optional(&value["place"]),
        excerpt: optional(&value["excerpt"]),
        detail: optional(&value["detail"]),
        curl: optional(&value["curl"]),
        answer: optional(&value["answer"]),
    }
}

fn provider_use(value: &Value) -> ProviderUse {
    ProviderUse {
        provider: text(&value["provider"]),
        endpoint: text(&value["endpoint"]),
        model: optional(&value["model"]),
        status: u16::try_from(count(&value["status"])).unwrap_or(0),
        at: optional_seconds(&value["at"]),
        took: seconds(&value["seconds"]),
        tier: text(&value["tier"]),
        file: optional(&value["file"]),
        request: value.get("request").filter(|request| !request.is_null()).cloned(),
        nearest: None,
        recorded_at: None,
        tokens: counted(&value["tokens"]),
    }
}

fn request(value: &Value) -> RequestTrace {
    RequestTrace {
        place: text(&value["place"]),
        method: text(&value["method"]),
        path: text(&value["path"]),
        status: value["status"].as_u64().and_then(|status| u16::try_from(status).ok()),
        at: seconds(&value["at"]),
        took: seconds(&value["seconds"]),
        bytes: count(&value["bytes"]),
        first_byte: optional_seconds(&value["first_byte"]),
        chunks: count(&value["chunks"]),
        arrivals: list(&value["arrivals"], seconds),
        largest_gap: optional_seconds(&value["largest_gap"]),
    }
}

/// A trial's id in its plan: reports number those that ran several times.
fn plain_id(id: &str) -> String {
    let numbered = id.rsplit_once('#').filter(|(_, number)| number.parse::<u32>().is_ok());
    numbered.map_or(id, |(plain, _)| plain).to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn counted(value: &Value) -> Option<Tokens> {
    value.is_object().then(|| tokens(value))
}

fn tokens(value: &Value) -> Tokens {
    Tokens { prompt: number(&value["prompt"]), completion: number(&value["completion"]) }
}

fn review(value: &Value) -> Review {
    let unused = |value: &Value| Unused {
        file: text(&value["file"]),
        owner: optional(&value["trial"]),
        is_orphan: value["orphan"] == true,
    };
    let stale = |value: &Value| {
        let recorded_at = value["recorded_at"].as_str()?.parse().ok()?;
        Some(Stale { file: text(&value["file"]), recorded_at, trial: optional(&value["trial"]) })
    };
    Review {
        unused: list(&value["unused"], unused),
        stale: list(&value["stale"], stale).into_iter().flatten().collect(),
        max_age: None,
        undated: count(&value["undated"]),
        unmet: list(&value["unmet"], text),
    }
}

fn spent(value: &Value) -> Spent {
    let Tokens { prompt, completion } = tokens(&value["tokens"]);
    Spent {
        requests: number(&value["requests"]),
        prompt_tokens: prompt,
        completion_tokens: completion,
        uncounted: number(&value["uncounted"]),
        estimated_tokens: number(&value["estimated_tokens"]),
    }
}

fn summary(event: &Value) -> Summary {
    Summary {
        passed: count(&event["passed"]),
        failed: count(&event["failed"]),
        skipped: count(&event["skipped"]),
        xfailed: count(&event["xfailed"]),
        xpassed: count(&event["xpassed"]),
        broken: count(&event["broken"]),
        quarantined: count(&event["quarantined"]),
        flaky: count(&event["flaky"]),
        missed: count(&event["missed"]),
        stray_misses: list(&event["stray_misses"], text),
        unclean: list(&event["unclean"], failure),
        recordings: review(&event["recordings"]),
        spent: spent(&event["forwarded"]),
        other_matches: list(&event["matches"], provider_use),
        not_run: count(&event["not_run"]),
        interrupted: event["interrupted"] == true,
        took: seconds(&event["seconds"]),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn optional(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn count(value: &Value) -> usize {
    value.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
}

fn seconds(value: &Value) -> Duration {
    optional_seconds(value).unwrap_or_default()
}

fn optional_seconds(value: &Value) -> Option<Duration> {
    value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

fn list<T>(value: &Value, read: fn(&Value) -> T) -> Vec<T> {
    value.as_array().into_iter().flatten().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::event::Event;
    use crate::report::jsonl::Jsonl;

    fn trial(id: &str, outcome: Outcome) -> TrialReport {
        TrialReport {
            upstream: Some("a.py::test".to_owned()),
            took: Duration::from_millis(1500),
            attempts: 2,
            matches: vec![ProviderUse {
                provider: "p".to_owned(),
                endpoint: "/v1/x".to_owned(),
                tier: "miss".to_owned(),
                file: None,
                request: Some(serde_json::json!({"a": 1})),
                model: Some("m".to_owned()),
                status: 599,
                at: Some(Duration::from_millis(2)),
                took: Duration::from_millis(3),
                nearest: None,
                recorded_at: None,
                tokens: Some(Tokens { prompt: 2, completion: 3 }),
            }],
            tokens: Some(Tokens { prompt: 2, completion: 3 }),
            listed: vec![Listed {
                kind: ListKind::Quarantine,
                place: "expectations/e.yaml:2".to_owned(),
                because: "b".to_owned(),
            }],
            requests: Requests {
                traces: vec![
                    RequestTrace {
                        place: "test_cases/a.yaml:4".to_owned(),
                        method: "POST".to_owned(),
                        path: "/v1/x".to_owned(),
                        status: Some(200),
                        at: Duration::from_micros(7),
                        took: Duration::from_millis(9),
                        bytes: 10,
                        first_byte: Some(Duration::from_millis(1)),
                        chunks: 2,
                        arrivals: vec![Duration::from_millis(1), Duration::from_millis(8)],
                        largest_gap: Some(Duration::from_millis(7)),
                    },
                    RequestTrace::default(),
                ],
                more: 5,
            },
            axes: vec![("txt".to_owned(), "m".to_owned()), ("row".to_owned(), "a".to_owned())],
            ..TrialReport::ended(id, outcome)
        }
    }

    fn lines(events: &[Event]) -> String {
        let mut out = Vec::new();
        let mut jsonl = Jsonl::new(&mut out, crate::report::jsonl::Lines::Trials);
        for event in events {
            jsonl.on(event).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    /// A run in which every outcome occurs.
    fn run() -> String {
        let failure = Failure {
            excerpt: Some(" 3 | x".to_owned()),
            detail: Some("d".to_owned()),
            curl: Some("curl".to_owned()),
            answer: Some("a".to_owned()),
            place: Some("a.yaml:3".to_owned()),
            ..Failure::new(FailureKind::Miss, "t")
        };
        let why = || "why".to_owned();
        let outcomes = [
            Outcome::Passed,
            Outcome::Failed(vec![failure.clone()]),
            Outcome::Skipped(why()),
            Outcome::XFailed(why()),
            Outcome::XPassed(why()),
            Outcome::Broken(vec![Failure { kind: FailureKind::Fault, ..failure.clone() }]),
            Outcome::Quarantined(why(), vec![failure]),
        ];
        let mut summary = Summary::default();
        let shard = ShardInfo { index: 1, count: 2, by: "hash".to_owned(), planned: 9 };
        let mut events = vec![Event::RunStarted(RunInfo {
            suite: Some("base".to_owned()),
            params: vec![("text_model".to_owned(), vec!["m".to_owned()])],
            prices: vec![("p/m".to_owned(), Price { prompt: 0.5, completion: 2.0 })],
            shard: Some(shard),
            started: "2026-01-02T03:04:05Z".parse().unwrap(),
            ..RunInfo::default()
        })];
        for (index, outcome) in outcomes.into_iter().enumerate() {
            let report = trial(&format!("a::{index}"), outcome);
            summary.count(&report);
            events.push(Event::TrialFinished(Box::new(report)));
        }
        events.push(Event::RunFinished(summary));
        lines(&events)
    }

    #[test]
    fn what_was_written_is_read_back() {
        let written = run();
        let read = RecordedRun::parse(&written).unwrap();
        let mut events = vec![Event::RunStarted(read.info)];
        events.extend(read.trials.into_iter().map(|trial| Event::TrialFinished(Box::new(trial))));
        events.extend(read.summary.map(Event::RunFinished));
        assert_eq!(lines(&events), written);
    }

    #[test]
    fn a_killed_run_is_read_as_far_as_it_came() {
        let written = run();
        let cut = &written[..written.len() - 30];
        let read = RecordedRun::parse(cut).unwrap();
        assert_eq!((read.trials.len(), read.summary.is_none()), (7, true));
    }

    #[test]
    fn what_is_no_run_is_refused() {
        let error = |text: &str| RecordedRun::parse(text).unwrap_err();
        assert_eq!(error(""), "no run is in it; --report PATH.jsonl writes one");
        assert_eq!(error("{}\n"), "line 1 is no event of a run");
        assert_eq!(
            error("{\"event\":\"run_started\",\"format\":7}\n"),
            "it has format 7, this program reads 1"
        );
        let good = run();
        assert_eq!(error(&format!("{good}{good}")), "line 10: a second run begins");
        assert!(error(&format!("{good}x\n")).starts_with("line 10 is not JSON"));
    }
}
