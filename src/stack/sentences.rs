//! `inline::sentence-transformers`: embeddings by models in a local folder, nothing downloaded.
//!
//! Models lie below the folder that the provider's `model_dir` or the variable `SENTENCE_TRANSFORMERS_HOME` names,
//! each in one of its own, called like the model. Needs a build with the Cargo feature `sentence-transformers`; in
//! others `catalog` has the provider refused when a configuration is read.

use super::config::Configured;
use super::config_provider::Provider;
use super::errors::ApiError;
use super::listing::{Listed, metadata};
#[cfg(feature = "sentence-transformers")]
use crate::vector::sentence::Encoder;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) const TYPE: &str = "inline::sentence-transformers";
/// The Cargo feature it needs.
pub(crate) const FEATURE: &str = "sentence-transformers";
/// Whether this build has it.
pub(crate) const BUILT: bool = cfg!(feature = "sentence-transformers");
/// The library's own variable for the folder of its models.
pub(crate) const FOLDER: &str = "SENTENCE_TRANSFORMERS_HOME";
/// What a model's folder holds.
const FILES: &str = "config.json, tokenizer.json and model.safetensors";

/// No value has this type, so that a build without the feature needs nothing else to do without.
#[cfg(not(feature = "sentence-transformers"))]
enum Encoder {}

#[cfg(not(feature = "sentence-transformers"))]
impl Encoder {
    fn load(_: &Path) -> Result<Self, String> {
        Err(format!("this build has no {TYPE}"))
    }

    fn encode(&self, _: &str) -> Result<Vec<f32>, String> {
        match *self {}
    }
}

/// A provider of this type.
pub(crate) struct Sentences {
    folder: Option<PathBuf>,
    /// By their folders. Locked while one is loaded, so that none is loaded twice.
    loaded: Arc<Mutex<HashMap<PathBuf, Arc<Encoder>>>>,
}

impl Sentences {
    pub(crate) fn new(provider: &Provider, configured: &Configured) -> Self {
        let named = provider.config.get("model_dir").and_then(Value::as_str);
        let named = named.filter(|folder| !folder.is_empty()).map(PathBuf::from);
        Self::in_folder(named.or_else(|| configured.sentence_models.clone()))
    }

    fn in_folder(folder: Option<PathBuf>) -> Self {
        Self { folder, loaded: Arc::default() }
    }

    /// The folder of all models.
    fn folder(&self) -> Result<&Path, String> {
        self.folder.as_deref().ok_or_else(|| {
            format!(
                "no folder of models is named; let {FOLDER}, or `model_dir` in the provider's config, name one that \
                 has a folder for each model, with {FILES} (nothing is downloaded)"
            )
        })
    }

    /// The models that lie there.
    ///
    /// # Errors
    /// Says where to put one when there is none.
    pub(crate) fn list(&self) -> Result<Vec<Listed>, String> {
        let folder = self.folder()?;
        let place = folder.display();
        let unread =
            |error: std::io::Error| format!("the folder of models, {place}, cannot be read: {error}");
        let mut found = Vec::new();
        for entry in folders(folder).map_err(unread)? {
            found.extend(listed(folder, &entry));
            // A name may have an owner before it: `owner/model`.
            let inner = folders(&entry).unwrap_or_default();
            found.extend(inner.iter().filter_map(|inner| listed(folder, inner)));
        }
        match found.is_empty() {
            true => Err(format!(
                "no model lies in {place}; put one there, a folder with {FILES} (nothing is downloaded)"
            )),
            false => Ok(found),
        }
    }

