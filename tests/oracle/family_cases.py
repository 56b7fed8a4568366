"""The models that the oracles of the three families compute: shapes as config.json, weights, sequences.

Weights are not stored: both sides compute them from weight_value() (tests/unit/worker/lm/family_golden.c).
"""
import math

import numpy as np


def config(kind, layers, width, heads, kv_heads, head_dim, mlp, vocabulary, context, tied, eps=1e-6,
           theta=10000.0, **more):
    architecture = dict(llama="LlamaForCausalLM", qwen3="Qwen3ForCausalLM",
                        gemma3_text="Gemma3ForCausalLM")[kind]
    c = dict(model_type=kind, architectures=[architecture], num_hidden_layers=layers, hidden_size=width,
             num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=head_dim,
             intermediate_size=mlp, vocab_size=vocabulary, max_position_embeddings=context,
             tie_word_embeddings=tied, rms_norm_eps=eps, rope_theta=theta)
    if kind == "gemma3_text":
        c.update(hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=head_dim,
                 rope_local_base_freq=10000.0, bos_token_id=None, eos_token_id=None)
    else:
        c.update(hidden_act="silu")
    c.update(more)
    return c


LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=24)

# For losses, gradients and training (families_torch.py).
TRAINED = {
    # head_dim * heads differs from width, the head is tied, three sequences per micro-batch.
    "llama-tied": config("llama", 2, 20, 4, 2, 6, 36, 53, 64, True, eps=1e-5),
    # three query heads per key head, untied head, a larger theta, one sequence crosses row blocks.
    "llama-untied": config("llama", 3, 32, 6, 2, 8, 44, 67, 96, False, theta=500000.0),
    # sequences are longer than the original context, so that all three kinds of frequency occur.
    "llama-scaled": config("llama", 2, 24, 3, 1, 12, 40, 53, 96, True, rope_scaling=LLAMA3),
    "qwen3-tied": config("qwen3", 2, 20, 4, 2, 8, 36, 53, 64, True, theta=1e6),
    "qwen3-untied": config("qwen3", 3, 28, 6, 2, 10, 44, 67, 96, False, theta=1e6),
    # windowed layers before and after one that sees everything; sequences longer than the window;
    # the root of the width is no bf16.
    "gemma3-tied": config("gemma3_text", 4, 20, 4, 2, 8, 36, 53, 64, True, theta=1e6, sliding_window=9,
                          sliding_window_pattern=3,
                          rope_scaling=dict(rope_type="linear", factor=8.0)),
    "gemma3-untied": config("gemma3_text", 3, 36, 6, 1, 10, 44, 67, 96, False, theta=1e6,
                            sliding_window=17, sliding_window_pattern=2, query_pre_attn_scalar=24),
}

# For logits of one long sequence (families_llamacpp.py). Gemma's width has an exact root where
# llama.cpp, which does not round it, computes the logits, too.
LONG = {
    "llama-gqa4-scaled": config("llama", 4, 48, 8, 2, 6, 80, 61, 160, True, eps=1e-5, theta=500000.0,
                                rope_scaling=LLAMA3),
    "llama-mha-untied": config("llama", 8, 40, 5, 5, 16, 72, 61, 160, False, eps=1e-5),
    "qwen3-gqa2-tied": config("qwen3", 8, 32, 4, 2, 16, 96, 61, 160, True, theta=1e6),
    "qwen3-gqa6-untied": config("qwen3", 4, 56, 6, 1, 10, 72, 61, 160, False, theta=1e6),
    # the window ends within a row block; 7 layers so that the original pattern of 6 shows.
    "gemma3-gqa4": config("gemma3_text", 7, 36, 4, 1, 16, 80, 61, 160, True, theta=1e6,
                          sliding_window=24, sliding_window_pattern=6,
                          rope_scaling=dict(rope_type="linear", factor=8.0)),
    # the window is longer than a row block and shorter than the sequence; an untied head, so that the
    # greedy text is lively.
    "gemma3-gqa2": config("gemma3_text", 8, 64, 6, 3, 12, 96, 61, 160, False, theta=1e6,
                          sliding_window=70, sliding_window_pattern=6),
    # what llama.cpp cannot express: a rounded scale, a scalar of its own, an untied head.
    "gemma3-rounded": config("gemma3_text", 5, 40, 4, 2, 12, 72, 61, 160, False, theta=1e6,
                             sliding_window=70, sliding_window_pattern=2, query_pre_attn_scalar=24),
}


