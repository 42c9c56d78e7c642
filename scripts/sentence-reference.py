#!/usr/bin/env python3
"""Sentence embeddings by a BERT model in a folder, in numpy: what the in-process stack's are compared with.

sentence-reference.py FOLDER TEXT…   prints one JSON list for each text
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer


def weights(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file of 32-bit floats; others are left out."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    found = {}
    for name, about in header.items():
        if name != "__metadata__" and about["dtype"] == "F32":
            start, end = about["data_offsets"]
            raw = data[8 + size + start : 8 + size + end]
            found[name.removeprefix("bert.")] = np.frombuffer(raw, "<f4").reshape(about["shape"]).astype(np.float64)
    return found


def main() -> None:
    folder = Path(sys.argv[1])
    config = json.loads((folder / "config.json").read_text())
    w = weights(folder / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    limits = folder / "sentence_bert_config.json"
    longest = json.loads(limits.read_text())["max_seq_length"] if limits.exists() else config["max_position_embeddings"]
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    normalise = (folder / "modules.json").exists() and "Normalize" in (folder / "modules.json").read_text()

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        x = (x - mean) / np.sqrt(variance + config["layer_norm_eps"])
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    erf = np.vectorize(math.erf)
    heads, width = config["num_attention_heads"], config["hidden_size"] // config["num_attention_heads"]
    for text in sys.argv[2:]:
        ids = tokenizer.encode(text).ids
        e = "embeddings"
        x = w[f"{e}.word_embeddings.weight"][ids] + w[f"{e}.position_embeddings.weight"][: len(ids)]
        x = norm(x + w[f"{e}.token_type_embeddings.weight"][0], f"{e}.LayerNorm")
        for n in range(config["num_hidden_layers"]):
            layer = f"encoder.layer.{n}"

            def split(name: str) -> np.ndarray:
                return linear(x, f"{layer}.attention.self.{name}").reshape(len(ids), heads, width).swapaxes(0, 1)

            scores = split("query") @ split("key").swapaxes(1, 2) / math.sqrt(width)
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = (scores / scores.sum(-1, keepdims=True)) @ split("value")
            mixed = mixed.swapaxes(0, 1).reshape(len(ids), -1)
            x = norm(linear(mixed, f"{layer}.attention.output.dense") + x, f"{layer}.attention.output.LayerNorm")
            inner = linear(x, f"{layer}.intermediate.dense")
            inner = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
            x = norm(linear(inner, f"{layer}.output.dense") + x, f"{layer}.output.LayerNorm")
        vector = x.mean(0)
        if normalise:
            vector = vector / np.linalg.norm(vector)
        print(json.dumps(vector.tolist()))


if __name__ == "__main__":
    main()
