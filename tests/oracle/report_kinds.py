#!/usr/bin/python3
"""Small stored records of alignment and coverage, and the figures that a report of them must have, computed with
numpy and scipy independently of the C code.

Run from the repository's root (Debian: python3-numpy, python3-scipy):
    /usr/bin/python3 tests/oracle/report_kinds.py > tests/golden/report/kinds/records.json
"""
import itertools
import json

import numpy as np
import scipy
from scipy import stats

ALPHA = 0.05
EPSILON = 1e-6
VARIANTS = ["PT", "IT", "ST"]
ITEMS, CANDIDATES = 10, 4
DRAWS = 6
COMPONENTS = ["description", "both"]
WORDS = {"weekdays": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "coins": ["heads", "tails"],
         "rng_1_4": ["1", "2", "3", "4"], "vowels": list("aeiou"), "seasons": ["spring", "summer", "autumn", "winter"],
         "letters": list("abcdefgh"), "dice": list("123456"), "months_r": ["January", "February", "March", "April"]}

rng = np.random.default_rng(20261126)
expected = []


def expect(find, **figures):
    expected.append({"find": find, "figures": {k: float(v) for k, v in figures.items() if not np.isnan(v)}})


def estimate(values, count=None):
    """Mean, standard error and t interval of values that are clusters of one record each."""
    values = np.asarray(values, float)
    n = len(values)
    se = values.std(ddof=1) / np.sqrt(n)
    half = stats.t.ppf(1 - ALPHA / 2, n - 1) * se
    return {"value": values.mean(), "se": se, "lo": values.mean() - half, "hi": values.mean() + half}


def sign_flips(differences):
    """Exact two-sided p over all sign patterns."""
    d = np.asarray(differences, float)
    sums = np.array([np.dot(s, d) for s in itertools.product([1, -1], repeat=len(d))])
    return (np.abs(sums) >= abs(d.sum()) - 1e-9).mean()


def holm(p):
    """Adjusted values over the pairs that are declared; undefined ones (NaN) count."""
    p, m = np.asarray(p, float), len(p)
    order = np.argsort(np.where(np.isnan(p), np.inf, p))
    adjusted, highest = np.full(m, np.nan), 0.0
    for rank, i in enumerate(order):
        if not np.isnan(p[i]):
            highest = max(highest, min(1.0, p[i] * (m - rank)))
            adjusted[i] = highest
    return adjusted


# --- alignment --------------------------------------------------------------------------------


def figures_of_item(target, log_p):
    p, q = np.asarray(target) / np.sum(target), np.exp(log_p)
    coverage = q.sum()
    p, q = (p + EPSILON), (q / coverage + EPSILON)
    p, q = p / p.sum(), q / q.sum()
    m = (p + q) / 2
    return {"js": (stats.entropy(p, m) + stats.entropy(q, m)) / 2, "kl": stats.entropy(p, q),
            "reverse_kl": stats.entropy(q, p), "cross_entropy": stats.entropy(p) + stats.entropy(p, q),
            "mode_match": float(np.argmax(target) == np.argmax(log_p)), "coverage": coverage}


def alignment():
    cells, differences = [], []
    for task in ["states", "urn"]:
        targets = rng.integers(0, 16, (ITEMS, CANDIDATES)) + 1
        base = rng.normal(-2, 1, (ITEMS, CANDIDATES))
        of = {}
        for variant in VARIANTS:
            pull = {"PT": 0.1, "IT": 0.0, "ST": 0.8}[variant]
            log_p = np.minimum((1 - pull) * base + pull * np.log(targets / targets.sum(1, keepdims=True)) +
                               rng.normal(0, 0.2, base.shape), -0.125) - (1.5 if variant == "IT" else 0.75)
            log_p = np.round(log_p * 64) / 64
            cells.append({"task": task, "variant": variant,
                          "items": [{"target": t.tolist(), "log_p": lp.tolist()} for t, lp in zip(targets, log_p)]})
            of[variant] = [figures_of_item(t, lp) for t, lp in zip(targets, log_p)]
            for metric in of[variant][0]:
                expect({"kind": "mean", "suite": "alignment", "task": task, "variant": variant, "metric": metric,
                        "scope": "all"}, **estimate([f[metric] for f in of[variant]]))
        for against in VARIANTS[1:]:
            for metric in ["js", "mode_match", "coverage"]:
                d = [a[metric] - b[metric] for a, b in zip(of[against], of["PT"])]
                differences.append((task, against, metric, d))
    for metric in ["js", "mode_match", "coverage"]:
        mine = [d for d in differences if d[2] == metric]
        p = [sign_flips(d[3]) if np.any(np.asarray(d[3]) != 0) else np.nan for d in mine]
        for (task, against, _, d), one, adjusted in zip(mine, p, holm(p)):
            expect({"kind": "difference", "suite": "alignment", "task": task, "variant": against, "baseline": "PT",
                    "metric": metric}, p=one, p_adj=adjusted, **estimate(d))
    return cells


