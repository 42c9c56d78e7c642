//! Choosing the recording that answers a request. Pure: entries in, a choice out.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::entry::{Entry, FileFormat};
use super::key::WireRequest;
use super::recording::Owner;
use super::scope::{Attempt, Caller, bare};

/// How the scope of a chosen recording relates to the request's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeTier {
    /// Recorded for the trial that asks.
    Same,
    /// The asking trial is unknown; recorded for this one, which was active.
    Suspect(String),
    /// Recorded for no trial in particular.
    Unscoped,
    /// Recorded for another trial.
    Other(String),
}

/// What a lookup found.
#[derive(Debug)]
pub(crate) enum Choice {
    /// One recording. `level` 0 is an exact match.
    One {
        entry: Arc<Entry>,
        level: usize,
        scope: ScopeTier,
    },
    /// Lists of models, to be merged.
    ModelLists {
        entries: Vec<Arc<Entry>>,
        level: usize,
    },
    /// Several recordings with different requests and different answers look alike after normalising.
    Ambiguous {
        entries: Vec<Arc<Entry>>,
    },
    Nothing,
}

/// All entries, by exact and by fully normalised key.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    by_key: HashMap<String, Vec<Arc<Entry>>>,
    by_loose: HashMap<String, Vec<Arc<Entry>>>,
}

impl Catalogue {
    pub(crate) fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut catalogue = Self::default();
        entries.into_iter().for_each(|entry| catalogue.insert(entry));
        catalogue
    }

    /// Adds an entry, in the place of one for the same file.
    pub(crate) fn insert(&mut self, entry: Entry) {
        let entry = Arc::new(entry);
        let add = |list: &mut Vec<Arc<Entry>>| {
            list.retain(|other| other.file != entry.file);
            list.push(Arc::clone(&entry));
        };
        add(self.by_key.entry(entry.key.clone()).or_default());
        add(self.by_loose.entry(entry.loose().to_owned()).or_default());
    }

    /// Forgets the entry for `file` under `key`.
    pub(crate) fn remove(&mut self, key: &str, file: &str) {
        let Some(list) = self.by_key.get_mut(key) else { return };
        let Some(at) = list.iter().position(|entry| entry.file == file) else { return };
        let entry = list.remove(at);
        if let Some(list) = self.by_loose.get_mut(entry.loose()) {
            list.retain(|other| other.file != file);
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_key.values().flatten()
    }

    /// Whether only one recording has this exact key, and was made for no trial: whoever asks gets it.
    pub(crate) fn is_settled(&self, key: &str) -> bool {
        let is_anybodys =
            |entry: &Entry| !entry.is_model_list && matches!(&entry.owners[..], [Owner { id: None, .. }]);
        self.by_key.get(key).is_some_and(|found| matches!(&found[..], [entry] if is_anybodys(entry)))
    }

    /// Whether a recording has this exact key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.by_key.get(key).is_some_and(|found| !found.is_empty())
    }

    /// Recordings of `request`'s endpoint whose own request holds a mask, in order of files.
    pub(crate) fn masked(&self, request: &WireRequest) -> Vec<Arc<Entry>> {
        let near = |entry: &&Arc<Entry>| {
            entry.is_masked && entry.provider == request.provider && entry.method == request.method
        };
        let mut found: Vec<_> = self.entries().filter(near).cloned().collect();
        found.sort_by(|a, b| a.file.cmp(&b.file));
        found
    }

    /// Chooses among recordings that are known to answer a request.
    pub(crate) fn choose_among(found: &[Arc<Entry>], counter: &str, caller: &Caller) -> Choice {
        among(found, 0, counter, caller)
    }

    /// Finds the answer for a request with `key` and `levels`, asked by `caller`.
    pub(crate) fn choose(&self, key: &str, levels: &[String], caller: &Caller) -> Choice {
        if let Some(found) = self.by_key.get(key).filter(|found| !found.is_empty()) {
            return among(found, 0, key, caller);
        }
        let loose = levels.last().map_or("", String::as_str);
        let Some(alike) = self.by_loose.get(loose) else { return Choice::Nothing };
        let first_equal = |entry: &Entry| entry.levels.iter().zip(levels).position(|(a, b)| a == b);
        let Some(level) = alike.iter().filter_map(|entry| first_equal(entry)).min() else {
            return Choice::Nothing;
        };
        let found = current(alike.iter().filter(|entry| first_equal(entry) == Some(level)));
        let own: Vec<_> = found.iter().filter(|entry| owned_by(entry, &caller.attempt)).cloned().collect();
        // A trial's own recordings of ours have an order in which they were made; upstream's have none.
        let ordered = !own.is_empty() && own.iter().all(|entry| entry.format == FileFormat::Native);
        let found = if own.is_empty() { found } else { own };
        let differs = |field: fn(&Entry) -> &str| found.iter().any(|entry| field(entry) != field(&found[0]));
        let is_list = found.iter().all(|entry| entry.is_model_list);
        if !ordered && !is_list && differs(|entry| &entry.key) && differs(|entry| &entry.answer) {
            return Choice::Ambiguous { entries: found };
        }
        among(&found, level, loose, caller)
    }
}

