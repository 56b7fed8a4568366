#!/usr/bin/python3
"""Reference answers for experiments/stats from scipy, statsmodels and numpy.

Run from the repository's root:
    /usr/bin/python3 tests/oracle/stats_cases.py > tests/golden/stats/oracle_cases.inc
"""
import itertools

import numpy as np
import scipy
import scipy.stats
import statsmodels
import statsmodels.api as sm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests

ALPHA = 0.05


def number(x):
    return repr(float(x))


def array(kind, name, values, text=number):
    print(f"static const {kind} {name}[] = {{{', '.join(text(v) for v in values)}}};")


def scalar(name, value):
    print(f"static const double {name} = {number(value)};")


def clustered(name, sizes, rng):
    """Records y = mean + cluster effect + noise; OLS on a constant, errors clustered."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    y = 0.3 + rng.normal(0, 1, len(sizes))[groups] + rng.normal(0, 0.5, len(groups))
    fit = sm.OLS(y, np.ones_like(y)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    half = scipy.stats.t.ppf(1 - ALPHA / 2, len(sizes) - 1) * fit.bse[0]
    array("double", f"{name}_values", y)
    array("uint32_t", f"{name}_sizes", sizes, str)
    scalar(f"{name}_mean", fit.params[0])
    scalar(f"{name}_se", fit.bse[0])
    scalar(f"{name}_lo", fit.params[0] - half)
    scalar(f"{name}_hi", fit.params[0] + half)
    scalar(f"{name}_se_independent", scipy.stats.sem(y))
    return y, groups


def bootstrap(name, y, groups, rng):
    """Percentile interval of the pooled mean, whole clusters drawn with replacement."""
    sums = np.bincount(groups, weights=y)
    counts = np.bincount(groups)
    drawn = rng.integers(0, len(sums), (200000, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    scalar(f"{name}_bootstrap_lo", np.quantile(means, ALPHA / 2))
    scalar(f"{name}_bootstrap_hi", np.quantile(means, 1 - ALPHA / 2))


def signflip(name, sums):
    """All sign patterns by scipy, and again by hand."""
    result = scipy.stats.permutation_test((sums,), np.sum, permutation_type="samples",
                                          n_resamples=np.inf, alternative="two-sided")
    flips = np.array(list(itertools.product([1, -1], repeat=len(sums))))
    by_hand = np.mean(np.abs(flips @ sums) >= abs(sums.sum()) - 1e-9)
    assert abs(by_hand - result.pvalue) < 1e-12, (by_hand, result.pvalue)
    array("double", f"{name}_sums", sums)
    scalar(f"{name}_p", by_hand)


def main():
    print("/* Made by tests/oracle/stats_cases.py with "
          f"numpy {np.__version__}, scipy {scipy.__version__},")
    print(f" * statsmodels {statsmodels.__version__}; do not edit. */")
    rng = np.random.default_rng(20260401)
    y, groups = clustered("uneven", [1, 5, 2, 3, 3, 1, 4, 2, 5, 2, 1, 3], rng)
    bootstrap("uneven", y, groups, rng)
    clustered("single", [1] * 9, rng)

    signflip("flip_seven", rng.normal(0.6, 1, 7))
    signflip("flip_ten", rng.normal(0.5, 1, 10))
    signflip("flip_ties", np.array([1.0, -1, 2, 0, 3, 1, 1, -2, 0, 1, 2, 0]))
    signflip("flip_sixteen", rng.normal(0.3, 1, 16))

    pairs = [(0, 1), (0, 6), (3, 9), (12, 2), (10, 10), (1, 23), (0, 24)]
    print("static const struct { uint64_t gained, lost; double p; } mcnemar_cases[] = {")
    for b, c in pairs:
        print(f"    {{{b}, {c}, {number(mcnemar([[0, b], [c, 0]], exact=True).pvalue)}}},")
    print("};")

    p = np.concatenate([rng.uniform(0, 0.02, 5), rng.uniform(0, 1, 6), [0.01, 0.01, 1.0]])
    array("double", "adjust_p_raw", p)
    array("double", "adjust_p_holm", multipletests(p, method="holm")[1])
    array("double", "adjust_p_bh", multipletests(p, method="fdr_bh")[1])

    for name, spread in [("pool_spread", 0.5), ("pool_alike", 0.0)]:
        se = rng.uniform(0.05, 0.3, 6)
        means = 0.2 + spread * rng.normal(0, 1, 6) + 0.3 * se * rng.normal(0, 1, 6)
        pooled = combine_effects(means, se**2, method_re="dl")
        half = scipy.stats.norm.ppf(1 - ALPHA / 2) * pooled.sd_eff_w_re
        array("double", f"{name}_means", means)
        array("double", f"{name}_ses", se)
        scalar(f"{name}_mean", pooled.mean_effect_re)
        scalar(f"{name}_se", pooled.sd_eff_w_re)
        scalar(f"{name}_lo", pooled.mean_effect_re - half)
        scalar(f"{name}_tau2", max(pooled.tau2, 0))
        scalar(f"{name}_q", pooled.q)
        scalar(f"{name}_q_p", scipy.stats.chi2.sf(pooled.q, len(se) - 1))
        scalar(f"{name}_i2", max(pooled.i2, 0))

    scalar("normal_p_of_2", 2 * scipy.stats.norm.sf(2.0))
    scalar("normal_critical_05", scipy.stats.norm.ppf(0.975))


main()