# --- coverage ---------------------------------------------------------------------------------


def figures_of_texts(draws, allowed):
    texts = [d["text"] for d in draws]
    valid = [d["text"] for d in draws if d["valid"]]
    n, v, u = len(texts), len(valid), len(set(valid))
    pairs = list(itertools.combinations(valid, 2))
    shares = np.unique(texts, return_counts=True)[1] / n
    words = [t.split() for t in texts]
    flat = [w for ws in words for w in ws]
    return {"valid": v / n, "diversity": u / v if v else 0.0, "yield": u, "usable": u / n,
            "unique": len(set(texts)) / n, "collision": np.mean([a == b for a, b in pairs]) if pairs else 0.0,
            "list_coverage": u / allowed, "ended": np.mean([d["ended"] for d in draws]),
            "words": len(flat) / n, "distinct_1": len(set(flat)) / len(flat),
            "text_entropy": -(shares * np.log(shares)).sum(), "nats": np.mean([d["nats"] for d in draws])}


def coverage():
    cells, of = [], {}
    for task, words in WORDS.items():
        for variant in VARIANTS:
            cell = {"task": task, "variant": variant, "allowed": len(words), "draws": []}
            for sequence, component in enumerate(COMPONENTS):
                right = {"PT": 0.55, "IT": 0.95, "ST": 0.9}[variant] - 0.15 * (component == "description")
                spread = {"PT": 1.0, "IT": 0.1, "ST": 1.0}[variant]
                odds = np.r_[1.0, np.full(len(words) - 1, spread)]
                drawn = []
                for position in range(DRAWS):
                    good = rng.random() < right
                    word = words[rng.choice(len(words), p=odds / odds.sum())]
                    drawn.append({"sequence": sequence, "position": position, "valid": bool(good),
                                  "text": word if good else f"well, {word.lower()} ({rng.integers(3)})",
                                  "ended": bool(rng.random() < 0.9), "tokens": int(rng.integers(1, 5)),
                                  "nats": float(rng.integers(16, 256)) / 64})
                cell["draws"] += drawn
                of[task, variant, component] = figures = figures_of_texts(drawn, len(words))
                for metric, value in figures.items():
                    expect({"kind": "generation", "suite": "coverage", "task": task, "variant": variant,
                            "metric": metric, "component": component}, value=value)
            cells.append(cell)
    coverage_over_tasks(of)
    return cells


def coverage_over_tasks(of):
    mean = {}
    for component in COMPONENTS:
        for variant in VARIANTS:
            mean[component, variant] = {}
            for metric in of["coins", variant, component]:
                values = np.array([of[task, variant, component][metric] for task in WORDS])
                mean[component, variant][metric] = values.mean()
                expect({"kind": "generation_mean", "suite": "coverage", "variant": variant, "metric": metric,
                        "component": component}, value=values.mean(), se=values.std() / np.sqrt(len(values)))
        points = {v: (mean[component, v]["valid"], mean[component, v]["diversity"]) for v in VARIANTS}
        for v, (x, y) in points.items():
            beaten = any(a >= x and b >= y and (a, b) != (x, y) for a, b in points.values())
            expect({"kind": "generation_mean", "suite": "coverage", "variant": v, "metric": "valid",
                    "component": component, "on_front": "no" if beaten else "yes"})
    for metric in ["valid", "diversity", "yield"]:
        keys = [(c, a) for c in COMPONENTS for a in VARIANTS[1:]]
        d = [[of[task, a, c][metric] - of[task, "PT", c][metric] for task in WORDS] for c, a in keys]
        p = [sign_flips(x) for x in d]
        for (component, against), x, one, adjusted in zip(keys, d, p, holm(p)):
            expect({"kind": "generation_difference", "suite": "coverage", "variant": against, "baseline": "PT",
                    "metric": metric, "component": component}, p=one, p_adj=adjusted, **estimate(x))


made_by = f"tests/oracle/report_kinds.py with numpy {np.__version__}, scipy {scipy.__version__}; do not edit"
document = {"made_by": made_by, "alignment": alignment(), "coverage": coverage(), "components": COMPONENTS,
            "expected": expected}


def lines(value, depth=0):
    """JSON with an element a line down to the records, so that a change is read as a diff."""
    if depth < 2 and isinstance(value, dict):
        return "{" + ",\n".join(json.dumps(k) + ": " + lines(v, depth + 1) for k, v in value.items()) + "}"
    if depth < 2 and isinstance(value, list):
        return "[\n" + ",\n".join(lines(v, depth + 1) for v in value) + "]"
    return json.dumps(value)


print(lines(document))