def weight_value(tensor_index, element_index):
    """Uniform on [-1, 1) from 32-bit integer arithmetic, so that every language gets equal bits."""
    h = ((element_index + 1) + (tensor_index + 1) * 1000003) * 2654435761 % 2**32
    h ^= h >> 15
    h = h * 2246822519 % 2**32
    h ^= h >> 13
    return h / 2**31 - 1.0


def is_gemma(c):
    return c["model_type"] == "gemma3_text"


def tensor_table(c):
    """Names and shapes in the order of worker/lm/checkpoint/family_NAME.c."""
    d, w, mlp = c["head_dim"], c["hidden_size"], c["intermediate_size"]
    q, kv = c["num_attention_heads"] * d, c["num_key_value_heads"] * d
    head_norms = c["model_type"] != "llama"
    table = [("model.embed_tokens.weight", (c["vocab_size"], w))]
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        table += [(p + "input_layernorm.weight", (w,)),
                  (p + "self_attn.q_proj.weight", (q, w)),
                  (p + "self_attn.k_proj.weight", (kv, w)),
                  (p + "self_attn.v_proj.weight", (kv, w)),
                  (p + "self_attn.o_proj.weight", (w, q))]
        if head_norms:
            table += [(p + "self_attn.q_norm.weight", (d,)), (p + "self_attn.k_norm.weight", (d,))]
        table.append((p + "post_attention_layernorm.weight", (w,)))
        if is_gemma(c):
            table.append((p + "pre_feedforward_layernorm.weight", (w,)))
        table += [(p + "mlp.gate_proj.weight", (mlp, w)),
                  (p + "mlp.up_proj.weight", (mlp, w)),
                  (p + "mlp.down_proj.weight", (w, mlp))]
        if is_gemma(c):
            table.append((p + "post_feedforward_layernorm.weight", (w,)))
    table.append(("model.norm.weight", (w,)))
    if not c["tie_word_embeddings"]:
        table.append(("lm_head.weight", (c["vocab_size"], w)))
    return table


def make_weights(c):
    """Vectors: 1 + 0.25 u, Gemma's less 1. Matrices: u * sqrt(3 / columns), unit gain. Embedding and
    head: 0.5 u. Values are floats, held as doubles."""
    weights = {}
    for index, (name, shape) in enumerate(tensor_table(c)):
        u = np.array([weight_value(index, i) for i in range(int(np.prod(shape)))])
        if len(shape) == 1:
            value = (0.0 if is_gemma(c) else 1.0) + 0.25 * u
        elif shape[0] == c["vocab_size"]:
            value = 0.5 * u
        else:
            value = u * math.sqrt(3.0 / shape[1])
        weights[name] = value.astype(np.float32).astype(np.float64).reshape(shape)
    return weights


def is_windowed(c, layer):
    return is_gemma(c) and (layer + 1) % c["sliding_window_pattern"] != 0


def rounded_to_bf16(x):
    bits = np.array(x, dtype=np.float32).view(np.uint32)
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return float(np.array(bits, dtype=np.uint32).view(np.float32))


def rope_frequencies(c, layer):
    """Radians per position of each pair of channels."""
    half = c["head_dim"] // 2
    pairs = np.arange(half, dtype=np.float64)
    if is_windowed(c, layer):
        return c["rope_local_base_freq"] ** (-pairs / half)
    frequency = c["rope_theta"] ** (-pairs / half)
    scaling = c.get("rope_scaling")
    if not scaling:
        return frequency
    if scaling["rope_type"] == "linear":
        return frequency / scaling["factor"]
    # Llama 3.1: waves longer than the original context are stretched, those much shorter are not.
    turns = scaling["original_max_position_embeddings"] * frequency / (2 * math.pi)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return frequency * (kept + (1 - kept) / scaling["factor"])


def score_scale(c):
    return 1 / math.sqrt(c["query_pre_attn_scalar"] if is_gemma(c) else c["head_dim"])