    /// The folder of a model, which lies below the one of all.
    fn model_folder(&self, model: &str) -> Result<PathBuf, ApiError> {
        let folder = self.folder().map_err(|cause| ApiError::Value(format!("model `{model}`: {cause}")))?;
        if model.is_empty() || !Path::new(model).components().all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(ApiError::Value(format!("model `{model}` names no folder below that of all models")));
        }
        Ok(folder.join(model))
    }

    /// The vectors of texts. The model is loaded when it is first asked for, and kept.
    ///
    /// # Errors
    /// Says where the model belongs when it cannot be loaded.
    pub(crate) async fn encode(&self, model: &str, texts: Vec<String>) -> Result<Vec<Vec<f32>>, ApiError> {
        let folder = self.model_folder(model)?;
        let (loaded, name) = (Arc::clone(&self.loaded), model.to_owned());
        let work = move || {
            let encoder = loaded_from(&folder, &loaded).map_err(|cause| {
                ApiError::Value(format!(
                    "model `{name}` cannot be loaded: {cause}; put {FILES} into {} (nothing is downloaded)",
                    folder.display()
                ))
            })?;
            texts
                .iter()
                .map(|text| encoder.encode(text))
                .collect::<Result<_, _>>()
                .map_err(ApiError::Internal)
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::Internal(error.to_string()))?
    }
}

fn loaded_from(
    folder: &Path,
    loaded: &Mutex<HashMap<PathBuf, Arc<Encoder>>>,
) -> Result<Arc<Encoder>, String> {
    let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(encoder) = loaded.get(folder) {
        return Ok(Arc::clone(encoder));
    }
    let encoder = Arc::new(Encoder::load(folder)?);
    loaded.insert(folder.to_owned(), Arc::clone(&encoder));
    Ok(encoder)
}

/// The folders in a folder, by name.
fn folders(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut found = entries.collect::<std::io::Result<Vec<PathBuf>>>()?;
    found.retain(|path| path.is_dir());
    found.sort();
    Ok(found)
}

/// The model in a folder, when its configuration says how long its vectors are.
fn listed(all: &Path, folder: &Path) -> Option<Listed> {
    let config: Value = serde_json::from_slice(&std::fs::read(folder.join("config.json")).ok()?).ok()?;
    let id = folder.strip_prefix(all).ok()?.to_str()?.to_owned();
    let context = config.get("max_position_embeddings").cloned().unwrap_or_default();
    Some(Listed { id, embedding: true, metadata: metadata(config.get("hidden_size")?.clone(), context) })
}

#[cfg(test)]
mod tests {
    use super::super::config::{Env, RunConfig};
    use super::*;
    use crate::vector::tiny_model;
    use serde_json::json;

