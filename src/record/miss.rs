//! A request that no recording answers, explained: its key, the nearest recording, and what differs.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::diff::{Difference, diff};
use super::entry::{self, Entry};
use super::key::{WireBody, WireRequest};
use super::normalise;
use super::scope::Caller;

/// Recordings that are read to find the nearest one.
const MOST_CANDIDATES: usize = 40;

/// Differences that the rendered text shows.
const MOST_SHOWN: usize = 8;

/// A lookup that found nothing to serve.
#[derive(Debug, Clone, PartialEq)]
pub struct Miss {
    pub key: String,
    pub provider: String,
    pub method: String,
    pub path: String,
    pub reason: MissReason,
    pub nearest: Option<Nearest>,
    /// What to do about it.
    pub hint: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissReason {
    NotRecorded,
    /// Several recordings look alike after normalising, answer differently, and none is exact.
    Ambiguous {
        files: Vec<String>,
    },
    /// The matching file cannot be used.
    Unusable {
        problem: String,
    },
}

/// The recording most like the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    /// Relative to the recordings directory.
    pub file: String,
    pub differences: Vec<Difference>,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "no recording answers {} {} (provider {})", self.method, self.path, self.provider)?;
        writeln!(f, "  key      {}", self.key)?;
        match &self.reason {
            MissReason::NotRecorded => {}
            MissReason::Ambiguous { files } => {
                writeln!(
                    f,
                    "  refused  {} recordings match only after normalising, and answer differently:",
                    files.len()
                )?;
                for file in files.iter().take(MOST_SHOWN) {
                    writeln!(f, "           {file}")?;
                }
            }
            MissReason::Unusable { problem } => writeln!(f, "  refused  {problem}")?,
        }
        match &self.nearest {
            None => writeln!(f, "  nearest  none: nothing is recorded for this endpoint")?,
            Some(nearest) => {
                writeln!(f, "  nearest  {}", nearest.file)?;
                for (i, difference) in nearest.differences.iter().take(MOST_SHOWN).enumerate() {
                    writeln!(f, "  {}  {difference}", if i == 0 { "differs" } else { "       " })?;
                }
                if nearest.differences.len() > MOST_SHOWN {
                    writeln!(f, "           and {} more", nearest.differences.len() - MOST_SHOWN)?;
                }
            }
        }
        write!(f, "  hint     {}", self.hint)
    }
}

impl std::error::Error for Miss {}

/// The entries worth comparing with `request`, most promising first: same endpoint, and then same provider, same model,
/// own scope, similar length.
pub(crate) fn candidates<'a>(
    entries: impl Iterator<Item = &'a Arc<Entry>>,
    request: &WireRequest,
    caller: &Caller,
) -> Vec<Arc<Entry>> {
    let endpoint = normalise::endpoint(&request.path);
    let length = request.body.json().map_or(0, |body| body.to_string().len());
    let own = |entry: &Entry| {
        entry.owners.iter().filter_map(|owner| owner.id.as_deref()).any(|id| caller.attempt.is_owner(id))
    };
    let mut found: Vec<_> = entries.filter(|entry| entry.endpoint == endpoint).collect();
    found.sort_by_cached_key(|entry| {
        (
            entry.provider != request.provider,
            entry.model != request.model(),
            !own(entry),
            entry.request_length.abs_diff(length),
            entry.file.clone(),
        )
    });
    found.into_iter().take(MOST_CANDIDATES).cloned().collect()
}

/// Builds the miss, reading the candidates' files in `dir`.
pub(crate) fn explain(
    dir: &Path,
    request: &WireRequest,
    key: &str,
    reason: MissReason,
    candidates: &[Arc<Entry>],
) -> Miss {
    let mut best: Option<(usize, Nearest)> = None;
    for entry in candidates {
        let Ok(Some(loaded)) = entry::load(&dir.join(&entry.file)) else { continue };
        let found = diff(&comparable(request), &comparable(&loaded.request));
        if best.as_ref().is_none_or(|(weight, _)| found.weight < *weight) {
            best = Some((found.weight, Nearest { file: entry.file.clone(), differences: found.differences }));
        }
    }
    Miss {
        key: key.to_owned(),
        provider: request.provider.clone(),
        method: request.method.clone(),
        path: request.path.clone(),
        hint: hint(&reason, best.is_some(), "--inference-mode=record-if-missing"),
        reason,
        nearest: best.map(|(_, nearest)| nearest),
    }
}

impl Miss {
    /// With the command that would record what is missing, for who knows it.
    #[must_use]
    pub fn recorded_by(mut self, command: &str) -> Self {
        self.hint = hint(&self.reason, self.nearest.is_some(), &format!("\n           {command}"));
        self
    }
}

/// What to do about a miss; `how` to record.
fn hint(reason: &MissReason, has_nearest: bool, how: &str) -> String {
    let advice = match reason {
        MissReason::NotRecorded if has_nearest => "if the request changed on purpose, record it:",
        MissReason::NotRecorded => "record it:",
        MissReason::Ambiguous { .. } => "make the request reproducible, or record it for this trial:",
        MissReason::Unusable { .. } => "restore the file, or delete it and record again:",
    };
    let space = if how.starts_with('\n') { "" } else { " " };
    format!("{advice}{space}{how}")
}

/// The request's body, with what else identifies it where that differs from what the endpoint says.
pub(crate) fn comparable(request: &WireRequest) -> Value {
    let body = match &request.body {
        WireBody::Json(value) => value.clone(),
        WireBody::Empty => Value::Null,
        WireBody::Raw(bytes) => Value::from(String::from_utf8_lossy(bytes)),
    };
    match body {
        Value::Object(mut members) => {
            members.insert("(provider)".into(), request.provider.as_str().into());
            members.insert("(request)".into(), format!("{} {}", request.method, request.path).into());
            Value::Object(members)
        }
        other => serde_json::json!({
            "(provider)": request.provider, "(request)": format!("{} {}", request.method, request.path), "(body)": other,
        }),
    }
}
