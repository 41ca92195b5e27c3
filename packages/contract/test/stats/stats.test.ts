// Expected numbers: SciPy, statsmodels and NumPy, written by scripts/stats/references.py (versions in references.json).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  bootstrapDifference,
  compareVerdicts,
  evaluatePolynomial,
  fitPolynomial,
  isAtChance,
  leaveOneGroupOutR2,
  mcnemarP,
  meanInterval,
  median,
  paretoFront,
  passAtK,
  shareDifference,
  testPairs,
  wilsonInterval,
} from '../../src/stats/index.js';

interface Pairs {
  values: number[];
  baseline: number[];
}
interface References {
  wilson: { successes: number; n: number; low: number; high: number }[];
  shares: { successes: number; baseline: number; n: number; low: number; high: number }[];
  means: { values: number[] | null; n: number; mean: number; half: number }[];
  pairs: (Pairs & { t: number; p: number; mean: number; half: number })[];
  mcnemar: { onlyFirst: number; onlySecond: number; p: number }[];
  passAtK: { n: number; c: number; k: number; passAtK: number }[];
  bootstrap: (Pairs & { difference: number; low: number; high: number })[];
  polynomials: {
    x: number[];
    y: number[];
    groups: string[];
    degree: number;
    coefficients: number[];
    r2: number;
    leftOut: number;
  }[];
}
const references: References = JSON.parse(readFileSync(join(import.meta.dirname, 'references.json'), 'utf8'));

/** Equal but for rounding, relative to the size of the number. */
function expectNear(actual: number | null, expected: number, relative = 1e-10): void {
  expect(Math.abs((actual ?? Number.NaN) - expected), `${actual} beside ${expected}`).toBeLessThanOrEqual(
    relative * Math.abs(expected) + 1e-15,
  );
}

describe('the interval of a share', () => {
  test.each(references.wilson)('$successes of $n is that of statsmodels', ({ successes, n, low, high }) => {
    const interval = wilsonInterval(successes, n);
    expectNear(interval.low, low);
    expectNear(interval.high, high);
  });

  test.each(references.shares)(
    '$successes and $baseline of $n differ as statsmodels says',
    ({ successes, baseline, n, low, high }) => {
      const interval = shareDifference(successes, baseline, n);
      expectNear(interval.low, low);
      expectNear(interval.high, high);
    },
  );

  test('ends at 0 and 1 exactly where nothing or everything was right', () => {
    expect(wilsonInterval(0, 7).low).toBe(0);
    expect(wilsonInterval(7, 7).high).toBe(1);
  });

  test('is refused without tries, with more successes than tries and for what is not a count', () => {
    expect(() => wilsonInterval(0, 0)).toThrow('A share of 0 tries');
    expect(() => wilsonInterval(8, 7)).toThrow('8 successes of 7 tries');
    expect(() => wilsonInterval(Number.NaN, 7)).toThrow('successes is NaN');
    expect(() => wilsonInterval(0.5, 7)).toThrow('successes is 0.5');
    expect(() => wilsonInterval(-1, 7)).toThrow('successes is -1');
  });

  test('tells chance from more and from less than chance', () => {
    expect(isAtChance(27, 100, 0.25)).toBe(true);
    expect(isAtChance(40, 100, 0.25)).toBe(false);
    expect(isAtChance(5, 100, 0.25)).toBe(false);
  });
});

describe('the interval of a mean', () => {
  test.each(references.means)('of $n values is that of SciPy', ({ values, n, mean, half }) => {
    const interval = meanInterval(values ?? Array.from({ length: n }, (_, i) => (i % 7) / 7));
    expectNear(interval.mean, mean);
    expectNear(interval.half, half);
    expect(interval.n).toBe(n);
  });

  test('is not given for one or two values', () => {
    expect(meanInterval([3])).toEqual({ mean: 3, n: 1, half: null });
    expect(meanInterval([3, 5])).toEqual({ mean: 4, n: 2, half: null });
  });

  test('is not given for values that are all equal, if only to rounding', () => {
    expect(meanInterval([7, 7, 7])).toEqual({ mean: 7, n: 3, half: null });
    expect(meanInterval([0.1 + 0.2, 0.3, 0.3]).half).toBeNull();
    expect(meanInterval([1e-3, 1e-3, 1.000001e-3]).half).toBeGreaterThan(0);
  });

  test('is refused for no value and for NaN', () => {
    expect(() => meanInterval([])).toThrow('no value');
    expect(() => meanInterval([1, Number.NaN])).toThrow('values [1] is NaN');
  });
});

