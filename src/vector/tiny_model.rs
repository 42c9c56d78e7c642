//! A model for tests: BERT with one layer, four words and weights made by a formula, as sentence-transformers saves it.

use serde_json::{Map, Value, json};
use std::path::Path;

/// The lengths of its vectors and of what lies between two of them, its words, and the words of its longest text.
pub(crate) const HIDDEN: usize = 4;
const INNER: usize = 8;
const WORDS: usize = 4;
pub(crate) const LONGEST: usize = 8;

/// Writes the model into a folder that is there.
pub(crate) fn write(folder: &Path) {
    let file = |name: &str, content: &[u8]| std::fs::write(folder.join(name), content).unwrap();
    file("model.safetensors", &weights());
    let config = json!({
        "vocab_size": WORDS, "hidden_size": HIDDEN, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": INNER, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "max_position_embeddings": LONGEST, "type_vocab_size": 2, "initializer_range": 0.02,
        "layer_norm_eps": 1e-12, "pad_token_id": 0,
    });
    file("config.json", config.to_string().as_bytes());
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "a": 1, "b": 2, "c": 3}, "unk_token": "[UNK]"},
    });
    file("tokenizer.json", tokenizer.to_string().as_bytes());
    file("modules.json", br#"[{"type": "sentence_transformers.models.Normalize"}]"#);
}

/// Every tensor's name and shape, in the order in which the formula counts.
fn shapes() -> Vec<(String, Vec<usize>)> {
    let whole = [
        ("embeddings.word_embeddings.weight", vec![WORDS, HIDDEN]),
        ("embeddings.position_embeddings.weight", vec![LONGEST, HIDDEN]),
        ("embeddings.token_type_embeddings.weight", vec![2, HIDDEN]),
        ("embeddings.LayerNorm.weight", vec![HIDDEN]),
        ("embeddings.LayerNorm.bias", vec![HIDDEN]),
    ];
    let layer = [
        ("attention.self.query", vec![HIDDEN, HIDDEN]),
        ("attention.self.key", vec![HIDDEN, HIDDEN]),
        ("attention.self.value", vec![HIDDEN, HIDDEN]),
        ("attention.output.dense", vec![HIDDEN, HIDDEN]),
        ("attention.output.LayerNorm", vec![HIDDEN]),
        ("intermediate.dense", vec![INNER, HIDDEN]),
        ("output.dense", vec![HIDDEN, INNER]),
        ("output.LayerNorm", vec![HIDDEN]),
    ];
    let layer = layer.into_iter().flat_map(|(name, shape)| {
        let bias = vec![shape[0]];
        [("weight", shape), ("bias", bias)]
            .map(|(kind, shape)| (format!("encoder.layer.0.{name}.{kind}"), shape))
    });
    whole.into_iter().map(|(name, shape)| (name.to_owned(), shape)).chain(layer).collect()
}

/// The weights as a safetensors file: the length of its header, the header, the numbers.
fn weights() -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, shape) in shapes() {
        let start = data.len();
        for i in start / 4..start / 4 + shape.iter().product::<usize>() {
            let weight = ((i * 37 % 101) as f64 / 50.0 - 1.0) as f32;
            data.extend(weight.to_le_bytes());
        }
        header.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}
