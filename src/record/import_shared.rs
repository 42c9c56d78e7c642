//! All of upstream's recordings, imported: every test gets the answer that it gets from the originals.

use std::sync::Arc;

use http::HeaderMap;

use super::import::plan;
use super::library::survey;
use super::recording::Answer;
use super::scope::{ActiveTrials, TrialTag};
use super::scrub::apply;
use super::store::Replay;
use super::verify::verify;
use super::{Scrubber, WireRequest};

/// What `owner` (or nobody) is given for `request`.
fn served(replay: &Replay, request: &WireRequest, owner: Option<&str>) -> Result<Answer, String> {
    let trials = Arc::new(ActiveTrials::default());
    let tag = owner.map(|id| TrialTag { id: "trial".into(), aliases: vec![id.into()] });
    let _guard = tag.map(|tag| trials.begin(tag));
    replay
        .get(request, &trials.resolve(&HeaderMap::new()))
        .map(|hit| hit.answer)
        .map_err(|miss| miss.to_string())
}

#[test]
fn an_import_answers_as_the_originals_do() {
    let shared =
        std::env::var_os("RUNNER_SHARED").map_or_else(|| "../shared".into(), std::path::PathBuf::from);
    let source = shared.join("recordings/llama-stack-0.3.0");
    if !source.is_dir() {
        println!("skipped: {} does not exist; set RUNNER_SHARED", source.display());
        return;
    }
    let originals = survey(&source, |volume| volume).items;
    let asked: Vec<_> = originals
        .iter()
        .map(|volume| {
            let owner = volume.entry.owners.first().and_then(|owner| owner.id.clone());
            (volume.entry.file.clone(), volume.recording.request.wire.clone(), owner)
        })
        .collect();
    let mut import = plan(originals, Vec::new());
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("responses")).unwrap();
    for write in &mut import.writes {
        // As the command does: nothing is written that the rules of redaction do not accept.
        apply(&Scrubber::default(), &mut write.recording).unwrap();
        std::fs::write(dir.path().join(&write.file), write.recording.to_json()).unwrap();
    }
    assert!(verify(dir.path(), &Scrubber::default()).findings.is_empty());
    let (before, _) = Replay::open_with_cache(&source, None);
    let (after, problems) = Replay::open_with_cache(dir.path(), None);
    assert!(problems.is_empty(), "{problems:?}");
    for (file, request, owner) in &asked {
        let owner = owner.as_deref();
        assert_eq!(served(&before, request, owner), served(&after, request, owner), "{file}");
    }
    println!("{} recordings became {} files", asked.len(), import.writes.len());
}
