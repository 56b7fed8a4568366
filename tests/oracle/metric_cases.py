#!/usr/bin/python3
"""Reference answers for calibration, divergences, generation counts and text diversity, computed
from logits and texts with numpy and nltk, independently of the C code.

Run from the repository's root (Debian: python3-numpy, python3-nltk):
    /usr/bin/python3 tests/oracle/metric_cases.py > tests/golden/stats/metric_cases.inc
"""
import nltk
import numpy as np
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

FLOOR = 0.01


def number(x):
    x = float(x)
    return "NAN" if np.isnan(x) else repr(x)


def array(kind, name, values, text=number):
    print(f"static const {kind} {name}[] = {{{', '.join(text(v) for v in values)}}};")


def scalar(name, value):
    print(f"static const double {name} = {number(value)};")


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


# --- calibration ------------------------------------------------------------------------------


def log_softmax(logits):
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


def entries_of(logits, targets):
    """Every probability above the floor, and whether it is the right token's."""
    log_p = log_softmax(logits)
    right = np.zeros_like(log_p, dtype=bool)
    right[np.arange(len(targets)), targets] = True
    keep = np.exp(log_p) > FLOOR
    return log_p[keep], right[keep]


def equal_mass(log_p, right, weighted):
    bins = min(10, len(log_p))
    edges = np.percentile(log_p, np.linspace(0, 100, bins + 1))
    gaps, weights = [], []
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (log_p >= low) & (log_p <= high)
        if inside.any():
            gaps.append(abs(np.exp(log_p[inside]).mean() - right[inside].mean()))
            weights.append(inside.sum() if weighted else 1)
    return np.average(gaps, weights=weights)


def equal_width(log_p, right):
    p = np.exp(log_p)
    error = 0.0
    for b in range(10):
        inside = (p > b / 10) & (p <= (b + 1) / 10)
        if inside.any():
            error += inside.mean() * abs(p[inside].mean() - right[inside].mean())
    return error


def calibration(name, logits, targets):
    log_p, right = entries_of(logits, targets)
    array("float", f"{name}_logits", logits.ravel(), lambda v: f"{np.float32(v)!r}f")
    array("int32_t", f"{name}_targets", targets, str)
    scalar(f"{name}_vocabulary", logits.shape[1])
    scalar(f"{name}_entries", len(log_p))
    scalar(f"{name}_equal_mass", equal_mass(log_p, right, False))
    scalar(f"{name}_equal_mass_weighted", equal_mass(log_p, right, True))
    scalar(f"{name}_equal_width", equal_width(log_p, right))


# --- divergences ------------------------------------------------------------------------------


def divergence(name, target, log_p, eps=1e-6):
    target = np.asarray(target, float)
    mass = np.exp(log_p).sum()
    p = target / target.sum() + eps
    q = np.exp(log_p) / mass + eps
    p, q = p / p.sum(), q / q.sum()
    m = (p + q) / 2
    array("double", f"{name}_target", target)
    array("double", f"{name}_log_p", log_p)
    array("double", f"{name}_expected", [
        (p * np.log(p / m)).sum() / 2 + (q * np.log(q / m)).sum() / 2,
        (p * np.log(p / q)).sum(),
        (q * np.log(q / p)).sum(),
        -(p * np.log(q)).sum(),
        float(p.argmax() == q.argmax()),
        mass,
    ])


# --- generations and texts --------------------------------------------------------------------


def generations(name, texts, valid, allowed):
    n, v = len(texts), sum(valid)
    kept = [t for t, ok in zip(texts, valid) if ok]
    u = len(set(kept))
    pairs = v * (v - 1) / 2
    equal = sum(kept[i] == kept[j] for i in range(v) for j in range(i))
    p = equal / pairs if pairs else 0.0
    array("char *", f"{name}_texts", texts, quoted)
    array("bool", f"{name}_valid", valid, lambda b: "true" if b else "false")
    array("double", f"{name}_expected", [
        n, v, u, len(set(texts)), v / n, u / v if v else 0.0, u / n, len(set(texts)) / n, p,
        np.sqrt(p * (1 - p) / pairs) if pairs else 0.0, u / allowed if allowed else np.nan,
    ])


def entropies(counts):
    counts = np.asarray([c for c in counts if c], float)
    n = counts.sum()
    share = counts / n
    plug_in = -(share * np.log(share)).sum()
    once = (counts == 1).sum()
    if once == n:
        once = n - 1
    adjusted = (1 - once / n) * share
    chao_shen = -(adjusted * np.log(adjusted) / (1 - (1 - adjusted) ** n)).sum()
    return [plug_in, plug_in + (len(counts) - 1) / (2 * n), chao_shen]


def count(items):
    return np.unique(np.asarray(items, dtype=object).astype(str), return_counts=True)[1]


def texts_case(name, texts):
    words = [t.split() for t in texts]
    distinct = []
    for n in range(1, 5):
        grams = [" ".join(w[i:i + n]) for w in words for i in range(len(w) - n + 1)]
        distinct.append(len(set(grams)) / len(grams) if grams else np.nan)
    smooth = SmoothingFunction().method1
    bleus = [sentence_bleu(words[:i] + words[i + 1:], words[i], smoothing_function=smooth)
             for i in range(len(words))]
    flat = [w for ws in words for w in ws]
    array("char *", f"{name}_texts", texts, quoted)
    array("double", f"{name}_expected",
          [len(flat), len(flat) / len(texts), *distinct, np.mean(bleus), *entropies(count(texts)),
           *entropies(count(flat))])


def main():
    rng = np.random.default_rng(20260101)
    print("/* Made by tests/oracle/metric_cases.py with numpy " + np.__version__ +
          ", nltk " + nltk.__version__ + "; do not edit. */")
    logits = rng.normal(0, 2.5, (60, 24)).astype(np.float32).astype(float)
    calibration("many", logits, rng.integers(0, 24, 60))
    logits = rng.normal(0, 1, (40, 8)).astype(np.float32).astype(float)
    logits[::3] = logits[0]  # equal probabilities lie on edges
    calibration("ties", logits, rng.integers(0, 8, 40))
    calibration("few", np.float32([[4.0, 0.5, -9.0], [0.0, 3.0, -9.0]]).astype(float), [0, 0])

    divergence("skewed", [5, 3, 0, 2], np.log([0.2, 0.05, 0.01, 0.3]))
    divergence("uniform", np.ones(50), log_softmax(rng.normal(0, 3, 50)) - 2.0)
    divergence("tiny", [0.25, 0.75], np.array([-740.0, -741.5]))
    divergence("tied_modes", [1, 1, 0], np.log([0.1, 0.3, 0.2]))

    names = ["Mon", "Tue", "Wed", "mon", "xyz", ""]
    drawn = rng.choice(6, 100, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.1])
    generations("days", [names[i] for i in drawn], [bool(i < 4) for i in drawn], 21)
    generations("nothing_valid", ["a", "b", "a"], [False] * 3, 0)
    generations("one_valid", ["a", "b", "a"], [False, True, False], 0)

    vocabulary = "the a small red house tree runs sleeps under over quickly".split()
    texts = []
    for _ in range(14):
        length = rng.integers(1, 15)
        texts.append(" ".join(rng.choice(vocabulary, length, p=None)))
    texts += [texts[0], texts[3], "  spaced   out\twords\nhere "]
    texts_case("free", texts)
    texts_case("same", ["one two three four five"] * 3)
    texts_case("different", ["a b c", "d e f g", "h"])


main()
