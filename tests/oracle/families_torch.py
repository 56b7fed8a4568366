"""Llama 3.x, Qwen3 and Gemma 3 in PyTorch (float64), the yardstick for worker/lm: loss, logits,
gradients, AdamW training.

Run with Debian's python3-torch (1.13):
    /usr/bin/python3 tests/oracle/families_torch.py tests/golden/families

Writes, per case of family_cases.py, NAME.json (config.json, sequences, hyper-parameters, loss of every
training step) and NAME.safetensors (float32: "logits" of every token, and "grad.<tensor>" of the mean
loss over the loss tokens of all sequences).

Written from the papers and the documentation of transformers: RMSNorm (Zhang & Sennrich 2019), RoPE in
the half-split layout of Hugging Face (Su et al. 2021), grouped-query attention (Ainslie et al. 2023),
SwiGLU and GEGLU (Shazeer 2020), AdamW (Loshchilov & Hutter 2019), Gemma 3 (Gemma team 2025), Qwen3
(Qwen team 2025).
"""
import json
import math
import struct
import sys

import numpy as np
import torch

import family_cases as cases

TRAIN = dict(batch_tokens=60, accumulate=2, steps=20, learning_rate=0.02, warmup_steps=4,
             schedule="cosine", minimum_lr_ratio=0.1, weight_decay=0.1, beta1=0.9, beta2=0.95,
             epsilon=1e-8, clip_norm=1.6)
LENGTHS = [5, 17, 33, 2, 41, 12, 8, 26, 19, 50, 7, 31]


def make_weights(c):
    return {name: torch.tensor(value, requires_grad=True)
            for name, value in cases.make_weights(c).items()}


def rms_norm(x, weight, c):
    gain = 1 + weight if cases.is_gemma(c) else weight
    return gain * x * torch.rsqrt((x * x).mean(-1, keepdim=True) + c["rms_norm_eps"])


def rope(x, c, layer):
    """x: heads, positions, head_dim."""
    half = x.shape[-1] // 2
    frequency = torch.tensor(cases.rope_frequencies(c, layer))
    angle = torch.arange(x.shape[1], dtype=torch.float64)[:, None] * frequency
    cos, sin = torch.cos(angle), torch.sin(angle)
    low, high = x[..., :half], x[..., half:]
    return torch.cat([low * cos - high * sin, high * cos + low * sin], -1)


def visible(t, c, layer):
    """0 where a row may look, -inf elsewhere."""
    row, column = torch.arange(t)[:, None], torch.arange(t)[None, :]
    seen = column <= row
    if cases.is_windowed(c, layer):
        seen = seen & (column > row - c["sliding_window"])
    return torch.zeros(t, t, dtype=torch.float64).masked_fill(~seen, -math.inf)


