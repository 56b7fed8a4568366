"""Logits and greedy continuations of Llama 3.x, Qwen3 and Gemma 3 models in llama.cpp and in numpy.

Run after tests/oracle/fetch_llamacpp, with Debian's python3-numpy and gcc:
    /usr/bin/python3 tests/oracle/families_llamacpp.py build/oracle tests/golden/families

Writes, per case LONG of family_cases.py, NAME.json (config.json, ids, the greedy continuation and its
smallest lead, largest difference between llama.cpp and numpy) and NAME.safetensors (float32: "numpy",
logits of every position computed in float64, and "llamacpp" where llama.cpp can express the case).
"""
import json
import math
import pathlib
import struct
import subprocess
import sys

import numpy as np

import families_numpy
import family_cases as cases

PROMPT, NEW = 20, 120
LENGTH = 150
BINS = "node_modules/@node-llama-cpp/linux-x64/bins/linux-x64"

# ---- GGUF, version 3: ggml's docs/gguf.md ----

U32, F32, TEXT = 4, 6, 8


def gguf_text(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf_value(value):
    if isinstance(value, str):
        return struct.pack("<I", TEXT) + gguf_text(value)
    if isinstance(value, float):
        return struct.pack("<If", F32, value)
    return struct.pack("<II", U32, value)


def write_gguf(path, fields, tensors):
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields))
    head += b"".join(gguf_text(key) + gguf_value(value) for key, value in fields.items())
    offset, data = 0, b""
    for name, value in tensors.items():
        raw = np.ascontiguousarray(value, dtype="<f4").tobytes()
        raw += b"\0" * (-len(raw) % 32)
        shape = value.shape[::-1]  # the fastest dimension first
        head += gguf_text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)
        offset += len(raw)
        data += raw
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % 32) + data)


# ---- our models in llama.cpp's terms ----

LAYER_NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
NORM_NAMES = {
    False: {"post_attention_layernorm": "ffn_norm"},
    True: {"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
           "post_feedforward_layernorm": "post_ffw_norm"},
}
OUTER_NAMES = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
               "lm_head.weight": "output.weight"}


def gguf_name(name, c):
    if name in OUTER_NAMES:
        return OUTER_NAMES[name]
    _, _, layer, rest = name.split(".", 3)
    rest = rest[:-len(".weight")]
    return f"blk.{layer}.{LAYER_NAMES.get(rest) or NORM_NAMES[cases.is_gemma(c)][rest]}.weight"


def interleaved(value, heads):
    """Rows of each head from halves (0, D/2, 1, …) to neighbours, as llama.cpp's Llama turns them."""
    rows, columns = value.shape
    return value.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def gguf_tensors(weights, c):
    tensors = {}
    for name, value in weights.items():
        if c["model_type"] == "llama" and name.endswith("q_proj.weight"):
            value = interleaved(value, c["num_attention_heads"])
        if c["model_type"] == "llama" and name.endswith("k_proj.weight"):
            value = interleaved(value, c["num_key_value_heads"])
        if cases.is_gemma(c) and value.ndim == 1:
            value = value.astype(np.float32) + np.float32(1)
        tensors[gguf_name(name, c)] = value
    if c.get("rope_scaling", {}).get("rope_type") == "llama3":
        half = c["head_dim"] // 2
        plain = c["rope_theta"] ** (-np.arange(half) / half)
        tensors["rope_freqs.weight"] = plain / cases.rope_frequencies(c, 0)  # divisors
    return tensors


def gguf_fields(c):
    kind = dict(llama="llama", qwen3="qwen3", gemma3_text="gemma3")[c["model_type"]]
    own = {
        "vocab_size": c["vocab_size"], "context_length": c["max_position_embeddings"],
        "embedding_length": c["hidden_size"], "block_count": c["num_hidden_layers"],
        "feed_forward_length": c["intermediate_size"], "attention.head_count": c["num_attention_heads"],
        "attention.head_count_kv": c["num_key_value_heads"], "attention.key_length": c["head_dim"],
        "attention.value_length": c["head_dim"], "rope.dimension_count": c["head_dim"],
        "attention.layer_norm_rms_epsilon": float(c["rms_norm_eps"]),
        "rope.freq_base": float(c["rope_theta"]),
    }
    if cases.is_gemma(c):
        own["attention.sliding_window"] = c["sliding_window"]
        own["attention.sliding_window_pattern"] = c["sliding_window_pattern"]
        own["rope.freq_base_swa"] = float(c["rope_local_base_freq"])
    if c.get("rope_scaling", {}).get("rope_type") == "linear":
        own["rope.scaling.type"] = "linear"
        own["rope.scaling.factor"] = float(c["rope_scaling"]["factor"])
    fields = {"general.architecture": kind, "general.alignment": 32, "tokenizer.ggml.model": "no_vocab"}
    fields.update({f"{kind}.{key}": value for key, value in own.items()})
    return fields


