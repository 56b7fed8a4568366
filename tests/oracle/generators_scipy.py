#!/usr/bin/env python3
"""What the synthetic tasks must be distributed like, from scipy and numpy alone.

usage: /usr/bin/python3 tests/oracle/generators_scipy.py > tests/golden/suite/generators.json

Each row is a statistic of one sequence with the probabilities of its bins: exact where the prior
predictive has a closed form, else the frequencies of eight million independent numpy draws.
`critical` is the chi-square value that a correct sampler passes with probability 1e-5.
"""
import json

import numpy as np
from scipy import special, stats

DRAWS = 8_000_000
rng = np.random.default_rng(20261124)


def row(name, task, statistic, edges, probabilities):
    p = np.asarray(probabilities, dtype=float)
    assert abs(p.sum() - 1) < 1e-6, (name, p.sum())
    return {"name": name, "task": task, "statistic": statistic, "edges": [float(e) for e in edges],
            "probabilities": [float(x) for x in p],
            "critical": float(stats.chi2.isf(1e-5, len(p) - 1))}


def from_draws(name, task, statistic, edges, draws):
    """Bins (-inf, e0], (e0, e1], ... , (e_last, inf)."""
    counts = np.bincount(np.searchsorted(edges, draws, side="left"), minlength=len(edges) + 1)
    return row(name, task, statistic, edges, counts / counts.sum())


def gp_pmf(mean, size):
    """GP(m): Geometric(2/m) on 1, 2, ... plus Poisson(m/2)."""
    k = np.arange(size)
    return np.convolve(stats.geom.pmf(k, 2 / mean), stats.poisson.pmf(k, mean / 2))[:size]


def from_pmf(name, task, statistic, edges, pmf):
    cdf = np.cumsum(pmf)
    at = np.concatenate([[0], cdf[np.asarray(edges, dtype=int)], [1]])
    return row(name, task, statistic, edges, np.diff(at))


def rows():
    # p ~ U(0,1): heads among ten flips are uniform on 0 ... 10 (beta-binomial).
    yield row("coinflip", "coinflip_small", "heads_of_10", range(10),
              stats.betabinom.pmf(np.arange(11), 10, 1, 1))
    yield from_pmf("length", "coinflip_small", "length", [14, 18, 22, 26, 30, 36, 44, 60],
                   gp_pmf(32, 4000))
    # K = max(2, min(64, GP(12))), shares Dirichlet(1): the first index is uniform given K, and two
    # draws agree with probability 2 / (K + 1).
    gp = gp_pmf(12, 2000)
    k_pmf = np.zeros(65)
    k_pmf[2:64] = gp[2:64]
    k_pmf[2] += gp[:2].sum()
    k_pmf[64] = gp[64:].sum()
    k = np.arange(65)
    first = np.array([(k_pmf[k > i] / k[k > i]).sum() for i in range(64)])
    yield from_pmf("categorical", "categorical_small", "first", [0, 1, 2, 3, 4, 5, 7, 9, 12, 16], first)
    same = (k_pmf[2:] * 2 / (k[2:] + 1)).sum()
    yield row("categorical_pairs", "categorical_small", "first_two_equal", [0], [1 - same, same])
    # p ~ Beta(1,1): uniform on 0 ... n given n ~ GP(1024).
    n_pmf = gp_pmf(1024, 30000)
    n = np.arange(30000)
    tail = np.cumsum((n_pmf / (n + 1))[::-1])[::-1]
    yield from_pmf("binomial", "binomial_small", "first", [49, 99, 199, 299, 499, 699, 899, 1199], tail)
    # rate ~ Gamma(1/2, scale 2000): negative binomial with r = 1/2.
    edges = [0, 3, 9, 30, 99, 299, 999, 1999, 4999]
    cdf = np.concatenate([[0], stats.nbinom.cdf(edges, 0.5, 1 / 2001), [1]])
    yield row("poisson", "poisson_small", "first", edges, np.diff(cdf))
    # The mixture of section 9 of the protocol.
    u = rng.random(DRAWS)
    mean, sd = rng.uniform(0, 100, DRAWS), rng.uniform(1, 5, DRAWS)
    wide, count = (u >= 0.2) & (u < 0.4), (u >= 0.4) & (u < 0.6)
    mean[wide] *= np.exp(rng.normal(0, 4, wide.sum()))
    sd[wide] *= np.exp(rng.normal(0, 3, wide.sum()))
    mean[count] = rng.poisson(10, count.sum()) * rng.choice([-1, 1], count.sum())
    s = rng.poisson(20, count.sum()).astype(float)
    sd[count] = np.where((rng.random(count.sum()) < 0.5) & (s > 0), 1 / np.maximum(s, 1), s)
    scale = np.exp(rng.uniform(-10, 10, DRAWS))
    draws = mean * scale + rng.normal(size=DRAWS) * sd * scale
    # Edges away from zero, because outputs are rounded to few decimals.
    edges = [-100, -3.3, 0.26, 3.3, 33.3, 333.3, 3333.3, 33333.3, 333333.3]
    yield from_draws("normal", "normal_small", "first", edges, draws)
    # Three flights; the first of equals wins.
    m = 2_000_000
    w = rng.integers(-2, 3, (m, 4)) / 2
    w = w[(w != 0).any(axis=1)]
    f = np.stack([rng.integers(0, 100, (len(w), 3)) / 99, rng.integers(0, 100, (len(w), 3)) / 99,
                  rng.integers(0, 3, (len(w), 3)) / 2, rng.integers(0, 100, (len(w), 3)) / 99], axis=2)
    best = np.argmax(np.round(np.einsum("rfk,rk->rf", f, w), 12), axis=1) + 1
    yield from_draws("flight", "flight_small", "first", [1, 2], best)
    # Distinct colours among twenty draws from an urn.
    m = 400_000
    kinds = rng.integers(2, 6, m)
    balls = rng.integers(1, rng.integers(1, 11, (m, 5)) + 1)
    balls[np.arange(5)[None, :] >= kinds[:, None]] = 0
    p = balls / balls.sum(axis=1, keepdims=True)
    seen = (rng.multinomial(20, p) > 0).sum(axis=1)
    yield from_draws("urn", "urn_icl", "distinct_of_20", [1, 2, 3, 4], seen)
    yield from sampler_rows()
    yield from world_rows()