/// Of recordings with one exact key, the files that somebody can be given, whoever asks.
pub(crate) fn reachable(found: &[Arc<Entry>]) -> HashSet<String> {
    if found.iter().all(|entry| entry.is_model_list) {
        return found.iter().map(|entry| entry.file.clone()).collect();
    }
    let owners = found.iter().flat_map(|entry| entry.owners.iter().filter_map(|owner| owner.id.as_deref()));
    let mut ordered = in_order(found, |owner| owner.id.is_none());
    for id in owners.map(bare).collect::<HashSet<_>>() {
        ordered.extend(in_order(found, |owner| owner.id.as_deref().map(bare) == Some(id)));
    }
    ordered.into_iter().map(|entry| entry.file.clone()).collect()
}

/// Without upstream's leftovers, unless there is nothing else.
fn current<'a>(found: impl Iterator<Item = &'a Arc<Entry>> + Clone) -> Vec<Arc<Entry>> {
    let rest: Vec<_> = found.clone().filter(|entry| !entry.is_leftover()).cloned().collect();
    if rest.is_empty() { found.cloned().collect() } else { rest }
}

fn owned_by(entry: &Entry, attempt: &Attempt) -> bool {
    entry.owners.iter().filter_map(|owner| owner.id.as_deref()).any(|id| attempt.is_owner(id))
}

/// Picks among recordings that all answer the request: by scope, then in recorded order.
fn among(found: &[Arc<Entry>], level: usize, counter: &str, caller: &Caller) -> Choice {
    if found.iter().all(|entry| entry.is_model_list) {
        let mut entries = found.to_vec();
        entries.sort_by(|a, b| a.file.cmp(&b.file));
        return Choice::ModelLists { entries, level };
    }
    let one = |entry, scope| Choice::One { entry, level, scope };
    let own = in_order(found, |owner| owner.id.as_deref().is_some_and(|id| caller.attempt.is_owner(id)));
    if let Some(entry) = next(&own, &caller.attempt, counter) {
        return one(entry, ScopeTier::Same);
    }
    if let Some((entry, suspect)) = next_of_suspects(found, counter, &caller.suspects) {
        return one(entry, ScopeTier::Suspect(suspect));
    }
    let unscoped = in_order(found, |owner| owner.id.is_none());
    if let Some(entry) = next(&unscoped, &caller.attempt, counter) {
        return one(entry, ScopeTier::Unscoped);
    }
    let Some(nearest) = nearest_owner(found, &caller.attempt) else { return Choice::Nothing };
    let others = in_order(found, |owner| owner.id.as_deref() == Some(nearest.as_str()));
    match next(&others, &caller.attempt, counter) {
        Some(entry) => one(entry, ScopeTier::Other(nearest)),
        None => Choice::Nothing,
    }
}

