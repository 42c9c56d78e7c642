//! Failures, skips and times in plain words, shared by the console and the file reports.

use std::time::Duration;

use crate::exec::event::{Failure, Outcome, ProviderUse, TrialReport};

/// A failure as it is read: what, where, the YAML, the exchange, the difference.
pub fn failure(failure: &Failure) -> String {
    let mut text = String::new();
    match &failure.place {
        Some(place) => text.push_str(&format!("{place}: {}\n", failure.title)),
        None => text.push_str(&format!("{}\n", failure.title)),
    }
    for part in [&failure.excerpt, &failure.detail].into_iter().flatten() {
        text.push_str(&indented(part));
    }
    if let Some(curl) = &failure.curl {
        text.push_str(&format!("  request:\n{}", indented(&indented(curl))));
    }
    if let Some(answer) = &failure.answer {
        text.push_str(&format!("  answer:\n{}", indented(&indented(answer))));
    }
    text
}

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") }).collect()
}

/// What a trial's stack asked its provider, and what answered: `ollama /v1/embeddings: exact responses/0123.json`.
pub fn provider_use(used: &ProviderUse) -> String {
    let file = used.file.as_deref().map(|file| format!(" {file}")).unwrap_or_default();
    format!("{} {}: {}{file}", used.provider, used.endpoint, used.tier)
}

/// Skip reasons with how many trials each has, most frequent first.
pub fn skip_reasons(trials: &[TrialReport]) -> Vec<(usize, &str)> {
    let mut reasons: Vec<(usize, &str)> = Vec::new();
    for trial in trials {
        let Outcome::Skipped(reason) = &trial.outcome else { continue };
        match reasons.iter_mut().find(|(_, known)| known == reason) {
            Some((count, _)) => *count += 1,
            None => reasons.push((1, reason)),
        }
    }
    reasons.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    reasons
}

/// `0.12s`, `1m 02.3s`.
pub fn seconds(took: Duration) -> String {
    let seconds = took.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.2}s")
    } else {
        format!("{}m {:04.1}s", took.as_secs() / 60, seconds % 60.0)
    }
}

/// `1 trial`, `2 trials`.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
