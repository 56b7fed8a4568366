"""Llama in PyTorch (float64), the yardstick for worker/lm: loss, logits, gradients, AdamW training.

Run with Debian's python3-torch (1.13):
    /usr/bin/python3 tests/oracle/llama_torch.py tests/golden/llama

Writes, per case, NAME.json (shape, sequences, hyper-parameters, loss of every training step) and
NAME.safetensors (float32: "logits" of every token, and "grad.<tensor>" of the mean loss over the loss
tokens of all sequences). Weights are not stored: both sides compute them from weight_value().

Written from the papers and the transformers documentation: RMSNorm (Zhang & Sennrich 2019), RoPE in
the half-split layout of Hugging Face (Su et al. 2021), grouped-query attention (Ainslie et al.
2023), SwiGLU (Shazeer 2020), AdamW (Loshchilov & Hutter 2019).
"""
import json
import math
import struct
import sys

import numpy as np
import torch

CASES = {
    # head_dim * heads differs from width, the head is tied, three sequences per micro-batch.
    "tied": dict(layers=2, width=20, heads=4, kv_heads=2, head_dim=6, mlp=36, vocabulary=53,
                 context=64, rope_theta=10000.0, norm_eps=1e-5, tied=True),
    # three query heads per key head, untied head, a larger theta, one sequence crosses row blocks.
    "untied": dict(layers=3, width=32, heads=6, kv_heads=2, head_dim=8, mlp=44, vocabulary=67,
                   context=96, rope_theta=500000.0, norm_eps=1e-6, tied=False),
}
TRAIN = dict(batch_tokens=60, accumulate=2, steps=20, learning_rate=0.02, warmup_steps=4,
             schedule="cosine", minimum_lr_ratio=0.1, weight_decay=0.1, beta1=0.9, beta2=0.95,
             epsilon=1e-8, clip_norm=1.6)
LENGTHS = [5, 17, 33, 2, 41, 12, 8, 26, 19, 50, 7, 31]


def weight_value(tensor_index, element_index):
    """Uniform on [-1, 1) from 32-bit integer arithmetic, so that every language gets equal bits."""
    h = ((element_index + 1) + (tensor_index + 1) * 1000003) * 2654435761 % 2**32
    h ^= h >> 15
    h = h * 2246822519 % 2**32
    h ^= h >> 13
    return h / 2**31 - 1.0


def tensor_table(c):
    """Names and shapes in the order of worker/lm/tensor_spec.h."""
    q, kv, w = c["heads"] * c["head_dim"], c["kv_heads"] * c["head_dim"], c["width"]
    table = [("model.embed_tokens.weight", (c["vocabulary"], w))]
    for i in range(c["layers"]):
        p = f"model.layers.{i}."
        table += [(p + "input_layernorm.weight", (w,)),
                  (p + "self_attn.q_proj.weight", (q, w)),
                  (p + "self_attn.k_proj.weight", (kv, w)),
                  (p + "self_attn.v_proj.weight", (kv, w)),
                  (p + "self_attn.o_proj.weight", (w, q)),
                  (p + "post_attention_layernorm.weight", (w,)),
                  (p + "mlp.gate_proj.weight", (c["mlp"], w)),
                  (p + "mlp.up_proj.weight", (c["mlp"], w)),
                  (p + "mlp.down_proj.weight", (w, c["mlp"]))]
    table.append(("model.norm.weight", (w,)))
    if not c["tied"]:
        table.append(("lm_head.weight", (c["vocabulary"], w)))
    return table


def make_weights(c):
    """Vectors: 1 + 0.25 u. Matrices: u * sqrt(3 / columns), unit gain. Embedding and head: 0.5 u."""
    weights = {}
    for index, (name, shape) in enumerate(tensor_table(c)):
        u = np.array([weight_value(index, i) for i in range(int(np.prod(shape)))])
        if len(shape) == 1:
            value = 1.0 + 0.25 * u
        elif shape[0] == c["vocabulary"]:
            value = 0.5 * u
        else:
            value = u * math.sqrt(3.0 / shape[1])
        value = value.astype(np.float32).astype(np.float64).reshape(shape)
        weights[name] = torch.tensor(value, requires_grad=True)
    return weights


def rms_norm(x, weight, eps):
    return weight * x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps)


def rope(x, theta):
    """x: heads, positions, head_dim."""
    half = x.shape[-1] // 2
    frequency = theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(x.shape[1], dtype=torch.float64)[:, None] * frequency
    cos, sin = torch.cos(angle), torch.sin(angle)
    low, high = x[..., :half], x[..., half:]
    return torch.cat([low * cos - high * sin, high * cos + low * sin], -1)


def attention(x, w, prefix, c):
    t, d, group = x.shape[0], c["head_dim"], c["heads"] // c["kv_heads"]
    project = lambda name, n: (x @ w[prefix + name].T).view(t, n, d).transpose(0, 1)
    q = rope(project("q_proj.weight", c["heads"]), c["rope_theta"])
    k = rope(project("k_proj.weight", c["kv_heads"]), c["rope_theta"])
    v = project("v_proj.weight", c["kv_heads"])
    k, v = k.repeat_interleave(group, 0), v.repeat_interleave(group, 0)
    scores = q @ k.transpose(1, 2) / math.sqrt(d)
    mask = torch.full((t, t), -math.inf, dtype=torch.float64).triu(1)
    mixed = torch.softmax(scores + mask, -1) @ v
    return mixed.transpose(0, 1).reshape(t, -1) @ w[prefix + "o_proj.weight"].T


def logits_of(ids, w, c):
    x = w["model.embed_tokens.weight"][ids]
    for i in range(c["layers"]):
        p = f"model.layers.{i}."
        x = x + attention(rms_norm(x, w[p + "input_layernorm.weight"], c["norm_eps"]), w,
                          p + "self_attn.", c)
        h = rms_norm(x, w[p + "post_attention_layernorm.weight"], c["norm_eps"])
        gate, up = h @ w[p + "mlp.gate_proj.weight"].T, h @ w[p + "mlp.up_proj.weight"].T
        x = x + (torch.nn.functional.silu(gate) * up) @ w[p + "mlp.down_proj.weight"].T
    head = w["model.embed_tokens.weight"] if c["tied"] else w["lm_head.weight"]
    return rms_norm(x, w["model.norm.weight"], c["norm_eps"]) @ head.T


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
        ids = (np.cumsum(draw.randint(0, 3, length)) + draw.randint(c["vocabulary"])) % c["vocabulary"]
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
    for number, (name, c) in enumerate(CASES.items()):
        sequences = make_sequences(c, 11 + number)
        w = make_weights(c)
        parts = [loss_sum(s, w, c) for s in sequences]
        loss = sum(p[0] for p in parts) / sum(p[1] for p in parts)
        loss.backward()
        logits = torch.cat([logits_of(torch.tensor(s["ids"][:-1]), w, c) for s in sequences])
        tensors = {"logits": logits.detach().numpy()}
        tensors.update({"grad." + n: w[n].grad.numpy() for n, _ in tensor_table(c)})
        write_safetensors(f"{folder}/{name}.safetensors", tensors)
        steps = train(sequences, c)
        golden = dict(made_by="/usr/bin/python3 tests/oracle/llama_torch.py tests/golden/llama",
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