/// The entries that belong to an owner, our own recordings before upstream's, in recorded order.
fn in_order(found: &[Arc<Entry>], is_owner: impl Fn(&Owner) -> bool) -> Vec<Arc<Entry>> {
    let nobody = Owner { id: None, answers: vec![0] };
    let mut ordered: Vec<_> = found
        .iter()
        .filter(|entry| !entry.is_model_list)
        .flat_map(|entry| {
            let owners = if entry.owners.is_empty() { std::slice::from_ref(&nobody) } else { &entry.owners };
            let mine = owners.iter().filter(|owner| is_owner(owner)).flat_map(|owner| owner.answers.clone());
            mine.map(move |answer| (entry.format, answer, entry)).collect::<Vec<_>>()
        })
        .collect();
    let Some(format) = ordered.iter().map(|(format, ..)| *format).min() else { return Vec::new() };
    ordered.retain(|(other, ..)| *other == format);
    let one_request = ordered.iter().all(|(_, _, entry)| entry.key == ordered[0].2.key);
    match format {
        // After a crash two files may claim the same place; the newer one is right.
        FileFormat::Native if one_request => {
            ordered.sort_by_cached_key(|(_, answer, entry)| {
                (*answer, Reverse(entry.timestamp.clone()), entry.file.clone())
            });
            ordered.dedup_by_key(|(_, answer, _)| *answer);
        }
        // Places count per request, so only the time orders several.
        FileFormat::Native => {
            ordered.sort_by_cached_key(|(_, answer, entry)| {
                (entry.timestamp.clone(), *answer, entry.file.clone())
            });
        }
        // Upstream keeps one answer a request; the place is a rank of preference.
        FileFormat::Upstream => {
            ordered.sort_by_cached_key(|(_, rank, entry)| (*rank, entry.file.clone()));
            ordered.truncate(1);
        }
    }
    ordered.into_iter().map(|(_, _, entry)| Arc::clone(entry)).collect()
}

/// First in, first out; the last one repeats.
fn next(ordered: &[Arc<Entry>], attempt: &Attempt, counter: &str) -> Option<Arc<Entry>> {
    let last = ordered.len().checked_sub(1)?;
    ordered.get(attempt.take(counter).min(last)).cloned()
}

/// The first suspect that still has an answer of its own to give, else the last that ever had one.
fn next_of_suspects(
    found: &[Arc<Entry>],
    counter: &str,
    suspects: &[Arc<Attempt>],
) -> Option<(Arc<Entry>, String)> {
    let having: Vec<_> = suspects
        .iter()
        .map(|suspect| {
            (suspect, in_order(found, |owner| owner.id.as_deref().is_some_and(|id| suspect.is_owner(id))))
        })
        .filter(|(_, own)| !own.is_empty())
        .collect();
    let fresh = having.iter().find(|(suspect, own)| suspect.taken(counter) < own.len());
    let (suspect, own) = fresh.or(having.last())?;
    Some((next(own, suspect, counter)?, suspect.trial().unwrap_or_default().to_owned()))
}

