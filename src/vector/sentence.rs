//! Sentence embeddings by a BERT model in a local folder, as the Python library sentence-transformers makes them.
//!
//! A folder holds what that library saves: `config.json`, `tokenizer.json`, `model.safetensors` and, optionally,
//! `sentence_bert_config.json` (the longest input), `1_Pooling/config.json` and `modules.json` (whether the result
//! is normalised). What would change the vectors and is not known here is an error. Texts are encoded one by one, so that no result depends on its neighbours.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use serde_json::Value;
use std::path::Path;
use tokenizers::{Tokenizer, TruncationParams};

/// Tokens of a text that are read when the model does not say.
const LONGEST: usize = 512;

/// A model, loaded.
pub(crate) struct Encoder {
    model: BertModel,
    tokenizer: Tokenizer,
    pooling: Pooling,
    normalise: bool,
}

/// How the vectors of a text's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pooling {
    Mean,
    /// The first token's.
    First,
}

impl Encoder {
    /// Loads a model.
    ///
    /// # Errors
    /// Says which file is missing or not what it should be.
    pub(crate) fn load(folder: &Path) -> Result<Self, String> {
        let wrong =
            |name: &str, cause: &dyn std::fmt::Display| format!("{}: {cause}", folder.join(name).display());
        let read = |name: &str| std::fs::read(folder.join(name)).map_err(|error| wrong(name, &error));
        // Absent files mean the library's defaults; broken ones are mistakes.
        let optional = |name: &str| match std::fs::read(folder.join(name)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| wrong(name, &error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
            Err(error) => Err(wrong(name, &error)),
        };
        let config: Value =
            serde_json::from_slice(&read("config.json")?).map_err(|error| wrong("config.json", &error))?;
        if let Some(kind) = config.get("model_type").filter(|kind| *kind != "bert") {
            return Err(wrong("config.json", &format_args!("only BERT can be computed, not {kind}")));
        }
        let config: Config = serde_json::from_value(config).map_err(|error| wrong("config.json", &error))?;
        let mut tokenizer = Tokenizer::from_bytes(read("tokenizer.json")?)
            .map_err(|error| wrong("tokenizer.json", &error))?;
        let limits = optional("sentence_bert_config.json")?;
        let longest =
            limits.get("max_seq_length").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let max_length = longest.unwrap_or(LONGEST).min(config.max_position_embeddings);
        tokenizer
            .with_padding(None)
            .with_truncation(Some(TruncationParams { max_length, ..TruncationParams::default() }))
            .map_err(|error| wrong("tokenizer.json", &error))?;
        let pooling = pooling(&optional("1_Pooling/config.json")?)
            .map_err(|cause| wrong("1_Pooling/config.json", &cause))?;
        let normalise =
            normalises(&optional("modules.json")?).map_err(|cause| wrong("modules.json", &cause))?;
        let weights = read("model.safetensors")?;
        let broken = |error: candle_core::Error| wrong("model.safetensors", &error);
        let variables =
            VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu).map_err(broken)?;
        let model = BertModel::load(variables, &config).map_err(broken)?;
        Ok(Self { model, tokenizer, pooling, normalise })
    }

    /// The vector of a text, of which the end is not read when it is too long.
    ///
    /// # Errors
    /// In the words of the libraries; only a model that does not fit its own configuration gives one.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<f32>, String> {
        let encoding = self.tokenizer.encode(text, true).map_err(|error| error.to_string())?;
        self.vector(encoding.get_ids(), encoding.get_type_ids()).map_err(|error| error.to_string())
    }

    fn vector(&self, ids: &[u32], types: &[u32]) -> candle_core::Result<Vec<f32>> {
        let ids = Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?;
        let types = Tensor::new(types, &Device::Cpu)?.unsqueeze(0)?;
        let tokens = self.model.forward(&ids, &types, None)?.squeeze(0)?;
        let pooled = match self.pooling {
            Pooling::Mean => tokens.mean(0)?,
            Pooling::First => tokens.get(0)?,
        };
        let mut vector: Vec<f32> = pooled.to_vec1()?;
        if self.normalise {
            let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt().max(1e-12);
            vector.iter_mut().for_each(|number| *number /= length);
        }
        Ok(vector)
    }
}

