//! Upstream's own recordings, where they are at hand: `$RUNNER_SHARED` (default `../shared`). Skipped otherwise.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use http::HeaderMap;
use serde_json::Value;

use super::upstream::{Upstream, UpstreamCall, is_named_by_hash, read};
use super::*;

/// The directory of upstream's recordings; `None`, with a printed reason, where it is absent.
fn recordings() -> Option<PathBuf> {
    let shared = std::env::var_os("RUNNER_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let dir = shared.join("recordings/llama-stack-0.3.0");
    if dir.is_dir() {
        return Some(dir);
    }
    println!("skipped: {} does not exist; set RUNNER_SHARED", dir.display());
    None
}

/// The opened directory, read once for all tests, and from the files: no cached index hides what this version makes of them.
fn opened(dir: &Path) -> &'static (Replay, Vec<RecordingProblem>) {
    static OPENED: OnceLock<(Replay, Vec<RecordingProblem>)> = OnceLock::new();
    OPENED.get_or_init(|| Replay::open_with_cache(dir, None))
}

fn json_files(dir: &Path) -> Vec<(PathBuf, Value)> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                let value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                files.push((path, value));
            }
        }
    }
    files
}

/// All provider calls, with the files they are in.
fn calls(dir: &Path) -> Vec<(PathBuf, UpstreamCall)> {
    let call = |(path, value)| match read(value).unwrap() {
        Upstream::Call(call) => Some((path, *call)),
        Upstream::Skipped(_) => None,
    };
    json_files(dir).into_iter().filter_map(call).collect()
}

#[test]
fn every_file_is_understood() {
    let Some(dir) = recordings() else { return };
    let (replay, problems) = opened(&dir);
    assert!(problems.is_empty(), "{problems:?}");
    let entries = replay.entries();
    // 1,649 files, of which two are tool results.
    assert_eq!(entries.len(), 1647);
    let strange: Vec<_> = entries.iter().filter(|entry| entry.provider.contains(['.', ':'])).collect();
    assert!(strange.is_empty(), "no provider is known for {strange:?}");
}

#[test]
fn upstreams_file_names_can_be_recomputed() {
    let Some(dir) = recordings() else { return };
    let (mut flat, mut scoped, mut other) = (0, 0, 0);
    for (path, file) in json_files(&dir) {
        if file["request"].get("tool_name").is_some() {
            continue;
        }
        let named = is_named_by_hash(&file, path.file_stem().unwrap().to_str().unwrap());
        if path.parent().unwrap().ends_with("recordings/responses") {
            assert!(named, "{}", path.display());
            flat += 1;
        } else if named {
            scoped += 1;
        } else {
            other += 1;
        }
    }
    // The others were renamed or edited by hand, or hashed before upstream rewrote their bodies in place.
    assert_eq!((flat, scoped, other), (315, 1201, 131));
}

/// What is served for `call` when its own test asks.
fn own_answer(replay: &Replay, call: &UpstreamCall) -> Result<Hit, Box<Miss>> {
    let trials = std::sync::Arc::new(ActiveTrials::default());
    let aliases = call.test_id.iter().cloned().collect();
    let _guard = trials.begin(TrialTag { id: "trial".into(), aliases });
    replay.get(&call.request, &trials.resolve(&HeaderMap::new()))
}

#[test]
fn every_test_gets_its_own_recording() {
    let Some(dir) = recordings() else { return };
    let (replay, _) = opened(&dir);
    let mut others = Vec::new();
    let calls = calls(&dir);
    for (path, call) in &calls {
        let hit = own_answer(replay, call).unwrap_or_else(|miss| panic!("{}: {miss}", path.display()));
        assert_eq!(hit.normalisers, Vec::<&str>::new(), "{}", path.display());
        if call.is_model_list {
            let ids = |answer: &Answer| {
                let list: Value = serde_json::from_slice(&answer.bytes()).unwrap();
                list["data"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|model| model["id"].to_string())
                    .collect::<Vec<_>>()
            };
            let merged = ids(&hit.answer);
            assert!(ids(&call.answer).iter().all(|id| merged.contains(id)), "{}", path.display());
            continue;
        }
        let expected = call.test_id.as_ref().map_or(ScopeTier::Unscoped, |_| ScopeTier::Same);
        assert_eq!(hit.scope, expected, "{}", path.display());
        if hit.answer != call.answer {
            others.push(path);
        }
    }
    // Leftovers yield to the file that upstream itself would find. Text completions were recorded once without and once
    // with an empty `extra_body`, which the wire does not show.
    let scoped = |path: &&&PathBuf| {
        let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let request = &file["request"];
        let is_older =
            request["endpoint"] == "/v1/completions" && request["body"].get("extra_body").is_none();
        !is_older
            && file["test_id"].is_string()
            && is_named_by_hash(&file, path.file_stem().unwrap().to_str().unwrap())
    };
    assert_eq!(others.iter().find(scoped), None);
    println!("{} recordings, {} of them leftovers", calls.len(), others.len());
}

#[tokio::test]
async fn every_recording_is_served_over_http() {
    let Some(dir) = recordings() else { return };
    let (calls, dir) = tokio::task::spawn_blocking(move || (calls(&dir), dir)).await.unwrap();
    let mut names: Vec<_> = calls.iter().map(|(_, call)| call.request.provider.clone()).collect();
    names.sort();
    names.dedup();
    let provider = |name: &String| ProviderUpstream {
        name: name.clone(),
        base_url: "http://127.0.0.1:9".into(),
        api_key: None,
    };
    let options = ProxyOptions {
        mode: Mode::Replay,
        dir,
        providers: names.iter().map(provider).collect(),
        setup: None,
        secrets: vec![],
        mask_hosts: vec![],
        port: 0,
        replay_speed: crate::record::ReplaySpeed::FAST,
        policy: crate::record::Policy::default(),
        after_answer: crate::record::AfterAnswer::default(),
    };
    let proxy = start(options).await.unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (path, call) in calls.iter().step_by(5) {
        let guard =
            proxy.begin(TrialTag { id: "trial".into(), aliases: call.test_id.iter().cloned().collect() });
        let method = call.request.method.parse().unwrap();
        let mut request = client.request(method, proxy.url(&call.request.provider) + &call.request.path);
        if let Some(body) = call.request.body.json() {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, 200, "{}: {text}", path.display());
        let streams = call.answer.is_streaming() && !call.request.path.starts_with("/api/");
        assert_eq!(text.ends_with("data: [DONE]\n\n"), streams, "{}", path.display());
        drop(guard);
    }
    let misses =
        proxy.take_calls("trial").into_iter().filter(|c| !matches!(c.result, CallResult::Hit { .. }));
    assert_eq!(misses.count(), 0);
}
