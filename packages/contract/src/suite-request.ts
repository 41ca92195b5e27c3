import { z } from 'zod';
import { SamplingRequest } from './suites/sampling.js';

const describe = <T extends z.ZodType>(schema: T, description: string): T => schema.describe(description);
const UINT31 = 2 ** 31 - 1;

/** Which items are asked, and how: keys of an evaluation and of the evaluations that a run asks for. */
export const SUITE_KEYS = {
  suite: describe(z.string().min(1), 'How the rows are asked and judged, by name; `file` scores plain rows.'),
  file: describe(z.string().min(1), 'Id of an uploaded file with rows of the suite.'),
  examples: describe(
    z.string().min(1).nullish(),
    'Id of a file that solved examples are taken from. Default: the first rows of `file`, which are then not asked themselves.',
  ),
  fewshot: describe(
    z.int().min(0).max(64).nullish(),
    'Solved examples before each item. Default: what the suite is known by.',
  ),
  limit: describe(z.int().min(1).max(UINT31).nullish(), 'Items at most: the first ones, or with `seed` drawn ones.'),
  seed: describe(z.int().min(0).max(UINT31).nullish(), 'Draws the items under `limit` from all.'),
  sampling: describe(
    SamplingRequest.nullish(),
    'Of suites whose items are answered: several drawn answers to each. Default: one, of the likeliest tokens.',
  ),
};

/** When a run has its model evaluated: its base before, each checkpoint, its result. */
export const SUITE_TIMES = ['before', 'during', 'after'] as const;

export const SuiteRequest = z.strictObject({
  ...SUITE_KEYS,
  lambda: describe(
    z.number().min(0).max(1).optional(),
    'Share of the update of a checkpoint or the result. Default 1.',
  ),
  when: describe(
    z.array(z.enum(SUITE_TIMES)).min(1).max(3).default(['after']),
    '`before`: the base; `during`: every checkpoint, which is kept until it is evaluated; `after`: the result. Default `["after"]`.',
  ),
});
export type SuiteRequest = z.output<typeof SuiteRequest>;