/// Whether vectors are brought to the length 1 at the end; without a list of the model's parts they are not.
fn normalises(modules: &Value) -> Result<bool, String> {
    let kinds = modules.as_array().into_iter().flatten();
    let kinds = kinds.filter_map(|module| module.get("type")?.as_str()?.rsplit('.').next());
    let mut found = false;
    for kind in kinds {
        match kind {
            "Transformer" | "Pooling" => {}
            "Normalize" => found = true,
            other => return Err(format!("the part `{other}` cannot be computed")),
        }
    }
    Ok(found)
}

/// Reads the pooling; without a configuration it is the mean.
fn pooling(config: &Value) -> Result<Pooling, String> {
    let set = |name: &str| config.get(name).and_then(Value::as_bool).unwrap_or_default();
    let modes = config.as_object().into_iter().flatten();
    let chosen: Vec<&str> = modes
        .filter(|(name, value)| name.starts_with("pooling_mode_") && **value == true)
        .map(|(name, _)| name.as_str())
        .collect();
    match chosen.as_slice() {
        [] if config.is_null() => Ok(Pooling::Mean),
        [_] if set("pooling_mode_mean_tokens") => Ok(Pooling::Mean),
        [_] if set("pooling_mode_cls_token") => Ok(Pooling::First),
        other => Err(format!("only the mean or the first token can be taken, not {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tiny_model;
    use super::*;

    /// What `scripts/sentence-reference.py` computes for the same model.
    #[test]
    fn vectors_are_numpys() {
        let folder = tempfile::tempdir().unwrap();
        tiny_model::write(folder.path());
        let encoder = Encoder::load(folder.path()).unwrap();
        let close = |text: &str, want: [f32; 4]| {
            let got = encoder.encode(text).unwrap();
            let far = got.iter().zip(want).any(|(got, want)| (got - want).abs() > 1e-5);
            assert!(!far && got.len() == 4, "{text}: {got:?}, not {want:?}");
        };
        close("a b c", [0.540_914_14, -0.687_510_76, -0.157_067_37, -0.458_334_69]);
        close("c", [0.540_518_85, -0.701_652_8, -0.149_653_57, -0.439_461_62]);
        // Longer than the model reads: cut.
        close("a a a a a a a a a a", [0.540_723_76, -0.664_427_85, -0.162_197_46, -0.489_740_17]);
    }

    /// Why a model with this file cannot be loaded.
    fn refused(name: &str, content: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        tiny_model::write(folder.path());
        std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
        std::fs::write(folder.path().join(name), content).unwrap();
        let error = Encoder::load(folder.path()).err().unwrap_or_default();
        error.replace(&folder.path().display().to_string(), "FOLDER")
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(
            refused("1_Pooling/config.json", r#"{"pooling_mode_max_tokens": true}"#),
            r#"FOLDER/1_Pooling/config.json: only the mean or the first token can be taken, not ["pooling_mode_max_tokens"]"#
        );
        assert_eq!(
            refused("modules.json", r#"[{"type": "sentence_transformers.models.Dense"}]"#),
            "FOLDER/modules.json: the part `Dense` cannot be computed"
        );
        assert_eq!(
            refused("config.json", r#"{"model_type": "nomic_bert"}"#),
            r#"FOLDER/config.json: only BERT can be computed, not "nomic_bert""#
        );
        for name in ["model.safetensors", "tokenizer.json", "sentence_bert_config.json"] {
            let error = refused(name, "x");
            assert!(error.starts_with(&format!("FOLDER/{name}: ")), "{error}");
        }
    }

    #[test]
    fn the_first_token_can_be_taken() {
        let folder = tempfile::tempdir().unwrap();
        tiny_model::write(folder.path());
        let mean = Encoder::load(folder.path()).unwrap();
        std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
        let config = r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#;
        std::fs::write(folder.path().join("1_Pooling/config.json"), config).unwrap();
        let first = Encoder::load(folder.path()).unwrap();
        let both = |text| (mean.encode(text).unwrap(), first.encode(text).unwrap());
        // One token is its own mean.
        let (mean, first) = both("a");
        assert_eq!(mean, first);
        let (mean, first) = both("a b c");
        assert_ne!(mean, first);
    }
}
