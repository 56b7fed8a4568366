"""A training step of the 124M-parameter Llama in PyTorch (Debian's python3-torch), for compare_train.

    /usr/bin/python3 tests/bench/torch_train.py THREADS STEP_TOKENS f32|bf16

12 layers, width 768, 12 heads, MLP 2,560, 32,000 tokens, tied head; sequences of 512; AdamW; bf16 is its autocast.
Prints of the second step "SECONDS CPU_SECONDS", and the loss of the first.
"""
import sys
import time

import torch

L, C, H, D, M, V, T = 12, 768, 12, 64, 2560, 32000, 512


def norm(x, w):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * w


def turn(x, cos, sin):
    a, b = x[..., :D // 2], x[..., D // 2:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def forward(ids, p, cos, sin, mask):
    x = p["e"][ids]
    B = ids.shape[0]
    for i in range(L):
        n = norm(x, p[f"n1{i}"])
        q, k, v = ((n @ p[f"{name}{i}"].T).view(B, T, H, D).transpose(1, 2) for name in "qkv")
        scores = turn(q, cos, sin) @ turn(k, cos, sin).transpose(2, 3) / D ** 0.5 + mask
        x = x + (scores.softmax(-1) @ v).transpose(1, 2).reshape(B, T, C) @ p[f"o{i}"].T
        n = norm(x, p[f"n2{i}"])
        x = x + (torch.nn.functional.silu(n @ p[f"g{i}"].T) * (n @ p[f"u{i}"].T)) @ p[f"d{i}"].T
    return norm(x, p["n"]) @ p["e"].T


def main(threads, step_tokens, precision):
    threads, step_tokens = int(threads), int(step_tokens)
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    shapes = {"e": (V, C), "n": (C,)}
    for i in range(L):
        shapes.update({f"{x}{i}": (C, C) for x in "qkvo"})
        shapes.update({f"g{i}": (M, C), f"u{i}": (M, C), f"d{i}": (C, M), f"n1{i}": (C,), f"n2{i}": (C,)})
    p = {name: (torch.ones(s) if len(s) == 1 else torch.randn(s) * 0.02).requires_grad_() for name, s in shapes.items()}
    optimizer = torch.optim.AdamW(p.values(), lr=3e-4, betas=(0.9, 0.95))
    angles = torch.arange(T)[:, None] * 10000.0 ** (-torch.arange(D // 2) / (D / 2))
    cos, sin = angles.cos(), angles.sin()
    mask = torch.full((T, T), float("-inf")).triu(1)
    losses = []
    for step in range(2):
        ids = torch.randint(0, V, (step_tokens // T, T + 1))
        wall, cpu = time.monotonic(), time.process_time()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            logits = forward(ids[:, :-1], p, cos, sin, mask)
        logits = logits.float()
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, V), ids[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(p.values(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    print(f"{time.monotonic() - wall:.4f} {time.process_time() - cpu:.4f} {losses[0]:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
