import { expect, test } from 'vitest';
import {
  leaningLogits,
  leans,
  logProbabilities,
  type Sampling,
  sampleToken,
  topIds,
} from '../src/generation/sampling.js';
import { createRandom } from '../src/random.js';

/** Expected shares: the definition of each option, computed by hand from the probabilities 0.5, 0.25, 0.15, 0.1 of ids 2, 0, 3, 1. */
const logits = Float32Array.from([0.25, 0.1, 0.5, 0.15], Math.log);

function shares(options: Partial<Sampling>): number[] {
  const random = createRandom(3);
  const counts = [0, 0, 0, 0];
  const draws = 20_000;
  for (let i = 0; i < draws; i++) {
    const id = sampleToken(logits, { temperature: 1, topP: 1, topK: 0, ...options }, random);
    counts[id] = (counts[id] ?? 0) + 1 / draws;
  }
  return counts;
}

function expectShares(options: Partial<Sampling>, expected: number[]): void {
  for (const [id, share] of shares(options).entries()) {
    if (expected[id] === 0) expect(share).toBe(0);
    else expect(Math.abs(share - (expected[id] ?? 0))).toBeLessThan(0.015); // 4 standard deviations
  }
}

test('tokens are drawn by their probabilities', () => expectShares({}, [0.25, 0.1, 0.5, 0.15]));

test('a temperature of one half squares the probabilities', () => {
  const squares = [0.0625, 0.01, 0.25, 0.0225];
  const total = squares.reduce((a, b) => a + b);
  expectShares(
    { temperature: 0.5 },
    squares.map((square) => square / total),
  );
});

test('topK keeps the likeliest, and topP those of them that reach it', () => {
  expectShares({ topK: 3 }, [0.25 / 0.9, 0, 0.5 / 0.9, 0.15 / 0.9]);
  expectShares({ topP: 0.7 }, [1 / 3, 0, 2 / 3, 0]);
  expectShares({ topP: 0.75 }, [1 / 3, 0, 2 / 3, 0]);
  expectShares({ topP: 0.76 }, [0.25 / 0.9, 0, 0.5 / 0.9, 0.15 / 0.9]);
  expectShares({ topK: 3, topP: 0.8 }, [1 / 3, 0, 2 / 3, 0]); // of the three, 0.5/0.9 + 0.25/0.9 is over 0.8
  expectShares({ topP: 0.4 }, [0, 0, 1, 0]);
  expectShares({ topP: 0 }, [0, 0, 1, 0]);
});

test('minP keeps tokens with that share of the likeliest one, of those that topK and topP leave', () => {
  expectShares({ minP: 0.4 }, [1 / 3, 0, 2 / 3, 0]);
  expectShares({ minP: 0.29 }, [0.25 / 0.9, 0, 0.5 / 0.9, 0.15 / 0.9]);
  expectShares({ minP: 0.25, topK: 2 }, [1 / 3, 0, 2 / 3, 0]);
  expectShares({ minP: 0.4, topP: 0.95 }, [1 / 3, 0, 2 / 3, 0]);
});

test('penalties are taken once, and as often as a token was said; a bias is added; the logits stay as they are', () => {
  const before = Float32Array.from([1, 2, 3, 4]);
  const leaning = { presencePenalty: 0.5, frequencyPenalty: 0.25, logitBias: new Map([[3, -100]]) };
  expect([...leaningLogits(before, [1, 2, 1, 1], leaning)]).toEqual([1, 2 - 0.5 - 0.75, 3 - 0.5 - 0.25, -96]);
  expect([...before]).toEqual([1, 2, 3, 4]);
  expect(leaningLogits(before, [1], { presencePenalty: 0 })).toBe(before);
  expect([{}, { presencePenalty: 0.1 }, { frequencyPenalty: -1 }, { logitBias: new Map([[1, 1]]) }].map(leans)).toEqual(
    [false, true, true, true],
  );
});

test('a nucleus of a large vocabulary is the one that sorting it whole would find', () => {
  const random = createRandom(9);
  const wide = Float32Array.from({ length: 800 }, () => 6 * random());
  const order = [...wide.keys()].sort((a, b) => (wide[b] ?? 0) - (wide[a] ?? 0));
  const probabilities = logProbabilities(wide, order).map(Math.exp);
  let sum = 0;
  const size = probabilities.findIndex((probability) => {
    sum += probability;
    return sum >= 0.95;
  });
  const inside = new Set(order.slice(0, size + 1));
  const drawn = new Set(
    Array.from({ length: 5000 }, () => sampleToken(wide, { temperature: 1, topP: 0.95, topK: 0 }, random)),
  );
  for (const id of drawn) expect(inside.has(id)).toBe(true);
  expect(drawn.size).toBeGreaterThan(0.9 * inside.size);
});

// 0.5, ten times 0.04, and 990 tokens that share 0.1: 0.85 is reached by the first and nine of the ten.
test('tokens too unlikely for the nucleus still count in the whole that topP is a share of', () => {
  const probabilities = [0.5, ...Array(10).fill(0.04), ...Array(990).fill(0.1 / 990)];
  const random = createRandom(5);
  const drawn = new Set(
    Array.from({ length: 3000 }, () =>
      sampleToken(Float32Array.from(probabilities, Math.log), { temperature: 1, topP: 0.85, topK: 0 }, random),
    ),
  );
  expect([...drawn].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('the likeliest are listed in order, equal ones by id, and probabilities add up to one', () => {
  expect(topIds(logits, 3)).toEqual([2, 0, 3]);
  expect(topIds(logits, 9)).toEqual([2, 0, 3, 1]);
  expect(topIds(Float32Array.from([1, 3, 3, 2, 3]), 3)).toEqual([1, 2, 4]);
  const probabilities = logProbabilities(logits, [0, 1, 2, 3]).map(Math.exp);
  expect(probabilities.reduce((a, b) => a + b)).toBeCloseTo(1, 6);
  expect(probabilities[2]).toBeCloseTo(0.5, 6);
});