def attention(x, w, prefix, c, layer):
    t, d = x.shape[0], c["head_dim"]
    heads, kv_heads = c["num_attention_heads"], c["num_key_value_heads"]
    project = lambda name, n: (x @ w[prefix + name].T).view(t, n, d).transpose(0, 1)
    q, k = project("q_proj.weight", heads), project("k_proj.weight", kv_heads)
    v = project("v_proj.weight", kv_heads)
    if prefix + "q_norm.weight" in w:
        q = rms_norm(q, w[prefix + "q_norm.weight"], c)
        k = rms_norm(k, w[prefix + "k_norm.weight"], c)
    q, k = rope(q, c, layer), rope(k, c, layer)
    k = k.repeat_interleave(heads // kv_heads, 0)
    v = v.repeat_interleave(heads // kv_heads, 0)
    scores = q @ k.transpose(1, 2) * cases.score_scale(c)
    mixed = torch.softmax(scores + visible(t, c, layer), -1) @ v
    return mixed.transpose(0, 1).reshape(t, -1) @ w[prefix + "o_proj.weight"].T


def gelu_tanh(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def mlp(x, w, prefix, c):
    gate, up = x @ w[prefix + "gate_proj.weight"].T, x @ w[prefix + "up_proj.weight"].T
    act = gelu_tanh if cases.is_gemma(c) else torch.nn.functional.silu
    return (act(gate) * up) @ w[prefix + "down_proj.weight"].T


def logits_of(ids, w, c):
    gemma = cases.is_gemma(c)
    x = w["model.embed_tokens.weight"][ids]
    if gemma:
        x = x * cases.rounded_to_bf16(math.sqrt(c["hidden_size"]))
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        normed = lambda y, name: rms_norm(y, w[p + name + "_layernorm.weight"], c)
        added = attention(normed(x, "input"), w, p + "self_attn.", c, i)
        x = x + (normed(added, "post_attention") if gemma else added)
        added = mlp(normed(x, "pre_feedforward" if gemma else "post_attention"), w, p + "mlp.", c)
        x = x + (normed(added, "post_feedforward") if gemma else added)
    head = w["model.embed_tokens.weight" if c["tie_word_embeddings"] else "lm_head.weight"]
    return rms_norm(x, w["model.norm.weight"], c) @ head.T


def loss_sum(sequence, w, c):
    """Summed cross-entropy over the tokens with loss, and their number."""
    ids = torch.tensor(sequence["ids"])
    counted = torch.tensor(sequence["loss"][1:], dtype=torch.bool)
    rows = torch.log_softmax(logits_of(ids[:-1], w, c), -1)
    nats = -rows.gather(1, ids[1:, None])[:, 0]
    return nats[counted].sum(), int(counted.sum())


def make_sequences(c, seed):
    draw = np.random.RandomState(seed)
    sequences = []
    for length in LENGTHS:
        # A drifting walk over the vocabulary: there is something to learn.
        ids = (np.cumsum(draw.randint(0, 3, length)) + draw.randint(c["vocab_size"])) % c["vocab_size"]
        loss = draw.rand(length) < 0.6
        loss[0], loss[-1] = False, True
        sequences.append(dict(ids=[int(i) for i in ids], loss=[int(b) for b in loss]))
    return sequences


def micro_batches(sequences):
    """docs/data.md section 1: in order, until the next one would pass batch_tokens."""
    batches, current, tokens = [], [], 0
    for s in sequences:
        if current and tokens + len(s["ids"]) > TRAIN["batch_tokens"]:
            batches.append(current)
            current, tokens = [], 0
        current.append(s)
        tokens += len(s["ids"])
    return batches + [current]


def learning_rate(step):
    t, warm = TRAIN, TRAIN["warmup_steps"]
    if step < warm:
        return t["learning_rate"] * (step + 1) / warm
    progress = (step - warm) / max(1, t["steps"] - warm)
    return t["learning_rate"] * (t["minimum_lr_ratio"] + (1 - t["minimum_lr_ratio"]) *
                                 0.5 * (1 + math.cos(math.pi * progress)))


def train(sequences, c):
    w = make_weights(c)
    decay = [p for p in w.values() if p.dim() > 1]
    plain = [p for p in w.values() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [dict(params=decay, weight_decay=TRAIN["weight_decay"]), dict(params=plain, weight_decay=0.0)],
        lr=0.0, betas=(TRAIN["beta1"], TRAIN["beta2"]), eps=TRAIN["epsilon"])
    batches, steps, at = micro_batches(sequences), [], 0
    for step in range(TRAIN["steps"]):
        group = batches[at:at + TRAIN["accumulate"]]
        at = at + len(group) if at + len(group) < len(batches) else 0
        parts = [loss_sum(s, w, c) for batch in group for s in batch]
        loss = sum(p[0] for p in parts) / sum(p[1] for p in parts)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(list(w.values()), TRAIN["clip_norm"])
        for g in optimizer.param_groups:
            g["lr"] = learning_rate(step)
        optimizer.step()
        steps.append(dict(loss=float(loss), grad_norm=float(norm), lr=learning_rate(step)))
    return steps


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


def main(folder):
    for number, (name, c) in enumerate(cases.TRAINED.items()):
        sequences = make_sequences(c, 11 + number)
        w = make_weights(c)
        parts = [loss_sum(s, w, c) for s in sequences]
        loss = sum(p[0] for p in parts) / sum(p[1] for p in parts)
        loss.backward()
        logits = torch.cat([logits_of(torch.tensor(s["ids"][:-1]), w, c) for s in sequences])
        tensors = {"logits": logits.detach().numpy()}
        tensors.update({"grad." + n: w[n].grad.numpy() for n, _ in cases.tensor_table(c)})
        write_safetensors(f"{folder}/{name}.safetensors", tensors)
        steps = train(sequences, c)
        golden = dict(made_by="/usr/bin/python3 tests/oracle/families_torch.py tests/golden/families",
                      torch=torch.__version__, config=c, train=TRAIN, sequences=sequences,
                      loss=float(loss), loss_tokens=sum(p[1] for p in parts), steps=steps)
        with open(f"{folder}/{name}.json", "w") as f:
            json.dump(golden, f, indent=1)
            f.write("\n")
        clipped = sum(s["grad_norm"] > TRAIN["clip_norm"] for s in steps)
        print(f"{name}: loss {float(loss):.6f}; training {steps[0]['loss']:.4f} -> "
              f"{steps[-1]['loss']:.4f}, clipped {clipped} of {len(steps)} steps")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1])
