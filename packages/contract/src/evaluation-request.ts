import { z } from 'zod';
import { CreateRunRequest } from './run-config.js';

const { pool, priority, max_attempts, metadata } = CreateRunRequest.shape;
const describe = <T extends z.ZodType>(schema: T, description: string): T => schema.describe(description);
const UINT31 = 2 ** 31 - 1;

/** What an evaluation is asked to do: which model, which items, how many. */
export const CreateEvaluationRequest = z
  .strictObject({
    model: describe(
      z.string().min(1),
      'A base, a registered adapter, the result of a run (`ft:…`) or one of its checkpoints (`ft:…:ckpt-step-N`).',
    ),
    lambda: describe(
      z.number().min(0).max(1).optional(),
      'Share of the update that is applied: 1, the default, all of it; 0 gives the base to the bit. Not for a base.',
    ),
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
    metadata,
    priority,
    pool: describe(pool, 'Workers that may take it. Default `default`.'),
    max_attempts: describe(max_attempts, 'Attempts before lost workers and faults of ours fail it. Default 10.'),
  })
  .meta({ id: 'CreateEvaluationRequest' });
export type CreateEvaluationRequest = z.input<typeof CreateEvaluationRequest>;
