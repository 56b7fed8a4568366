"""LoRA in PyTorch (float64), the yardstick for worker/lm/adapter.c: 20 steps of AdamW on the low-rank
matrices alone (and, where asked, embedding and head), on models of all three families.

Run with Debian's python3-torch (1.13):
    /usr/bin/python3 tests/oracle/lora_torch.py tests/golden/lora

Writes, per case, NAME.json (which model of family_cases.py, the adapter's configuration, loss, gradient
norm of every step) and NAME.safetensors ("merged.<tensor>" of some matrices after the last step).
A and B begin as weight_value() says, B not at zero, so that both have gradients from the first step.

Written from Hu et al. 2021: y = W x + (alpha / rank) B A x.
"""
import json
import math
import sys

import numpy as np
import torch

import families_torch as model
import family_cases as cases

CASES = {
    # every target, untied head fixed
    "llama-all": dict(model="llama-untied", rank=3, alpha=1.0, embeddings=False, head=False,
                      targets=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
                               "down_proj"]),
    # as in the paper's option: q and v, embedding and head, which are one matrix here
    "qwen3-paper": dict(model="qwen3-tied", rank=4, alpha=2.0, embeddings=True, head=True,
                        targets=["q_proj", "v_proj"]),
    # an untied head trained without the embedding
    "gemma3-head": dict(model="gemma3-untied", rank=2, alpha=0.8, embeddings=False, head=True,
                        targets=["k_proj", "o_proj", "gate_proj", "down_proj"]),
}
ORDER = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
KEPT = ["model.layers.0.self_attn.k_proj.weight", "model.layers.1.mlp.down_proj.weight",
        "model.layers.1.self_attn.v_proj.weight"]


def adapted(c, case):
    """Names of the matrices that have an adapter, in the model's order."""
    return [n for n, _ in cases.tensor_table(c) if n.split(".")[-2] in case["targets"]]


def make_adapter(c, case):
    """The numbers of worker/lm/adapter.h's tensors: A, then B, of every matrix in order."""
    shapes, pairs = dict(cases.tensor_table(c)), {}
    for i, name in enumerate(adapted(c, case)):
        out, width = shapes[name]
        values = []
        for k, shape in enumerate([(case["rank"], width), (out, case["rank"])]):
            u = np.array([cases.weight_value(1000 + 2 * i + k, e) for e in range(shape[0] * shape[1])])
            value = (u * math.sqrt(3.0 / shape[1])).astype(np.float32).astype(np.float64)
            values.append(torch.tensor(value.reshape(shape), requires_grad=True))
        pairs[name] = values
    return pairs


def effective(w, pairs, scale):
    return {n: v + scale * pairs[n][1] @ pairs[n][0] if n in pairs else v for n, v in w.items()}


def train(c, case, sequences):
    w, pairs = model.make_weights(c), make_adapter(c, case)
    scale, t = case["alpha"] / case["rank"], model.TRAIN
    trained = [p for pair in pairs.values() for p in pair]
    tied = c["tie_word_embeddings"]
    if case["embeddings"] or (case["head"] and tied):
        trained.append(w["model.embed_tokens.weight"])
    if case["head"] and not tied:
        trained.append(w["lm_head.weight"])
    optimizer = torch.optim.AdamW(trained, lr=0.0, betas=(t["beta1"], t["beta2"]), eps=t["epsilon"],
                                  weight_decay=t["weight_decay"])
    batches, steps, at = model.micro_batches(sequences), [], 0
    for step in range(t["steps"]):
        group = batches[at:at + t["accumulate"]]
        at = at + len(group) if at + len(group) < len(batches) else 0
        whole = effective(w, pairs, scale)
        parts = [model.loss_sum(s, whole, c) for batch in group for s in batch]
        loss = sum(p[0] for p in parts) / sum(p[1] for p in parts)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, t["clip_norm"])
        for g in optimizer.param_groups:
            g["lr"] = model.learning_rate(step)
        optimizer.step()
        steps.append(dict(loss=float(loss), grad_norm=float(norm), lr=model.learning_rate(step)))
    return steps, effective(w, pairs, scale)


def main(folder):
    for number, (name, case) in enumerate(CASES.items()):
        c = cases.TRAINED[case["model"]]
        # The sequences that the model's own golden has.
        sequences = model.make_sequences(c, 11 + list(cases.TRAINED).index(case["model"]))
        steps, merged = train(c, case, sequences)
        model.write_safetensors(f"{folder}/{name}.safetensors",
                                {"merged." + n: merged[n].detach().numpy() for n in KEPT})
        with open(f"{folder}/{name}.json", "w") as f:
            json.dump(dict(made_by="/usr/bin/python3 tests/oracle/lora_torch.py tests/golden/lora",
                           torch=torch.__version__, **case, steps=steps), f, indent=1)
            f.write("\n")
        print(f"{name}: {steps[0]['loss']:.4f} -> {steps[-1]['loss']:.4f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1])
