#!/usr/bin/env python3
"""Read a Hugging Face folder without Triad: header, alignment, cover, types and shapes of model.safetensors as
the format's description has them, and the weights of stories260K against the file of llama2.c they come from.

usage: read_checkpoint.py FOLDER f32|bf16 [stories260K.bin]

Wants numpy (Debian: python3-numpy). Exits 1 with a message when something is wrong."""
import json
import os
import struct
import sys

import numpy as np


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    assert data[8:9] == b"{", "a header begins with a brace"
    assert (8 + length) % 8 == 0, "data are aligned to 8 bytes"
    header = json.loads(data[8 : 8 + length])
    assert header.pop("__metadata__")["format"] == "pt"
    body = data[8 + length :]
    tensors, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"][0]):
        first, last = entry["data_offsets"]
        assert first == end, f"{name}: a gap or an overlap"
        end = last
        raw = body[first:last]
        if entry["dtype"] == "F32":
            values = np.frombuffer(raw, "<f4")
        elif entry["dtype"] == "BF16":
            values = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
        else:
            raise AssertionError(f"{name}: type {entry['dtype']}")
        tensors[name] = values.reshape(entry["shape"]), entry["dtype"]
    assert end == len(body), "bytes at the end"
    return tensors


def read_llama2c(path):
    """Names of Hugging Face to arrays; q and k from interleaved RoPE to the half-split one."""
    raw = open(path, "rb").read()
    width, hidden, layers, heads, kv_heads, vocabulary, context = struct.unpack("<7i", raw[:28])
    values, at = np.frombuffer(raw[28:], "<f4"), 0

    def take(*shape):
        nonlocal at
        count = int(np.prod(shape))
        at += count
        return values[at - count : at].reshape(shape)

    def halves(x, n):
        rows = x.reshape(n, -1, 2, x.shape[-1])
        return rows.transpose(0, 2, 1, 3).reshape(x.shape)

    head = width // heads
    out = {"model.embed_tokens.weight": take(vocabulary, width)}
    stacks = [("input_layernorm", (width,)), ("self_attn.q_proj", (width, width)),
              ("self_attn.k_proj", (kv_heads * head, width)), ("self_attn.v_proj", (kv_heads * head, width)),
              ("self_attn.o_proj", (width, width)), ("post_attention_layernorm", (width,)),
              ("mlp.gate_proj", (hidden, width)), ("mlp.down_proj", (width, hidden)), ("mlp.up_proj", (hidden, width))]
    for name, shape in stacks:
        for layer, x in enumerate(take(layers, *shape)):
            if "q_proj" in name or "k_proj" in name:
                x = halves(x, heads if "q_proj" in name else kv_heads)
            out[f"model.layers.{layer}.{name}.weight"] = x
    out["model.norm.weight"] = take(width)
    return out


def to_bf16(x):
    bits = np.ascontiguousarray(x, "<f4").view("<u4").astype("u8")
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype("<u4").view("<f4")


def main():
    folder, dtype = sys.argv[1:3]
    tensors = read_safetensors(os.path.join(folder, "model.safetensors"))
    config = json.load(open(os.path.join(folder, "config.json")))
    written = config.get("torch_dtype", config.get("dtype"))
    assert written == {"f32": "float32", "bf16": "bfloat16"}[dtype], f"config.json says {written}"
    assert {kind for _, kind in tensors.values()} == {dtype.upper()}
    assert tensors["model.embed_tokens.weight"][0].shape == (config["vocab_size"], config["hidden_size"])
    for name in ("tokenizer.json", "generation_config.json", "tokenizer_config.json"):
        json.load(open(os.path.join(folder, name)))
    if len(sys.argv) > 3:
        expected = read_llama2c(sys.argv[3])
        assert set(expected) == set(tensors), set(expected) ^ set(tensors)
        for name, x in expected.items():
            wanted = to_bf16(x) if dtype == "bf16" else x
            assert np.array_equal(tensors[name][0], wanted.reshape(tensors[name][0].shape)), name
    print(f"{len(tensors)} tensors, {sum(x.size for x, _ in tensors.values())} values: as they should be")


if __name__ == "__main__":
    main()