test('the median is the middle value, or between the two', () => {
  expect([median([3, 1, 2]), median([4, 1]), median([10, 9, 1, 2])]).toEqual([2, 2.5, 5.5]);
  expect(median([])).toBeNaN();
});

describe('pairs', () => {
  test.each(references.pairs)('t, p and interval are those of SciPy: p $p', ({ values, baseline, ...expected }) => {
    const result = testPairs(values, baseline);
    expectNear(result.t, expected.t, 1e-9);
    expectNear(result.p, expected.p, 1e-8);
    expectNear(result.mean, expected.mean);
    expectNear(result.half, expected.half, 1e-9);
  });

  test('have no test with two pairs, nor where every difference is equal', () => {
    expect(testPairs([1, 2], [0, 0])).toEqual({ mean: 1.5, n: 2, half: null, t: null, p: null });
    expect(testPairs([1, 2, 3], [0, 1, 2])).toEqual({ mean: 1, n: 3, half: null, t: null, p: null });
  });

  test('that do not match, are none or are infinite are refused', () => {
    expect(() => testPairs([1, 2], [1])).toThrow('values has 2, baseline has 1');
    expect(() => testPairs([], [])).toThrow('no pairs');
    expect(() => testPairs([1], [Number.POSITIVE_INFINITY])).toThrow('baseline [0] is Infinity');
  });
});

describe('a difference on the same items', () => {
  test.each(references.bootstrap)(
    'has the interval that a million resamples of SciPy have: $low to $high',
    ({ values, baseline, difference, low, high }) => {
      const ours = bootstrapDifference(values, baseline, { seed: 3 });
      expectNear(ours.difference, difference);
      // 10,000 resamples leave an end of the interval uncertain by about 1 % of its width.
      expect(Math.abs(ours.low - low) / (high - low)).toBeLessThan(0.03);
      expect(Math.abs(ours.high - high) / (high - low)).toBeLessThan(0.03);
    },
  );

  test('is the same for the same seed and another for another', () => {
    const [values, baseline] = [
      [0.3, 0.8, 0.1, 0.7, 0.2],
      [0.2, 0.5, 0.3, 0.1, 0.4],
    ];
    const one = bootstrapDifference(values, baseline, { seed: 1, resamples: 500 });
    expect(bootstrapDifference(values, baseline, { seed: 1, resamples: 500 })).toEqual(one);
    expect(bootstrapDifference(values, baseline, { seed: 2, resamples: 500 })).not.toEqual(one);
  });

  test('turns its sign with its sides', () => {
    const there = bootstrapDifference([1, 0, 1, 1], [0, 0, 1, 0]);
    const back = bootstrapDifference([0, 0, 1, 0], [1, 0, 1, 1]);
    expect([there.difference, there.low, there.high]).toEqual([0.5, 0 - back.high, 0 - back.low]);
  });

  test('is refused for unequal numbers, none, NaN and too few resamples', () => {
    expect(() => bootstrapDifference([1, 0], [1])).toThrow('values has 2, baseline has 1');
    expect(() => bootstrapDifference([], [])).toThrow('no pairs');
    expect(() => bootstrapDifference([Number.NaN], [1])).toThrow('values [0] is NaN');
    expect(() => bootstrapDifference([1], [0], { resamples: 10 })).toThrow('resamples is 10');
  });
});

describe('McNemar’s exact p', () => {
  test.each(references.mcnemar)('of $onlyFirst beside $onlySecond is that of statsmodels', (one) => {
    expectNear(mcnemarP(one.onlyFirst, one.onlySecond), one.p, 1e-9);
  });

  test('is taken of the items that one alone got right', () => {
    const [yes, no] = [true, false];
    expect(compareVerdicts([yes, yes, yes, no, no, no], [yes, no, no, no, no, yes])).toEqual({
      bothRight: 1,
      onlyFirst: 2,
      onlySecond: 1,
      bothWrong: 2,
      p: 1,
    });
    expect(() => compareVerdicts([yes], [])).toThrow('first has 1, second has 0');
    expect(() => mcnemarP(Number.NaN, 1)).toThrow('onlyFirst is NaN');
  });
});

