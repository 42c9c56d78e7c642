//! Why a request is answered by the recording it is answered by, or by none: every recording that was considered.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::catalogue::{Catalogue, Choice, ScopeTier, reachable};
use super::diff::{Change, Difference, diff};
use super::entry::{self, Entry};
use super::key::WireRequest;
use super::library::survey;
use super::miss::{candidates, comparable};
use super::normalise;
use super::scope::{ActiveTrials, Caller, TrialTag};

/// A request explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Why {
    pub provider: String,
    pub method: String,
    pub path: String,
    /// Who asks: a trial's id, or nobody in particular.
    pub trial: Option<String>,
    pub key: String,
    pub verdict: Verdict,
    /// What each normaliser makes of the request, and how many recordings are then equal to it.
    pub tiers: Vec<Tier>,
    /// Recordings that are equal at some tier, and then the nearest of the others.
    pub considered: Vec<Considered>,
    /// Recordings that were not compared, by the reason.
    pub rest: BTreeMap<String, usize>,
}

/// What a lookup says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Verdict {
    Served {
        file: String,
        normalisers: Vec<&'static str>,
        scope: String,
    },
    /// Lists of models, merged.
    Merged {
        files: Vec<String>,
    },
    /// Several look alike after normalising and answer differently.
    Ambiguous {
        files: Vec<String>,
    },
    Miss,
}

/// One tier of matching.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tier {
    /// `exact`, or the normaliser's name.
    pub name: &'static str,
    /// What it changed in the request, before and after.
    pub changes: Vec<String>,
    /// Recordings equal to the request at this tier and not before.
    pub equal: usize,
}

/// One recording that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Considered {
    pub file: String,
    /// Why it does or does not answer.
    pub because: String,
    /// How its request differs; empty for an exact match.
    pub differences: Vec<Difference>,
}

/// Explains `request` as asked by `trial`, among the recordings below `dir`. Shows the `most` nearest that do not match.
pub fn why(dir: &Path, request: &WireRequest, trial: Option<TrialTag>, most: usize) -> Why {
    let entries: Vec<_> = survey(dir, |volume| Arc::new(volume.entry)).items;
    let trials = Arc::new(ActiveTrials::default());
    let name = trial.as_ref().map(|trial| trial.id.clone());
    let guard = trial.map(|trial| trials.begin(trial));
    let caller = trials.resolve(&http::HeaderMap::new());
    let explained = explain(dir, request, &entries, &caller, most);
    drop(guard);
    Why { trial: name, ..explained }
}

fn explain(dir: &Path, request: &WireRequest, entries: &[Arc<Entry>], caller: &Caller, most: usize) -> Why {
    let (key, levels) = entry::keys_of(request);
    let level_of = |entry: &Entry| entry.levels.iter().zip(&levels).position(|(a, b)| a == b);
    let matching: Vec<(usize, &Arc<Entry>)> =
        entries.iter().filter_map(|entry| Some((level_of(entry)?, entry))).collect();
    let catalogue = Catalogue::new(entries.iter().map(|entry| Entry::clone(entry)));
    let verdict = verdict(dir, request, catalogue.choose(&key, &levels, caller));
    let mut equal: Vec<_> = matching
        .iter()
        .map(|(level, entry)| Considered {
            file: entry.file.clone(),
            because: because(entry, *level, &verdict, entries, caller),
            differences: differences(dir, request, &entry.file),
        })
        .collect();
    let is_served = |file: &String| match &verdict {
        Verdict::Served { file: served, .. } => served == file,
        Verdict::Merged { files } => files.contains(file),
        Verdict::Ambiguous { .. } | Verdict::Miss => false,
    };
    equal.sort_by_key(|considered| !is_served(&considered.file));
    let others: Vec<_> = entries.iter().filter(|entry| level_of(entry).is_none()).collect();
    let near = nearest(dir, request, &others, caller, most);
    let mut rest = BTreeMap::new();
    let endpoint = normalise::endpoint(&request.path);
    for entry in others.iter().filter(|entry| !near.iter().any(|near| near.file == entry.file)) {
        let reason = if entry.endpoint != endpoint {
            "other endpoint"
        } else if entry.provider != request.provider {
            "same endpoint, other provider"
        } else {
            "same endpoint, farther than those shown"
        };
        *rest.entry(reason.to_owned()).or_insert(0) += 1;
    }
    Why {
        provider: request.provider.clone(),
        method: request.method.clone(),
        path: request.path.clone(),
        trial: None,
        key,
        verdict,
        tiers: tiers(request, &matching),
        considered: equal.into_iter().chain(near).collect(),
        rest,
    }
}