def expressible(c):
    if not cases.is_gemma(c):
        return True
    scale = math.sqrt(c["hidden_size"])
    return cases.rounded_to_bf16(scale) == scale and c["query_pre_attn_scalar"] == c["head_dim"]


# ---- running it ----

def build_driver(work):
    source = pathlib.Path(__file__).with_name("llamacpp_logits.c")
    driver, bins = work / "llamacpp_logits", (work / BINS).resolve()
    subprocess.run(["gcc", "-O1", "-o", driver, source, f"-I{work}/llama.cpp/include",
                    f"-I{work}/llama.cpp/ggml/include", *sorted(bins.glob("libllama.v*.so")),
                    *sorted(bins.glob("libggml.v*.so")), f"-Wl,-rpath,{bins}",
                    "-Wl,--allow-shlib-undefined"], check=True)
    return driver, bins


def run_llamacpp(driver, bins, path, ids, vocabulary):
    done = subprocess.run([driver, bins, path, str(PROMPT), str(NEW)],
                          input=np.array(ids, dtype="<i4").tobytes(), stdout=subprocess.PIPE, check=True)
    floats = len(ids) * vocabulary
    logits = np.frombuffer(done.stdout[:4 * floats], dtype="<f4").reshape(len(ids), vocabulary)
    return logits, [int(i) for i in np.frombuffer(done.stdout[4 * floats:], dtype="<i4")]


def greedy(ids, weights, c):
    """The continuation by numpy, and the smallest lead of a chosen token over the next best."""
    text, lead = list(ids[:PROMPT]), math.inf
    for _ in range(NEW):
        row = families_numpy.logits(text, weights, c)[-1]
        order = np.argsort(-row)
        lead = min(lead, float(row[order[0]] - row[order[1]]))
        text.append(int(order[0]))
    return text[PROMPT:], lead


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, value in tensors.items():
        raw = np.ascontiguousarray(value, dtype="<f4").tobytes()
        header[name] = dict(dtype="F32", shape=list(value.shape),
                            data_offsets=[len(data), len(data) + len(raw)])
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def main(work, folder):
    driver, bins = build_driver(work)
    for number, (name, c) in enumerate(cases.LONG.items()):
        ids = [int(i) for i in np.random.RandomState(100 + number).randint(0, c["vocab_size"], LENGTH)]
        weights = cases.make_weights(c)
        tensors = {"numpy": families_numpy.logits(ids, weights, c)}
        golden = dict(made_by="/usr/bin/python3 tests/oracle/families_llamacpp.py build/oracle "
                              "tests/golden/families", config=c, ids=ids, prompt=PROMPT)
        if expressible(c):
            path = work / f"{name}.gguf"
            write_gguf(path, gguf_fields(c), gguf_tensors(weights, c))
            tensors["llamacpp"], golden["greedy"] = run_llamacpp(driver, bins, path, ids, c["vocab_size"])
            difference = np.abs(tensors["llamacpp"] - tensors["numpy"]).max()
            own, lead = greedy(ids, weights, c)
            print(f"{name}: llama.cpp and numpy differ by {difference:.1e}, largest logit "
                  f"{np.abs(tensors['numpy']).max():.2f}, greedy {'same' if own == golden['greedy'] else 'OTHER'}"
                  f", smallest lead {lead:.1e}")
        else:
            golden["greedy"], lead = greedy(ids, weights, c)
            print(f"{name}: numpy alone, smallest lead {lead:.1e}")
        golden["smallest_lead"] = lead
        write_safetensors(folder / f"{name}.safetensors", tensors)
        with open(folder / f"{name}.json", "w") as f:
            json.dump(golden, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