def gp_draws(mean, size):
    return np.maximum(1, rng.geometric(2 / mean, size) + rng.poisson(mean / 2, size))


def sampler_rows():
    # p ~ U(0,1): P(k) = B(2, k) = 1 / (k (k + 1)) on 1, 2, ...
    edges = [1, 2, 3, 4, 6, 9, 14, 29, 99]
    cdf = np.concatenate([[0], 1 - 1 / (np.asarray(edges) + 1.0), [1]])
    for task in ("geometric", "geometric_beta"):
        yield row(task, task, "first", edges, np.diff(cdf))
    # r, p ~ U(0,1): failures before the r-th success.
    m = 4_000_000
    p = np.maximum(rng.random(m), 1e-9)
    draws = rng.negative_binomial(np.maximum(rng.random(m), 1e-12), p)
    yield from_draws("negative_binomial", "negative_binomial", "first", [0, 1, 2, 4, 9, 29], draws)
    # N = GP(128), K and n uniform on 1 ... N.
    size = gp_draws(128, m)
    marked, taken = rng.integers(1, size + 1), rng.integers(1, size + 1)
    draws = rng.hypergeometric(marked, size - marked, taken)
    yield from_draws("hypergeometric", "hypergeometric", "first", [0, 2, 5, 9, 16, 26, 42, 66, 100], draws)
    # Exponent uniform on 1 ... 2.5, by the zeta function.
    a = 1 + 1e-6 + (np.arange(20000) + 0.5) / 20000 * (1.5 - 1e-6)
    edges = [1, 2, 3, 5, 9, 20, 50, 200, 1000, 100000]
    weight = 1 / special.zeta(a, 1)
    cdf = [np.mean(1 - special.zeta(a, e + 1) * weight) for e in edges]
    # Values that do not fit 63 bits are drawn again: the rest is divided by what is left.
    left = np.mean(1 - special.zeta(a, 9.2e18) * weight)
    assert left > 0.95
    tail = 1 - special.zeta(a, 9.2e18) * weight
    cdf = [np.mean((1 - special.zeta(a, e + 1) * weight) / tail) for e in edges]
    yield row("zipfian", "zipfian", "first", edges, np.diff(np.concatenate([[0], cdf, [1]])))
    # How many draws are counted: GP(32). And the first count, given K and shares as above.
    yield from_pmf("multinomial", "multinomial", "sum_of_counts", [14, 18, 22, 26, 30, 36, 44, 60],
                   gp_pmf(32, 4000))
    m = 400_000
    k = np.clip(gp_draws(12, m), 2, 64)
    share = rng.exponential(size=(m, 64))
    share[np.arange(64)[None, :] >= k[:, None]] = 0
    first = rng.binomial(gp_draws(32, m), share[:, 0] / share.sum(axis=1))
    yield from_draws("multinomial_first", "multinomial", "first_count", [0, 1, 2, 3, 5, 8, 12], first)


def world_rows():
    yield row("cards", "cards", "rank", range(12), np.full(13, 1 / 13))
    # The full text of a flight says the same as the compact one: the first of equals wins.
    m = 2_000_000
    w = rng.integers(-2, 3, (m, 4)) / 2
    w = w[(w != 0).any(axis=1)]
    f = np.stack([rng.integers(0, 100, (len(w), 3)) / 99, rng.integers(0, 100, (len(w), 3)) / 99,
                  rng.integers(0, 3, (len(w), 3)) / 2, rng.integers(0, 100, (len(w), 3)) / 99], axis=2)
    best = np.argmax(np.round(np.einsum("rfk,rk->rf", f, w), 12), axis=1) + 1
    yield from_draws("flight_full", "flight", "first", [1, 2], best)
    # Stars: mean + taste + spice + waiting + price + noise, rounded half up, 1 to 5.
    stars = (rng.uniform(2, 4, m) + rng.normal(0, 0.8, m) + rng.normal(0, 0.7, m) * rng.integers(-1, 2, m)
             - rng.uniform(0, 0.06, m) * (5 * rng.integers(1, 10, m) - 25)
             - rng.uniform(0, 0.12, m) * (rng.integers(6, 25, m) - 15) + rng.normal(0, 1, m) * rng.uniform(0.1, 0.6, m))
    yield from_draws("raters", "synthetic_raters", "first", [1, 2, 3, 4], np.clip(np.floor(stars + 0.5), 1, 5))
    # Members among ten things: a rule on one feature, or two joined by and / or; one answer of twenty is wrong.
    accepted = rng.integers(1, 15, (m, 2))
    join = rng.integers(0, 3, m)
    share = np.array([bin(i).count("1") / 4 for i in range(16)])[accepted]
    member = np.where(join == 0, share[:, 0],
                      np.where(join == 1, share[:, 0] * share[:, 1], 1 - (1 - share[:, 0]) * (1 - share[:, 1])))
    yes = rng.binomial(10, 0.95 * member + 0.05 * (1 - member))
    yield from_draws("rules", "synthetic_rules", "yes_of_10", range(10), yes)


print(json.dumps({"command": "tests/oracle/generators_scipy.py", "rows": list(rows())}, indent=1))