fn verdict(dir: &Path, request: &WireRequest, choice: Choice) -> Verdict {
    let files = |entries: Vec<Arc<Entry>>| entries.iter().map(|entry| entry.file.clone()).collect();
    match choice {
        Choice::One { entry, scope, .. } => {
            let recorded = entry::load(&dir.join(&entry.file)).ok().flatten();
            let needed = recorded.and_then(|loaded| normalise::needed(request, &loaded.request));
            let scope = match scope {
                ScopeTier::Same => "recorded for this trial".to_owned(),
                ScopeTier::Suspect(trial) => format!("recorded for {trial}, which is running"),
                ScopeTier::Unscoped => "recorded for no trial in particular".to_owned(),
                ScopeTier::Other(trial) => format!("recorded for another trial, {trial}"),
            };
            let normalisers = needed.unwrap_or_default().iter().map(|normaliser| normaliser.name).collect();
            Verdict::Served { file: entry.file.clone(), normalisers, scope }
        }
        Choice::ModelLists { entries, .. } => Verdict::Merged { files: files(entries) },
        Choice::Ambiguous { entries } => Verdict::Ambiguous { files: files(entries) },
        Choice::Nothing => Verdict::Miss,
    }
}

fn tiers(request: &WireRequest, matching: &[(usize, &Arc<Entry>)]) -> Vec<Tier> {
    let equal = |level| matching.iter().filter(|(at, _)| *at == level).count();
    let mut tiers = vec![Tier { name: "exact", changes: Vec::new(), equal: equal(0) }];
    let mut before = comparable(request);
    for (index, (normaliser, after)) in normalise::steps(request).into_iter().enumerate() {
        let after = comparable(&after);
        let changes = diff(&before, &after).differences.iter().map(before_and_after).collect();
        tiers.push(Tier { name: normaliser.name, changes, equal: equal(index + 1) });
        before = after;
    }
    tiers
}

fn before_and_after(difference: &Difference) -> String {
    let path = &difference.path;
    match &difference.change {
        Change::OnlyInRequest { value } => format!("{path}: {value} -> (dropped)"),
        Change::OnlyInRecording { value } => format!("{path}: (absent) -> {value}"),
        Change::Changed { request, recording } => format!("{path}: {request} -> {recording}"),
    }
}

/// Why a recording that is equal at `level` does or does not answer.
fn because(
    entry: &Arc<Entry>,
    level: usize,
    verdict: &Verdict,
    entries: &[Arc<Entry>],
    caller: &Caller,
) -> String {
    let tier = match level {
        0 => "same request".to_owned(),
        n => format!("same request after {}", normalise::NORMALISERS[n - 1].name),
    };
    match verdict {
        Verdict::Served { file, scope, .. } if *file == entry.file => format!("served: {tier}, {scope}"),
        Verdict::Merged { files } if files.contains(&entry.file) => {
            format!("served: {tier}, lists of models are merged")
        }
        Verdict::Ambiguous { .. } => {
            format!("refused: {tier}, and so have others with other answers; none is exact")
        }
        Verdict::Served { file, .. } => {
            let alike: Vec<_> = entries.iter().filter(|other| other.key == entry.key).cloned().collect();
            let served = entries.iter().find(|other| other.file == *file);
            if served.is_some_and(|served| served.key != entry.key) {
                return format!("not served: {tier}, but {file} is nearer");
            }
            if !reachable(&alike).contains(&entry.file) {
                return format!(
                    "not served: {tier} and scope as {file}, which comes first; see `recordings verify`"
                );
            }
            let mut owners = entry.owners.iter().filter_map(|owner| owner.id.as_deref());
            let own =
                entry.owners.iter().find(|o| o.id.as_deref().is_some_and(|id| caller.attempt.is_owner(id)));
            match (own, owners.next(), owners.count()) {
                (Some(own), ..) => {
                    let answers: Vec<_> = own.answers.iter().map(ToString::to_string).collect();
                    format!("not served yet: {tier}, answer {} to this trial", answers.join(", "))
                }
                (None, None, _) => format!("not served: {tier}, recorded for no trial in particular"),
                (None, Some(id), 0) => format!("not served: {tier}, recorded for {id}"),
                (None, Some(id), more) => format!("not served: {tier}, recorded for {id} and {more} more"),
            }
        }
        Verdict::Merged { .. } | Verdict::Miss => format!("not served: {tier}"),
    }
}

fn differences(dir: &Path, request: &WireRequest, file: &str) -> Vec<Difference> {
    match entry::load(&dir.join(file)) {
        Ok(Some(loaded)) => diff(&comparable(request), &comparable(&loaded.request)).differences,
        Ok(None) | Err(_) => Vec::new(),
    }
}

