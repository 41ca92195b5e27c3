import { join } from 'node:path';
import { expect, test } from 'vitest';
import { apart, readGreedy, servedAnswers } from './greedy-set.js';

// Expected: transformers 5 and PEFT on the same numbers, in whole passes without a cache. `npm run test:greedy` does the same with many more.

const TOLERANCE = 1e-4;
const cases = readGreedy(join(import.meta.dirname, '../../../../scripts/serving/greedy.json'));

test.each(cases.map((one) => [String(one.config.model_type), one] as const))(
  '%s: the base, LoRA, MoRA and a merged method, asked at once, answer greedily as transformers does',
  async (_, one) => {
    const ours = await servedAnswers(one);
    expect(new Set(ours.map(([answer]) => answer?.logprobs.map((value) => value.toFixed(3)).join())).size).toBe(
      one.models.length,
    );
    for (const [i, { method, answers }] of one.models.entries()) {
      expect(
        ours[i]?.map(({ ids }) => ids),
        method?.type ?? 'the base',
      ).toEqual(answers.map(({ ids }) => ids));
      expect(apart(ours[i] ?? [], answers), method?.type ?? 'the base').toBeLessThan(TOLERANCE);
    }
  },
);
