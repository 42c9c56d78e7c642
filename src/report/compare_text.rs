//! A comparison as text for a terminal, as Markdown, and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::compare::{Comparison, word};
use super::shapes::{Difference, Shapes};
use super::text;
use crate::exec::event::{RunInfo, TrialReport};

/// Trials whose times differ most that are listed, and by how much they must differ.
const STRAYED: usize = 10;
const STRAYED_BY: Duration = Duration::from_millis(100);
/// Characters of a reason that are shown.
const REASON_SHOWN: usize = 200;
const NO_SHAPES: &str = "not compared: two sides must have the lines that `--report exchanges=PATH` writes";

/// For a terminal.
pub fn text(comparison: &Comparison<'_>) -> String {
    let names = names(comparison);
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for side in &comparison.sides {
        out.push_str(&format!("{:<width$}  {}: {}\n", side.name, what(side.info), side.summary.line()));
    }
    out.push_str(&format!("\n{}\n", alike(comparison)));
    for (words, count) in comparison.combinations() {
        out.push_str(&format!("  {count:>6}  {}\n", beside(&words)));
    }
    for (key, row) in comparison.differing() {
        out.push_str(&format!("\n{key}\n"));
        for (name, trial) in names.iter().zip(row) {
            out.push_str(&format!("  {name:<width$}  {}\n", ended(*trial)));
        }
    }
    out.push_str("\ntimes of the trials that passed on all sides:\n");
    for side in &comparison.sides {
        let times = side.times;
        let first = times.first_chunk.map(|time| format!(", first chunk of a stream {}", short(time)));
        out.push_str(&format!(
            "  {:<width$}  {} in all, median {}{}\n",
            side.name,
            text::seconds(times.total),
            short(times.median),
            first.unwrap_or_default()
        ));
    }
    let strayed = comparison.strayed(STRAYED, STRAYED_BY);
    if !strayed.is_empty() {
        out.push_str(&format!("  most apart, {}:\n", names.join(" | ")));
    }
    for (key, times) in strayed {
        let times: Vec<String> = times.into_iter().map(text::seconds).collect();
        out.push_str(&format!("  {:>18}  {key}\n", times.join(" | ")));
    }
    out.push_str("\nshapes of answers: ");
    match &comparison.shapes {
        None => out.push_str(&format!("{NO_SHAPES}\n")),
        Some(shapes) => {
            out.push_str(&format!("{}\n{:>10} {:>7}  endpoint\n", sum(shapes), "compared", "alike"));
            for (endpoint, tally) in &shapes.endpoints {
                out.push_str(&format!("{:>10} {:>7}  {endpoint}\n", tally.compared, tally.alike));
            }
            for difference in &shapes.differences {
                out.push_str(&format!("\n{}: {}\n", difference.endpoint, difference.place));
                for (name, value) in names.iter().zip(&difference.values) {
                    out.push_str(&format!("  {name:<width$}  {}\n", shown(value.as_ref())));
                }
                out.push_str(&format!("  {}\n", seen_in(difference)));
            }
        }
    }
    out
}

/// For a pull request or a wiki.
pub fn markdown(comparison: &Comparison<'_>) -> String {
    let cell = super::markdown::cell;
    let names = names(comparison);
    let head = |first: &str| {
        let columns: String = names.iter().map(|name| format!(" {} |", cell(name))).collect();
        format!("| {first} |{columns}\n|---|{}\n", "---|".repeat(names.len()))
    };
    let mut out = String::from(
        "# Comparison\n\n| | run | outcomes | time of what passed everywhere | median | first chunk of a stream |\n|---|---|---|---:|---:|---:|\n",
    );
    for side in &comparison.sides {
        let (what, counts) = (what(side.info), side.summary.line());
        let first = side.times.first_chunk.map(short).unwrap_or_default();
        let (total, median) = (text::seconds(side.times.total), short(side.times.median));
        out.push_str(&format!(
            "| **{}** | {} | {counts} | {total} | {median} | {first} |\n",
            cell(side.name),
            cell(&what)
        ));
    }
    out.push_str(&format!("\n## Outcomes\n\n{}\n\n{}", alike(comparison), head("trials")));
    for (words, count) in comparison.combinations() {
        out.push_str(&format!(
            "| {count} |{}\n",
            words.iter().map(|word| format!(" {word} |")).collect::<String>()
        ));
    }
    if comparison.differing().next().is_some() {
        out.push_str(&format!("\n{}", head("trial")));
    }
    for (key, row) in comparison.differing() {
        let cells: String = row.iter().map(|trial| format!(" {} |", cell(&ended(*trial)))).collect();
        out.push_str(&format!("| `{}` |{cells}\n", cell(key)));
    }
    let strayed = comparison.strayed(STRAYED, STRAYED_BY);
    if !strayed.is_empty() {
        out.push_str(&format!("\n## Times that differ most\n\n{}", head("trial")));
    }
    for (key, times) in strayed {
        let cells: String = times.into_iter().map(|time| format!(" {} |", text::seconds(time))).collect();
        out.push_str(&format!("| `{}` |{cells}\n", cell(key)));
    }
    out.push_str("\n## Shapes of answers\n\n");
    let Some(shapes) = &comparison.shapes else { return out + NO_SHAPES + "\n" };
    out.push_str(&format!("{}\n\n| endpoint | compared | alike |\n|---|---:|---:|\n", sum(shapes)));
    for (endpoint, tally) in &shapes.endpoints {
        out.push_str(&format!("| `{}` | {} | {} |\n", cell(endpoint), tally.compared, tally.alike));
    }
    if !shapes.differences.is_empty() {
        out.push_str(&format!("\n{}", head("where they differ")));
    }
    for difference in &shapes.differences {
        let cells: String =
            difference.values.iter().map(|value| format!(" {} |", cell(shown(value.as_ref())))).collect();
        let place = format!("{}: {}", difference.endpoint, difference.place);
        out.push_str(&format!("| `{}` ({}) |{cells}\n", cell(&place), seen_in(difference)));
    }
    out
}