    /// A folder with the same model twice, the second time with an owner.
    fn models() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tiny", "owner/tiny"] {
            let model = folder.path().join(name);
            std::fs::create_dir_all(&model).unwrap();
            tiny_model::write(&model);
        }
        folder
    }

    fn ad_hoc(folder: &Path) -> Result<RunConfig, String> {
        let env = Env::from([(FOLDER.to_owned(), folder.display().to_string())]);
        RunConfig::ad_hoc("inference=sentence-transformers", &env).map_err(|error| error.to_string())
    }

    #[test]
    fn models_are_listed_by_their_folders() {
        let folder = models();
        let listed = Sentences::in_folder(Some(folder.path().to_owned())).list().unwrap();
        let ids: Vec<&str> = listed.iter().map(|model| model.id.as_str()).collect();
        assert_eq!(ids, ["owner/tiny", "tiny"]);
        let said = json!({"embedding_dimension": tiny_model::HIDDEN, "context_length": tiny_model::LONGEST});
        assert_eq!(Value::Object(listed[0].metadata.clone()), said);
    }

    #[test]
    fn where_to_put_a_model_is_said() {
        let empty = tempfile::tempdir().unwrap();
        let list = |folder: Option<&Path>| {
            let listed = Sentences::in_folder(folder.map(Path::to_owned)).list();
            listed.err().unwrap_or_default().replace(&empty.path().display().to_string(), "FOLDER")
        };
        assert_eq!(
            list(Some(empty.path())),
            "no model lies in FOLDER; put one there, a folder with config.json, tokenizer.json and model.safetensors \
             (nothing is downloaded)"
        );
        assert_eq!(
            list(Some(&empty.path().join("absent"))),
            "the folder of models, FOLDER/absent, cannot be read: No such file or directory (os error 2)"
        );
        assert_eq!(
            list(None),
            "no folder of models is named; let SENTENCE_TRANSFORMERS_HOME, or `model_dir` in the provider's config, \
             name one that has a folder for each model, with config.json, tokenizer.json and model.safetensors \
             (nothing is downloaded)"
        );
    }

    #[test]
    fn no_model_lies_outside_the_folder() {
        let sentences = Sentences::in_folder(Some("/models".into()));
        assert_eq!(sentences.model_folder("owner/tiny"), Ok("/models/owner/tiny".into()));
        for outside in ["../x", "a/../../x", "/etc", ""] {
            assert!(sentences.model_folder(outside).is_err(), "{outside}");
        }
    }

    #[cfg(not(feature = "sentence-transformers"))]
    #[test]
    fn a_build_without_the_feature_names_it() {
        assert_eq!(
            ad_hoc(Path::new("/models")).err().unwrap_or_default(),
            "stack `inference=sentence-transformers`: provider `sentence-transformers`: this build of runner has no \
             `inline::sentence-transformers`; build one that has it with `cargo build --features \
             sentence-transformers`, or use a real Llama Stack instead: --stack-config=server:<run.yaml> \
             --stack=llama-stack"
        );
    }

    #[cfg(feature = "sentence-transformers")]
    mod with_the_feature {
        use super::super::super::{Stack, mock};
        use super::*;
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;

        /// The status and body of what a stack over this folder answers to the last of some requests.
        fn answer(folder: &Path, requests: &[(&str, Value)]) -> (u16, Value) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let stack = Stack::start(ad_hoc(folder).unwrap()).await.unwrap();
                let mut last = (0, String::new());
                for (path, body) in requests {
                    last = mock::post(&stack, path, body).await;
                }
                (last.0, serde_json::from_str(&last.1).unwrap())
            })
        }

        #[test]
        fn texts_get_their_vectors() {
            let folder = models();
            let encoder = Encoder::load(&folder.path().join("tiny")).unwrap();
            let vectors = ["a b", "c"].map(|text| encoder.encode(text).unwrap());
            let request = |format: &str| {
                let body = json!({"model": "sentence-transformers/owner/tiny", "input": ["a b", "c"],
                                  "encoding_format": format});
                answer(folder.path(), &[("/v1/embeddings", body)])
            };
            let want = |embeddings: [Value; 2]| {
                let [first, second] = embeddings;
                json!({
                    "object": "list",
                    "data": [
                        {"object": "embedding", "embedding": first, "index": 0},
                        {"object": "embedding", "embedding": second, "index": 1},
                    ],
                    "model": "sentence-transformers/owner/tiny",
                    "usage": {"prompt_tokens": -1, "total_tokens": -1},
                })
            };
            let numbers = vectors.each_ref().map(|vector| json!(vector));
            assert_eq!(request("float"), (200, want(numbers)));
            let bytes =
                vectors.map(|vector| vector.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>());
            assert_eq!(request("base64"), (200, want(bytes.map(|bytes| STANDARD.encode(bytes).into()))));
        }

        #[test]
        fn a_model_that_is_not_there_is_asked_for_by_its_place() {
            let folder = models();
            // Its provider need not be named: it is the only one.
            let model = json!({
                "model_id": "absent", "model_type": "embedding", "metadata": {"embedding_dimension": 4},
            });
            let embed = json!({"model": "sentence-transformers/absent", "input": "a"});
            let (status, body) = answer(folder.path(), &[("/v1/models", model), ("/v1/embeddings", embed)]);
            let place = folder.path().display().to_string();
            assert_eq!(
                (status, body["detail"].as_str().unwrap_or_default().replace(&place, "FOLDER")),
                (
                    400,
                    "Invalid value: model `absent` cannot be loaded: FOLDER/absent/config.json: No such file or \
                     directory (os error 2); put config.json, tokenizer.json and model.safetensors into FOLDER/absent \
                     (nothing is downloaded)"
                        .to_owned()
                )
            );
        }
    }
}