/// The owner whose id shares the longest beginning with one of the attempt's names, then the longest end: the same row
/// of the same test for another client. The first in order of ids on a tie.
fn nearest_owner(found: &[Arc<Entry>], attempt: &Attempt) -> Option<String> {
    let shared = |id: &str| {
        let (id, common) =
            (bare(id), |pairs: &mut dyn Iterator<Item = (u8, u8)>| pairs.take_while(|(a, b)| a == b).count());
        let both = |name: &str| {
            let name = bare(name);
            let start = common(&mut name.bytes().zip(id.bytes()));
            (start, common(&mut name.bytes().rev().zip(id.bytes().rev())))
        };
        attempt.names().map(both).max().unwrap_or_default()
    };
    let ids = found.iter().flat_map(|entry| entry.owners.iter().filter_map(|owner| owner.id.as_deref()));
    ids.max_by(|a, b| shared(a).cmp(&shared(b)).then_with(|| b.cmp(a))).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::entry::{keys_of, tests};
    use crate::record::key::WireBody;
    use crate::record::scope::{ActiveTrials, TrialGuard, TrialTag};

    fn request(prompt: &str) -> WireRequest {
        WireRequest {
            provider: "p".into(),
            method: "POST".into(),
            path: "/v1/chat/completions".into(),
            body: WireBody::Json(json!({"prompt": prompt})),
        }
    }

    /// An entry `file` answering `prompt` for `owner`, as its `answer`-th answer.
    fn entry(file: &str, prompt: &str, owner: Option<&str>, answer: u32) -> Entry {
        tests::entry(file, request(prompt), &[(owner, answer)])
    }

    fn begin(trials: &Arc<ActiveTrials>, id: &str) -> TrialGuard {
        trials.begin(TrialTag { id: id.into(), aliases: vec![] })
    }

    fn ask(catalogue: &Catalogue, trials: &ActiveTrials, prompt: &str) -> String {
        let (key, levels) = keys_of(&request(prompt));
        match catalogue.choose(&key, &levels, &trials.resolve(&http::HeaderMap::new())) {
            Choice::One { entry, level, scope } => format!("{} {level} {scope:?}", entry.file),
            Choice::ModelLists { entries, .. } => format!("{} lists", entries.len()),
            Choice::Ambiguous { entries } => format!("{} ambiguous", entries.len()),
            Choice::Nothing => "nothing".into(),
        }
    }

    #[test]
    fn a_trials_own_answers_come_first_in_order_and_the_last_repeats() {
        let catalogue = Catalogue::new([
            entry("b2", "x", Some("b"), 2),
            entry("b1", "x", Some("b"), 1),
            entry("a1", "x", Some("a"), 1),
            entry("none", "x", None, 1),
        ]);
        let trials = Arc::new(ActiveTrials::default());
        let answers = |id: &str, count: usize| {
            let _guard = begin(&trials, id);
            (0..count).map(|_| ask(&catalogue, &trials, "x")).collect::<Vec<_>>()
        };
        assert_eq!(answers("b", 3), ["b1 0 Same", "b2 0 Same", "b2 0 Same"]);
        assert_eq!(answers("b", 1), ["b1 0 Same"], "a retry starts again");
        assert_eq!(answers("c", 1), ["none 0 Unscoped"]);
        assert_eq!(ask(&catalogue, &trials, "y"), "nothing");
    }

    #[test]
    fn another_trials_answer_is_the_last_resort_and_named() {
        let catalogue = Catalogue::new([
            entry("far", "x", Some("agents/test.py::a"), 1),
            entry("near", "x", Some("inference/test.py::b[dim=384]"), 1),
        ]);
        let trials = Arc::new(ActiveTrials::default());
        let _guard = begin(&trials, "inference/test.py::b[dim=768]");
        assert_eq!(ask(&catalogue, &trials, "x"), "near 0 Other(\"inference/test.py::b[dim=384]\")");
    }

    #[test]
    fn another_clients_answer_is_that_of_the_same_row() {
        let catalogue = Catalogue::new([
            entry("refused", "x", Some("a.py::t[client_with_models-txt=m-False-b]"), 1),
            entry("approved", "x", Some("a.py::t[client_with_models-txt=m-True-b]"), 1),
        ]);
        let trials = Arc::new(ActiveTrials::default());
        let _guard = begin(&trials, "a.py::t[openai_client-txt=m-True-b]");
        let owner = "Other(\"a.py::t[client_with_models-txt=m-True-b]\")";
        assert_eq!(ask(&catalogue, &trials, "x"), format!("approved 0 {owner}"));
    }

    #[test]
    fn suspects_are_served_from_their_own_recordings_in_turn() {
        let catalogue = Catalogue::new([entry("a1", "x", Some("a"), 1), entry("b1", "x", Some("b"), 1)]);
        let trials = Arc::new(ActiveTrials::default());
        let (_a, _b) = (begin(&trials, "a"), begin(&trials, "b"));
        let served: Vec<_> = (0..3).map(|_| ask(&catalogue, &trials, "x")).collect();
        assert_eq!(served, ["a1 0 Suspect(\"a\")", "b1 0 Suspect(\"b\")", "b1 0 Suspect(\"b\")"]);
    }

    #[test]
    fn a_normalised_match_is_refused_where_recordings_differ() {
        let trials = Arc::new(ActiveTrials::default());
        let one = Catalogue::new([entry("one", "see file-abc12345", None, 1)]);
        assert_eq!(ask(&one, &trials, "see file-zzz99999"), "one 7 Unscoped");

        let two = |owner_of_second: Option<&str>| {
            Catalogue::new([
                entry("one", "see file-abc12345", None, 1),
                entry("two", "see file-def67890", owner_of_second, 1),
            ])
        };
        assert_eq!(ask(&two(None), &trials, "see file-zzz99999"), "2 ambiguous");
        assert_eq!(
            ask(&two(None), &trials, "see file-def67890"),
            "two 0 Unscoped",
            "exact is never ambiguous"
        );
        let _guard = begin(&trials, "t");
        assert_eq!(ask(&two(Some("t")), &trials, "see file-zzz99999"), "two 7 Same");
    }

    #[test]
    fn a_trials_own_requests_that_look_alike_are_served_in_the_order_of_recording() {
        let at = |file: &str, prompt: &str, second: u32, format| Entry {
            timestamp: format!("2025-01-01T00:00:0{second}Z"),
            format,
            ..entry(file, prompt, Some("t"), 1)
        };
        let recorded = |format| {
            Catalogue::new([
                at("a-late", "see file-abc12345", 2, format),
                at("b-early", "see file-def67890", 1, format),
            ])
        };
        let trials = Arc::new(ActiveTrials::default());
        let _guard = begin(&trials, "t");
        let (ours, theirs) = (recorded(FileFormat::Native), recorded(FileFormat::Upstream));
        let served: Vec<_> = [1, 2, 3].map(|n| ask(&ours, &trials, &format!("see file-new0000{n}"))).into();
        assert_eq!(served, ["b-early 7 Same", "a-late 7 Same", "a-late 7 Same"]);
        assert_eq!(ask(&theirs, &trials, "see file-new00001"), "2 ambiguous", "upstream kept no order");
    }

    #[test]
    fn different_requests_with_equal_answers_are_not_ambiguous() {
        let trials = Arc::new(ActiveTrials::default());
        let same = |file: &str, prompt: &str| Entry { answer: "same".into(), ..entry(file, prompt, None, 1) };
        let catalogue = Catalogue::new([same("one", "see file-abc12345"), same("two", "see file-def67890")]);
        assert_eq!(ask(&catalogue, &trials, "see file-zzz99999"), "one 7 Unscoped");
    }

    #[test]
    fn our_recording_replaces_upstreams_of_the_same_trial() {
        let upstream = Entry { format: FileFormat::Upstream, ..entry("up", "x", Some("a"), 1) };
        let catalogue = Catalogue::new([upstream, entry("own", "x", Some("a"), 1)]);
        let trials = Arc::new(ActiveTrials::default());
        let _guard = begin(&trials, "a");
        assert_eq!(
            [ask(&catalogue, &trials, "x"), ask(&catalogue, &trials, "x")],
            ["own 0 Same", "own 0 Same"]
        );
    }

    #[test]
    fn of_upstreams_leftovers_only_the_addressable_one_answers() {
        let upstream = |file: &str, answer| Entry {
            format: FileFormat::Upstream,
            ..entry(file, "x", Some("a"), answer)
        };
        let catalogue = Catalogue::new([upstream("a-stale", 3), upstream("b-current", 2)]);
        let trials = Arc::new(ActiveTrials::default());
        let _guard = begin(&trials, "a");
        assert_eq!([ask(&catalogue, &trials, "x"), ask(&catalogue, &trials, "x")], ["b-current 0 Same"; 2]);
    }

    #[test]
    fn removed_entries_are_gone_from_both_maps() {
        let mut catalogue = Catalogue::new([entry("one", "see file-abc12345", None, 1)]);
        let (key, _) = keys_of(&request("see file-abc12345"));
        catalogue.remove(&key, "one");
        let trials = ActiveTrials::default();
        assert_eq!(ask(&catalogue, &trials, "see file-abc12345"), "nothing");
        assert_eq!(ask(&catalogue, &trials, "see file-zzz99999"), "nothing");
        assert_eq!(catalogue.entries().count(), 0);
    }
}
