import { join } from 'node:path';
import { expect, test } from 'vitest';
import { outcomeOf, readCases } from './configs-set.js';

const cases = readCases(join(import.meta.dirname, '../../../scripts/configs/fixtures.json'));

test.each(cases.map((one, index) => ({ index, ...one })))(
  'generated config $index (refused: $refused, stored: $stored, $dtype) gives the loss of transformers, or is refused by its key',
  async (one) => {
    const outcome = await outcomeOf(one);
    if (one.refused !== null) return expect(outcome).toMatchObject({ refused: one.refused });
    expect(outcome).toEqual({ loss: expect.closeTo(one.loss ?? Number.NaN, 5) });
  },
);
