"""Llama 3.x, Qwen3 and Gemma 3 in numpy (float64): logits, written apart from families_torch.py."""
import math

import numpy as np

import family_cases as cases


def rms_norm(x, weight, c):
    gain = weight + 1 if cases.is_gemma(c) else weight
    return x / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + c["rms_norm_eps"]) * gain


def turned(x, c, layer):
    """RoPE of x: positions, heads, head_dim."""
    angle = np.outer(np.arange(x.shape[0]), cases.rope_frequencies(c, layer))[:, None, :]
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([first * np.cos(angle) - second * np.sin(angle),
                           second * np.cos(angle) + first * np.sin(angle)], axis=-1)


def attend(x, w, p, c, layer):
    count, d = x.shape[0], c["head_dim"]
    heads, groups = c["num_attention_heads"], c["num_key_value_heads"]
    q = (x @ w[p + "q_proj.weight"].T).reshape(count, heads, d)
    k = (x @ w[p + "k_proj.weight"].T).reshape(count, groups, d)
    v = (x @ w[p + "v_proj.weight"].T).reshape(count, groups, d)
    if c["model_type"] != "llama":
        q, k = rms_norm(q, w[p + "q_norm.weight"], c), rms_norm(k, w[p + "k_norm.weight"], c)
    q, k = turned(q, c, layer), turned(k, c, layer)
    mixed = np.zeros((count, heads, d))
    for t in range(count):
        begin = max(0, t - c["sliding_window"] + 1) if cases.is_windowed(c, layer) else 0
        for h in range(heads):
            g = h // (heads // groups)
            scores = k[begin:t + 1, g] @ q[t, h] * cases.score_scale(c)
            weights = np.exp(scores - scores.max())
            mixed[t, h] = weights @ v[begin:t + 1, g] / weights.sum()
    return mixed.reshape(count, -1) @ w[p + "o_proj.weight"].T


def gated(x, w, p, c):
    gate, up = x @ w[p + "gate_proj.weight"].T, x @ w[p + "up_proj.weight"].T
    if cases.is_gemma(c):
        gate = gate / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (gate + 0.044715 * gate ** 3)))
    else:
        gate = gate / (1 + np.exp(-gate))
    return (gate * up) @ w[p + "down_proj.weight"].T


def logits(ids, w, c):
    x = w["model.embed_tokens.weight"][ids]
    if cases.is_gemma(c):
        x = x * cases.rounded_to_bf16(math.sqrt(c["hidden_size"]))
    for layer in range(c["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        n = lambda name, y: rms_norm(y, w[p + name + ".weight"], c)
        added = attend(n("input_layernorm", x), w, p + "self_attn.", c, layer)
        if cases.is_gemma(c):
            x = x + n("post_attention_layernorm", added)
            added = gated(n("pre_feedforward_layernorm", x), w, p + "mlp.", c)
            x = x + n("post_feedforward_layernorm", added)
        else:
            x = x + added
            x = x + gated(n("post_attention_layernorm", x), w, p + "mlp.", c)
    head = w["model.embed_tokens.weight" if c["tie_word_embeddings"] else "lm_head.weight"]
    return rms_norm(x, w["model.norm.weight"], c) @ head.T
