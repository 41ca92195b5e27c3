"""
What SciPy and statsmodels compute for the statistics of packages/contract/src/stats; packages/contract/test/stats compares.
usage: pip install scipy==1.17.1 statsmodels==0.15.0; python scripts/stats/references.py > packages/contract/test/stats/references.json
"""

import json
from math import comb

import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

draw = np.random.default_rng(7)


def wilson():
    cases = [(0, 1), (1, 1), (0, 20), (20, 20), (1, 3), (7, 10), (81, 263), (15, 148), (5000, 10042), (999_999, 1_000_000)]
    for successes, n in cases:
        low, high = proportion_confint(successes, n, alpha=0.05, method="wilson")
        yield {"successes": successes, "n": n, "low": low, "high": high}


def shares():
    for successes, baseline, n in [(200, 0, 200), (200, 200, 200), (0, 0, 10), (1, 0, 200), (56, 48, 70), (3, 9, 10), (4210, 4105, 10042)]:
        low, high = confint_proportions_2indep(successes, n, baseline, n, method="newcomb", compare="diff")
        yield {"successes": successes, "baseline": baseline, "n": n, "low": low, "high": high}


def means():
    for n in (3, 4, 5, 12, 101, 2001):
        values = np.round(draw.normal(draw.uniform(-5, 5), draw.uniform(0.001, 3), n), 6) if n < 100 else np.arange(n) % 7 / 7
        interval = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
        yield {"values": values.tolist() if n < 100 else None, "n": n, "mean": values.mean(), "half": (interval[1] - interval[0]) / 2}


def pairs():
    cases = [([1.2, 0.9, 1.4], [1.1, 0.7, 1.2]), ([0.5, 0.25, 0.75, 1.0], [0.5, 0.5, 0.5, 0.5])]
    cases += [(np.round(draw.normal(2.0, 0.1, n), 5).tolist(), np.round(draw.normal(2.2, 0.3, n), 5).tolist()) for n in (5, 30)]
    cases += [([1.001, 1.002, 1.0005, 1.0015], [0.0, 0.001, 0.0, 0.0005])]
    for values, baseline in cases:
        test = stats.ttest_rel(values, baseline)
        low, high = test.confidence_interval(0.95)
        yield {"values": values, "baseline": baseline, "t": test.statistic, "p": test.pvalue, "mean": (low + high) / 2, "half": (high - low) / 2}


def mcnemars():
    for b, c in [(0, 0), (0, 1), (0, 5), (1, 7), (7, 1), (6, 6), (12, 25), (40, 41), (210, 150), (3, 60), (5000, 5300)]:
        yield {"onlyFirst": b, "onlySecond": c, "p": mcnemar([[10, b], [c, 10]], exact=True).pvalue}


def passes():
    cases = [(1, 0, 1), (1, 1, 1), (5, 2, 1), (5, 2, 3), (5, 2, 4), (10, 3, 10), (200, 13, 100), (200, 1, 1), (1000, 1, 10), (2000, 700, 100), (100_000, 3, 7), (100_000, 50_000, 20)]
    for n, c, k in cases:
        # exact: whole numbers of any size, one division
        yield {"n": n, "c": c, "k": k, "passAtK": (comb(n, k) - comb(n - c, k)) / comb(n, k)}


def bootstraps():
    """A million resamples: what the interval of 10,000 must come near to."""
    verdicts = lambda n, p: draw.binomial(1, p, n).tolist()
    shared = draw.normal(0, 1, 80)
    scores = [np.round(shared + draw.normal(shift, 0.3, 80), 4).tolist() for shift in (0.15, 0.0)]
    for values, baseline in [(verdicts(60, 0.7), verdicts(60, 0.5)), (verdicts(500, 0.31), verdicts(500, 0.29)), scores, ([0.2, 0.9, 0.4, 0.35], [0.1, 0.2, 0.5, 0.3])]:
        differences = np.subtract(values, baseline)
        interval = stats.bootstrap((differences,), np.mean, n_resamples=1_000_000, batch=20_000, method="percentile", rng=1).confidence_interval
        yield {"values": values, "baseline": baseline, "difference": differences.mean(), "low": interval.low, "high": interval.high}


def r2(y, predicted):
    return 1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum()


def polynomials():
    cases = [(np.array([0.0, 1, 2, 3, 5, 8]), 1), (np.array([0.0, 1, 2, 3, 5, 8]), 2), (np.round(draw.uniform(0, 0.02, 21), 5), 2), (np.round(draw.uniform(999, 1001, 12), 3), 3), (np.array([-2.0, -1, 0, 1, 2, 2, 2]), 0)]
    for x, degree in cases:
        y = np.round(3 - 2 * (x - x.mean()) / np.ptp(x) + ((x - x.mean()) / np.ptp(x)) ** 2 + draw.normal(0, 0.1, len(x)), 5)
        groups = np.array([f"method {i % 3}" for i in range(len(x))])
        fit = np.polynomial.Polynomial.fit(x, y, degree)
        left_out = np.empty_like(y)
        for group in np.unique(groups):
            left_out[groups == group] = np.polynomial.Polynomial.fit(x[groups != group], y[groups != group], degree)(x[groups == group])
        yield {"x": x.tolist(), "y": y.tolist(), "groups": groups.tolist(), "degree": degree, "coefficients": np.resize(fit.convert().coef, degree + 1).tolist(), "r2": r2(y, fit(x)), "leftOut": r2(y, left_out)}


versions = {"scipy": scipy.__version__, "statsmodels": statsmodels.__version__, "numpy": np.__version__}
parts = {"wilson": wilson, "shares": shares, "means": means, "pairs": pairs, "mcnemar": mcnemars, "passAtK": passes, "bootstrap": bootstraps, "polynomials": polynomials}
lines = [f'"made by": "scripts/stats/references.py", "versions": {json.dumps(versions)}']
for name, make in parts.items():
    lines.append(f'"{name}": [\n' + ",\n".join(f"  {json.dumps(case, default=float)}" for case in make()) + "\n]")
print("{\n" + ",\n".join(lines) + "\n}")
