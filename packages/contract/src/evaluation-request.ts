import { z } from 'zod';
import { CreateRunRequest } from './run-request.js';
import { SUITE_KEYS } from './suite-request.js';

const { pool, priority, max_attempts, metadata } = CreateRunRequest.shape;
const describe = <T extends z.ZodType>(schema: T, description: string): T => schema.describe(description);

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
    ...SUITE_KEYS,
    metadata,
    priority,
    pool: describe(pool, 'Workers that may take it. Default `default`.'),
    max_attempts: describe(max_attempts, 'Attempts before lost workers and faults of ours fail it. Default 10.'),
  })
  .meta({ id: 'CreateEvaluationRequest' });
export type CreateEvaluationRequest = z.input<typeof CreateEvaluationRequest>;
