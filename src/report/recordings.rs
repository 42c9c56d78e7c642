//! What a run has to say about its recordings and about what it asked of providers, in lines.

use std::time::Duration;

use super::console::Verbosity;
use super::text::count;
use crate::exec::event::Summary;
use crate::exec::review::{Review, Stale};
use crate::record::{Spent, Unused};

/// Nothing for a run of which there is nothing to say.
pub fn lines(summary: &Summary, verbosity: Verbosity) -> Vec<String> {
    let review = &summary.recordings;
    let mut lines = Vec::new();
    if verbosity > Verbosity::Quiet {
        let names = verbosity == Verbosity::Verbose;
        lines.extend(spent(&summary.spent));
        lines.extend(stale(review, names));
        lines.extend(unused(&review.unused, names));
    }
    lines.extend(review.unmet.iter().map(|unmet| format!("failed for: {unmet}")));
    lines
}

fn spent(spent: &Spent) -> Option<String> {
    if spent.requests == 0 {
        return None;
    }
    let (prompt, completion) = (spent.prompt_tokens, spent.completion_tokens);
    let mut line = format!(
        "sent to providers: {}, {} tokens ({prompt} of prompts, {completion} of answers)",
        amount(spent.requests, "request"),
        prompt + completion
    );
    if spent.uncounted > 0 {
        let answers = amount(spent.uncounted, "answer");
        line.push_str(&format!("; {answers} without a count, at most {} more", spent.estimated_tokens));
    }
    Some(line)
}

fn stale(review: &Review, names: bool) -> Vec<String> {
    let Some(age) = review.max_age else { return Vec::new() };
    let mut lines = Vec::new();
    if let Some(oldest) = review.stale.first() {
        let n = count(review.stale.len(), "recording");
        let day = oldest.recorded_at.strftime("%Y-%m-%d");
        lines.push(format!("older than {}: {n}, the oldest of {day}{}", days(age), hint(names)));
        let named = |s: &Stale| {
            format!("  {} of {}  {}", s.file, s.recorded_at.strftime("%Y-%m-%d"), owner(s.trial.as_deref()))
        };
        lines.extend(review.stale.iter().filter(|_| names).map(named));
    }
    if review.undated > 0 {
        lines.push(format!("of unknown age: {}", count(review.undated, "recording")));
    }
    lines
}

fn unused(unused: &[Unused], names: bool) -> Vec<String> {
    if unused.is_empty() {
        return Vec::new();
    }
    let orphans = unused.iter().filter(|u| u.is_orphan).count();
    let of_them =
        if orphans > 0 { format!(", {orphans} of them of trials that are gone") } else { String::new() };
    let mut lines = vec![format!("not used: {}{of_them}{}", count(unused.len(), "recording"), hint(names))];
    let named = |u: &Unused| {
        let gone = if u.is_orphan { " (gone)" } else { "" };
        format!("  {}  {}{gone}", u.file, owner(u.owner.as_deref()))
    };
    lines.extend(unused.iter().filter(|_| names).map(named));
    lines
}

fn owner(trial: Option<&str>) -> &str {
    trial.unwrap_or("(no trial)")
}

fn hint(names: bool) -> &'static str {
    if names { "" } else { " (-v names them)" }
}

fn amount(n: u64, noun: &str) -> String {
    count(usize::try_from(n).unwrap_or(usize::MAX), noun)
}

/// `90d`, or hours where days are not whole.
fn days(age: Duration) -> String {
    let hours = age.as_secs() / 3600;
    if hours.is_multiple_of(24) && hours > 0 {
        format!("{}d", hours / 24)
    } else {
        format!("{:.1}h", age.as_secs_f64() / 3600.0)
    }
}