/// The recordings most like the request, of those that do not match.
fn nearest(
    dir: &Path,
    request: &WireRequest,
    others: &[&Arc<Entry>],
    caller: &Caller,
    most: usize,
) -> Vec<Considered> {
    let mut near: Vec<_> = candidates(others.iter().copied(), request, caller)
        .into_iter()
        .filter_map(|entry| {
            let loaded = entry::load(&dir.join(&entry.file)).ok()??;
            Some((diff(&comparable(request), &comparable(&loaded.request)), entry))
        })
        .collect();
    near.sort_by_key(|(found, _)| found.weight);
    near.truncate(most);
    let considered = near.into_iter().map(|(found, entry)| Considered {
        file: entry.file.clone(),
        because: match found.differences.len() {
            1 => "not served: another request, 1 difference".to_owned(),
            n => format!("not served: another request, {n} differences"),
        },
        differences: found.differences,
    });
    considered.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::key::WireBody;
    use super::super::library::tests::{chat, directory, name_of};
    use super::super::recording::Recording;
    use super::*;

    fn asked(
        recordings: &[(&str, &Recording)],
        request: &WireRequest,
        trial: Option<&str>,
    ) -> (Why, Vec<String>) {
        let files: Vec<_> = recordings.iter().map(|(name, recording)| (*name, recording.to_json())).collect();
        let dir = directory(&files);
        let tag = trial.map(|id| TrialTag { id: id.into(), aliases: vec![] });
        let why = why(dir.path(), request, tag, 2);
        let lines = why.considered.iter().map(|c| format!("{}: {}", c.file, c.because)).collect();
        (why, lines)
    }

    #[test]
    fn a_trials_own_recording_is_served_and_others_say_whose_they_are() {
        let (own, other) = (chat("p", "1", &[("t", 1)]), chat("p", "2", &[("u", 1)]));
        let (why, lines) = asked(&[("a.json", &other), ("b.json", &own)], &own.request.wire, Some("t"));
        assert!(
            matches!(&why.verdict, Verdict::Served { file, .. } if file == "b.json"),
            "{:?}",
            why.verdict
        );
        assert_eq!(
            lines,
            [
                "b.json: served: same request, recorded for this trial",
                "a.json: not served: same request, recorded for u",
            ]
        );
        assert_eq!(why.tiers[0].equal, 2);
    }

    #[test]
    fn a_normaliser_shows_before_and_after() {
        let recording = chat("p", "1", &[]);
        let mut request = recording.request.wire.clone();
        let WireBody::Json(body) = &mut request.body else { panic!("a JSON body") };
        body["user"] = json!(null);
        let (why, lines) = asked(&[("a.json", &recording)], &request, None);
        assert_eq!(
            lines,
            ["a.json: served: same request after dropped-nulls, recorded for no trial in particular"]
        );
        let tier = why.tiers.iter().find(|tier| tier.name == "dropped-nulls").unwrap();
        assert_eq!(
            (tier.changes.as_slice(), tier.equal),
            (["$.user: null -> (dropped)".to_owned()].as_slice(), 1)
        );
        assert_eq!(why.considered[0].differences[0].path, "$.user");
    }

    #[test]
    fn a_miss_shows_the_nearest_first_and_counts_the_rest() {
        let (near, far, farther) =
            (chat("hello", "1", &[]), chat("good bye", "1", &[]), chat("nothing like it at all", "1", &[]));
        let asks = chat("hallo", "1", &[]).request.wire;
        let (why, lines) = asked(&[("a.json", &far), ("b.json", &near), ("c.json", &farther)], &asks, None);
        assert_eq!(why.verdict, Verdict::Miss);
        assert!(lines[0].starts_with("b.json: ") && lines.len() == 2, "{lines:?}");
        assert_eq!(
            why.rest.into_iter().collect::<Vec<_>>(),
            [("same endpoint, farther than those shown".to_owned(), 1)]
        );
        assert_eq!(why.considered[0].differences[0].path, "$.messages[0].content");
    }

    #[test]
    fn a_file_that_is_never_served_is_called_so() {
        let own = chat("p", "1", &[("t", 1)]);
        let mut old = chat("p", "2", &[("t", 1)]);
        old.meta.recorded_at = "2020-01-01T00:00:00.000Z".into();
        let (name, second) = (name_of(&own), name_of(&own).replace(".json", "-2.json"));
        let (_, lines) = asked(&[(&second, &old), (&name, &own)], &own.request.wire, Some("t"));
        assert!(lines[1].contains("see `recordings verify`"), "{lines:?}");
    }
}
