import { expect, test } from 'vitest';
import { besideStrangers } from './strangers.js';

// `npm run soak:serve` does the same with 100,000 tokens, of which ten may differ.

test('sampled answers are the same alone and among seven strangers, but where a draw is within 1e-4 of the next token', async () => {
  const { tokens, different, wrong } = await besideStrangers(500);
  expect(tokens).toBeGreaterThanOrEqual(500);
  expect(wrong).toBe(0);
  expect(different).toBeLessThanOrEqual(1);
});
