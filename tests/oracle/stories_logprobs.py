"""Check a converted stories260K folder in float64, without any of Triad's code.

    GOLDEN=tests/golden/stories260K/stories260K.json
    /usr/bin/python3 tests/oracle/stories_logprobs.py FOLDER $GOLDEN

FOLDER is what llama2c_convert() wrote (triad model import). Reads config.json and model.safetensors
as transformers would, runs the Llama forward pass in numpy, and prints the largest difference to
llama.cpp's log-probabilities; exits 1 above 1e-3. On 2026-11-24: 8.1e-06.
"""
import json
import sys

import numpy as np


def read_safetensors(path):
    data = open(path, "rb").read()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        assert entry["dtype"] == "F32"
        values = np.frombuffer(data[8 + length + begin : 8 + length + end], "<f4")
        tensors[name] = values.reshape(entry["shape"]).astype(np.float64)
    return tensors


def norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def rotate(x, theta):
    """Half-split RoPE on [T, H, D], as in transformers' apply_rotary_pos_emb."""
    half = x.shape[-1] // 2
    angles = np.outer(np.arange(x.shape[0]), theta ** (-np.arange(half) / half))[:, None, :]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * np.cos(angles) - b * np.sin(angles),
                           b * np.cos(angles) + a * np.sin(angles)], -1)


def attention(x, w, layer, config):
    heads, kv_heads, dim = (config[k] for k in
                            ("num_attention_heads", "num_key_value_heads", "head_dim"))
    t = len(x)
    q, k, v = ((x @ w[f"model.layers.{layer}.self_attn.{p}_proj.weight"].T).reshape(t, -1, dim)
               for p in "qkv")
    q, k = rotate(q, config["rope_theta"]), rotate(k, config["rope_theta"])
    k, v = (np.repeat(a, heads // kv_heads, axis=1) for a in (k, v))
    scores = np.einsum("thd,shd->hts", q, k) / np.sqrt(dim)
    scores = np.where(np.tril(np.ones((t, t), bool)), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed = np.einsum("hts,shd->thd", weights, v).reshape(t, heads * dim)
    return mixed @ w[f"model.layers.{layer}.self_attn.o_proj.weight"].T


def log_probs(ids, w, config):
    eps = config["rms_norm_eps"]
    x = w["model.embed_tokens.weight"][ids]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        x = x + attention(norm(x, w[at + "input_layernorm.weight"], eps), w, layer, config)
        h = norm(x, w[at + "post_attention_layernorm.weight"], eps)
        gate = h @ w[at + "mlp.gate_proj.weight"].T
        up = h @ w[at + "mlp.up_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w[at + "mlp.down_proj.weight"].T
    logits = norm(x, w["model.norm.weight"], eps) @ w["model.embed_tokens.weight"].T
    logits -= logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def main():
    folder, golden_path = sys.argv[1:]
    config = json.load(open(folder + "/config.json"))
    weights = read_safetensors(folder + "/model.safetensors")
    worst = 0.0
    for entry in json.load(open(golden_path))["texts"]:
        ids = entry["ids"]
        found = log_probs(ids, weights, config)[np.arange(len(ids) - 1), ids[1:]]
        worst = max(worst, np.abs(found - entry["logprob_of_next"]).max())
    print(f"largest difference in log-probability: {worst:.2e}")
    return 0 if worst <= 1e-3 else 1


sys.exit(main())