describe('pass@k', () => {
  test.each(references.passAtK)('for k $k with $c of $n is the exact fraction', (one) => {
    expectNear(passAtK(one.n, one.c, one.k), one.passAtK, 1e-11);
  });

  test('is refused for k above n, k of 0, more passes than samples and no sample', () => {
    expect(() => passAtK(5, 2, 6)).toThrow('pass@6 of 5 samples');
    expect(() => passAtK(5, 2, 0)).toThrow('pass@0');
    expect(() => passAtK(5, 6, 1)).toThrow('6 of 5 samples passed');
    expect(() => passAtK(0, 0, 1)).toThrow('pass@1 of 0 samples');
  });
});

describe('a polynomial', () => {
  test.each(references.polynomials)('of degree $degree is that of NumPy, R² $r2', (one) => {
    const { coefficients, r2 } = fitPolynomial(one.x, one.y, one.degree);
    expect(coefficients).toHaveLength(one.degree + 1);
    for (const [power, expected] of one.coefficients.entries()) expectNear(coefficients[power] ?? null, expected, 1e-6);
    expect(r2).toBeCloseTo(one.r2, 10);
    expect(leaveOneGroupOutR2(one.x, one.y, one.groups, one.degree)).toBeCloseTo(one.leftOut, 9);
  });

  test('goes through its points where there are as many as coefficients', () => {
    const { coefficients, r2 } = fitPolynomial([1, 2, 4], [1, 4, 16], 2);
    expect(r2).toBeCloseTo(1, 12);
    expect(evaluatePolynomial(coefficients, 3)).toBeCloseTo(9, 12);
  });

  test('has no R² where all values are equal', () => {
    expect(fitPolynomial([1, 2, 3], [5, 5, 5], 1).r2).toBeNull();
  });

  test('is refused with too few different x, unequal numbers, NaN and a degree that is none', () => {
    expect(() => fitPolynomial([1, 1, 2], [1, 2, 3], 2)).toThrow('needs 3 different x; there are 2.');
    expect(() => fitPolynomial([1, 2], [1], 1)).toThrow('x has 2, y has 1');
    expect(() => fitPolynomial([1, 2], [1, Number.NaN], 1)).toThrow('y [1] is NaN');
    expect(() => fitPolynomial([1, 2], [1, 2], 0.5)).toThrow('degree is 0.5');
    expect(() => fitPolynomial([], [], 0)).toThrow('there are 0');
  });

  test('is not left out of a single group, nor where the others have too few points', () => {
    expect(() => leaveOneGroupOutR2([1, 2, 3], [1, 2, 3], ['a', 'a', 'a'], 1)).toThrow("of one group, 'a'");
    expect(() => leaveOneGroupOutR2([1, 2, 3], [1, 2, 3], ['a', 'a', 'b'], 1)).toThrow(
      "there are 1 outside of group 'a'",
    );
  });
});

describe('the Pareto front', () => {
  const front = (points: [number, number][]) => paretoFront(points, ([x, y]) => ({ x, y }));

  test('holds what no other point beats, by rising x', () => {
    expect(
      front([
        [3, 1],
        [1, 3],
        [2, 2],
        [1, 1],
        [2, 1.5],
        [0, 3],
      ]),
    ).toEqual([
      [1, 3],
      [2, 2],
      [3, 1],
    ]);
  });

  test('keeps equal points and drops one that is equal on one axis and worse on the other', () => {
    expect(
      front([
        [2, 2],
        [2, 2],
        [2, 1],
        [1, 2],
      ]),
    ).toEqual([
      [2, 2],
      [2, 2],
    ]);
  });

  test('is empty for no point and refused for NaN', () => {
    expect(front([])).toEqual([]);
    expect(() => front([[1, Number.NaN]])).toThrow('y [0] is NaN');
  });
});