/// For other programs. Keys may be added; none changes its meaning within one `format`.
pub fn json(comparison: &Comparison<'_>) -> Value {
    let seconds = |time: Duration| time.as_secs_f64();
    let sides: Vec<Value> = (comparison.sides.iter())
        .map(|side| {
            json!({
                "name": side.name, "suite": side.info.suite, "setup": side.info.setup, "target": side.info.target,
                "mode": side.info.mode, "started": side.info.started.to_string(), "counts": side.summary.line(),
                "seconds": seconds(side.times.total), "median_seconds": seconds(side.times.median),
                "first_chunk_seconds": side.times.first_chunk.map(seconds),
            })
        })
        .collect();
    let trials: Vec<Value> = (comparison.trials.iter())
        .map(|(key, row)| {
            let ends = row.iter().map(|trial| {
                json!({
                    "id": trial.map(|t| t.id.as_str()), "outcome": word(*trial),
                    "reason": trial.and_then(|t| t.outcome.reason()), "seconds": trial.map(|t| seconds(t.took)),
                })
            });
            json!({"trial": key, "alike": row.iter().all(|trial| word(*trial) == word(row[0])), "sides": ends.collect::<Value>()})
        })
        .collect();
    let shapes = comparison.shapes.as_ref().map(|shapes| {
        let endpoints = shapes.endpoints.iter();
        let endpoints: Vec<Value> = endpoints
            .map(|(name, tally)| json!({"endpoint": name, "compared": tally.compared, "alike": tally.alike}))
            .collect();
        let differences: Vec<Value> = (shapes.differences.iter())
            .map(|d| json!({"endpoint": d.endpoint, "place": d.place, "sides": d.values, "answers": d.answers, "example": d.example}))
            .collect();
        json!({"endpoints": endpoints, "differences": differences})
    });
    json!({
        "format": 1, "differing": comparison.differing().count(), "sides": sides, "trials": trials, "shapes": shapes,
    })
}

fn names<'a>(comparison: &Comparison<'a>) -> Vec<&'a str> {
    comparison.sides.iter().map(|side| side.name).collect()
}

/// `base with ollama against starter (replay)`.
fn what(info: &RunInfo) -> String {
    let suite = info.suite.as_deref().unwrap_or("all cases");
    let setup = info.setup.as_ref().map(|setup| format!(" with {setup}")).unwrap_or_default();
    format!("{suite}{setup} against {} ({})", info.target, info.mode)
}

fn alike(comparison: &Comparison<'_>) -> String {
    let (all, differing) = (comparison.trials.len(), comparison.differing().count());
    format!("{} of {} end alike", all - differing, text::count(all, "trial"))
}

/// `passed`, or `passed | failed`.
fn beside(words: &[&str]) -> String {
    let all_same = words.iter().all(|word| *word == words[0]);
    if all_same { words[0].to_owned() } else { words.join(" | ") }
}

/// The outcome with its reason.
fn ended(trial: Option<&TrialReport>) -> String {
    let reason = trial.and_then(|trial| trial.outcome.reason());
    let reason: Option<String> = reason.map(|reason| reason.chars().take(REASON_SHOWN).collect());
    reason.map_or_else(|| word(trial).to_owned(), |reason| format!("{}: {reason}", word(trial)))
}

fn sum(shapes: &Shapes) -> String {
    let compared: usize = shapes.endpoints.values().map(|tally| tally.compared).sum();
    let alike: usize = shapes.endpoints.values().map(|tally| tally.alike).sum();
    format!("{alike} of {} alike", text::count(compared, "answer"))
}

/// What a side has at a place; where its answer was not compared, nothing is said.
fn shown(value: Option<&String>) -> &str {
    value.map_or("(not compared)", String::as_str)
}

fn seen_in(difference: &Difference) -> String {
    format!("{}, as in {}", text::count(difference.answers, "answer"), difference.example)
}

/// Milliseconds where seconds would show little.
fn short(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
    } else {
        text::seconds(time)
    }
}
